"""Conventions: terms as data, who signed. DRE tables: more formats, compressed and signed, notes, readers, who wants news."""

from tpgateway.database.migrations.run import sql

revision = "0007_publications"
down_revision = "0006_insurers"


def upgrade() -> None:
    sql(revision)
