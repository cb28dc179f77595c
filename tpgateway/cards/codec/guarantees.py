"""What an insured person's product pays in the domain that was checked: a table to show and to print."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.model import CardCheck, Verdict
from tpgateway.guarantees.model import Approval
from tpgateway.guarantees.sentences import DOMAINS_FR, benefit_fr, conditions_fr, formula_fr
from tpgateway.paper import day_fr
from tpgateway.paper.html import write_page


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """A covered check and the names that go with it."""

    check: CardCheck
    verdict: Verdict
    product_name: str
    insurer_name: str

    @property
    def title(self) -> str:
        return f"Garanties : {DOMAINS_FR[self.check.ask.domain].lower()}"

    def facts(self) -> Iterator[tuple[str, str]]:
        """Whose product it is and until when, with no more of the person than the practice asked by."""
        check = self.check
        yield "Organisme", f"{self.insurer_name} ({check.ask.card.insurer_number})"
        yield "Produit", self.product_name
        yield "Adhérent", f"{check.person.membership_number}, rang {check.person.birth_rank}"
        yield "Soins du", day_fr(check.ask.care_date)
        if check.found.rights_to:
            yield "Droits", f"jusqu'au {day_fr(check.found.rights_to)}"
        yield "Preuve", f"{format_proof(check.proof)}, jusqu'au {day_fr(check.proof_expires_at.date())}"

    def rows(self) -> Sequence[tuple[str, str, str, str]]:
        """Benefit, what the insurer pays, conditions, whether an approval comes first."""
        return [
            (
                benefit_fr(line.benefit),
                formula_fr(line.formula),
                conditions_fr(line),
                "oui" if line.approval is Approval.REQUIRED else "non",
            )
            for line in self.verdict.benefits
        ]


HEADINGS = ("Garantie", "L'organisme paie", "Conditions", "Accord préalable")


def to_html(cover: Cover) -> bytes:
    """A page that stands alone."""
    return write_page(
        "cards/guarantees.html",
        title=cover.title,
        facts=list(cover.facts()),
        headings=HEADINGS,
        rows=cover.rows(),
    )


def to_pdf(cover: Cover, *, network_contact: str) -> bytes:
    """The same to print."""
    from fpdf.enums import TableBordersLayout  # noqa: PLC0415  # 25 MB, for this alone
    from fpdf.fonts import FontFace  # noqa: PLC0415

    from tpgateway.paper.pdf import Paper, printable  # noqa: PLC0415

    pdf = Paper(cover.title, foot=f"Une question : {network_contact}", made_at=cover.check.ask.checked_at)
    for name, value in cover.facts():
        pdf.fact(name, value)
    pdf.ln(4)
    pdf.set_font(size=9)
    with pdf.table(
        col_widths=(48, 66, 38, 22),
        text_align="LEFT",
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(emphasis="BOLD", fill_color=235),
        line_height=5,
        padding=1,
    ) as table:
        for row in (HEADINGS, *cover.rows()):
            table.row([printable(cell) for cell in row])
    return pdf.as_bytes()
