"""A client of the gateway for practitioners' software and insurers' systems: asynchronous, typed, small.

It gets tokens, sends writes under an idempotency key, tries again what may be tried again, reads events in order with a
cursor that its caller keeps, and verifies webhooks. It needs aiohttp, PyJWT and cryptography, nothing else of this package::

    async with Client("https://gateway.example", Secret(client_id, client_secret)) as gateway:
        check = await gateway.check_card(insurer_number="0075004407", membership_number="1234567", …)

What goes wrong is raised: ``GatewayProblem`` for what the gateway refuses, with its code and its French sentence, and
``GatewayAway`` where it could not be reached, or was too busy, however often it was tried.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import IO, Any, NotRequired, Protocol, Self, TypedDict, Unpack, cast
from uuid import uuid4

import aiohttp
import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE = timedelta(minutes=1)
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 30.0
_TOLERANCE = timedelta(minutes=5)


class CardFields(TypedDict):
    """What stands on a card, or the text of its DataMatrix, and what is asked."""

    insurer_number: NotRequired[str]
    convention_type: NotRequired[str]
    csr: NotRequired[str | None]
    membership_number: NotRequired[str]
    birth_date: NotRequired[str]
    birth_rank: NotRequired[int]
    nir: NotRequired[str]
    datamatrix: NotRequired[str]
    domain: str
    care_date: NotRequired[str]


class CardCheck(TypedDict):
    """The answer to a check; ``proof`` opens a prior approval where the outcome is ``covered``."""

    id: str
    outcome: str
    code: str
    message_fr: str
    next_step_fr: str | None
    checked_at: str
    proof: str | None
    proof_expires_at: str | None
    rights: dict[str, str] | None
    benefits: list[dict[str, Any]]


class ApprovalLine(TypedDict):
    """A line as it was decided; sums are cents."""

    line: int
    item: str
    benefit: str
    price_cents: int
    base_cents: int
    amo_cents: int
    granted_cents: int
    patient_cents: int
    not_due_cents: int
    code: str
    message_fr: str
    next_step_fr: str | None


class PriorApproval(TypedDict):
    """A prior approval as it stands. ``version`` goes with whatever is done to it."""

    id: str
    state: str
    version: int
    revision: int
    code: str
    message_fr: str
    next_step_fr: str | None
    comment: str | None
    waits_for: str | None
    due_at: str | None
    valid_until: str | None
    lines: list[ApprovalLine]
    totals: dict[str, int]


class Grant(TypedDict):
    """What an insurer grants on a line, and why it is less."""

    line: int
    granted_cents: int
    code: NotRequired[str]


class Event(TypedDict):
    """Something that an insurer is told; ``sequence`` counts without gaps."""

    id: str
    sequence: int
    type: str
    timestamp: str
    data: dict[str, Any]


class GatewayProblem(Exception):
    """The gateway refused: the RFC 9457 document and what stands in it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(f"{document.get('code')}: {document.get('title')}")
        self.document = dict(document)
        self.status = int(document.get("status", 0))
        self.code = str(document.get("code", ""))
        self.message_fr = str(document.get("message_fr", ""))
        self.hint = document.get("hint")
        self.errors: list[dict[str, Any]] = list(document.get("errors") or [])


class GatewayAway(Exception):
    """The gateway could not be reached, or had no time, in all tries."""


class WebhookRefused(Exception):
    """A request that claims to be an event is not genuine, or too old."""


class _NoToken(Exception):
    """The token endpoint was away or busy; it may have said for how many seconds."""

    def __init__(self, said: float | None) -> None:
        super().__init__()
        self.said = said


class Credentials(Protocol):
    """How a client shows who it is."""

    def form(self, token_url: str) -> Mapping[str, str]:
        """What it adds to a token request."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A practitioner's client: what the gateway showed when it was made."""

    client_id: str
    client_secret: str

    def form(self, token_url: str) -> Mapping[str, str]:
        """The secret itself, over TLS."""
        return {"client_id": self.client_id, "client_secret": self.client_secret}


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A client by ``private_key_jwt``: the PEM of its private key never leaves it."""

    client_id: str
    pem: bytes
    algorithm: str = "EdDSA"
    key_id: str | None = None

    def form(self, token_url: str) -> Mapping[str, str]:
        """An assertion good for one use within a minute."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": token_url,
            "exp": datetime.now(UTC) + _ASSERTION_LIFE,
            "jti": uuid4().hex,
        }
        headers = {"kid": self.key_id} if self.key_id else None
        assertion = jwt.encode(claims, self.pem, algorithm=self.algorithm, headers=headers)
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}


