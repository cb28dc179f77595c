"""A use of a benefit knows its stay's last day and what the AMO paid beside."""

from tpgateway.database.migrations.run import sql

revision = "0016_whole_uses"
down_revision = "0015_sure_plans"


def upgrade() -> None:
    sql(revision, is_each_alone=True)
