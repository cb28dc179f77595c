"""The SQL of prior approvals; of those that ended, and of one person's."""
