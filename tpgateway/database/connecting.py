"""Connecting to a database of several servers, of which one takes writes: the one that does, wherever it is at this moment.

A URL may name several hosts (``postgresql://one:5432,two:5432/tpgateway``). The driver would ask one after the other, and
wait in vain for one whose machine is gone; here the next is asked soon after, and the first that takes writes is the one.
"""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

# Of every connection. On a cluster the driver's question for the types of arguments, which each new connection asks several
# times, would take a third of a second: all tables are looked through, so as not to show those of other servers.
_EVERYWHERE = {"citus.override_table_visibility": "off"}
_HEAD_START = 0.15
_last: dict[str, str] = {}


class OnlyReads(ConnectionError):
    """The server is a standby, which takes no writes."""


def hosts(url: str) -> list[str]:
    """A URL for each host of a URL, in its order."""
    parts = urlsplit(url)
    login, at, names = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{name}")) for name in names.split(",")]


async def connect(url: str, *, timeout: float = 5, **options: Any) -> "Connection":
    """A connection; of several hosts, to one that takes writes, unless ``target_session_attrs`` says otherwise.

    Raises what asyncpg raises, ``OnlyReads`` where no host takes writes, and ``TimeoutError``.
    """
    each = hosts(url)
    options["server_settings"] = {**_EVERYWHERE, **options.get("server_settings", {})}
    if len(each) == 1:
        return await asyncpg.connect(url, timeout=timeout, **options)
    each.sort(key=lambda host: host != _last.get(url))  # the one that was it the last time is asked first
    writes = "target_session_attrs" not in parse_qs(urlsplit(url).query)
    async with asyncio.timeout(timeout):
        host, connection = await _first(each, timeout, options, writes=writes)
    _last[url] = host
    return connection


async def _first(each: list[str], timeout: float, options: dict[str, Any], *, writes: bool) -> "tuple[str, Connection]":
    """The first that can be used; the others are left."""
    waiting: dict[asyncio.Task[Connection], str] = {}
    failure: BaseException = OnlyReads()
    try:
        while each or waiting:
            if each:
                host = each.pop(0)
                waiting[asyncio.create_task(_one(host, timeout, options, writes=writes))] = host
            done, _ = await asyncio.wait(
                waiting, timeout=_HEAD_START if each else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                host = waiting.pop(task)
                if (error := task.exception()) is None:
                    return host, task.result()
                failure = error
        raise failure
    finally:
        for task in waiting:
            task.add_done_callback(_drop)
            task.cancel()


async def _one(host: str, timeout: float, options: dict[str, Any], *, writes: bool) -> "Connection":
    connection: Connection = await asyncpg.connect(host, timeout=timeout, **options)
    if writes and connection.get_settings().in_hot_standby == "on":
        connection.terminate()
        raise OnlyReads
    return connection


def _drop(task: "asyncio.Task[Connection]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
