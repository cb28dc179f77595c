"""Operations of prior approvals."""

from tpgateway.cards.errors import ProofMistyped
from tpgateway.claims import errors, handlers
from tpgateway.claims.payloads import (
    ApprovalEventListView,
    ApprovalsQuery,
    PriorApprovalListView,
    PriorApprovalRequest,
    PriorApprovalView,
    SimulationView,
)
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.web.callers import INSURER, PRACTITIONER, Scope
from tpgateway.web.routing import Route

_SUBMISSION_PROBLEMS = [
    InsurerUnknown,
    ProofMistyped,
    errors.ProofUnknown,
    errors.ProofExpired,
    errors.ProofOfOtherDomain,
    errors.PrescriptionInFuture,
]

ROUTES = [
    Route(
        method="POST",
        path="/v1/prior-approvals",
        handler=handlers.submit,
        summary="Ask for an approval: decided in this call",
        tag="Prior approvals",
        access=PRACTITIONER,
        scope=Scope.APPROVALS,
        body=PriorApprovalRequest,
        answers={201: PriorApprovalView},
        answer_headers={"Location": "where it can be read again"},
        problems=_SUBMISSION_PROBLEMS,
    ),
    Route(
        method="POST",
        path="/v1/prior-approvals/simulation",
        handler=handlers.simulate,
        summary="See what would be decided",
        tag="Prior approvals",
        access=PRACTITIONER,
        scope=Scope.APPROVALS,
        body=PriorApprovalRequest,
        answers={200: SimulationView},
        problems=_SUBMISSION_PROBLEMS,
        is_replayable=False,
    ),
    Route(
        method="GET",
        path="/v1/prior-approvals",
        handler=handlers.list_approvals,
        summary="The practitioner's own approvals, newest first",
        tag="Prior approvals",
        access=PRACTITIONER,
        scope=Scope.APPROVALS,
        query=ApprovalsQuery,
        answers={200: PriorApprovalListView},
    ),
    Route(
        method="GET",
        path="/v1/prior-approvals/{id}",
        handler=handlers.show_approval,
        summary="One approval, line by line",
        tag="Prior approvals",
        access=PRACTITIONER,
        scope=Scope.APPROVALS,
        path_shape=ReferencePath,
        answers={200: PriorApprovalView},
    ),
    Route(
        method="GET",
        path="/v1/prior-approvals/{id}/events",
        handler=handlers.list_approval_events,
        summary="All that happened to an approval",
        tag="Prior approvals",
        access=PRACTITIONER,
        scope=Scope.APPROVALS,
        path_shape=ReferencePath,
        answers={200: ApprovalEventListView},
    ),
    Route(
        method="POST",
        path="/v1/prior-approvals/{id}/cancellation",
        handler=handlers.cancel,
        summary="Cancel an approval",
        tag="Prior approvals",
        access=PRACTITIONER,
        scope=Scope.APPROVALS,
        path_shape=ReferencePath,
        answers={200: PriorApprovalView},
        problems=[errors.StateForbids],
    ),
    Route(
        method="GET",
        path="/v1/insurer/prior-approvals",
        handler=handlers.list_insurer_approvals,
        summary="The insurer's own approvals, newest first",
        tag="Prior approvals",
        access=INSURER,
        query=ApprovalsQuery,
        answers={200: PriorApprovalListView},
    ),
]
