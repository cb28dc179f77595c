"""What the worker does for practitioners."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from tpgateway.jobs import Handler, JobKind, Tools
from tpgateway.mail import Post
from tpgateway.practitioners import access, service
from tpgateway.practitioners.model import PractitionerId
from tpgateway.practitioners.store import RequestStore


async def answer_registration(tools: Tools, ids: Mapping[str, UUID], _tries: int) -> None:
    async with tools.pool.acquire() as connection, connection.transaction():
        await service.answer_registration(
            connection,
            Post.of(tools.settings, tools.vault),
            PractitionerId(ids["practitioner"]),
            hours=tools.settings.activation_hours,
            per_hour=tools.settings.mails_per_hour,
            now=datetime.now(UTC),
        )


async def answer_request(tools: Tools, ids: Mapping[str, UUID], _tries: int) -> None:
    async with tools.pool.acquire() as connection, connection.transaction():
        sealed = await RequestStore(connection).take(ids["request"])
        if sealed is not None:
            post = Post.of(tools.settings, tools.vault)
            await access.answer(connection, post, sealed, settings=tools.settings, now=datetime.now(UTC))


JOBS: Mapping[JobKind, Handler] = {
    JobKind.ANSWER_REGISTRATION: answer_registration,
    JobKind.ANSWER_REQUEST: answer_request,
}
