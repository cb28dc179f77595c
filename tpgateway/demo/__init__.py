"""The demo: the gateway's main story, played over its real doors with fictitious people."""
