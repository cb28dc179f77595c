"""Everything that the first release keeps."""

from tpgateway.database.migrations.run import sql

revision = "0001_foundation"
down_revision = None


def upgrade() -> None:
    sql(revision)
