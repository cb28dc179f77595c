"""Cards: the rights of insured people, their import, and card checks."""