class Client:
    """One account's way to the gateway. Use it in ``async with``, from one event loop, by as many tasks as you like.

    ``tries`` is how often a request is sent where the gateway is away or busy, with pauses that grow; ``seconds`` how long
    one answer may take.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        http: aiohttp.ClientSession | None = None,
        tries: int = 6,
        seconds: float = 30,
    ) -> None:
        self.url = url.rstrip("/")
        self.pending_events: int | None = None
        """How many events wait for an insurer, as the last answer said."""
        self._credentials = credentials
        self._http, self._is_ours = http, http is None
        self._tries, self._seconds = tries, seconds
        self._token, self._token_ends, self._token_failures = "", 0.0, 0
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None and self._is_ours:
            await self._http.close()
            self._http = None

    # Practitioners ---------------------------------------------------------------------------------------------------

    async def check_card(self, **card: Unpack[CardFields]) -> CardCheck:
        """Whether the person's rights are open, and what they cover."""
        return cast(CardCheck, await self.request("POST", "/v1/card-checks", card))

    async def request_approval(self, request: Mapping[str, Any], *, key: str | None = None) -> PriorApproval:
        """Asks for a prior approval. With a ``key`` of the caller's own, asking again after a crash asks once."""
        return cast(PriorApproval, await self.request("POST", "/v1/prior-approvals", request, key=key))

    async def simulate_approval(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What would be decided; kept nowhere."""
        return cast(dict[str, Any], await self.request("POST", "/v1/prior-approvals/simulation", request))

    async def approval(self, approval_id: str) -> PriorApproval:
        """One of the practitioner's own."""
        return cast(PriorApproval, await self.request("GET", f"/v1/prior-approvals/{approval_id}"))

    async def act(self, approval: PriorApproval, what: str, **body: Any) -> PriorApproval:
        """``cancellation``, ``appeal``, ``information``, ``amendments``, ``extension`` or ``use``, on this version."""
        path = f"/v1/prior-approvals/{approval['id']}/{what}"
        if what == "cancellation":
            return cast(PriorApproval, await self.request("POST", f"{path}?version={approval['version']}"))
        return cast(PriorApproval, await self.request("POST", path, {"version": approval["version"], **body}))

    # Insurers --------------------------------------------------------------------------------------------------------

    async def waiting_approvals(self) -> list[PriorApproval]:
        """All that waits for the insurer's decision, newest first."""
        found: list[PriorApproval] = []
        after = ""
        while True:
            page = await self.request("GET", f"/v1/insurer/prior-approvals?waits_for=insurer&limit=200{after}")
            found += page["prior_approvals"]
            if page["after"] is None:
                return found
            after = f"&after={page['after']}"

    async def decide(
        self,
        approval: PriorApproval,
        decision: str,
        *,
        lines: Sequence[Grant] = (),
        code: str | None = None,
        comment: str | None = None,
    ) -> PriorApproval:
        """``approved``, ``partially_approved`` or ``refused``, on this version alone.

        Where it has meanwhile become another, ``GatewayProblem`` with the code ``version_stale``: read it again.
        """
        body = {"version": approval["version"], "decision": decision, "lines": list(lines), "code": code}
        path = f"/v1/insurer/prior-approvals/{approval['id']}/decision"
        return cast(PriorApproval, await self.request("POST", path, {**body, "comment": comment}))

    async def ask(self, approval: PriorApproval, question: str, *, documents: Sequence[str] = ()) -> PriorApproval:
        """Wants to know more before deciding."""
        body = {"version": approval["version"], "question": question, "documents": list(documents)}
        path = f"/v1/insurer/prior-approvals/{approval['id']}/information-request"
        return cast(PriorApproval, await self.request("POST", path, body))

    async def load_rights(
        self,
        body: AsyncIterator[bytes] | IO[bytes] | bytes,
        *,
        mode: str,
        media_type: str = "text/csv",
        confirm_closing: bool = False,
    ) -> dict[str, Any]:
        """Streams a file of rights, ``full`` or ``update``. It is sent once: a stream cannot be read again."""
        assert self._http is not None, "use the client in `async with`"
        confirmed = "&confirm_closing=true" if confirm_closing else ""
        try:
            headers = {"Authorization": f"Bearer {await self._get_token()}", "Content-Type": media_type}
        except _NoToken:
            raise GatewayAway("POST /oauth/token") from None
        try:
            async with self._http.post(
                f"{self.url}/v1/insurer/rights-imports?mode={mode}{confirmed}",
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as answer:
                raw, status = await answer.read(), answer.status
                told = _parsed(raw) if answer.content_type.endswith("json") else raw
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, _CutShort):
            raise GatewayAway("POST /v1/insurer/rights-imports: whether it is in can be read in the feed") from None
        if status >= 400 or not isinstance(told, dict):
            raise GatewayProblem(_as_problem(told, status))
        return told

    async def events(self, *, after: int = 0, wait: int = 30) -> AsyncIterator[Event]:
        """Every event past a sequence number, in order, for ever: as they come, and through the gateway's restarts.

        Keep ``event["sequence"]`` with what you did of the event, in one transaction of yours, and begin there next time.
        """
        while True:
            try:
                page = await self.request("GET", f"/v1/insurer/events?after={after}&limit=500&wait={wait}")
            except GatewayAway:
                await asyncio.sleep(1)  # an iterator has all the time
                continue
            for event in page["events"]:
                yield cast(Event, event)
            after = page["after"]

    # Shared ----------------------------------------------------------------------------------------------------------

    async def request(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """Any operation: its JSON, or the bytes of what is none. Raises ``GatewayProblem`` and ``GatewayAway``."""
        headers = {} if method == "GET" else {"Idempotency-Key": key or uuid4().hex}
        is_fresh, number = False, 0
        while True:
            said: float | None = None
            try:
                token = await self._get_token()
                status, answer, said = await self._send(
                    method, path, body, {**headers, "Authorization": f"Bearer {token}"}
                )
            except _NoToken as none:
                status, answer, said = 503, {}, none.said
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, _CutShort):
                status, answer = 503, {}
            if status < 400:
                return answer
            if status == 401 and not is_fresh:
                is_fresh, self._token_ends = True, 0.0  # revoked before its time, or keys were exchanged: once more
                continue
            in_flight = status == 409 and said is not None  # our own first try is still being answered
            # A lock of hours is no busy moment: the caller hears of it at once.
            is_long = said is not None and said > _LONGEST_PAUSE
            if (status not in _TRY_AGAIN and not in_flight) or is_long:
                raise GatewayProblem(_as_problem(answer, status))
            number += 1
            if number >= self._tries:
                break
            await asyncio.sleep(_pause(number - 1, said))
        code = answer.get("code", "no answer") if isinstance(answer, dict) else "no answer"
        raise GatewayAway(f"{method} {path.partition('?')[0]}: tried {self._tries} times ({code})")

    async def _send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, Any, float | None]:
        assert self._http is not None, "use the client in `async with`"
        limit = aiohttp.ClientTimeout(total=self._seconds + 60 if "wait=" in path else self._seconds)
        async with self._http.request(
            method, self.url + path, json=body, headers=headers, timeout=limit, allow_redirects=False
        ) as answer:
            raw = await answer.read()
            waiting = answer.headers.get("X-Pending-Events")
            self.pending_events = self.pending_events if waiting is None else int(waiting)
            said = answer.headers.get("Retry-After", "")
            is_json = answer.content_type.endswith("json") and bool(raw)
            return answer.status, _parsed(raw) if is_json else raw, float(said) if said.isdecimal() else None

    async def _get_token(self) -> str:
        """The token, asked for once for however many tasks; raises ``_NoToken`` where there is none at this moment."""
        before = self._token_failures
        async with self._asking:
            if time.monotonic() < self._token_ends:
                return self._token
            if self._token_failures != before:
                raise _NoToken(None)  # whom this one waited for got none either
            try:
                status, answer, said = await self._ask_token()
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, _CutShort):
                status, answer, said = 503, {}, None
            if status in _TRY_AGAIN:
                self._token_failures += 1
                raise _NoToken(said)
            if status != 200 or "access_token" not in answer:
                raise GatewayProblem(_as_problem(answer, status))
            self._token = answer["access_token"]
            self._token_ends = time.monotonic() + max(answer["expires_in"] - 30, 1)
            return self._token

    async def _ask_token(self) -> tuple[int, Any, float | None]:
        assert self._http is not None, "use the client in `async with`"
        url = f"{self.url}/oauth/token"
        form = {"grant_type": "client_credentials", **self._credentials.form(url)}
        limit = aiohttp.ClientTimeout(total=self._seconds)
        async with self._http.post(url, data=form, timeout=limit, allow_redirects=False) as answer:
            said = answer.headers.get("Retry-After", "")
            document = _parsed(await answer.read()) if answer.content_type.endswith("json") else {}
            return (
                answer.status,
                document if isinstance(document, dict) else {},
                float(said) if said.isdecimal() else None,
            )


