"""Rights of 16 million people: persons found by NIR, insurers asked live, locks against stolen accounts."""

from tpgateway.database.migrations.run import sql

revision = "0004_rights"
down_revision = "0003_practitioners"


def upgrade() -> None:
    sql(revision)
