"""A line says by which amount its rule goes."""

from tpgateway.database.migrations.run import sql

revision = "0017_told_limits"
down_revision = "0016_whole_uses"


def upgrade() -> None:
    sql(revision, is_each_alone=True)
