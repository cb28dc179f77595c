"""What a request on a proof is decided with is looked up in one round trip."""

from tpgateway.database.migrations.run import sql

revision = "0012_proof_look_up"
down_revision = "0011_shorter_locks"


def upgrade() -> None:
    sql(revision)
