"""SQL of insurers. One method, one statement."""
