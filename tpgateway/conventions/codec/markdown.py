"""A convention's text as HTML, and its terms in French."""

from collections.abc import Iterator

from markdown_it import MarkdownIt

from tpgateway.conventions.model import Convention, ConventionTerms
from tpgateway.guarantees.model import Domain
from tpgateway.guarantees.sentences import DOMAINS_FR
from tpgateway.paper import day_fr
from tpgateway.web.routing import PARIS

# Tables as everybody writes them. What looks like HTML in the source is shown as text, and nothing is fetched to be shown.
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def body_html(terms: ConventionTerms) -> str:
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


def facts_fr(convention: Convention) -> Iterator[tuple[str, str]]:
    """The terms as people read them: what each is called, and what it says."""
    terms = convention.terms
    yield "Version", f"{convention.version}, publiée le {day_fr(convention.published_at.astimezone(PARIS).date())}"
    until = f" au {day_fr(terms.valid_to)}" if terms.valid_to else ""
    yield "En vigueur", f"à partir du {day_fr(terms.valid_from)}{until}"
    yield "Domaines", ", ".join(domain_fr(each) for each in terms.domains)
    yield (
        "Accord préalable",
        ", ".join(domain_fr(each) for each in terms.approval_domains) or "selon le contrat de l'assuré",
    )
    yield "Paiement", f"sous {terms.payment_days} jours"
    yield "Préavis", f"{terms.notice_days} jours pour quitter la convention"
    yield "Organismes", "tous ceux du réseau" if terms.participants is None else ", ".join(terms.participants)


def domain_fr(domain: Domain | None) -> str:
    """A domain, or that it is all of them."""
    return DOMAINS_FR[domain] if domain else "tous les domaines"
