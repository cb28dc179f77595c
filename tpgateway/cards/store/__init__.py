"""The SQL of cards: checks; the import of rights."""
