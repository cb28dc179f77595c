"""Row-level security: a transaction that says for whom it is sees that insurer's or that practitioner's rows alone."""

from tpgateway.database.migrations.run import sql

revision = "0009_own_rows"
down_revision = "0008_people"


def upgrade() -> None:
    sql(revision)
