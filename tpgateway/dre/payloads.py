"""Shapes of DRE tables' operations. The files themselves are described in schemas/README.md."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from tpgateway.dre.model import FileFormat, Match
from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import Specialty
from tpgateway.web.fields import AmcNumberField
from tpgateway.web.validation import Parameters, Payload, View


class VersionView(View):
    version: int
    effective_from: date
    published_at: datetime


class VersionListView(View):
    specialty: Specialty
    versions: list[VersionView]


class VersionPath(Parameters):
    version: Annotated[str, StringConstraints(pattern=r"^(latest|[1-9][0-9]{0,8})$")]

    @property
    def number(self) -> int | None:
        """The version, None for the newest."""
        return None if self.version == "latest" else int(self.version)


class ChangesPath(VersionPath):
    older: Annotated[int, Field(ge=1, le=999_999_999)]


class RouteRequest(Payload):
    """A card's routing key, and the day of care."""

    insurer_number: AmcNumberField
    convention_type: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{2}$")]
    csr: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z0-9]{0,8}$")] | None = None
    care_date: date | None = Field(default=None, description="today where it is left out")
    domain: Domain | None = Field(default=None, description="guarantee lines of this domain alone")
    product_code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_-]{1,20}$")] | None = None


class RouteView(View):
    """Where a card leads, and which lines said so."""

    version: int
    code: str
    message_fr: str
    next_step_fr: str | None
    match: Match | None = Field(description="by how much of the routing key: exact, type, insurer")
    grouping: dict[str, Any] | None
    convention: dict[str, Any] | None
    guarantee: list[dict[str, Any]]


class FileQuery(Parameters):
    format: FileFormat = Field(default=FileFormat.JSON, description="csv is a zip of CSV files")
