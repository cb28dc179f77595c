"""Decisions about cards: what a check comes to, and how much of checking is too much."""
