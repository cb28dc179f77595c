"""Conventions as files: ``SPECIALTY.toml`` for the terms, ``SPECIALTY.md`` for the text."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from tpgateway.conventions.errors import ConventionUnreadable
from tpgateway.conventions.model import ConventionTerms
from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import Specialty
from tpgateway.web.fields import AmcNumberField
from tpgateway.web.validation import Parameters


class _TermsFile(Parameters):
    """The keys of a terms file; dates are TOML's own."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    valid_from: date
    valid_to: date | None = None
    domains: list[Domain] = Field(min_length=1)
    payment_days: int = Field(ge=0, le=365)
    notice_days: int = Field(default=30, ge=0, le=365)
    insurers: Literal["all"] | list[AmcNumberField]


def read_folder(folder: Path) -> list[ConventionTerms]:
    """All conventions of a folder, by speciality; raises ``ConventionUnreadable``."""
    return [_read(path) for path in sorted(folder.glob("*.toml"))]


def _read(path: Path) -> ConventionTerms:
    try:
        specialty = Specialty(path.stem)
        given = _TermsFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        text = path.with_suffix(".md").read_text(encoding="utf-8")
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConventionUnreadable(f"{path.name}: {faults}") from None
    except (ValueError, OSError) as error:
        raise ConventionUnreadable(f"{path.name}: {error}") from None
    return ConventionTerms(
        specialty=specialty,
        title=given.title,
        text_markdown=text,
        domains=tuple(given.domains),
        payment_days=given.payment_days,
        notice_days=given.notice_days,
        participants=None if given.insurers == "all" else tuple(sorted(set(given.insurers))),
        valid_from=given.valid_from,
        valid_to=given.valid_to,
    )
