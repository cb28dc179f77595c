"""The web frame: routes as tables, shapes, problems, callers, idempotency, tokens, sessions, health, metrics and logs."""
