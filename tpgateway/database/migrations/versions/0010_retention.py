"""What is past its time is forgotten: checks become traces, approvals go to an archive, old audit days are let go."""

from tpgateway.database.migrations.run import sql

revision = "0010_retention"
down_revision = "0009_own_rows"


def upgrade() -> None:
    sql(revision)
