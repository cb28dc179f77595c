"""The pages: method, path, handler."""

from importlib.resources import files
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from tpgateway.portal import handlers
from tpgateway.practitioners.client import ProSanteConnect
from tpgateway.web.frame import ERROR_PAGE
from tpgateway.web.state import STATE

_FOLDER = Path(str(files("tpgateway.portal")))

PAGES = [
    ("GET", "/", handlers.home),
    ("GET", "/activation/{token}", handlers.activation),
    ("POST", "/activation/{token}", handlers.activate),
    ("GET", "/connexion", handlers.login),
    ("POST", "/connexion", handlers.log_in),
    ("GET", "/connexion/code", handlers.code),
    ("POST", "/connexion/code", handlers.give_code),
    ("POST", "/connexion/code/envoi", handlers.send_code),
    ("GET", "/connexion/pro-sante-connect", handlers.psc),
    ("GET", "/connexion/pro-sante-connect/retour", handlers.psc_return),
    ("GET", "/mot-de-passe-oublie", handlers.lost_password),
    ("POST", "/mot-de-passe-oublie", handlers.ask_password_reset),
    ("GET", "/mot-de-passe/{token}", handlers.new_password),
    ("POST", "/mot-de-passe/{token}", handlers.set_new_password),
    ("GET", "/identifiant-oublie", handlers.lost_identifier),
    ("POST", "/identifiant-oublie", handlers.ask_reminder),
    ("GET", "/adresse/{token}", handlers.confirmation),
    ("POST", "/adresse/{token}", handlers.confirm_email),
    ("GET", "/invitation/{token}", handlers.invitation),
    ("POST", "/invitation/{token}", handlers.accept_invitation),
    ("GET", "/coordonnees-bancaires/{token}", handlers.revocation),
    ("POST", "/coordonnees-bancaires/{token}", handlers.revoke_bank_details),
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
    app[handlers.PSC] = ProSanteConnect(app[STATE].settings)
