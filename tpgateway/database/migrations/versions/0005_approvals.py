"""Prior approvals in full: national amounts, richer benefit lines, hospital stays, consumption, clocks."""

from tpgateway.database.migrations.run import sql

revision = "0005_approvals"
down_revision = "0004_rights"


def upgrade() -> None:
    sql(revision)
