"""Practitioners from registration to a lost password: people of a practice, second factors, bank details, directories."""

from tpgateway.database.migrations.run import sql

revision = "0003_practitioners"
down_revision = "0002_queue"


def upgrade() -> None:
    sql(revision)
