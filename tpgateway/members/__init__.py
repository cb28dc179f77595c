"""The people of a practice: how they log in, prove who they are, and what each of them did."""
