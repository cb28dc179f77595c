"""Who may call what: every operation and every page, by every kind of caller."""
