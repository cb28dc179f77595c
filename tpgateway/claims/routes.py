"""Operations of prior approvals."""

from functools import partial

from tpgateway.cards.errors import ProofMistyped
from tpgateway.claims import errors
from tpgateway.claims.codec import xml
from tpgateway.claims.handlers import approvals as handlers
from tpgateway.claims.handlers import clock, documents
from tpgateway.claims.payloads import (
    AmendmentRequest,
    AppealRequest,
    ApprovalEventListView,
    ApprovalsQuery,
    AttachmentListView,
    AttachmentPath,
    AttachmentQuery,
    AttachmentView,
    CancellationQuery,
    ClockRequest,
    ClockView,
    DecisionRequest,
    ExtensionRequest,
    InformationRequest,
    PriorApprovalListView,
    PriorApprovalRequest,
    PriorApprovalView,
    QuestionRequest,
    SimulationView,
    UseRequest,
)
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.web.callers import INSURER, PRACTITIONER, Scope
from tpgateway.web.problems import BodyTooLarge
from tpgateway.web.routing import Media, Route
from tpgateway.web.xml import XmlForm

_SHAPE_PROBLEMS = [
    errors.AmountsImpossible,
    errors.ItemMissing,
    errors.RequestOfTwoKinds,
    errors.CorrectionUnclear,
    errors.SupplementAlone,
    errors.StayReversed,
    errors.UnitsImpossible,
    errors.ItemRepeated,
    errors.PrescriptionInFuture,
    errors.ProofOfOtherDay,
]
_SUBMISSION_PROBLEMS = [
    InsurerUnknown,
    ProofMistyped,
    errors.ProofUnknown,
    errors.ProofExpired,
    errors.ProofOfOtherDomain,
    *_SHAPE_PROBLEMS,
]
_CHANGE_PROBLEMS = [errors.StateForbids, errors.VersionStale]
_AMENDMENT_PROBLEMS = [*_CHANGE_PROBLEMS, *_SHAPE_PROBLEMS, errors.KindOfOther]
_EXTENSION_PROBLEMS = [*_AMENDMENT_PROBLEMS, errors.StayNotLonger]

_PDF = Media(media_type="application/pdf", description="a letter of agreement or refusal")
_DOCUMENT = Media(media_type="application/octet-stream", description="the document, with its own media type")


def _speaks(root: str | None = None) -> XmlForm:
    """XML in, where the operation takes a body, and an approval as it stands out."""
    return XmlForm(request=xml.request(root) if root else None, answer=xml.DECISION)


_OWN = partial(Route, tag="Prior approvals", access=PRACTITIONER, scope=Scope.APPROVALS, follows_clock=True)
_INSURERS = partial(Route, tag="Prior approvals", access=INSURER, follows_clock=True)
_SANDBOX = partial(Route, tag="Sandbox", access=PRACTITIONER | INSURER)
_CHANGE = partial(_OWN, method="POST", path_shape=ReferencePath, answers={200: PriorApprovalView})
_SIMULATED_CHANGE = partial(_CHANGE, answers={200: SimulationView}, is_replayable=False)

