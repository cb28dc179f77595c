"""What the NIR's sealed values and hashes are for; the vault keeps those of one purpose apart from all others."""

from tpgateway.database.sealed import Sealed

NIR_PURPOSE = "nir"
SEALED = (
    Sealed(
        "insured_nirs",
        "nir_sealed",
        ("insurer_id", "membership_number", "birth_date", "birth_rank"),
        lambda _: NIR_PURPOSE,
    ),
)
