"""The frame's own problems, and how any problem becomes an RFC 9457 answer."""

import json
from typing import Any

from aiohttp import web

from tpgateway.errors import CATALOGUE, InvalidRequest, Problem

MEDIA_TYPE = "application/problem+json"


class NotFound(Problem):
    code = "not_found"
    status = 404
    title = "There is nothing at this address"
    message_fr = "Cet élément n'existe pas ou n'est pas le vôtre."
    next_step_fr = "Vérifiez l'adresse ou la référence."
    hint = "What belongs to somebody else answers as if it did not exist."


class MethodNotAllowed(Problem):
    code = "method_not_allowed"
    status = 405
    title = "This address does not know that method"
    message_fr = "Cette opération n'est pas possible ici."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "The Allow header lists the methods that it knows."


class BodyTooLarge(Problem):
    code = "body_too_large"
    status = 413
    title = "The body is larger than this operation takes"
    message_fr = "L'envoi est trop volumineux."
    next_step_fr = "Réduisez la taille de l'envoi ou découpez-le."
    hint = "The limit of each operation stands in /openapi.json as x-body-limit-bytes."


class RangeNotSatisfiable(Problem):
    code = "range_not_satisfiable"
    status = 416
    title = "The range asked for lies beyond the end"
    message_fr = "La partie demandée du fichier n'existe pas."
    next_step_fr = "Téléchargez le fichier entier."
    hint = "Content-Range tells how many bytes there are."


class NotJson(Problem):
    code = "not_json"
    status = 400
    title = "The body is not JSON"
    message_fr = "La demande est illisible."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "Send one JSON value (RFC 8259) in UTF-8."


class NotXml(Problem):
    code = "not_xml"
    status = 400
    title = "The body is not XML, or XML that is not accepted"
    message_fr = "La demande est illisible."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "Well-formed XML 1.0 in UTF-8, without a document type; detail says at which line."


class XmlNotBySchema(Problem):
    code = "xml_not_by_schema"
    status = 422
    title = "An element is not as its schema has it"
    message_fr = "Une information n'a pas la forme attendue."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "Validate against the schema under schemas/; pointer is the element's path, detail its line."


class WrongEncoding(Problem):
    code = "wrong_encoding"
    status = 400
    title = "The content is not UTF-8, or holds a NUL character"
    message_fr = "L'encodage des caractères n'est pas reconnu."
    next_step_fr = "Enregistrez le contenu en UTF-8 puis renvoyez-le."
    hint = "Only UTF-8 is accepted, whatever the charset parameter says."


class MediaTypeNotSupported(Problem):
    code = "media_type_not_supported"
    status = 415
    title = "The body is of a type that this operation does not take"
    message_fr = "Le format de l'envoi n'est pas accepté."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "Set Content-Type to one of the types that /openapi.json lists for this operation."


class RequestMalformed(Problem):
    code = "request_malformed"
    status = 400
    title = "The request cannot be understood"
    message_fr = "La demande est illisible."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "See detail."


class AuthenticationRequired(Problem):
    code = "authentication_required"
    status = 401
    title = "This operation needs a caller who is known"
    message_fr = "Vous n'êtes pas connecté."
    next_step_fr = "Connectez-vous puis recommencez."
    hint = "Send Authorization: Bearer with a token from /oauth/token, or a session cookie from POST /v1/sessions."


class TokenInvalid(Problem):
    code = "token_invalid"
    status = 401
    title = "The access token is not one of ours"
    message_fr = "La connexion de votre logiciel n'est pas valable."
    next_step_fr = "Relancez votre logiciel ; si cela persiste, contactez son éditeur."
    hint = "Ask /oauth/token for a token; send it unchanged."


class TokenExpired(Problem):
    code = "token_expired"
    status = 401
    title = "The access token has expired"
    message_fr = "La connexion de votre logiciel a expiré."
    next_step_fr = "Recommencez : le logiciel doit renouveler sa connexion."
    hint = "Tokens last expires_in seconds; ask for the next one before."


class CallerNotAllowed(Problem):
    code = "caller_not_allowed"
    status = 403
    title = "This operation is for another kind of caller"
    message_fr = "Cette opération n'est pas ouverte à votre compte."
    next_step_fr = "Utilisez le compte ou l'accès qui convient."
    hint = "The security section of the operation in /openapi.json names who may call it."


class ScopeMissing(Problem):
    code = "scope_missing"
    status = 403
    title = "The token lacks the scope of this operation"
    message_fr = "L'accès de votre logiciel ne couvre pas cette opération."
    next_step_fr = "Créez un accès qui la comprend dans votre espace."
    hint = "Scopes are given to a client when it is created: cards, approvals, tables."


class RoleNotAllowed(Problem):
    code = "role_not_allowed"
    status = 403
    title = "The member's role does not cover this operation"
    message_fr = "Votre rôle dans cette structure ne permet pas cette opération."
    next_step_fr = "Demandez au titulaire du compte de la faire, ou de changer votre rôle."
    hint = "read_only reads, staff also works with cards and approvals, owner also manages the account."


class SecondFactorRequired(Problem):
    code = "second_factor_required"
    status = 401
    title = "The session still owes its second factor"
    message_fr = "Il reste un code à saisir pour terminer la connexion."
    next_step_fr = "Saisissez le code de votre application, ou demandez-en un par mail."
    hint = "POST /v1/sessions/current/code mails one; POST /v1/sessions/current/second-factor takes it."


