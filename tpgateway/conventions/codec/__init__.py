"""Conventions as files: what operators publish, what practitioners read, sign and keep."""
