"""The pages: method, path, handler."""

from importlib.resources import files
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from tpgateway.portal import handlers
from tpgateway.web.frame import ERROR_PAGE

_FOLDER = Path(str(files("tpgateway.portal")))

PAGES = [
    ("GET", "/", handlers.home),
    ("GET", "/activation/{token}", handlers.activation),
    ("POST", "/activation/{token}", handlers.activate),
    ("GET", "/connexion", handlers.login),
    ("POST", "/connexion", handlers.log_in),
    ("POST", "/deconnexion", handlers.log_out),
    ("GET", "/compte", handlers.account),
    ("POST", "/compte/acces", handlers.create_client),
    ("GET", "/static/{name}", handlers.static),
]


def mount(app: web.Application) -> None:
    """Adds the pages to the application."""
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for method, path, handler in PAGES:
        app.router.add_route(method, path, handler, name=f"portal.{handler.__name__}")
        if method == "GET":
            app.router.add_route("HEAD", path, handler)
    app[ERROR_PAGE] = handlers.error_page
