"""What outside input can do to what reads it: any bytes at all, and XML made to do harm."""
