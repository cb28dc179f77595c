"""Guarantees: what an insurer's product pays, line by line, and since when."""
