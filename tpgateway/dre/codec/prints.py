"""Tables for people: by group, what is covered and how, then whose cards lead there. As a page and as a PDF."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from tpgateway.dre.model import ConventionLine, GuaranteeLine, Tables, Version
from tpgateway.guarantees.model import Domain, Formula, FormulaKind, Per
from tpgateway.guarantees.sentences import DOMAINS_FR, benefit_fr, formula_fr
from tpgateway.money import Cents
from tpgateway.paper import day_fr
from tpgateway.paper.html import write_page
from tpgateway.paper.pdf import Paper
from tpgateway.practitioners.sentences import SPECIALTIES_FR


@dataclass(frozen=True, slots=True, kw_only=True)
class _Benefit:
    name: str
    formula: str
    needs_approval: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """What one group comes to: products with their benefits, and the insurers with their convention types."""

    name: str
    facts: tuple[tuple[str, str], ...]
    products: Mapping[str, tuple[_Benefit, ...]]
    insurers: tuple[tuple[str, str, str], ...]


def to_html(version: Version, tables: Tables, names: Mapping[str, str]) -> bytes:
    """A page that stands alone; ``names`` are the insurers' by AMC number."""
    return write_page(
        "dre/tables.html",
        title=_title(tables),
        facts=_facts(version, tables),
        groups=_groups(tables, names),
        note=version.note,
        version=version,
    )


def to_pdf(version: Version, tables: Tables, names: Mapping[str, str]) -> bytes:
    """The same to print, with the same bytes each time."""
    made_at = datetime.combine(version.effective_from, time(), UTC)
    pdf = Paper(_title(tables), foot=f"Tables DRE, version {version.version}", made_at=made_at)
    for name, value in _facts(version, tables):
        pdf.fact(name, value)
    if version.note:
        pdf.ln(2)
        pdf.write_line(version.note)
    for group in _groups(tables, names):
        pdf.ln(5)
        pdf.write_heading(f"Groupe {group.name}", size=13)
        for name, value in group.facts:
            pdf.fact(name, value)
        pdf.ln(1)
        pdf.write_heading("Cartes concernées")
        for number, insurer, kinds in group.insurers:
            pdf.write_line(f"{number} {insurer} : {kinds}", height=5)
        for product, benefits in group.products.items():
            pdf.ln(1)
            pdf.write_heading(f"Produit {product}")
            for benefit in benefits:
                note = " ; accord préalable" if benefit.needs_approval else ""
                pdf.write_line(f"{benefit.name} : {benefit.formula}{note}", height=5)
    return pdf.as_bytes()


def say(table: str, line: Mapping[str, Any]) -> str:
    """A line of a table in words; of one that is gone, whose key alone is known, what it was about."""
    if table == "grouping":
        card = " ".join(filter(None, (line["amc_number"], line["convention_type"], line["csr"])))
        return f"Carte {card}" + (f" : groupe {line['group']}" if "group" in line else "")
    if table == "convention":
        known = len(line) > 1
        facts = (
            "".join(f" ; {name.lower()} : {value}" for name, value in _group_facts(ConventionLine(**line)))
            if known
            else ""
        )
        return f"Groupe {line['group']}{facts}"
    what = f"Groupe {line['group']}, produit {line['product_code']}"
    if "formula" not in line:
        return f"{what} : {benefit_fr(line['benefit'])}"
    benefit = _benefit(GuaranteeLine(**line))
    note = " ; accord préalable" if benefit.needs_approval else ""
    return f"{what} : {benefit.name}, {benefit.formula}{note}"


def _title(tables: Tables) -> str:
    return f"Tables DRE : {SPECIALTIES_FR[tables.specialty].lower()}"


def _facts(version: Version, tables: Tables) -> list[tuple[str, str]]:
    facts = [
        ("Version", str(version.version)),
        ("En vigueur", f"pour les soins à partir du {day_fr(version.effective_from)}"),
        ("Organismes", str(len({line.amc_number for line in tables.grouping}))),
        ("Groupes", str(len(tables.convention))),
    ]
    if version.restores is not None:
        facts.append(("Rétablit", f"les tables de la version {version.restores}"))
    return facts


def _groups(tables: Tables, names: Mapping[str, str]) -> Iterator[_Group]:
    """The groups, in the order of the first insurer of each."""
    cards: dict[str, dict[str, list[str]]] = {}
    for line in tables.grouping:
        kind = " ".join(filter(None, (line.convention_type, line.csr))) or "tous les types"
        cards.setdefault(line.group, {}).setdefault(line.amc_number, []).append(kind)
    guarantees: dict[str, list[GuaranteeLine]] = {}
    for each in tables.guarantee:
        guarantees.setdefault(each.group, []).append(each)
    conventions = {each.group: each for each in tables.convention}
    for group, insurers in cards.items():
        products: dict[str, list[_Benefit]] = {}
        for each in guarantees.get(group, ()):
            products.setdefault(each.product_code, []).append(_benefit(each))
        yield _Group(
            name=group,
            facts=tuple(_group_facts(conventions[group])),
            products={code: tuple(benefits) for code, benefits in products.items()},
            insurers=tuple((number, names.get(number, ""), ", ".join(kinds)) for number, kinds in insurers.items()),
        )


def _group_facts(line: ConventionLine) -> Iterator[tuple[str, str]]:
    yield "Domaines", _domains(line.domains)
    until = f" au {_day(line.valid_to)}" if line.valid_to else ""
    yield "Convention", f"à partir du {_day(line.valid_from)}{until}"
    yield "Paiement", f"sous {line.payment_days} jours"
    yield "Accord préalable", _domains(line.approval_domains) or "jamais"


def _benefit(line: GuaranteeLine) -> _Benefit:
    formula = Formula(
        kind=FormulaKind(line.formula),
        per=Per(line.per),
        rate_basis_points=line.rate_basis_points,
        amount_cents=None if line.amount_cents is None else Cents(line.amount_cents),
        ceiling_cents=None if line.ceiling_cents is None else Cents(line.ceiling_cents),
    )
    return _Benefit(
        name=benefit_fr(line.benefit), formula=formula_fr(formula), needs_approval=line.approval == "required"
    )


def _domains(codes: str) -> str:
    return ", ".join(DOMAINS_FR[Domain(code)] for code in codes.split())


def _day(text: str) -> str:
    return day_fr(date.fromisoformat(text))
