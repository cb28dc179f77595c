"""A convention to read and to print: its text from Markdown, its terms below, as HTML or PDF."""

from datetime import UTC, datetime
from uuid import UUID

from fpdf import FontFace, TextStyle
from fpdf.errors import FPDFException
from markupsafe import Markup

from tpgateway.conventions.codec.markdown import body_html, domain_fr, facts_fr
from tpgateway.conventions.errors import ConventionUnreadable
from tpgateway.conventions.model import Convention, ConventionId, ConventionTerms
from tpgateway.money import format_fr
from tpgateway.paper.html import write_page
from tpgateway.paper.pdf import Paper, printable


def refuse_unprintable(terms: ConventionTerms) -> None:
    """Raises ``ConventionUnreadable`` for a text that could be published and then not be shown to who must sign it."""
    draft = Convention(
        id=ConventionId(UUID(int=0)), version=1, text_hash=b"", terms=terms, published_at=datetime.now(UTC)
    )
    try:
        to_html(draft)
        to_pdf(draft)
    except (FPDFException, NotImplementedError, ValueError, LookupError, OSError) as error:
        raise ConventionUnreadable(f"{terms.specialty}.md cannot be printed: {error}") from None


def to_html(convention: Convention) -> bytes:
    """A page that stands alone; raises nothing, whatever the text holds."""
    return write_page(
        "conventions/convention.html",
        title=convention.terms.title,
        convention=convention,
        terms=convention.terms,
        text=Markup(body_html(convention.terms)),  # noqa: S704  # made by the line above from Markdown, HTML turned off
        facts=list(facts_fr(convention)),
        domain_fr=domain_fr,
    )


def to_pdf(convention: Convention) -> bytes:
    """The same as a PDF, whose bytes are the same each time."""
    pdf = Paper(convention.terms.title, foot=_foot(convention), made_at=convention.published_at)
    for name, value in facts_fr(convention):
        pdf.fact(name, value)
    pdf.ln(3)
    pdf.write_html(
        printable(body_html(convention.terms)),
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
            pdf.write_line(document.label + (f" ({domain_fr(document.domain)})" if document.domain else ""))
        pdf.ln(3)
    if tariffs := convention.terms.tariffs:
        pdf.write_heading("Tarifs convenus", size=13)
        for tariff in tariffs:
            domain = f", {domain_fr(tariff.domain).lower()}" if tariff.domain else ""
            pdf.write_amount(f"{tariff.code}{domain}", tariff.label, format_fr(tariff.amount_cents))
    return pdf.as_bytes()


def _foot(convention: Convention) -> str:
    return (
        f"{convention.terms.title}, version {convention.version}. SHA-256 du texte : {convention.text_hash.hex()[:16]}…"
    )
