"""Decisions about prior approvals: pure functions and tables."""
