"""A convention to read and to print: its text from Markdown, its terms below, as HTML or PDF."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from fpdf import FontFace, TextStyle
from fpdf.errors import FPDFException
from markdown_it import MarkdownIt
from markupsafe import Markup

from tpgateway.conventions.errors import ConventionUnreadable
from tpgateway.conventions.model import Convention, ConventionId, ConventionTerms
from tpgateway.guarantees.model import Domain
from tpgateway.guarantees.sentences import DOMAINS_FR
from tpgateway.money import format_fr
from tpgateway.paper import day_fr
from tpgateway.paper.html import write_page
from tpgateway.paper.pdf import Paper, printable
from tpgateway.web.routing import PARIS

# Tables as everybody writes them. What looks like HTML in the source is shown as text, and nothing is fetched to be shown.
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def refuse_unprintable(terms: ConventionTerms) -> None:
    """Raises ``ConventionUnreadable`` for a text that could be published and then not be shown to who must sign it."""
    draft = Convention(
        id=ConventionId(UUID(int=0)), version=1, text_hash=b"", terms=terms, published_at=datetime.now(UTC)
    )
    try:
        to_html(draft)
        to_pdf(draft)
    except (FPDFException, ValueError, LookupError, OSError) as error:
        raise ConventionUnreadable(f"{terms.specialty}.md cannot be printed: {error}") from None


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
        ul_bullet_char="-",
        li_prefix_color=(0, 0, 0),
        tag_styles={
            "h2": TextStyle(font_style="B", font_size_pt=13, t_margin=5, b_margin=0),
            "h3": TextStyle(font_style="B", font_size_pt=11, t_margin=4, b_margin=0),
            "h4": TextStyle(font_style="B", font_size_pt=10, t_margin=4, b_margin=0),
            "h5": TextStyle(font_style="B", font_size_pt=10, t_margin=4, b_margin=0),
            "h6": TextStyle(font_style="B", font_size_pt=10, t_margin=4, b_margin=0),
            "blockquote": TextStyle(color=(90, 90, 90), t_margin=2, b_margin=2),
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
        for tariff in tariffs:
            domain = f", {_domain(tariff.domain).lower()}" if tariff.domain else ""
            pdf.write_amount(f"{tariff.code}{domain}", tariff.label, format_fr(tariff.amount_cents))
    return pdf.as_bytes()


def _body(terms: ConventionTerms) -> str:
    """The text as HTML under the title: without the heading that only repeats it, or else one level down."""
    tokens, down = _markdown.parse(terms.text_markdown), 1
    if len(tokens) > 2 and (tokens[0].tag, tokens[1].content.strip()) == ("h1", terms.title.strip()):
        tokens, down = tokens[3:], 0
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + down, 6)}"
        for part in token.children or ():
            if part.type == "link_open" and str(part.attrs.get("href", "")).startswith("#"):
                part.attrs["href"] = ""  # headings have no names to go to
    written: str = _markdown.renderer.render(tokens, _markdown.options, {})
    return written


def _facts(convention: Convention) -> Iterator[tuple[str, str]]:
    terms = convention.terms
    yield "Version", f"{convention.version}, publiée le {day_fr(convention.published_at.astimezone(PARIS).date())}"
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
