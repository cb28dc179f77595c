"""Requests, letters and XML documents of approvals: bytes and models."""
