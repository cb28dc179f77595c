"""DRE tables: what a practitioner's software needs to build and route electronic reimbursement requests."""