ROUTES = [
    _OWN(
        method="POST",
        path="/v1/prior-approvals",
        handler=handlers.submit,
        ahead=handlers.submit_ahead,
        xml=_speaks("prior_approval"),
        summary="Ask for an approval: decided in this call",
        body=PriorApprovalRequest,
        answers={201: PriorApprovalView},
        answer_headers={"Location": "where it can be read again"},
        problems=_SUBMISSION_PROBLEMS,
    ),
    _OWN(
        method="POST",
        path="/v1/prior-approvals/simulation",
        handler=handlers.simulate,
        xml=XmlForm(request=xml.request("prior_approval"), answer=xml.SIMULATION),
        summary="See what would be decided",
        body=PriorApprovalRequest,
        answers={200: SimulationView},
        problems=_SUBMISSION_PROBLEMS,
        is_replayable=False,
    ),
    _OWN(
        method="GET",
        path="/v1/prior-approvals",
        handler=handlers.list_approvals,
        summary="The practitioner's own approvals, newest first",
        query=ApprovalsQuery,
        answers={200: PriorApprovalListView},
    ),
    _OWN(
        method="GET",
        path="/v1/prior-approvals/{id}",
        handler=handlers.show_approval,
        xml=_speaks(),
        summary="One approval, line by line",
        path_shape=ReferencePath,
        answers={200: PriorApprovalView},
    ),
    _OWN(
        method="GET",
        path="/v1/prior-approvals/{id}/events",
        handler=handlers.list_approval_events,
        summary="All that happened to an approval",
        path_shape=ReferencePath,
        answers={200: ApprovalEventListView},
    ),
    _CHANGE(
        path="/v1/prior-approvals/{id}/amendments",
        handler=handlers.amend,
        xml=_speaks("amendment"),
        summary="Change what is asked for",
        body=AmendmentRequest,
        problems=_AMENDMENT_PROBLEMS,
    ),
    _SIMULATED_CHANGE(
        path="/v1/prior-approvals/{id}/amendments/simulation",
        handler=handlers.simulate_amendment,
        xml=XmlForm(request=xml.request("amendment"), answer=xml.SIMULATION),
        summary="See what a change would come to",
        body=AmendmentRequest,
        problems=_AMENDMENT_PROBLEMS,
    ),
    _CHANGE(
        path="/v1/prior-approvals/{id}/extension",
        handler=handlers.extend,
        xml=_speaks("extension"),
        summary="Prolong a stay",
        body=ExtensionRequest,
        problems=_EXTENSION_PROBLEMS,
    ),
    _SIMULATED_CHANGE(
        path="/v1/prior-approvals/{id}/extension/simulation",
        handler=handlers.simulate_extension,
        xml=XmlForm(request=xml.request("extension"), answer=xml.SIMULATION),
        summary="See what a longer stay would come to",
        body=ExtensionRequest,
        problems=_EXTENSION_PROBLEMS,
    ),
    _CHANGE(
        path="/v1/prior-approvals/{id}/appeal",
        handler=handlers.appeal,
        xml=_speaks("appeal"),
        summary="Contest a refusal or a cut",
        body=AppealRequest,
        problems=_CHANGE_PROBLEMS,
    ),
    _CHANGE(
        path="/v1/prior-approvals/{id}/information",
        handler=handlers.inform,
        xml=_speaks("information"),
        summary="Answer the insurer's question",
        body=InformationRequest,
        problems=[*_CHANGE_PROBLEMS, errors.AttachmentMissing],
    ),
    _CHANGE(
        path="/v1/prior-approvals/{id}/use",
        handler=handlers.use,
        xml=_speaks("use"),
        summary="Say that an approval was billed",
        body=UseRequest,
        problems=[*_CHANGE_PROBLEMS, errors.BilledOnImpossible, errors.BenefitsTaken],
    ),
    _CHANGE(
        path="/v1/prior-approvals/{id}/cancellation",
        handler=handlers.cancel,
        xml=_speaks(),
        summary="Cancel an approval",
        query=CancellationQuery,
        problems=_CHANGE_PROBLEMS,
    ),
    _OWN(
        method="GET",
        path="/v1/prior-approvals/{id}/letter",
        handler=documents.show_letter,
        summary="The decision as a letter",
        path_shape=ReferencePath,
        answers={200: _PDF},
        problems=[errors.StateForbids],
    ),
    _OWN(
        method="POST",
        path="/v1/prior-approvals/{id}/attachments",
        handler=documents.add_attachment,
        summary="Attach a document that was asked for",
        path_shape=ReferencePath,
        query=AttachmentQuery,
        body=Media(media_type="application/octet-stream", description="a PDF, PNG or JPEG, by its content"),
        body_limit=documents.ATTACHMENT_LIMIT,
        answers={201: AttachmentView},
        problems=[
            errors.AttachmentNotAsked,
            errors.AttachmentsTooMany,
            errors.AttachmentUnreadable,
            BodyTooLarge,
        ],
        transactional=False,
    ),
    _OWN(
        method="GET",
        path="/v1/prior-approvals/{id}/attachments",
        handler=documents.list_attachments,
        summary="The documents of an approval",
        path_shape=ReferencePath,
        answers={200: AttachmentListView},
    ),
    _OWN(
        method="GET",
        path="/v1/prior-approvals/{id}/attachments/{attachment_id}",
        handler=documents.show_attachment,
        summary="A document of an approval",
        path_shape=AttachmentPath,
        answers={200: _DOCUMENT},
        transactional=False,
    ),
    _INSURERS(
        method="GET",
        path="/v1/insurer/prior-approvals/{id}/attachments",
        handler=documents.list_insurer_attachments,
        summary="The documents of one of the insurer's approvals",
        path_shape=ReferencePath,
        answers={200: AttachmentListView},
    ),
    _INSURERS(
        method="GET",
        path="/v1/insurer/prior-approvals/{id}/attachments/{attachment_id}",
        handler=documents.show_insurer_attachment,
        summary="A document of one of the insurer's approvals",
        path_shape=AttachmentPath,
        answers={200: _DOCUMENT},
        transactional=False,
    ),
    _INSURERS(
        method="GET",
        path="/v1/insurer/prior-approvals",
        handler=handlers.list_insurer_approvals,
        summary="The insurer's own approvals, newest first",
        query=ApprovalsQuery,
        answers={200: PriorApprovalListView},
    ),
    _INSURERS(
        method="GET",
        path="/v1/insurer/prior-approvals/{id}",
        handler=handlers.show_insurer_approval,
        xml=_speaks(),
        summary="One of the insurer's approvals, line by line",
        path_shape=ReferencePath,
        answers={200: PriorApprovalView},
    ),
    _INSURERS(
        method="GET",
        path="/v1/insurer/prior-approvals/{id}/events",
        handler=handlers.list_insurer_approval_events,
        summary="All that happened to one of the insurer's approvals",
        path_shape=ReferencePath,
        answers={200: ApprovalEventListView},
    ),
    _INSURERS(
        method="POST",
        path="/v1/insurer/prior-approvals/{id}/decision",
        handler=handlers.decide,
        xml=_speaks("insurer_decision"),
        summary="Decide an approval that waits for the insurer",
        path_shape=ReferencePath,
        body=DecisionRequest,
        answers={200: PriorApprovalView},
        problems=[
            *_CHANGE_PROBLEMS,
            errors.DecisionNeedsLines,
            errors.DecisionNeedsReason,
            errors.LineUnknown,
            errors.GrantTooLarge,
            errors.GrantBelowAppealed,
            errors.GrantAboveResponsible,
            errors.GrantedToAnother,
        ],
    ),
    _INSURERS(
        method="POST",
        path="/v1/insurer/prior-approvals/{id}/information-request",
        handler=handlers.ask,
        xml=_speaks("information_request"),
        summary="Ask the practitioner before deciding",
        path_shape=ReferencePath,
        body=QuestionRequest,
        answers={200: PriorApprovalView},
        problems=_CHANGE_PROBLEMS,
    ),
    _SANDBOX(
        method="GET",
        path="/v1/sandbox/clock",
        handler=clock.show_clock,
        summary="The sandbox's clock",
        answers={200: ClockView},
        problems=[errors.NoSandbox],
    ),
    _SANDBOX(
        method="PUT",
        path="/v1/sandbox/clock",
        handler=clock.move_clock,
        summary="Move the sandbox's clock, to see deadlines pass",
        body=ClockRequest,
        answers={200: ClockView},
        problems=[errors.NoSandbox],
    ),
]
