"""Operations of card checks and of imports."""

from tpgateway.cards import errors
from tpgateway.cards.handlers import checks, imports
from tpgateway.cards.model import RIGHTS_FILE_LIMIT
from tpgateway.cards.payloads import (
    CardCheckRequest,
    CardCheckView,
    ImportPath,
    ImportQuery,
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

ROUTES = [
    Route(
        method="POST",
        path="/v1/card-checks",
        handler=checks.check_card,
        summary="Check a card: are the person's rights open for a domain on a day",
        tag="Cards",
        access=PRACTITIONER,
        scope=Scope.CARDS,
        body=CardCheckRequest,
        answers={200: CardCheckView},
        problems=[InsurerUnknown, errors.CareDateOutOfRange],
        transactional=False,
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
    ),
]
