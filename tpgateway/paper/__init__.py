"""Documents for people to read and print: one look for all."""
