"""What is looked up by its key is found in the key's index, also in tables whose size the planner does not know."""

from tpgateway.database.migrations.run import sql

revision = "0015_sure_plans"
down_revision = "0014_numbered_after"


def upgrade() -> None:
    sql(revision, is_each_alone=True)
