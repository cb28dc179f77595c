"""People of insurers: members and links of mails belong to a practice or to an insurer."""

from tpgateway.database.migrations.run import sql

revision = "0008_people"
down_revision = "0007_publications"


def upgrade() -> None:
    sql(revision)
