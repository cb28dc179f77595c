"""Handlers of conventions."""

from tpgateway.conventions import service
from tpgateway.conventions.payloads import (
    ConventionListView,
    ConventionPath,
    ConventionSummaryView,
    ConventionView,
    OnDate,
    SignatureRequest,
    SignatureView,
    summary,
)
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.routing import Answer, Call


async def list_conventions(call: Call, *, query: OnDate) -> Answer:
    found = await service.in_force(call.connection, query.date or call.today)
    return Answer(
        body=ConventionListView(conventions=[ConventionSummaryView.model_validate(summary(c)) for c in found])
    )


async def show_convention(call: Call, *, path: ConventionPath, query: OnDate) -> Answer:
    convention = await service.find(call.connection, path.specialty, query.date or call.today)
    signature = await service.signature(call.connection, PractitionerId(call.caller.account_id), path.specialty)
    view = ConventionView.model_validate(
        {
            **summary(convention),
            "text_markdown": convention.terms.text_markdown,
            "signature": signature and SignatureView.of(path.specialty, signature),
        }
    )
    return Answer(body=view)


async def leave_convention(call: Call, *, path: ConventionPath) -> Answer:
    """Leaves the convention, in person, with the notice that it states. Signing again before takes it back."""
    practitioner = await practitioners.get(call.connection, PractitionerId(call.caller.account_id))
    left = await service.leave(
        call.connection, practitioner, path.specialty, now=call.now, on=call.today, actor=call.actor
    )
    return Answer(body=SignatureView.of(path.specialty, left))


async def sign_convention(call: Call, *, path: ConventionPath, body: SignatureRequest) -> Answer:
    """Signs the version in force, in person. Signing again changes nothing."""
    practitioner = await practitioners.get(call.connection, PractitionerId(call.caller.account_id))
    _, signature = await service.sign(
        call.connection,
        practitioner,
        path.specialty,
        body.version,
        now=call.now,
        on=call.today,
        actor=call.actor,
    )
    return Answer(status=201, body=SignatureView.of(path.specialty, signature))
