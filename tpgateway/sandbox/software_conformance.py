"""The conformance list of a practitioner's software: a way through to the gateway that watches it, and now and then fails.

The software is given this address in place of the gateway's and does its day's work. What it sent is judged afterwards. Once,
a request is answered 503 before it reaches the gateway, and once an answer gets lost behind it: both must come again under
their key. Nothing of what people send is kept but what the list needs.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import web

from tpgateway.sandbox.report import Finding, Report, Result
from tpgateway.sandbox.scenarios import SCENARIOS

_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive", "content-encoding"})
_NIR = re.compile(r"[12378]\d{2}(0[1-9]|1[0-2]|[2-9]\d)(\d{2}|2[AB])\d{6}\d{2}")
_LEAF = re.compile(rb"<([a-z_]+)>([^<]*)</\1>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the list needs to know of a call."""

    at: float
    method: str
    path: str
    query: str
    key: str | None
    agent: str | None
    token: str | None
    if_none_match: bool
    status: int
    code: str | None
    retry_after: float | None
    body: Mapping[str, Any]
    digest: str
    """Of the body as it came."""
    answer: Mapping[str, Any]
    planned: str | None = None

    @property
    def is_write(self) -> bool:
        return (
            self.method not in {"GET", "HEAD"}
            and self.path.startswith("/v1/")
            and not self.path.endswith("/simulation")
        )


