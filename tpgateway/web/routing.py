"""The shape of a route table: what an operation is called, who may call it, what goes in, comes out and goes wrong."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import BaseModel

from tpgateway.audit import NOBODY, Actor
from tpgateway.database import Connection, scope
from tpgateway.errors import Problem
from tpgateway.web.callers import PUBLIC, Access, Caller, Role, Scope
from tpgateway.web.state import State
from tpgateway.web.xml import XmlForm

DEFAULT_BODY_LIMIT = 64 * 1024
PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a handler gives back: a shape as JSON, or bytes of a media type of their own."""

    status: int = 200
    body: BaseModel | bytes | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through: the caller, the time, and for a transactional route its open connection."""

    request: web.Request
    state: State
    request_id: str
    now: datetime
    known: Caller | None = None
    open_connection: Connection | None = None
    idempotency_key: str | None = None

    @property
    def caller(self) -> Caller:
        """The caller of an operation that is not public."""
        assert self.known is not None
        return self.known

    @property
    def connection(self) -> Connection:
        """The route's connection, in its transaction."""
        assert self.open_connection is not None
        return self.open_connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection's transaction, which sees the caller's account's rows alone, whatever a statement in it forgets."""
        async with self.state.connection() as connection:
            if self.known is None:
                transaction = connection.transaction()
            else:
                of = "insurer" if self.known.kind == "insurer" else "practitioner"
                transaction = scope.transaction(connection, **{of: self.known.account_id})
            async with transaction:
                yield connection

    @property
    def today(self) -> date:
        """The day in France, which is the one that care, rights and conventions are dated by."""
        return self.now.astimezone(PARIS).date()

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit trail."""
        return self.known.actor(self.request_id) if self.known else Actor(kind=NOBODY.kind, request_id=self.request_id)


Handler = Callable[..., Awaitable[Answer | web.StreamResponse]]


class Said(Protocol):
    """What has an answer of status 200 in JSON, as it is written, with its ETag."""

    @property
    def body(self) -> bytes: ...

    @property
    def tag(self) -> str: ...


AtOnce = Callable[[web.Application, Caller, Any, datetime, Callable[[Said | Problem | None], None]], bool]
"""A handler that waits for nothing but its own work: it takes the application, who calls, the body as its shape, the moment
and whom to tell, later, what came of it (None: the usual handler is to find out). False where it could not begin.
"""
Ahead = Callable[[web.Application, Caller, Any, datetime, str], Coroutine[Any, Any, Answer | None]]
"""A handler that takes no transaction: the application, who calls, the body as its shape, the moment and the request's id.
None where it takes one after all, and nothing was done.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An answer or body that is not JSON; ``shape`` documents a form's fields."""

    media_type: str
    description: str
    shape: type[BaseModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. The handler takes the call and, by keyword, ``path``, ``query`` and ``body`` as declared here.

    ``answers`` maps a status to its shape; ``problems`` lists what can go wrong beside what can with any operation; headers
    beside the usual ones are named with what they say.
    An operation with ``xml`` speaks it beside JSON, as Content-Type and Accept say.
    ``role`` is the least that a person must have: reading is for everybody of the practice, and writing for its staff,
    unless it is named here. A route that ``needs_second_factor`` takes from people one that was given a short while ago.
    In a sandbox, what ``follows_clock`` is decided by the clock that software moves there.
    ``at_once`` answers ahead of the handler, and just as it would, what software asks without anything special.
    ``ahead`` is called first where no Idempotency-Key came; where it answers None, the handler is.
    A route is ``transactional`` (one transaction around the handler) unless it says otherwise; ``cost`` weighs it in the
    caller's rate limit.
    """

    method: str
    path: str
    handler: Handler
    at_once: AtOnce | None = None
    ahead: Ahead | None = None
    summary: str
    tag: str
    access: frozenset[Access] = PUBLIC
    role: Role | None = None
    scope: Scope | None = None
    needs_second_factor: bool = False
    path_shape: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | Media | None = None
    body_limit: int = DEFAULT_BODY_LIMIT
    answers: Mapping[int, type[BaseModel] | Media | Sequence[type[BaseModel] | Media] | None]
    xml: XmlForm | None = None
    problems: Sequence[type[Problem]] = ()
    request_headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    transactional: bool = True
    follows_clock: bool = False
    is_replayable: bool = True
    cost: int = 1

    @property
    def operation(self) -> str:
        """The operation's name, unique among all."""
        return f"{self.tag.lower().replace(' ', '_')}.{self.handler.__name__}"

    @property
    def is_write(self) -> bool:
        return self.method not in {"GET", "HEAD"}

    @property
    def least_role(self) -> Role:
        """The least role that may call this in person."""
        return self.role or (Role.STAFF if self.is_write else Role.READ_ONLY)

    @property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key means something here."""
        return self.is_write and self.is_replayable

    def mismatch(self) -> str | None:
        """What the handler's signature and this row disagree on, None where they agree."""
        declared: dict[str, Any] = {"path": self.path_shape, "query": self.query}
        declared["body"] = self.body if isinstance(self.body, type) else None
        taken = {
            name: parameter.annotation
            for name, parameter in inspect.signature(self.handler).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        wanted = {name: shape for name, shape in declared.items() if shape is not None}
        return None if taken == wanted else f"{self.operation}: the handler takes {taken}, the route declares {wanted}"
