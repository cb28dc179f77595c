"""Insurers who answer checks themselves: one signed question, one signed answer, and no insurer holds up another's checks.

Signatures are those of Standard Webhooks, with the secret that both sides hold: over the message's id, its time and its body.
The answer carries the question's id, so that no answer fits another question.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Literal
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import aiohttp
import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from tpgateway.cards.model import Ask, LiveFinding, LiveRights, LiveSilence
from tpgateway.cards.rules.breaker import Breaker
from tpgateway.insurers.model import InsurerId, LiveSource

_ANSWER_BYTES = 64 * 1024
_AT_ONCE = 50
_OF_ONE_ACCOUNT = 10
_OF_ONE_BATCH = 5
_NEARLY_ALL = 0.9
_log = structlog.get_logger(__name__)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    check_id: str


class NotFoundAnswer(_Answer):
    """The insurer does not know the person."""

    found: Literal[False]


class FoundAnswer(_Answer):
    """A person's rights: the period that the day of care lies in, or else the last one."""

    found: Literal[True]
    membership_number: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z0-9]{1,16}$")]
    birth_rank: int = Field(ge=1, le=9)
    valid_from: date
    valid_to: date
    convention_types: list[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]] = Field(
        min_length=1, max_length=10
    )
    csr: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{0,8}$")] = ""
    product_code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_-]{1,20}$")]


_ANSWERS: TypeAdapter[NotFoundAnswer | FoundAnswer] = TypeAdapter(NotFoundAnswer | FoundAnswer)
_MEMBERS = FoundAnswer.model_fields.keys() - {"found"}  # which never fits one of the two


class _NotAsAgreed(ValueError):
    """An answer that cannot be used; why, in words of ours that hold no value."""


@dataclass(slots=True)
class _Line:
    """What is known of one insurer: how it did, how many questions may be with it, and how many of one account."""

    breaker: Breaker = field(default_factory=Breaker)
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    accounts: "_Accounts" = field(default_factory=lambda: _Accounts(_OF_ONE_ACCOUNT))
    batches: "_Accounts" = field(default_factory=lambda: _Accounts(_OF_ONE_BATCH))


