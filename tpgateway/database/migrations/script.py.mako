"""${message}"""

from tpgateway.database.migrations.run import sql

revision = "${up_revision}"
down_revision = "${down_revision}"


def upgrade() -> None:
    sql(revision)