@dataclass(slots=True)
class Watcher:
    """The way through. ``calls`` is what came by, oldest first."""

    http: aiohttp.ClientSession
    gateway: str
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None
    _to_refuse: bool = True
    _to_lose: bool = True

    async def open(self, host: str, port: int) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.Response:
        body = await request.read()
        planned = self._plan(request)
        if planned == "refused":
            status, headers, raw = (
                503,
                {"Retry-After": "1", "Content-Type": "application/problem+json"},
                b'{"status": 503}',
            )
        else:
            status, headers, raw = await self._forward(request, body)
        self._note(request, body, status, headers, raw, planned)
        if planned == "lost":
            assert request.transport
            request.transport.close()
        return web.Response(status=status, headers=headers, body=raw)

    def _plan(self, request: web.Request) -> str | None:
        """Whether this call is one that goes wrong: the first approval asked for is refused, and its answer lost."""
        if request.method != "POST" or request.path != "/v1/prior-approvals":
            return None
        if self._to_refuse:
            self._to_refuse = False
            return "refused"
        if self._to_lose and "Idempotency-Key" in request.headers:
            self._to_lose = False
            return "lost"
        return None

    async def _forward(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        kept = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        try:
            async with self.http.request(
                request.method, self.gateway + request.path_qs, data=body or None, headers=kept, allow_redirects=False
            ) as answer:
                raw = await answer.read()
                return answer.status, {n: v for n, v in answer.headers.items() if n.lower() not in _HOP}, raw
        except aiohttp.ClientError as error:
            told = {
                "status": 502,
                "code": "gateway_away",
                "title": f"The gateway does not answer: {type(error).__name__}",
            }
            return 502, {"Content-Type": "application/problem+json"}, json.dumps(told).encode()

    def _note(
        self,
        request: web.Request,
        body: bytes,
        status: int,
        headers: Mapping[str, str],
        raw: bytes,
        planned: str | None,
    ) -> None:
        said, answered = _as_object(body), dict(_as_object(raw))
        if "Proof" in headers:  # of a check that was answered 304
            answered["proof"] = headers["Proof"]
        after = headers.get("Retry-After", "")
        self.calls.append(
            Call(
                at=monotonic(),
                method=request.method,
                path=request.path,
                query=request.query_string,
                key=request.headers.get("Idempotency-Key"),
                agent=request.headers.get("User-Agent"),
                token=request.headers.get("Authorization"),
                if_none_match="If-None-Match" in request.headers,
                status=status,
                code=answered.get("code"),
                retry_after=float(after) if after.isdecimal() else None,
                body=said,
                digest=hashlib.sha256(body).hexdigest(),
                answer=answered,
                planned=planned,
            )
        )


def _as_object(raw: bytes) -> Mapping[str, Any]:
    """The members of a JSON object, or the leaves of an XML document by their names; nothing of anything else."""
    if raw.lstrip()[:1] == b"<":
        return {name.decode(): text.decode(errors="replace") for name, text in _LEAF.findall(raw)}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _proof_of(text: Any) -> str:
    """A proof as it is compared: case, hyphens and spaces do not matter."""
    return re.sub("[- ]", "", str(text)).upper()


def judge(calls: list[Call], gateway: str) -> Report:
    """The list, by what came by."""
    findings = [
        _finding("gets a token", "By client credentials, as OAuth has it.", *_token(calls)),
        _finding("keeps its token while it is good", "A token lasts ten minutes.", *_token_kept(calls)),
        _finding("says who it is", "A User-Agent with the software's name and version.", *_agent(calls)),
        _finding("checks a card before it asks", "An approval needs the proof of a check.", *_proof(calls)),
        *(
            _finding(
                f"has met a card that is {outcome.replace('_', ' ')}",
                f"Check {number} and see what the practice is shown.",
                *_outcome(calls, outcome),
            )
            for outcome, number in _outcomes().items()
        ),
        _finding("has met a request that was refused", "Ask for SCN103.", *_state(calls, "refused")),
        _finding("has met a request that waits for the insurer", "Ask for SCN111.", *_state(calls, "under_review")),
        _finding("sends an Idempotency-Key with each write", "So that trying again does it once.", *_keys(calls)),
        _finding("uses a key for one request alone", "The same key with another body is an error.", *_own_keys(calls)),
        _finding("tries again what was refused for a moment", "503 with Retry-After, once.", *_retried(calls)),
        _finding("waits as long as it is told", "Retry-After is in seconds.", *_waited(calls)),
        _finding(
            "asks again, under the same key, when an answer is lost", "The line broke once.", *_asked_again(calls)
        ),
        _finding("sends the version that it saw", "Else it would act on what is no longer so.", *_versions(calls)),
        _finding("sends what our schemas say", "invalid_request names each fault.", *_shapes(calls)),
        _finding("does not send again what was refused for good", "A 4xx stays one.", *_stubborn(calls)),
        _finding("keeps people out of addresses", "Addresses stand in logs.", *_addresses(calls)),
    ]
    return Report(
        title="Conformance of a practitioner's software",
        subject=f"{len(calls)} calls to {gateway}",
        at=datetime.now(UTC),
        findings=findings,
    )


_Judged = tuple[Result, str]


def _finding(name: str, why: str, result: Result, found: str) -> Finding:
    return Finding(name=name, why=why, result=result, found=found)


def _seen(is_well: bool, found: str) -> _Judged:
    return Result.PASSED if is_well else Result.FAILED, found


def _nothing(what: str) -> _Judged:
    return Result.NOT_SEEN, f"no {what} came by"


def _tokens(calls: list[Call]) -> list[Call]:
    return [each for each in calls if each.path == "/oauth/token"]


def _token(calls: list[Call]) -> _Judged:
    tokens = _tokens(calls)
    if not tokens:
        return _nothing("token request")
    return _seen(any(each.status == 200 for each in tokens), f"status {tokens[-1].status}")


def _token_kept(calls: list[Call]) -> _Judged:
    tokens = _tokens(calls)
    if not tokens:
        return _nothing("token request")
    minutes = (calls[-1].at - calls[0].at) / 60
    used = len({each.token for each in calls if each.token and each.path.startswith("/v1/")})
    return _seen(used <= 1 + minutes / 8, f"{used} tokens in {minutes:.0f} minutes")


def _agent(calls: list[Call]) -> _Judged:
    if not calls:
        return _nothing("call")
    without = sum(not each.agent for each in calls)
    return _seen(not without, f"{without} of {len(calls)} calls without one")


def _checks(calls: list[Call]) -> list[Call]:
    return [each for each in calls if each.method == "POST" and each.path == "/v1/card-checks"]


def _requests(calls: list[Call]) -> list[Call]:
    return [each for each in calls if each.method == "POST" and each.path == "/v1/prior-approvals"]


def _proof(calls: list[Call]) -> _Judged:
    given = {_proof_of(each.answer["proof"]) for each in _checks(calls) if each.answer.get("proof")}
    asked = [each for each in _requests(calls) if each.body]
    if not asked:
        return _nothing("request for an approval")
    strange = sum(_proof_of(each.body.get("proof")) not in given for each in asked)
    return _seen(not strange, f"{strange} of {len(asked)} requests with a proof that no check gave")


def _outcomes() -> dict[str, str]:
    """An example of each outcome of a check."""
    return {each.expect: each.membership_number for each in reversed(SCENARIOS) if not each.is_request}


def _outcome(calls: list[Call], outcome: str) -> _Judged:
    count = sum(each.answer.get("outcome") == outcome for each in _checks(calls))
    return (Result.PASSED, f"{count} times") if count else _nothing("such check")


def _state(calls: list[Call], state: str) -> _Judged:
    count = sum(each.answer.get("state") == state for each in _requests(calls))
    return (Result.PASSED, f"{count} times") if count else _nothing("such request")


def _writes(calls: list[Call]) -> list[Call]:
    return [each for each in calls if each.is_write]


def _keys(calls: list[Call]) -> _Judged:
    writes = _writes(calls)
    if not writes:
        return _nothing("write")
    without = sum(each.key is None for each in writes)
    return _seen(not without, f"{without} of {len(writes)} writes without one")


def _own_keys(calls: list[Call]) -> _Judged:
    keyed = [each for each in _writes(calls) if each.key]
    if not keyed:
        return _nothing("write with a key")
    bodies: dict[str, set[tuple[str, str, str]]] = {}
    for each in keyed:
        bodies.setdefault(str(each.key), set()).add((each.method, each.path, each.digest))
    shared = sum(len(found) > 1 for found in bodies.values())
    return _seen(not shared, f"{shared} of {len(bodies)} keys with more than one request")


def _after_planned(calls: list[Call], planned: str) -> tuple[Call, Call | None] | None:
    """The call that went wrong by plan, and the next with the same body."""
    for place, each in enumerate(calls):
        if each.planned == planned:
            later = (other for other in calls[place + 1 :] if other.path == each.path and other.digest == each.digest)
            return each, next(later, None)
    return None


def _retried(calls: list[Call]) -> _Judged:
    if (found := _after_planned(calls, "refused")) is None:
        return _nothing("request for an approval")
    return _seen(found[1] is not None, "it came again" if found[1] else "it did not come again")


def _waited(calls: list[Call]) -> _Judged:
    found = _after_planned(calls, "refused")
    if found is None or found[1] is None:
        return _nothing("second try")
    pause = found[1].at - found[0].at
    return _seen(pause >= 0.9 * (found[0].retry_after or 0), f"{pause:.1f} s, told {found[0].retry_after:.0f} s")


def _asked_again(calls: list[Call]) -> _Judged:
    if (found := _after_planned(calls, "lost")) is None:
        return _nothing("request for an approval under a key, beside the first")
    first, second = found
    if second is None:
        return _seen(False, "it did not come again: whether it was approved is not known")
    return _seen(
        second.key == first.key, "the same key" if second.key == first.key else "another key: it is asked twice"
    )


def _versions(calls: list[Call]) -> _Judged:
    acts = [each for each in _writes(calls) if re.search(r"/(appeal|information|amendments|extension|use)$", each.path)]
    if not acts:
        return _nothing("act on an approval")
    without = sum("version" not in each.body for each in acts)
    return _seen(not without, f"{without} of {len(acts)} acts without one")


def _shapes(calls: list[Call]) -> _Judged:
    if not calls:
        return _nothing("call")
    wrong = Counter(each.path for each in calls if each.status in {400, 415, 422} and each.code == "invalid_request")
    return _seen(not wrong, ", ".join(f"{count} × {path}" for path, count in wrong.items()) or "all were understood")


def _stubborn(calls: list[Call]) -> _Judged:
    refused = Counter(
        (each.path, each.digest)
        for each in _writes(calls)
        if 400 <= each.status < 500 and each.status not in {401, 409, 429}
    )
    again = sum(count > 1 for count in refused.values())
    return (
        _seen(not again, f"{again} were sent again" if again else "none was sent again") if calls else _nothing("call")
    )


def _addresses(calls: list[Call]) -> _Judged:
    if not calls:
        return _nothing("call")
    found = sum(bool(_NIR.search(each.path) or _NIR.search(each.query) or "token=" in each.query) for each in calls)
    return _seen(not found, f"{found} addresses with a NIR or a token")
