"""Pages that stand alone: a file to open, keep and print, which asks nothing of any server."""

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from tpgateway.money import format_fr
from tpgateway.paper import day_fr

# What a browser may do with such a page: show it in its own style, and nothing else.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def _load(name: str) -> str:
    package, _, page = name.partition("/")
    return files(f"tpgateway.{package}").joinpath("templates", page).read_text(encoding="utf-8")


_pages = Environment(
    loader=FunctionLoader(_load), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_pages.filters["day"] = day_fr
_pages.filters["amount"] = format_fr


def write_page(page: str, **values: object) -> bytes:
    """The page ``DOMAIN/NAME.html``, which extends ``paper/base.html``; ``values`` are what it names."""
    return _pages.get_template(page).render(**values).encode()
