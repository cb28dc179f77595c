"""What the worker does for DRE tables: telling who wants to know of a new version."""

from collections.abc import Mapping
from uuid import UUID

from tpgateway.dre.store import ReaderStore, TableStore
from tpgateway.jobs import Handler, JobKind, Tools
from tpgateway.mail import Post
from tpgateway.paper import day_fr

_AT_ONCE = 200


async def announce(tools: Tools, ids: Mapping[str, UUID], _tries: int) -> None:
    """Mails everybody who asked to be told, some in each transaction: broken off, it goes on where it was."""
    post = Post.of(tools.settings, tools.vault)
    async with tools.pool.acquire() as connection:
        versions = {each.version: each for each in await TableStore(connection).versions(None)}
        newest = next((each.version for each in versions.values() if each.id == ids["version"]), 0)
        taken = _AT_ONCE
        while taken == _AT_ONCE:
            async with connection.transaction():
                taken, told = await ReaderStore(connection).take_untold(newest, _AT_ONCE)
                for address, number in told:
                    version = versions[number]
                    await post.send(
                        connection,
                        "dre/new_tables",
                        to=address,
                        version=number,
                        effective=day_fr(version.effective_from),
                        note=version.note,
                    )


JOBS: Mapping[JobKind, Handler] = {JobKind.ANNOUNCE_TABLES: announce}
