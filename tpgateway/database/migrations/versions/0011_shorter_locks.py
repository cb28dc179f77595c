"""What one waits for another with is held for less: an insurer's counter of events, and a person's benefits."""

from tpgateway.database.migrations.run import sql

revision = "0011_shorter_locks"
down_revision = "0010_retention"


def upgrade() -> None:
    sql(revision)
