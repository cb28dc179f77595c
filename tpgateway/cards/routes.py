"""Operations of card checks and of imports."""

from tpgateway.cards import errors
from tpgateway.cards.handlers import batch, checks, imports
from tpgateway.cards.model import RIGHTS_FILE_LIMIT
from tpgateway.cards.payloads import (
    BatchLine,
    CardCheckRequest,
    CardCheckView,
    GuaranteesQuery,
    ImportPath,
    ImportQuery,
    PhotoQuery,
    RejectListView,
    RejectsQuery,
    RightsImportView,
)
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.web.callers import INSURER, PRACTITIONER, Scope
from tpgateway.web.problems import WrongEncoding
from tpgateway.web.routing import Media, Route

_RIGHTS = Media(
    media_type="text/csv", description="a rights file, CSV or XML, plain, gzip or zstd: see schemas/README.md"
)

_CHECK_PROBLEMS = [
    InsurerUnknown,
    errors.CareDateOutOfRange,
    errors.PersonNamedTwice,
    errors.CardUnreadable,
    errors.BeneficiaryNeeded,
    errors.BeneficiaryNotOnCard,
    errors.ChecksLocked,
    errors.ChecksTooFast,
]

ROUTES = [
    Route(
        method="POST",
        path="/v1/card-checks",
        follows_clock=True,
        handler=checks.check_card,
        at_once=checks.check_at_once,
        summary="Check a card: are the person's rights open for a domain on a day",
        tag="Cards",
        access=PRACTITIONER,
        scope=Scope.CARDS,
        body=CardCheckRequest,
        answers={200: CardCheckView, 304: None},
        problems=_CHECK_PROBLEMS,
        request_headers={
            "If-None-Match": "the ETag of an answer that you have: 304 and a fresh proof where it still holds"
        },
        answer_headers={
            "ETag": "of the answer, but for its id, moment and proof",
            "Proof": "with 304: the fresh proof",
            "Proof-Expires-At": "with 304: until when it opens an approval",
        },
        transactional=False,
    ),
    Route(
        method="POST",
        path="/v1/card-checks/photo",
        follows_clock=True,
        handler=checks.check_photo,
        summary="Check the card in a photo",
        tag="Cards",
        access=PRACTITIONER,
        scope=Scope.CARDS,
        query=PhotoQuery,
        body=Media(media_type="image/jpeg", description="PNG or JPEG, with one card's DataMatrix; kept nowhere"),
        body_limit=checks.PHOTO_LIMIT,
        answers={200: CardCheckView},
        problems=[*_CHECK_PROBLEMS, errors.NoCodeInPhoto, errors.PhotoUnreadable],
        transactional=False,
        is_replayable=False,
        cost=5,
    ),
    Route(
        method="POST",
        path="/v1/card-checks/batch",
        follows_clock=True,
        handler=batch.check_batch,
        summary="Check many cards in one call, a line each",
        tag="Cards",
        access=PRACTITIONER,
        scope=Scope.CARDS,
        body=Media(
            media_type="application/x-ndjson",
            description="a check a line, each as for POST /v1/card-checks, with any id of yours; 10,000 at most",
            shape=BatchLine,
        ),
        body_limit=batch.BATCH_LIMIT,
        answers={
            200: Media(
                media_type="application/x-ndjson",
                description="an answer a line, in the order of the lines: a check, or a problem, with your id",
                shape=CardCheckView,
            )
        },
        problems=_CHECK_PROBLEMS,
        transactional=False,
        is_replayable=False,
    ),
    Route(
        method="GET",
        path="/v1/card-checks/{id}",
        handler=checks.show_check,
        summary="A check made before",
        tag="Cards",
        access=PRACTITIONER,
        scope=Scope.CARDS,
        path_shape=ReferencePath,
        answers={200: CardCheckView},
    ),
    Route(
        method="GET",
        path="/v1/card-checks/{id}/guarantees",
        handler=checks.show_guarantees,
        summary="What the person's product pays, as a table to show and to print",
        tag="Cards",
        access=PRACTITIONER,
        scope=Scope.CARDS,
        path_shape=ReferencePath,
        query=GuaranteesQuery,
        answers={
            200: [
                Media(media_type="text/html", description="a page that stands alone"),
                Media(media_type="application/pdf", description="the same to print"),
            ]
        },
        problems=[errors.NotCovered],
        transactional=False,
    ),
    Route(
        method="POST",
        path="/v1/insurer/rights-imports",
        handler=imports.import_rights,
        summary="Load people's rights from a file",
        tag="Rights",
        access=INSURER,
        query=ImportQuery,
        body=_RIGHTS,
        body_limit=RIGHTS_FILE_LIMIT,
        answers={201: RightsImportView},
        problems=[errors.RightsFileUnreadable, errors.ClosesTooMany, WrongEncoding],
        answer_headers={"Location": "where it can be read again"},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/v1/insurer/rights-imports/{id}",
        handler=imports.show_import,
        summary="What an import came to",
        tag="Rights",
        access=INSURER,
        path_shape=ImportPath,
        answers={200: RightsImportView},
    ),
    Route(
        method="GET",
        path="/v1/insurer/rights-imports/{id}/rejects",
        handler=imports.list_rejects,
        summary="The lines that were not loaded, each with its reason",
        tag="Rights",
        access=INSURER,
        path_shape=ImportPath,
        query=RejectsQuery,
        answers={200: RejectListView},
        transactional=False,
    ),
]