class SecondFactorNeeded(Problem):
    code = "second_factor_needed"
    status = 403
    title = "This change needs a second factor that was given a short while ago"
    message_fr = "Par sécurité, ce changement demande un code."
    next_step_fr = "Saisissez le code de votre application, ou demandez-en un par mail, puis recommencez."
    hint = (
        "POST /v1/sessions/current/code mails one; POST /v1/sessions/current/second-factor takes it; then send again."
    )


class CrossSiteRequest(Problem):
    code = "cross_site_request"
    status = 403
    title = "The request came from another site"
    message_fr = "Par sécurité, cette demande a été refusée : elle ne vient pas de notre site."
    next_step_fr = "Ouvrez le site du réseau puis recommencez."
    hint = "With a session cookie, Sec-Fetch-Site must be same-origin or Origin our own. Software uses a token instead."


class RateLimited(Problem):
    code = "rate_limited"
    status = 429
    title = "Too many requests in a short time"
    message_fr = "Trop de demandes en peu de temps."
    next_step_fr = "Patientez un instant puis recommencez."
    hint = "Wait for Retry-After seconds; RateLimit tells what remains."


class IdempotencyKeyInvalid(Problem):
    code = "idempotency_key_invalid"
    status = 400
    title = "The Idempotency-Key cannot be used"
    message_fr = "La demande est illisible."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "1 to 200 printable ASCII characters; a UUID serves well."


class IdempotencyKeyReused(Problem):
    code = "idempotency_key_reused"
    status = 422
    title = "This Idempotency-Key was used for another request"
    message_fr = "Cette demande porte la référence d'une autre demande."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "A key stands for one request, its address and body included. Make a new key for a new request."


class IdempotencyKeyInFlight(Problem):
    code = "idempotency_key_in_flight"
    status = 409
    title = "The first request under this Idempotency-Key is still being worked on"
    message_fr = "La même demande est déjà en cours de traitement."
    next_step_fr = "Patientez un instant puis recommencez."
    hint = "Send it again after Retry-After seconds to get the first one's answer."


class DatabaseUnavailable(Problem):
    code = "database_unavailable"
    status = 503
    title = "The service cannot reach its database at this moment"
    message_fr = "Le service est momentanément indisponible."
    next_step_fr = "Recommencez dans quelques instants."
    hint = "Try again after Retry-After seconds, with the same Idempotency-Key."


class Overloaded(Problem):
    code = "overloaded"
    status = 503
    title = "More requests come than can be answered at this moment"
    message_fr = "Le service est très sollicité en ce moment."
    next_step_fr = "Recommencez dans quelques instants."
    hint = "Nothing was done. Try again after Retry-After seconds, and double that when it is refused again."


class InternalError(Problem):
    code = "internal_error"
    status = 500
    title = "The service failed"
    message_fr = "Une erreur est survenue de notre côté."
    next_step_fr = "Recommencez ; si cela persiste, contactez-nous avec la référence de la demande."
    hint = "Quote request_id to us."


def same_or_several(problem: Problem) -> Problem:
    """The problem under its best name: the faults' own code where all share one, ``invalid_request`` otherwise."""
    kinds = {fault.problem for fault in problem.faults}
    if isinstance(problem, InvalidRequest) and len(kinds) == 1:
        return kinds.pop()(problem.detail or problem.faults[0].detail, faults=problem.faults, headers=problem.headers)
    return problem


def document(problem: Problem, *, base_url: str, request_id: str) -> dict[str, Any]:
    """The problem as RFC 9457 has it, with our members beside, and RFC 6749's where it is the token endpoint's."""
    oauth = {"error": problem.oauth_error, "error_description": problem.detail or problem.title}
    # A line of a batch has no header that could say it.
    later = {} if problem.retry_after_seconds is None else {"retry_after_seconds": problem.retry_after_seconds}
    return {
        **(oauth if problem.oauth_error else {}),
        "type": f"{base_url}/v1/problems#{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "message_fr": problem.message_fr,
        "next_step_fr": problem.next_step,
        "hint": problem.hint,
        **later,
        **problem.members,
        "request_id": request_id,
        "errors": [
            {
                "pointer": fault.pointer,
                "code": fault.problem.code,
                "message_fr": fault.message_fr or fault.problem.message_fr,
                "detail": fault.detail,
            }
            for fault in problem.faults
        ],
    }


def answer(problem: Problem, *, base_url: str, request_id: str) -> web.Response:
    """The problem as an HTTP answer."""
    problem = same_or_several(problem)
    headers = problem.said_in_headers
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="tpgateway"')
    text = json.dumps(document(problem, base_url=base_url, request_id=request_id), ensure_ascii=False)
    return web.Response(status=problem.status, text=text, content_type=MEDIA_TYPE, headers=headers)


def from_http(error: web.HTTPException) -> Problem:
    """aiohttp's own refusals, as problems."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    by_status: dict[int, type[Problem]] = {
        404: NotFound,
        405: MethodNotAllowed,
        413: BodyTooLarge,
        415: MediaTypeNotSupported,
    }
    kind = by_status.get(error.status, RequestMalformed if error.status < 500 else InternalError)
    return kind(headers=headers)


def catalogue() -> list[type[Problem]]:
    """Every problem there is, by code."""
    return [CATALOGUE[code] for code in sorted(CATALOGUE)]
