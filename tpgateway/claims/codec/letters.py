"""The letter of an approval or a refusal, as a PDF that prints the same each time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tpgateway.claims.model import Item, PriorApproval, State, Stay
from tpgateway.claims.sentences import ITEMS_FR
from tpgateway.errors import REASONS
from tpgateway.insurers.model import Reference
from tpgateway.money import Cents, format_fr
from tpgateway.paper import day_fr
from tpgateway.web.routing import PARIS

if TYPE_CHECKING:
    from tpgateway.paper.pdf import Paper

_TITLES = {
    State.APPROVED: "Accord de prise en charge",
    State.USED: "Prise en charge facturée",
    State.PARTIALLY_APPROVED: "Accord partiel de prise en charge",
    State.REFUSED: "Refus de prise en charge",
}
_UNITS = dict.fromkeys((Item.DAILY_FEE, Item.SINGLE_ROOM, Item.ACCOMPANYING_BED), "jours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who the letter is between."""

    insurer_name: str
    practitioner_name: str
    network_contact: str


def has_letter(state: State) -> bool:
    """Whether there is something to put in a letter: a decision that stands."""
    return state in _TITLES


def write_letter(approval: PriorApproval, parties: Parties, *, decided_at: datetime) -> bytes:
    """The letter of a decided approval, in French; to be called aside from the event loop."""
    from tpgateway.paper.pdf import Paper  # noqa: PLC0415  # 25 MB and a quarter of a second, for this alone

    reference = Reference(insurer_number=approval.insurer_number, id=approval.id)
    title, reason = _TITLES[approval.state], REASONS[approval.code]
    pdf = Paper(
        title,
        foot=f"Référence {reference}. Une question : {parties.network_contact}",
        made_at=decided_at.astimezone(UTC),
    )
    pdf.write_line(reason.message_fr)
    if approval.comment:
        pdf.write_line(f"Commentaire de l'organisme : {approval.comment}")
    pdf.ln(3)
    for name, value in _facts(approval, parties, decided_at):
        pdf.fact(name, value)
    pdf.ln(4)
    _table(pdf, approval)
    pdf.ln(4)
    if reason.next_step_fr:
        pdf.write_heading("Et maintenant ?")
        pdf.write_line(reason.next_step_fr)
    if approval.usable_until and approval.billable_until:
        pdf.write_line(
            f"Valable jusqu'au {day_fr(approval.usable_until)}, à facturer au plus tard le {day_fr(approval.billable_until)}."
        )
    return pdf.as_bytes()


def _facts(approval: PriorApproval, parties: Parties, decided_at: datetime) -> list[tuple[str, str]]:
    born = approval.birth_date
    request = approval.request
    facts = [
        ("Référence", str(Reference(insurer_number=approval.insurer_number, id=approval.id))),
        ("Décision du", day_fr(decided_at.astimezone(PARIS).date())),
        ("Organisme", f"{parties.insurer_name} ({approval.insurer_number})"),
        ("Professionnel", parties.practitioner_name),
        (
            "Bénéficiaire",
            f"adhérent {approval.membership_number}, né(e) le {born[6:]}/{born[4:6]}/{born[:4]}, rang {approval.birth_rank}",
        ),
    ]
    if isinstance(request, Stay):
        facts.append(
            ("Séjour", f"du {day_fr(request.entry_date)} au {day_fr(request.exit_date)}, FINESS {request.finess}")
        )
    else:
        facts.append(("Soins", f"le {day_fr(approval.care_date)}, ordonnance du {day_fr(request.prescription_date)}"))
    return facts


def _table(pdf: "Paper", approval: PriorApproval) -> None:
    from fpdf.enums import TableBordersLayout  # noqa: PLC0415  # as above
    from fpdf.fonts import FontFace  # noqa: PLC0415

    from tpgateway.paper.pdf import printable  # noqa: PLC0415

    head = FontFace(emphasis="BOLD", fill_color=235)
    pdf.set_font(size=9)
    with pdf.table(
        col_widths=(30, 16, 16, 16, 18, 54),
        text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT", "LEFT"),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=head,
        line_height=5,
        padding=1,
    ) as table:
        table.row([printable(name) for name in ("Élément", "Prix", "AMO", "Accordé", "Reste à charge", "Motif")])
        for line in approval.lines:
            asked = line.asked
            name = ITEMS_FR[asked.item] + (
                f" ({asked.units} {_UNITS.get(asked.item, 'actes')})" if asked.units > 1 else ""
            )
            amounts = (asked.price, asked.amo, line.granted, line.patient)
            why = REASONS[line.code].message_fr
            if line.available_from is not None:
                why += f" À partir du {day_fr(line.available_from)}."
            if line.limit is not None:
                why += f" Limite : {format_fr(line.limit)}."
            cells = [name, *(format_fr(amount) for amount in amounts), why]
            table.row([printable(cell) for cell in cells])
        sums = [
            sum(line.asked.price for line in approval.lines),
            sum(line.asked.amo for line in approval.lines),
            sum(line.granted for line in approval.lines),
            sum(line.patient for line in approval.lines),
        ]
        not_due = Cents(sum(line.not_due for line in approval.lines))
        note = f"{format_fr(not_due)} ne sont dus par personne et ne peuvent pas être facturés." if not_due else ""
        table.row([printable(cell) for cell in ("Total", *(format_fr(Cents(each)) for each in sums), note)], style=head)
    pdf.set_font(size=10)
