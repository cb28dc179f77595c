"""Structured logs with an allow-list: a key that is not listed here is not written, whatever a caller passes."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "request_id", "operation", "method", "status", "milliseconds",
        "failure", "where", "insurer_id", "mail_id", "event_id", "endpoint_id", "job", "tries", "host", "port", "pid",
        "rows", "day", "hash",
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


class _StandardLibrary(logging.Handler):
    """Other libraries' records, reduced to who spoke and how loud: their texts are not ours to vouch for."""

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, failure=failure, where=f"{record.module}:{record.lineno}"
        )


def configure(*, level: str, form: str, to: TextIO = sys.stderr) -> None:
    """Sets up logging for the process; ``form`` is ``json`` or ``console``."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=to.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=to),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_StandardLibrary()]
    root.setLevel(max(number, logging.WARNING))
