"""What a benefit line pays, and what a responsible contract must keep: pure functions."""
