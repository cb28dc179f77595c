"""What lines of tables say, in French."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from tpgateway.dre.model import ConventionLine, GuaranteeLine
from tpgateway.guarantees.model import Domain, Formula, FormulaKind, Per
from tpgateway.guarantees.sentences import DOMAINS_FR, benefit_fr, formula_fr
from tpgateway.money import Cents
from tpgateway.paper import day_fr


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefit:
    """A benefit of a product, as people read it."""

    name: str
    formula: str
    needs_approval: bool


def say(table: str, line: Mapping[str, Any]) -> str:
    """A line of a table in words; of one that is gone, whose key alone is known, what it was about."""
    if table == "grouping":
        card = " ".join(filter(None, (line["amc_number"], line["convention_type"], line["csr"])))
        return f"Carte {card}" + (f" : groupe {line['group']}" if "group" in line else "")
    if table == "convention":
        known = len(line) > 1
        facts = (
            "".join(f" ; {name.lower()} : {value}" for name, value in group_facts(ConventionLine(**line)))
            if known
            else ""
        )
        return f"Groupe {line['group']}{facts}"
    what = f"Groupe {line['group']}, produit {line['product_code']}"
    if "formula" not in line:
        return f"{what} : {benefit_fr(line['benefit'])}"
    said = benefit(GuaranteeLine(**line))
    note = " ; accord préalable" if said.needs_approval else ""
    return f"{what} : {said.name}, {said.formula}{note}"


def group_facts(line: ConventionLine) -> Iterator[tuple[str, str]]:
    """What a group comes to, by name."""
    yield "Domaines", _domains(line.domains)
    until = f" au {_day(line.valid_to)}" if line.valid_to else ""
    yield "Convention", f"à partir du {_day(line.valid_from)}{until}"
    yield "Paiement", f"sous {line.payment_days} jours"
    yield "Accord préalable", _domains(line.approval_domains) or "jamais"


def benefit(line: GuaranteeLine) -> Benefit:
    """What a line of guarantees says."""
    formula = Formula(
        kind=FormulaKind(line.formula),
        per=Per(line.per),
        rate_basis_points=line.rate_basis_points,
        amount_cents=None if line.amount_cents is None else Cents(line.amount_cents),
        ceiling_cents=None if line.ceiling_cents is None else Cents(line.ceiling_cents),
    )
    return Benefit(
        name=benefit_fr(line.benefit), formula=formula_fr(formula), needs_approval=line.approval == "required"
    )


def _domains(codes: str) -> str:
    return ", ".join(DOMAINS_FR[Domain(code)] for code in codes.split())


def _day(text: str) -> str:
    return day_fr(date.fromisoformat(text))
