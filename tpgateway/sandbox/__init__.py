"""The other side, to try the gateway against: an insurer that is simulated, published scenarios, conformance lists."""