class _Accounts(WeakValueDictionary[UUID, asyncio.Semaphore]):
    """Each account's own places, for as long as somebody holds or waits for one."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self._places = places

    def __getitem__(self, account: UUID) -> asyncio.Semaphore:
        return self.setdefault(account, asyncio.Semaphore(self._places))


class LiveInsurers:
    """Asks insurers live, one a process. ``patience`` is how many seconds an answer may take."""

    def __init__(self, *, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._http: aiohttp.ClientSession | None = None
        self._lines: dict[InsurerId, _Line] = defaultdict(_Line)

    def open(self, http: aiohttp.ClientSession) -> None:
        """Gives the session that questions go through."""
        self._http = http

    async def ask(self, source: LiveSource, ask: Ask, *, nir: str | None, is_one_of_many: bool = False) -> LiveFinding:
        """What the insurer says; never raises for what it does. One that is slow or broken is soon not asked at all.

        Who asks for one person has an answer once the patience is over, whatever holds it up. ``is_one_of_many``: a line of
        a batch waits for its turn as long as it takes, and leaves half of the account's places to the counter.
        """
        line = self._lines[source.insurer_id]
        async with AsyncExitStack() as held:
            if is_one_of_many:
                await held.enter_async_context(line.batches[ask.practitioner_id])
            return LiveFinding(await self._ask(line, source, ask, nir), source.set_at)

    async def _ask(self, line: _Line, source: LiveSource, ask: Ask, nir: str | None) -> LiveRights | LiveSilence:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout_at(deadline):
                    await held.enter_async_context(line.accounts[ask.practitioner_id])  # first behind one's own
                    await held.enter_async_context(line.places)
            except TimeoutError:
                return LiveSilence.SILENT
            if not line.breaker.may_try(self._clock()):
                return LiveSilence.SILENT
            return await self._try(line, source, ask, nir, deadline - loop.time())

    async def _try(
        self, line: _Line, source: LiveSource, ask: Ask, nir: str | None, seconds: float
    ) -> LiveRights | LiveSilence:
        is_trial = line.breaker.is_trying
        try:
            async with asyncio.timeout(seconds):
                found = await self._post(source, ask, nir)
        except asyncio.CancelledError:  # the caller went away, which says nothing of the insurer
            line.breaker.forget(is_trial=is_trial)
            raise
        except (aiohttp.ClientError, OSError, ValueError, WebhookVerificationError) as error:
            if isinstance(error, TimeoutError) and seconds < self._patience * _NEARLY_ALL:
                line.breaker.forget(is_trial=is_trial)  # most of its time had passed before it was asked
            else:
                line.breaker.failed(self._clock(), is_trial=is_trial)
            failure = str(error) if isinstance(error, _NotAsAgreed) else type(error).__name__
            _log.warning("insurer_silent", insurer_id=str(source.insurer_id), failure=failure)
            return LiveSilence.SILENT
        line.breaker.succeeded()
        return found

    async def _post(self, source: LiveSource, ask: Ask, nir: str | None) -> LiveRights | LiveSilence:
        check_id, now = f"check_{uuid4().hex}", datetime.now(UTC)
        body = _question(check_id, ask, nir)
        signer = Webhook(source.secret)
        assert self._http
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tpgateway",
            "webhook-id": check_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signer.sign(check_id, now, body),
        }
        async with self._http.post(source.url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
            raw = await _read(answer)
            if answer.status != 200:
                raise _NotAsAgreed(f"the status is {answer.status}")
            signer.verify(raw, {name.lower(): value for name, value in answer.headers.items()}, json_parse=False)
            if answer.headers["webhook-id"] != check_id:
                raise _NotAsAgreed("the answer is to another question")
        try:
            told = _ANSWERS.validate_json(raw)
        except ValidationError as error:
            wrong = {str(part) for each in error.errors(include_input=False) for part in each["loc"]} & _MEMBERS
            raise _NotAsAgreed(f"the answer is not as agreed: {', '.join(sorted(wrong)) or 'as a whole'}") from None
        if told.check_id != check_id:
            raise _NotAsAgreed("the answer is to another question")
        if isinstance(told, NotFoundAnswer):
            return LiveSilence.UNKNOWN
        return _rights(told, ask)


def _question(check_id: str, ask: Ask, nir: str | None) -> str:
    card = ask.card
    person = {"nir": nir} if nir else {"membership_number": card.membership_number}
    asked = {
        "check_id": check_id,
        **person,
        "birth_date": card.birth_date,
        "birth_rank": card.birth_rank,
        "convention_type": card.convention_type,
        "csr": card.csr,
        "domain": ask.domain.value,
        "care_date": ask.care_date.isoformat(),
    }
    return json.dumps(asked)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    raw = b""
    async for chunk in answer.content.iter_any():
        raw += chunk
        if len(raw) > _ANSWER_BYTES:
            raise _NotAsAgreed("the answer is too long")
    return raw


def _rights(told: FoundAnswer, ask: Ask) -> LiveRights:
    if told.valid_to < told.valid_from:
        raise _NotAsAgreed("the period ends before it begins")
    asked = ask.card
    if asked.membership_number is not None and (told.membership_number, told.birth_rank) != (
        asked.membership_number,
        asked.birth_rank,
    ):
        raise _NotAsAgreed("the answer is of another person")
    return LiveRights(
        membership_number=told.membership_number,
        birth_rank=told.birth_rank,
        valid_from=told.valid_from,
        valid_to=told.valid_to,
        convention_types=tuple(told.convention_types),
        csr=told.csr.upper(),
        product_code=told.product_code,
    )


LIVE: web.AppKey[LiveInsurers] = web.AppKey("live_insurers", LiveInsurers)
