"""An event to an insurer may get its number after the commit of what it tells of."""

from tpgateway.database.migrations.run import sql

revision = "0014_numbered_after"
down_revision = "0013_claimed_benefits"


def upgrade() -> None:
    sql(revision)
