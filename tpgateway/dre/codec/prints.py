"""Tables for people: by group, what is covered and how, then whose cards lead there. As a page and as a PDF."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from tpgateway.dre.model import GuaranteeLine, Tables, Version
from tpgateway.dre.sentences import Benefit, benefit, group_facts
from tpgateway.paper import day_fr
from tpgateway.paper.html import write_page
from tpgateway.paper.pdf import Paper
from tpgateway.practitioners.sentences import SPECIALTIES_FR


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """What one group comes to: products with their benefits, and the insurers with their convention types."""

    name: str
    facts: tuple[tuple[str, str], ...]
    products: Mapping[str, tuple[Benefit, ...]]
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
            for each in benefits:
                note = " ; accord préalable" if each.needs_approval else ""
                pdf.write_line(f"{each.name} : {each.formula}{note}", height=5)
    return pdf.as_bytes()


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
        products: dict[str, list[Benefit]] = {}
        for each in guarantees.get(group, ()):
            products.setdefault(each.product_code, []).append(benefit(each))
        yield _Group(
            name=group,
            facts=tuple(group_facts(conventions[group])),
            products={code: tuple(benefits) for code, benefits in products.items()},
            insurers=tuple((number, names.get(number, ""), ", ".join(kinds)) for number, kinds in insurers.items()),
        )
