"""What the NIR's sealed values and hashes are for; the vault keeps those of one purpose apart from all others."""

NIR_PURPOSE = "nir"
