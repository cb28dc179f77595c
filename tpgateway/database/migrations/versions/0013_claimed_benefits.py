"""A request is decided without a lock held meanwhile: whether what was used is still so is seen as it is kept."""

from tpgateway.database.migrations.run import sql

revision = "0013_claimed_benefits"
down_revision = "0012_proof_look_up"


def upgrade() -> None:
    sql(revision)
