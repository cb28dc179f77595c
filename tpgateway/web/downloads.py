"""Files sent as they are, by the kernel where it can, whole or in part (RFC 9110: ETag, Range, If-Range)."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import IO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from tpgateway.web.problems import RangeNotSatisfiable

_AT_ONCE = 1024 * 1024
_STALLED_SECONDS = 60


def is_known(request: web.BaseRequest, etag: str) -> bool:
    """Whether the caller has what the tag names, by its If-None-Match."""
    offered = request.headers.get("If-None-Match")
    if offered is None:
        return False
    if offered == etag:
        return True
    return any(each.strip().removeprefix("W/") in {etag, "*"} for each in offered.split(","))


class Download(web.StreamResponse):
    """An open file, or the one range of it that is asked for. The file stays open: others may be reading it."""

    def __init__(
        self,
        request: web.BaseRequest,
        file: IO[bytes],
        size: int,
        *,
        headers: Mapping[str, str],
        had: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``headers`` name the ETag; ``had`` is called once the file's last byte is out. Raises ``RangeNotSatisfiable``."""
        start, end = _range_of(request, size, headers["ETag"])
        is_part = (start, end) != (0, size)
        super().__init__(status=206 if is_part else 200, headers={**headers, "Accept-Ranges": "bytes"})
        if is_part:
            self.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self.content_length = end - start
        self._file, self._first, self._past = file, start, end
        self._had = had if end == size else None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        writer = await super().prepare(request)
        if writer is None or request.method == "HEAD":
            return writer
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the caller is gone")
        socket = transport.get_extra_info("socket")
        if transport.get_extra_info("sslcontext") is not None or socket is None:
            await self._copy(writer)
        else:
            await _flushed(transport)
            if transport.is_closing():
                raise ConnectionResetError("the caller is gone")
            # A descriptor of our own, which the loop can watch beside the transport's; nobody else writes meanwhile.
            own = os.dup(socket.fileno())
            try:
                await self._send(own)
            finally:
                os.close(own)
        await self.write_eof()
        if self._had is not None:
            await self._had()
        return writer

    async def _send(self, socket: int) -> None:
        offset = self._first
        while offset < self._past:
            try:
                sent = os.sendfile(socket, self._file.fileno(), offset, min(self._past - offset, _AT_ONCE))
            except BlockingIOError:
                await _writable(socket)
                continue
            if not sent:
                raise ConnectionResetError("the file is shorter than it was")
            offset += sent
            await asyncio.sleep(0)  # others have their turn

    async def _copy(self, writer: AbstractStreamWriter) -> None:
        """Through our own memory, where what goes out must be encrypted first."""
        offset = self._first
        while offset < self._past:
            piece = os.pread(self._file.fileno(), min(self._past - offset, _AT_ONCE // 4), offset)
            if not piece:
                raise ConnectionResetError("the file is shorter than it was")
            offset += len(piece)
            try:
                async with asyncio.timeout(_STALLED_SECONDS):
                    await writer.write(piece)
            except TimeoutError:
                raise ConnectionResetError("the caller takes nothing any more") from None


def _range_of(request: web.BaseRequest, size: int, etag: str) -> tuple[int, int]:
    """First byte, and the one past the last, of what is asked for. What is no single range of bytes asks for all."""
    whole = (0, size)
    asked = request.headers.get("Range")
    if asked is None or request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return whole
    try:
        part = request.http_range
    except ValueError:
        return whole
    if part.start is None:
        return whole
    if asked.replace(" ", "") == "bytes=-0":
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    start = max(size + part.start, 0) if part.start < 0 else part.start
    end = size if part.stop is None else min(part.stop, size)
    if start >= end:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, end


async def _flushed(transport: asyncio.Transport) -> None:
    """Returns once the headers are out: what the kernel sends must come after them."""
    pause, until = 0.0, time.monotonic() + _STALLED_SECONDS
    while transport.get_write_buffer_size():
        if transport.is_closing() or time.monotonic() > until:
            raise ConnectionResetError("the caller takes nothing any more")
        await asyncio.sleep(pause)
        pause = min(pause + 0.001, 0.05)


async def _writable(socket: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(socket, ready.set)
    try:
        async with asyncio.timeout(_STALLED_SECONDS):
            await ready.wait()
    except TimeoutError:
        raise ConnectionResetError("the caller takes nothing any more") from None
    finally:
        loop.remove_writer(socket)
