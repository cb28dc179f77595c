"""The OpenAPI 3.1 document, made from the route tables and nothing else."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from tpgateway.errors import InvalidRequest, Problem
from tpgateway.web import problems
from tpgateway.web.callers import Access, Scope
from tpgateway.web.payloads import ProblemView
from tpgateway.web.routing import Media, Route

_References: TypeAlias = dict[Any, dict[str, Any]]  # by shape and mode
_REFERENCE = "#/components/schemas/{model}"
_SECURITY = {
    Access.SESSION: "session",
    Access.PENDING_SESSION: "session",
    Access.PRACTITIONER_CLIENT: "practitioner_client",
    Access.INSURER_CLIENT: "insurer_client",
}
_ABOUT = """\
The gateway of a third-party-payment network. Practitioners' software and insurers' systems call it with a token from
`/oauth/token`. Errors are RFC 9457 problem documents; every code stands in `GET /v1/problems` with a French sentence to
show and a next step. A refusal (rights closed, domain not covered) is an answer, not an error.

Every write accepts an `Idempotency-Key`. Money is whole cents. Times are UTC. Lists are paged with `after` and `limit`.
The schemas here are our own, not those of SESAM-Vitale or of any licensed norm.
"""


_ALWAYS = {
    "X-Request-Id": "what to quote to us",
    "Server-Timing": "how long the answer took, in ms",
    "RateLimit": "what remains of the caller's limit, and until when",
    "RateLimit-Policy": "the caller's limit",
}
_TO_INSURERS = {
    "X-Pending-Events": "how many events you have not had: neither read in the feed nor taken by an endpoint"
}
_REPLAYED = {"Idempotency-Replayed": "true where this is the answer given before"}
_ON_PROBLEM = {
    401: {"WWW-Authenticate": "how to authenticate"},
    405: {"Allow": "the methods that the address knows"},
    409: {"Retry-After": "seconds; where waiting helps"},
    429: {"Retry-After": "seconds"},
    503: {"Retry-After": "seconds"},
}


def document(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """The whole document. Its servers are left out: it is served where it describes."""
    references, schemas = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tpgateway", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-session",
                    "description": "A practitioner in person, from POST /v1/sessions (by plain HTTP: session).",
                },
                "practitioner_client": _client_credentials("A practitioner's software.", Scope),
                "insurer_client": _client_credentials("An insurer's system; it has no scopes.", ()),
            },
        },
    }


def as_text(document: dict[str, Any]) -> str:
    """The document as it is committed and served: stable, readable."""
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _client_credentials(about: str, scopes: Iterable[Scope]) -> dict[str, Any]:
    flow = {"tokenUrl": "/oauth/token", "scopes": {scope.value: "" for scope in scopes}}
    return {"type": "oauth2", "description": about, "flows": {"clientCredentials": flow}}


def _shapes(route: Route) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    if (shape := _body_shape(route)) is not None:
        yield shape, "validation"
    for answer in route.answers.values():
        for each in answer if isinstance(answer, Sequence) else [answer]:
            if isinstance(each, type):
                yield each, "serialization"


def _media_of(route: Route) -> str:
    return route.body.media_type if isinstance(route.body, Media) else "application/json"


def _body_shape(route: Route) -> type[BaseModel] | None:
    return route.body.shape if isinstance(route.body, Media) else route.body


def _headers(described: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": about, "schema": {"type": "string"}} for name, about in described.items()}


def _schemas(
    routes: Sequence[Route],
) -> tuple[_References, dict[str, Any]]:
    wanted = dict.fromkeys(shape for route in routes for shape in _shapes(route))
    wanted[(ProblemView, "serialization")] = None
    references, definitions = models_json_schema(list(wanted), ref_template=_REFERENCE)
    return references, definitions["$defs"]


def _operation(route: Route, references: _References) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": list(_parameters(route)),
        "responses": dict(_answers(route, references)),
        "security": _security(route),
    }
    if route.handler.__doc__:
        found["description"] = route.handler.__doc__
    if route.body is not None:
        shape = _body_shape(route)
        schema = {"type": "string"} if shape is None else references[(shape, "validation")]
        found["requestBody"] = {"required": True, "content": {_media_of(route): {"schema": schema}}}
        if isinstance(route.body, Media):
            found["requestBody"]["description"] = route.body.description
        if route.xml and route.xml.request:
            found["requestBody"]["content"]["application/xml"] = {
                "schema": {"type": "string", "description": route.xml.request.about}
            }
        found["x-body-limit-bytes"] = route.body_limit
    return found


def _security(route: Route) -> list[dict[str, list[str]]]:
    ways = dict.fromkeys(_SECURITY[way] for way in sorted(route.access))
    return [{way: [route.scope.value] if route.scope and way == "practitioner_client" else []} for way in ways]


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for place, shape in (("path", route.path_shape), ("query", route.query)):
        if shape is None:
            continue
        schema = shape.model_json_schema(ref_template=_REFERENCE)
        definitions = schema.get("$defs", {})
        for name, each in schema["properties"].items():
            # Parameters stand on their own: what they refer to is written where it is used.
            inlined = definitions[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
            yield {
                "name": name,
                "in": place,
                "required": place == "path" or name in schema.get("required", []),
                "schema": inlined,
            }
    for name, about in route.request_headers.items():
        yield {"name": name, "in": "header", "required": False, "description": about, "schema": {"type": "string"}}
    if route.takes_key:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Sent again under the same key, the request is answered as the first time and done once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
        }


def _common_problems(route: Route) -> Iterator[type[Problem]]:
    yield from (problems.RateLimited, problems.InternalError, problems.DatabaseUnavailable, problems.Overloaded)
    if route.access:
        yield from (problems.AuthenticationRequired, problems.TokenInvalid, problems.TokenExpired)
        yield problems.CallerNotAllowed
    if Access.SESSION in route.access:
        yield problems.RoleNotAllowed
        if route.is_write:
            yield problems.CrossSiteRequest
        if Access.PENDING_SESSION not in route.access:
            yield problems.SecondFactorRequired
    if route.needs_second_factor:
        yield problems.SecondFactorNeeded
    if route.scope:
        yield problems.ScopeMissing
    if route.path_shape:
        yield problems.NotFound
    if route.query:
        yield from (InvalidRequest, problems.WrongEncoding)
    if route.body is not None:
        yield problems.BodyTooLarge
        yield problems.MediaTypeNotSupported
    if isinstance(route.body, type):
        yield from (problems.NotJson, problems.WrongEncoding, InvalidRequest)
    if route.xml and route.xml.request:
        yield from (problems.NotXml, problems.XmlNotBySchema)
    if route.takes_key:
        yield problems.IdempotencyKeyInvalid
        yield problems.IdempotencyKeyReused
        yield problems.IdempotencyKeyInFlight


def _answers(route: Route, references: _References) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, shape in sorted(route.answers.items()):
        content: dict[str, Any] = {}
        description = "Done"
        for each in shape if isinstance(shape, Sequence) else [shape]:
            if isinstance(each, type):
                content["application/json"] = {"schema": references[(each, "serialization")]}
                if route.xml and route.xml.answer:
                    content["application/xml"] = {"schema": {"type": "string", "description": route.xml.answer.about}}
            elif isinstance(each, Media):
                is_json = each.media_type == "application/json"
                content[each.media_type] = {"schema": {"type": "object" if is_json else "string"}}
                description = each.description
        headers = {
            **_ALWAYS,
            **(_REPLAYED if route.takes_key else {}),
            **(_TO_INSURERS if Access.INSURER_CLIENT in route.access else {}),
            **route.answer_headers,
        }
        yield (
            str(status),
            {"description": description, "headers": _headers(headers), **({"content": content} if content else {})},
        )
    by_status: dict[int, list[type[Problem]]] = {}
    for problem in dict.fromkeys([*_common_problems(route), *route.problems]):
        by_status.setdefault(problem.status, []).append(problem)
    for status, kinds in sorted(by_status.items()):
        lines = [f"- `{kind.code}`: {kind.title}" for kind in sorted(kinds, key=lambda kind: kind.code)]
        yield (
            str(status),
            {
                "description": "\n".join(lines),
                "headers": _headers({**_ALWAYS, **_ON_PROBLEM.get(status, {})}),
                "content": {problems.MEDIA_TYPE: {"schema": references[(ProblemView, "serialization")]}},
            },
        )
