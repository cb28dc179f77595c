"""A convention to read and to print: its text from Markdown, its terms below, as HTML or PDF."""

from collections.abc import Iterator

from fpdf import FontFace, TextStyle
from markdown_it import MarkdownIt
from markupsafe import Markup

from tpgateway.conventions.model import Convention, ConventionTerms
from tpgateway.guarantees.model import Domain
from tpgateway.guarantees.sentences import DOMAINS_FR
from tpgateway.money import format_fr
from tpgateway.paper import day_fr
from tpgateway.paper.html import write_page
from tpgateway.paper.pdf import Paper, printable

# Tables as everybody writes them; what looks like HTML in the source is shown as text.
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


def to_html(convention: Convention) -> bytes:
    """A page that stands alone; raises nothing, whatever the text holds."""
    return write_page(
        "conventions/convention.html",
        title=convention.terms.title,
        convention=convention,
        terms=convention.terms,
        text=Markup(_body(convention.terms)),  # noqa: S704  # made by the line above from Markdown, HTML turned off
        facts=list(_facts(convention)),
        domain_fr=_domain,
    )


def to_pdf(convention: Convention) -> bytes:
    """The same as a PDF, whose bytes are the same each time."""
    pdf = Paper(convention.terms.title, foot=_foot(convention), made_at=convention.published_at)
    for name, value in _facts(convention):
        pdf.fact(name, value)
    pdf.ln(3)
    pdf.write_html(
        printable(_body(convention.terms)),
        tag_styles={
            "h2": TextStyle(font_style="B", font_size_pt=13, t_margin=5, b_margin=-2),
            "h3": TextStyle(font_style="B", font_size_pt=11, t_margin=4, b_margin=-2),
            "h4": TextStyle(font_style="B", font_size_pt=10, t_margin=4, b_margin=-2),
            "a": FontFace(color=(0, 60, 140)),
        },
    )
    pdf.ln(4)
    if documents := convention.terms.documents:
        pdf.write_heading("Pièces demandées", size=13)
        for document in documents:
            pdf.write_line(document.label + (f" ({_domain(document.domain)})" if document.domain else ""))
        pdf.ln(3)
    if tariffs := convention.terms.tariffs:
        pdf.write_heading("Tarifs convenus", size=13)
        with pdf.table(
            col_widths=(30, 90, 30, 30), text_align=("LEFT", "LEFT", "LEFT", "RIGHT"), line_height=5
        ) as table:
            table.row(("Code", "Libellé", "Domaine", "Tarif"))
            for tariff in tariffs:
                amount = format_fr(tariff.amount_cents)
                table.row([printable(each) for each in (tariff.code, tariff.label, _domain(tariff.domain), amount)])
    return pdf.as_bytes()


def _body(terms: ConventionTerms) -> str:
    """The text as HTML, one level down, and without the heading that only repeats the title."""
    tokens = _markdown.parse(terms.text_markdown)
    if len(tokens) > 2 and (tokens[0].tag, tokens[1].content.strip()) == ("h1", terms.title.strip()):
        tokens = tokens[3:]
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    written: str = _markdown.renderer.render(tokens, _markdown.options, {})
    return written


def _facts(convention: Convention) -> Iterator[tuple[str, str]]:
    terms = convention.terms
    yield "Version", f"{convention.version}, publiée le {day_fr(convention.published_at.date())}"
    until = f" au {day_fr(terms.valid_to)}" if terms.valid_to else ""
    yield "En vigueur", f"à partir du {day_fr(terms.valid_from)}{until}"
    yield "Domaines", ", ".join(_domain(each) for each in terms.domains)
    yield (
        "Accord préalable",
        ", ".join(_domain(each) for each in terms.approval_domains) or "selon le contrat de l'assuré",
    )
    yield "Paiement", f"sous {terms.payment_days} jours"
    yield "Préavis", f"{terms.notice_days} jours pour quitter la convention"
    yield "Organismes", "tous ceux du réseau" if terms.participants is None else ", ".join(terms.participants)


def _domain(domain: Domain | None) -> str:
    return DOMAINS_FR[domain] if domain else "tous les domaines"


def _foot(convention: Convention) -> str:
    return (
        f"{convention.terms.title}, version {convention.version}. SHA-256 du texte : {convention.text_hash.hex()[:16]}…"
    )
