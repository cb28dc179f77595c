"""Handlers of checks and of imports."""
