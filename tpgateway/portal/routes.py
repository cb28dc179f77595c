"""The pages: method, path, handler."""

from importlib.resources import files
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from tpgateway.portal import account, counter, entry, lost, pages, papers
from tpgateway.practitioners.client import ProSanteConnect
from tpgateway.web.frame import ERROR_PAGE
from tpgateway.web.state import STATE

_FOLDER = Path(str(files("tpgateway.portal")))

PAGES = [
    ("GET", "/", pages.home),
    ("GET", "/activation/{token}", entry.activation),
    ("POST", "/activation/{token}", entry.activate),
    ("GET", "/connexion", entry.login),
    ("POST", "/connexion", entry.log_in),
    ("GET", "/connexion/code", entry.code),
    ("POST", "/connexion/code", entry.give_code),
    ("POST", "/connexion/code/envoi", entry.send_code),
    ("GET", "/connexion/pro-sante-connect", entry.psc),
    ("GET", "/connexion/pro-sante-connect/retour", entry.psc_return),
    ("GET", "/mot-de-passe-oublie", lost.lost_password),
    ("POST", "/mot-de-passe-oublie", lost.ask_password_reset),
    ("GET", "/mot-de-passe/{token}", lost.new_password),
    ("POST", "/mot-de-passe/{token}", lost.set_new_password),
    ("GET", "/identifiant-oublie", lost.lost_identifier),
    ("POST", "/identifiant-oublie", lost.ask_reminder),
    ("GET", "/adresse/{token}", lost.confirmation),
    ("POST", "/adresse/{token}", lost.confirm_email),
    ("GET", "/invitation/{token}", lost.invitation),
    ("POST", "/invitation/{token}", lost.accept_invitation),
    ("GET", "/coordonnees-bancaires/{token}", lost.revocation),
    ("POST", "/coordonnees-bancaires/{token}", lost.revoke_bank_details),
    ("POST", "/deconnexion", entry.log_out),
    ("GET", "/comptoir", counter.counter),
    ("POST", "/comptoir", counter.check),
    ("POST", "/comptoir/photo", counter.check_photo),
    ("GET", "/convention", papers.convention),
    ("POST", "/convention/signature", papers.sign),
    ("POST", "/convention/depart", papers.leave),
    ("GET", "/tables", papers.tables_page),
    ("POST", "/tables/avis", papers.change_news),
    ("GET", "/compte", account.account),
    ("POST", "/compte/acces", account.create_client),
    ("GET", "/static/{name}", pages.static),
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
    app[ERROR_PAGE] = pages.error_page
    app[entry.PSC] = ProSanteConnect(app[STATE].settings)