class _CutShort(Exception):
    """An answer says that it is JSON, and is none: it was cut, or is another's."""


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise _CutShort from None


def _as_problem(answer: Any, status: int) -> Mapping[str, Any]:
    """What is no problem document (a proxy's page, say) as one."""
    if isinstance(answer, dict) and "code" in answer:
        return answer
    return {"status": status, "code": "no_problem_document", "title": f"status {status}, and not by the gateway"}


def _pause(number: int, said: float | None) -> float:
    """How long to wait after so many tries: as long as the gateway says, else ever longer, and never all at the same time."""
    longest = min(0.2 * 2**number, _LONGEST_PAUSE)
    return (longest if said is None else said) + random.uniform(0, longest)  # noqa: S311


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: Sequence[str] = (),
    public_keys: Sequence[str] = (),
    now: datetime | None = None,
) -> Event:
    """The event of a request that was posted to an endpoint as JSON; raises ``WebhookRefused``.

    Keep ``event["id"]``: an event may come twice, and is one.
    """
    verify_signature(body, headers, secrets=secrets, public_keys=public_keys, now=now)
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise WebhookRefused("the body is no JSON") from None
    return cast(Event, event)


def verify_signature(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: Sequence[str] = (),
    public_keys: Sequence[str] = (),
    now: datetime | None = None,
) -> None:
    """Raises ``WebhookRefused`` unless the body, JSON or XML, was signed and posted by the gateway just now.

    It goes by Standard Webhooks: one good signature by any of the secrets (``whsec_…``) or public keys (``whpk_…``) is
    enough. Give both of each while they are exchanged.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp, offered = (named[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        sent_at = datetime.fromtimestamp(int(stamp), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        raise WebhookRefused("a webhook-* header is missing or unreadable") from None
    if abs((now or datetime.now(UTC)) - sent_at) > _TOLERANCE:
        raise WebhookRefused("the timestamp is more than five minutes away")
    try:
        message = f"{message_id}.{stamp}.".encode() + body
    except UnicodeEncodeError:
        raise WebhookRefused("a webhook-* header is unreadable") from None
    for each in offered.split():
        version, _, encoded = each.partition(",")
        try:
            signature = base64.b64decode(encoded, validate=True)
        except ValueError:  # not base64, or not even ASCII
            continue
        if version == "v1" and any(hmac.compare_digest(signature, _hmac(secret, message)) for secret in secrets):
            break
        if version == "v1a" and any(_is_signed(key, signature, message) for key in public_keys):
            break
    else:
        raise WebhookRefused("no signature is ours to trust")


def _hmac(secret: str, message: bytes) -> bytes:
    return hmac.new(base64.b64decode(secret.removeprefix("whsec_")), message, hashlib.sha256).digest()


def _is_signed(public_key: str, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_"))).verify(
            signature, message
        )
    except InvalidSignature:
        return False
    return True
