"""Structured logs with an allow-list: a key that is not listed here is not written, whatever a caller passes."""

import logging
import sys
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar

import structlog
from pydantic_core import from_json, to_json

Entry = TypeVar("Entry")

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "request_id", "operation", "method", "status", "milliseconds",
        "failure", "where", "insurer_id", "mail_id", "event_id", "endpoint_id", "job", "tries", "host", "port", "pid",
        "rows", "day", "hash", "owner_id", "measure", "client_id", "reason", "is_last", "code",
    }
)  # fmt: skip


def only_allowed(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: drops what is not on the list."""
    return {key: value for key, value in entry.items() if key in ALLOWED}


def where(error: BaseException) -> str:
    """Where an exception was raised, innermost last, without its text: messages may hold data of people."""
    steps = []
    trace = error.__traceback__
    while trace is not None:
        steps.append(f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join(steps[-6:])


def write_many(entries: Sequence[Entry], as_json: Callable[[Sequence[Entry]], bytes]) -> None:
    """Writes entries of one event at level ``info``, each with its own timestamp, at a fraction of what single ones take.

    ``as_json`` writes them as lines of JSON, with the event and the level. The caller vouches for the keys: they are of the
    list.
    """
    if _state.level > logging.INFO or not entries:
        return
    if _state.form == "console":
        log = structlog.get_logger()
        for line in as_json(entries).splitlines():
            entry = from_json(line)
            log.info(entry.pop("event"), **{key: value for key, value in entry.items() if key != "level"})
        return
    _state.to.write(as_json(entries))
    _state.to.flush()


def _encoded(_logger: Any, _method: str, line: str) -> bytes:
    return line.encode()


def _stamp(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: the moment, unless the caller names an earlier one."""
    if "timestamp" not in entry:
        entry["timestamp"] = datetime.now(UTC).isoformat()
    return entry


def _as_json(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> bytes:
    return to_json(entry, fallback=str)


class _StandardLibrary(logging.Handler):
    """Other libraries' records, reduced to who spoke and how loud: their texts are not ours to vouch for."""

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, failure=failure, where=f"{record.module}:{record.lineno}"
        )


@dataclass(slots=True)
class _State:
    level: int
    form: str
    to: BinaryIO


_state = _State(logging.WARNING, "json", sys.stderr.buffer)


def configure(*, level: str, form: str, to: BinaryIO | None = None) -> None:
    """Sets up logging for the process, to standard error unless told otherwise; ``form`` is ``json`` or ``console``."""
    to = to or sys.stderr.buffer
    number = logging.getLevelNamesMapping()[level.upper()]
    _state.level, _state.form, _state.to = number, form, to
    renderers: list[Any] = [_as_json]
    if form == "console":
        renderers = [structlog.dev.ConsoleRenderer(colors=to.isatty()), _encoded]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _stamp,
            only_allowed,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(file=to),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_StandardLibrary()]
    root.setLevel(max(number, logging.WARNING))
