"""The conformance list of an insurer's endpoint: what it must take, what it must refuse, and how soon."""

import asyncio
import base64
import json
import secrets as secrets_of
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
from standardwebhooks import Webhook

from tpgateway.sandbox.report import Finding, Report, Result

_PATIENCE = 15.0
_SOON = 5.0
_sequences = count(1)
_STRANGE_SECRET = "whsec_" + "c3RyYW5nZXI=" * 4  # nobody's


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int | None
    failure: str
    seconds: float

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        what = f"status {self.status}" if self.status is not None else self.failure
        return f"{what} after {self.seconds * 1000:.0f} ms"


@dataclass(slots=True)
class EndpointList:
    """Posts events to a URL, good ones and bad ones, signed with the endpoint's secret."""

    http: aiohttp.ClientSession
    url: str
    secret: str

    async def run(self, tell: Callable[[Finding], None] = lambda _: None) -> Report:
        """Every line of the list, one after the other; ``tell`` hears of each as it is done."""
        findings = []
        for name, why, line in self._lines():
            started = time.perf_counter()
            is_well, found = await line()
            finding = Finding(
                name=name,
                why=why,
                result=Result.PASSED if is_well else Result.FAILED,
                found=found,
                seconds=time.perf_counter() - started,
            )
            tell(finding)
            findings.append(finding)
        return Report(
            title="Conformance of an insurer's endpoint",
            subject=self.url,
            at=datetime.now(UTC),
            findings=findings,
        )

    def _lines(self) -> list[tuple[str, str, Callable[[], Awaitable[tuple[bool, str]]]]]:
        return [
            ("takes a genuine event", "Any 2xx within 15 s says that it is yours now.", self._genuine),
            ("answers within five seconds", "Take it first, work on it after: slow answers pile up.", self._soon),
            ("takes the same event again", "An event may come twice under one webhook-id, and is one.", self._again),
            ("takes many at once", "Events of different approvals come in parallel.", self._many),
            ("takes events of one approval in turn", "They come in order, each after the one before.", self._in_turn),
            (
                "takes either signature while secrets are exchanged",
                "Two are sent then; one that fits is enough.",
                self._two,
            ),
            (
                "takes a kind that it does not know",
                "There will be new ones: take them and pass over them.",
                self._new_kind,
            ),
            ("takes fields that it does not know", "Fields are added to events, never taken away.", self._new_field),
            ("refuses a wrong signature", "Anybody can post to a public address.", self._forged),
            ("refuses a missing signature", "Anybody can post to a public address.", self._unsigned),
            ("refuses a body that was changed", "The signature is over the body as it came.", self._changed),
            ("refuses an old timestamp", "What was overheard must not be played again: five minutes.", self._old),
            ("refuses a timestamp to come", "Nor kept for later.", self._early),
            ("does not redirect", "Redirects are not followed, so the event would be lost.", self._no_redirect),
            ("is reached by TLS", "Events name insured people.", self._tls),
        ]

    async def _post(
        self,
        event: dict[str, Any] | None = None,
        *,
        secrets: tuple[str, ...] | None = None,
        age: timedelta = timedelta(0),
        tampered: bool = False,
        unsigned: bool = False,
    ) -> _Answer:
        event = event or an_event()
        body, now = json.dumps(event), datetime.now(UTC) - age
        # As the gateway signs: by each secret, then by a key that a receiver need not know.
        signatures = [Webhook(each).sign(event["id"], now, body) for each in secrets or (self.secret,)]
        signatures.append("v1a," + base64.b64encode(secrets_of.token_bytes(64)).decode())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": event["id"],
            "webhook-timestamp": str(int(now.timestamp())),
            **({} if unsigned else {"webhook-signature": " ".join(signatures)}),
        }
        started = time.perf_counter()
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                self.http.post(
                    self.url, data=body + " " if tampered else body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                await answer.content.read(1024)
                return _Answer(answer.status, "", time.perf_counter() - started)
        except TimeoutError:
            return _Answer(None, "no answer", time.perf_counter() - started)
        except (aiohttp.ClientError, OSError) as error:
            return _Answer(None, type(error).__name__, time.perf_counter() - started)

    async def _taken(self, *answers: Awaitable[_Answer]) -> tuple[bool, str]:
        found = await asyncio.gather(*answers)
        worst = next((each for each in found if not each.is_taken), found[-1])
        return all(each.is_taken for each in found), str(worst)

    async def _refused(self, answer: Awaitable[_Answer]) -> tuple[bool, str]:
        found = await answer
        return found.status is not None and 400 <= found.status < 500, str(found)

    async def _genuine(self) -> tuple[bool, str]:
        return await self._taken(self._post())

    async def _soon(self) -> tuple[bool, str]:
        found = await self._post()
        return found.is_taken and found.seconds < _SOON, str(found)

    async def _again(self) -> tuple[bool, str]:
        event = an_event()
        first, second = await self._post(event), await self._post(event)
        return first.is_taken and second.is_taken, f"first {first}, then {second}"

    async def _many(self) -> tuple[bool, str]:
        return await self._taken(*(self._post() for _ in range(16)))

    async def _in_turn(self) -> tuple[bool, str]:
        approval = f"0075004407-{uuid4()}"
        answers = [await self._post(an_event(approval=approval)) for _ in range(3)]
        return all(each.is_taken for each in answers), ", ".join(map(str, answers))

    async def _two(self) -> tuple[bool, str]:
        return await self._taken(self._post(secrets=(_STRANGE_SECRET, self.secret)))

    async def _new_kind(self) -> tuple[bool, str]:
        return await self._taken(self._post({**an_event(), "type": "something.new"}))

    async def _new_field(self) -> tuple[bool, str]:
        event = an_event()
        return await self._taken(self._post({**event, "data": {**event["data"], "new_field": {"deep": [1]}}}))

    async def _forged(self) -> tuple[bool, str]:
        return await self._refused(self._post(secrets=(_STRANGE_SECRET,)))

    async def _unsigned(self) -> tuple[bool, str]:
        return await self._refused(self._post(unsigned=True))

    async def _changed(self) -> tuple[bool, str]:
        return await self._refused(self._post(tampered=True))

    async def _old(self) -> tuple[bool, str]:
        return await self._refused(self._post(age=timedelta(minutes=10)))

    async def _early(self) -> tuple[bool, str]:
        return await self._refused(self._post(age=-timedelta(minutes=10)))

    async def _no_redirect(self) -> tuple[bool, str]:
        found = await self._post()
        return found.status is not None and not 300 <= found.status < 400, str(found)

    async def _tls(self) -> tuple[bool, str]:
        parts = urlsplit(self.url)
        is_here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        return parts.scheme == "https" or is_here, f"{parts.scheme}" + (" on this machine" if is_here else "")


def an_event(approval: str | None = None) -> dict[str, Any]:
    """A decision on a fictitious approval."""
    line = {
        "line": 1,
        "item": "right_lens",
        "benefit": "lens_complex_b",
        "units": 1,
        "price_cents": 24_000,
        "base_cents": 5,
        "amo_cents": 3,
        "granted_cents": 20_000,
        "patient_cents": 3_997,
        "not_due_cents": 0,
        "code": "ceiling_reached",
    }
    today = datetime.now(UTC).date()
    return {
        "id": str(uuid4()),
        "sequence": next(_sequences),
        "type": "prior_approval.decided",
        "timestamp": datetime.now(UTC).isoformat(),
        "data": {
            "details": {},
            "prior_approval_id": approval or f"0075004407-{uuid4()}",
            "version": 2,
            "revision": 1,
            "state": "approved",
            "code": "all_granted",
            "domain": "OPTI",
            "care_date": today.isoformat(),
            "valid_until": (today + timedelta(days=90)).isoformat(),
            "waits_for": None,
            "due_at": None,
            "membership_number": "SCN001",
            "birth_date": "19800229",
            "birth_rank": 1,
            "lines": [line],
        },
    }
