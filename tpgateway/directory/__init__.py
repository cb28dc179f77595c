"""The public directories of establishments and health professionals, which registrations are compared with."""
