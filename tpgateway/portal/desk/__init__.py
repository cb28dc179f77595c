"""The insurers' desk: pages for the people of insurers."""
