"""Practitioners: their accounts, from registration to their software's credentials."""
