"""Every parser of outside input, as one function of bytes each: what fuzzers run, and tests replay."""
