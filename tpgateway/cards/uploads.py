"""Files on their way in: how far each is, told once a second on a connection of its own, outside the import's transaction."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from tpgateway.cards.model import Upload, UploadStage
from tpgateway.cards.store.rights import UploadStore
from tpgateway.database import Connection, faults
from tpgateway.insurers.model import InsurerId
from tpgateway.web.state import State

_EVERY_SECONDS = 1.0


class Progress:
    """How far a file is; whoever works on it says so here, as often as he likes."""

    def __init__(self) -> None:
        self.stage = UploadStage.RECEIVING
        self.received = 0

    def tell(self, stage: str) -> None:
        """What ``service.import_rights`` says that it does."""
        self.stage = UploadStage(stage.lower())


@asynccontextmanager
async def followed(state: State, insurer: InsurerId, size: int | None) -> AsyncIterator[Progress]:
    """A file's way in, to be seen by the insurer's people meanwhile."""
    progress = Progress()
    async with state.connection() as connection:
        upload = await UploadStore(connection).begin(insurer, size)
    telling = asyncio.create_task(_tell(state, insurer, upload, progress))
    try:
        yield progress
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        with suppress(*faults.ANY):  # the database is away: it is forgotten later
            async with state.connection() as connection:
                await UploadStore(connection).end(insurer, upload)


async def _tell(state: State, insurer: InsurerId, upload: UUID, progress: Progress) -> None:
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        with suppress(*faults.ANY):
            async with state.connection() as connection:
                await UploadStore(connection).tell(insurer, upload, progress.stage, progress.received)


async def under_way(connection: Connection, insurer: InsurerId) -> Sequence[Upload]:
    """The insurer's files on their way in."""
    return await UploadStore(connection).list(insurer)
