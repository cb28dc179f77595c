"""What the worker does for insurers' people; what it posts to insurers stands in ``courier``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from tpgateway.insurers import people
from tpgateway.jobs import Handler, JobKind, Tools
from tpgateway.mail import Post


async def answer_request(tools: Tools, ids: Mapping[str, UUID], _tries: int) -> None:
    async with tools.pool.acquire() as connection, connection.transaction():
        post = Post.of(tools.settings, tools.vault)
        await people.answer(connection, post, ids["request"], settings=tools.settings, now=datetime.now(UTC))


JOBS: Mapping[JobKind, Handler] = {JobKind.ANSWER_INSURER_REQUEST: answer_request}
