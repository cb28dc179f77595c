"""Handlers of prior approvals and of their documents."""
