"""The job queue's own tables, made by pgqueuer's installer, in a schema of their own."""

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings

from tpgateway.database.migrations.run import run

revision = "0002_queue"
down_revision = "0001_foundation"


def upgrade() -> None:
    environment = QueryBuilderEnvironment(settings=DBSettings(db_schema="queue"))
    run(lambda connection: Queries(AsyncpgDriver(connection), qbe=environment).install())
