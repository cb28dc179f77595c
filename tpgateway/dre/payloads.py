"""Shapes of DRE tables' operations. The files themselves are described in schemas/README.md."""

from datetime import date, datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from tpgateway.dre.model import FileFormat
from tpgateway.practitioners.model import Specialty
from tpgateway.web.validation import Parameters, View


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


class FileQuery(Parameters):
    format: FileFormat = Field(default=FileFormat.JSON, description="csv is a zip of CSV files")
