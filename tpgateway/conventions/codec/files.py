"""Conventions as files: ``SPECIALTY.toml`` for the terms, ``SPECIALTY.md`` for the text."""

import tomllib
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from tpgateway.conventions.errors import ConventionUnreadable
from tpgateway.conventions.model import AgreedTariff, AskedDocument, ConventionTerms
from tpgateway.guarantees.model import Domain
from tpgateway.guarantees.payloads import MAX_CENTS
from tpgateway.practitioners.model import Specialty
from tpgateway.web.fields import AmcNumberField, Line
from tpgateway.web.validation import Parameters

_LONGEST_TEXT = 200_000


class _OfDomain(Parameters):
    domain: Domain | None = None


class _DocumentTable(_OfDomain):
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{2,40}$")]
    label: Annotated[str, Line, Field(max_length=200)]


class _TariffTable(_OfDomain):
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_.-]{1,20}$")]
    label: Annotated[str, Line, Field(max_length=200)]
    amount_cents: int = Field(ge=0, le=MAX_CENTS)


class _TermsFile(Parameters):
    """The keys of a terms file; dates are TOML's own."""

    title: Annotated[str, Line, Field(max_length=200)]
    valid_from: date
    valid_to: date | None = None
    domains: list[Domain] = Field(min_length=1)
    approval: list[Domain] = Field(default=[])
    documents: list[_DocumentTable] = Field(default=[], max_length=100)
    tariffs: list[_TariffTable] = Field(default=[], max_length=5000)
    payment_days: int = Field(ge=0, le=365)
    notice_days: int = Field(default=30, ge=0, le=365)
    insurers: Literal["all"] | list[AmcNumberField]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        named = {*self.approval}
        for each in [*list[_OfDomain](self.documents), *self.tariffs]:
            named |= {each.domain} if each.domain else set()
        if strange := named - set(self.domains):
            raise ValueError(f"{', '.join(sorted(strange))} is named, but not among domains")
        lists = {
            "documents": Counter((each.kind, each.domain) for each in self.documents),
            "tariffs": Counter((each.code, each.domain) for each in self.tariffs),
        }
        for what, counts in lists.items():
            if twice := sorted(key for (key, _), count in counts.items() if count > 1):
                raise ValueError(f"{what}: {', '.join(twice)} stands twice")
        return self


def read_folder(folder: Path) -> list[ConventionTerms]:
    """All conventions of a folder, by speciality; raises ``ConventionUnreadable``."""
    return [_read(path) for path in sorted(folder.glob("*.toml"))]


def _read(path: Path) -> ConventionTerms:
    try:
        specialty = Specialty(path.stem)
        given = _TermsFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        text = path.with_suffix(".md").read_text(encoding="utf-8-sig")
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'terms'}: {each['msg']}" for each in error.errors())
        raise ConventionUnreadable(f"{path.name}: {faults}") from None
    except (ValueError, OSError) as error:
        raise ConventionUnreadable(f"{path.name}: {error}") from None
    if not text.strip() or "\0" in text or len(text) > _LONGEST_TEXT:
        raise ConventionUnreadable(
            f"{path.stem}.md is empty, holds a NUL, or is longer than {_LONGEST_TEXT:,} characters"
        )
    return ConventionTerms(
        specialty=specialty,
        title=given.title,
        text_markdown=text,
        domains=tuple(dict.fromkeys(given.domains)),
        approval_domains=tuple(sorted(set(given.approval))),
        documents=tuple(AskedDocument(**each.model_dump()) for each in given.documents),
        tariffs=tuple(AgreedTariff(**each.model_dump()) for each in given.tariffs),
        payment_days=given.payment_days,
        notice_days=given.notice_days,
        participants=None if given.insurers == "all" else tuple(sorted(set(given.insurers))),
        valid_from=given.valid_from,
        valid_to=given.valid_to,
    )
