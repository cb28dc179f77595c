"""Conventions: what a speciality has agreed with the network, and which practitioners have signed."""
