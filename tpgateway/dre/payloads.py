"""Shapes of DRE tables' operations. The files themselves are described in schemas/README.md."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from tpgateway.dre.model import FileFormat, Match
from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import Specialty
from tpgateway.web.fields import AmcNumberField
from tpgateway.web.validation import Parameters, Payload, View


class VersionView(View):
    version: int
    effective_from: date = Field(description="the first day of care that it counts for")
    effective_to: date | None = Field(
        description="the last one, null where no other version follows; before the first where another took its place"
    )
    published_at: datetime
    notice_days: int = Field(description="how many days before its first day it was published")
    is_in_force: bool = Field(description="whether it counts for care given today")
    note: str | None = Field(description="what the network says of it, in French")
    restores: int | None = Field(description="the earlier version whose tables it brings back")


class VersionListView(View):
    specialty: Specialty
    versions: list[VersionView]
    after: int = Field(description="what to send as after, to be told of the next")


class VersionsQuery(Parameters):
    after: int = Field(default=0, ge=0, le=999_999_999, description="the newest version already known")
    wait: int = Field(default=0, ge=0, le=60, description="seconds to wait for a version where there is none yet")


def _is_day(value: str) -> str:
    if "-" in value:
        date.fromisoformat(value)
    return value


class VersionPath(Parameters):
    version: Annotated[
        str,
        StringConstraints(pattern=r"^(latest|[1-9][0-9]{0,8}|[0-9]{4}-[0-9]{2}-[0-9]{2})$"),
        AfterValidator(_is_day),
    ] = Field(description="a number, `latest`, or a day of care: the version that counts on it")

    @property
    def which(self) -> int | date | None:
        """The version's number, the day on which it counts, or None for the newest."""
        if self.version == "latest":
            return None
        return date.fromisoformat(self.version) if "-" in self.version else int(self.version)


class ChangesPath(VersionPath):
    older: Annotated[int, Field(ge=1, le=999_999_999)]


class SubscriptionView(View):
    mail: bool = Field(description="whether new versions are told by mail to the account's holder")


class SubscriptionRequest(Payload):
    mail: bool


class TableKeysView(View):
    keys: list[dict[str, Any]] = Field(description="JWKs, the newest first; those of old versions stay")


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
    format: FileFormat = Field(
        default=FileFormat.JSON, description="csv is a zip of CSV files; html and pdf are to be read"
    )
