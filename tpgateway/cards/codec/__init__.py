"""Cards between bytes and models: proof numbers, answers, DataMatrix, rights files."""
