"""What an insured person's product pays in the domain that was checked: a table to show and to print."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.model import CardCheck, Verdict
from tpgateway.guarantees.model import Approval
from tpgateway.guarantees.sentences import DOMAINS_FR, benefit_fr, conditions_fr, formula_fr
from tpgateway.paper import day_fr
from tpgateway.paper.html import write_page
from tpgateway.web.routing import PARIS


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
        yield (
            "Preuve",
            f"{format_proof(check.proof)}, jusqu'au {day_fr(check.proof_expires_at.astimezone(PARIS).date())}",
        )

    def table(self) -> Sequence[Sequence[str]]:
        """Headings and rows: benefit, what the insurer pays, conditions if there are any, whether an approval comes first."""
        columns = {
            "Garantie": [benefit_fr(line.benefit) for line in self.verdict.benefits],
            "L'organisme paie": [formula_fr(line.formula) for line in self.verdict.benefits],
            "Conditions": [conditions_fr(line) for line in self.verdict.benefits],
            "Accord préalable": [
                "oui" if line.approval is Approval.REQUIRED else "non" for line in self.verdict.benefits
            ],
        }
        said = {name: cells for name, cells in columns.items() if any(cells)}
        return [list(said), *zip(*said.values(), strict=True)]


def to_html(cover: Cover) -> bytes:
    """A page that stands alone."""
    return write_page(
        "cards/guarantees.html",
        title=cover.title,
        facts=list(cover.facts()),
        headings=cover.table()[0],
        rows=cover.table()[1:],
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
        col_widths={3: (56, 90, 28), 4: (48, 66, 38, 22)}[len(cover.table()[0])],
        text_align="LEFT",
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(emphasis="BOLD", fill_color=235),
        line_height=5,
        padding=1,
    ) as table:
        for row in cover.table():
            table.row([printable(cell) for cell in row])
    return pdf.as_bytes()
