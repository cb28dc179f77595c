"""Insurers' systems: contacts, keys by address and their rotation, endpoints that choose, an outbox, a cursor of the feed."""

from tpgateway.database.migrations.run import sql

revision = "0006_insurers"
down_revision = "0005_approvals"


def upgrade() -> None:
    sql(revision)
