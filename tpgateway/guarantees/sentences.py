"""Domains, benefits and formulas in French, for people who read a product as a table."""

from collections.abc import Iterator, Mapping

from tpgateway.guarantees.model import BenefitLine, Domain, Formula, FormulaKind, Per
from tpgateway.money import Cents, format_fr

DOMAINS_FR: Mapping[Domain, str] = {
    Domain.PHAR: "Pharmacie",
    Domain.MED: "Médecine",
    Domain.AUXM: "Auxiliaires médicaux",
    Domain.LABO: "Laboratoire",
    Domain.RADL: "Radiologie",
    Domain.SAGE: "Sages-femmes",
    Domain.SVIL: "Soins de ville",
    Domain.CSTE: "Centres de santé",
    Domain.EXTE: "Soins externes",
    Domain.OPTI: "Optique",
    Domain.AUDI: "Audioprothèse",
    Domain.DENT: "Dentaire",
    Domain.HOSP: "Hospitalisation",
    Domain.TRAN: "Transport",
}
_CLASSES = {"_a": " (classe A, 100 % Santé)", "_b": " (classe B)"}
_BENEFITS: Mapping[str, str] = {
    "lens_simple": "Verre simple",
    "lens_complex": "Verre complexe",
    "lens_very_complex": "Verre très complexe",
    "frame": "Monture",
    "supplement": "Supplément",
    "copayment": "Ticket modérateur",
    "daily_fee": "Forfait journalier",
    "emergency_fee": "Forfait patient urgences",
    "high_cost_act_fee": "Participation acte lourd",
    "single_room": "Chambre particulière",
    "accompanying_bed": "Lit d'accompagnant",
    "excess_fees": "Dépassements d'honoraires",
    "medicine_65": "Médicaments remboursés à 65 %",
    "medicine_30": "Médicaments remboursés à 30 %",
    "medicine_15": "Médicaments remboursés à 15 %",
}
_PER = {
    Per.ACT: "par acte",
    Per.EQUIPMENT: "par équipement",
    Per.DAY: "par jour",
    Per.STAY: "par séjour",
    Per.YEAR: "par an",
}


def benefit_fr(name: str) -> str:
    """What a benefit is called; insurers may name others, whose code is then shown as it is."""
    if name in _BENEFITS:
        return _BENEFITS[name]
    stem, ending = name[:-2], name[-2:]
    if stem in _BENEFITS and ending in _CLASSES:
        return _BENEFITS[stem] + _CLASSES[ending]
    return name.replace("_", " ").capitalize()


def formula_fr(formula: Formula) -> str:
    """What the insurer pays, in words: ``60 % du reste après l'Assurance maladie, au plus 40,00 € par acte``."""
    per = _PER[formula.per]
    match formula.kind:
        case FormulaKind.PERCENTAGE:
            said = f"{_percent(formula)} de la base de remboursement, part de l'Assurance maladie comprise"
        case FormulaKind.COPAYMENT:
            said = "Ticket modérateur (la base de remboursement, moins la part de l'Assurance maladie)"
        case FormulaKind.REMAINDER:
            said = "Frais réels (tout ce qui reste après l'Assurance maladie)"
        case FormulaKind.FLAT:
            said = f"{_amount(formula.amount_cents)} {per}"
        case FormulaKind.SHARE:
            said = f"{_percent(formula)} de ce qui reste après l'Assurance maladie"
        case FormulaKind.DAILY_SHARE:
            said = f"{_amount(formula.amount_cents)} par jour"
    if formula.ceiling_cents is not None:
        said += f", au plus {_amount(formula.ceiling_cents)} {per}"
    return said


def conditions_fr(line: BenefitLine) -> str:
    """What else holds for a benefit: waiting days, days a year, renewal; empty where nothing does."""

    def parts() -> Iterator[str]:
        if line.waiting_days:
            yield f"à partir du {line.waiting_days + 1}e jour"
        if line.days_covered is not None:
            yield f"{line.days_covered} jours par an au plus"
        if line.renewal_months:
            yield f"renouvelable après {line.renewal_months} mois"
        elif line.renewal_months == 0:
            yield "renouvelable à tout moment"

    said = ", ".join(parts())
    return said[:1].upper() + said[1:]


def _percent(formula: Formula) -> str:
    whole, rest = divmod(formula.rate_basis_points or 0, 100)
    return f"{whole}{f',{rest:02d}'.rstrip('0') if rest else ''}\N{NO-BREAK SPACE}%"


def _amount(cents: Cents | None) -> str:
    return format_fr(Cents(cents or 0))
