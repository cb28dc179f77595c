"""Complementary insurers: their accounts and keys, their events, and how these reach them."""
