"""The pages: method, path, handler."""

import re
from importlib.resources import files
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from tpgateway.guarantees.sentences import benefit_fr
from tpgateway.portal import (
    account,
    approvals,
    asking,
    counter,
    entry,
    french,
    lost,
    pages,
    papers,
    people,
    public,
    registration,
    security,
)
from tpgateway.portal.desk import deliveries, office, reviews, rights
from tpgateway.practitioners.client import ProSanteConnect
from tpgateway.web.frame import ERROR_PAGE
from tpgateway.web.state import STATE

_FOLDER = Path(str(files("tpgateway.portal")))

PAGES = [
    ("GET", "/", public.home),
    ("GET", "/aide", public.help_page),
    ("GET", "/conditions", public.terms),
    ("GET", "/confidentialite", public.privacy),
    ("GET", "/etat", public.status),
    ("GET", "/inscription", registration.registration),
    ("POST", "/inscription", registration.step),
    ("POST", "/inscription/controle", registration.check),
    ("POST", "/activation", entry.ask_activation),
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
    ("GET", "/demandes", approvals.list_page),
    ("POST", "/demandes", approvals.search),
    ("GET", "/demandes/nouvelle/{kind}", asking.new),
    ("POST", "/demandes/nouvelle/{kind}", asking.submit),
    ("POST", "/demandes/nouvelle/{kind}/simulation", asking.simulate),
    ("GET", "/demandes/{id}", approvals.show),
    ("GET", "/demandes/{id}/modification", asking.change_form),
    ("POST", "/demandes/{id}/modification", asking.change),
    ("POST", "/demandes/{id}/modification/simulation", asking.simulate_change),
    ("GET", "/demandes/{id}/prolongation", asking.extension_form),
    ("POST", "/demandes/{id}/prolongation", asking.extend),
    ("POST", "/demandes/{id}/prolongation/simulation", asking.simulate_extension),
    ("POST", "/demandes/{id}/annulation", approvals.cancel),
    ("POST", "/demandes/{id}/contestation", approvals.appeal),
    ("POST", "/demandes/{id}/reponse", approvals.inform),
    ("POST", "/demandes/{id}/facturation", approvals.use),
    ("GET", "/convention", papers.convention),
    ("POST", "/convention/signature", papers.sign),
    ("POST", "/convention/depart", papers.leave),
    ("GET", "/tables", papers.tables_page),
    ("GET", r"/tables/{version:[1-9]\d{0,8}}/depuis/{older:[1-9]\d{0,8}}", papers.changes_page),
    ("POST", "/tables/avis", papers.change_news),
    ("GET", "/compte", account.account),
    ("POST", "/compte", account.change_coordinates),
    ("POST", "/compte/numeros", account.add_identifier),
    ("GET", "/compte/banque", account.bank),
    ("POST", "/compte/banque", account.change_bank),
    ("POST", "/compte/banque/retrait", account.revoke_bank),
    ("GET", "/compte/equipe", people.people),
    ("POST", "/compte/equipe", people.invite),
    ("POST", "/compte/equipe/{id}/role", people.change_role),
    ("POST", "/compte/equipe/{id}/retrait", people.remove_member),
    ("GET", "/compte/acces", account.clients),
    ("POST", "/compte/acces", account.create_client),
    ("POST", "/compte/acces/{id}/secret", account.rotate_client),
    ("POST", "/compte/acces/{id}/retrait", account.revoke_client),
    ("GET", "/compte/securite", security.security),
    ("POST", "/compte/securite/mot-de-passe", security.change_password),
    ("POST", "/compte/securite/adresse", security.change_email),
    ("POST", "/compte/securite/application", security.begin_totp),
    ("POST", "/compte/securite/application/code", security.confirm_totp),
    ("POST", "/compte/securite/application/retrait", security.remove_totp),
    ("POST", "/compte/securite/codes", security.renew_codes),
    ("POST", "/compte/securite/sessions", security.end_session),
    ("GET", "/compte/journal", people.journal),
    ("GET", "/assureur/connexion", entry.desk_login),
    ("POST", "/assureur/connexion", entry.desk_log_in),
    ("GET", "/assureur/mot-de-passe-oublie", lost.desk_lost_password),
    ("POST", "/assureur/mot-de-passe-oublie", lost.desk_ask_password_reset),
    ("GET", "/assureur/mot-de-passe/{token}", lost.desk_new_password),
    ("POST", "/assureur/mot-de-passe/{token}", lost.desk_set_new_password),
    ("GET", "/assureur", reviews.waiting),
    ("GET", "/assureur/demandes", reviews.all_approvals),
    ("POST", "/assureur/demandes", reviews.search),
    ("GET", "/assureur/demandes/{id}", reviews.show),
    ("POST", "/assureur/demandes/{id}/decision", reviews.decide),
    ("POST", "/assureur/demandes/{id}/question", reviews.ask),
    ("GET", "/assureur/demandes/{id}/lettre", reviews.letter),
    ("GET", "/assureur/demandes/{id}/pieces/{attachment_id}", reviews.attachment),
    ("GET", "/assureur/livraisons", deliveries.deliveries),
    ("POST", "/assureur/livraisons/{id}/evenement", deliveries.post_again),
    ("POST", "/assureur/livraisons/{id}/periode", deliveries.post_period_again),
    ("POST", "/assureur/livraisons/{id}/etat", deliveries.change),
    ("GET", "/assureur/droits", rights.rights),
    ("POST", "/assureur/droits", rights.send),
    ("GET", "/assureur/droits/{id}/rejets", rights.rejects),
    ("GET", "/assureur/produits", office.products),
    ("GET", "/assureur/chiffres", office.figures),
    ("GET", "/assureur/equipe", office.team),
    ("POST", "/assureur/equipe", office.invite),
    ("POST", "/assureur/equipe/{id}/role", office.change_role),
    ("POST", "/assureur/equipe/{id}/retrait", office.remove),
    ("GET", "/static/{name}", pages.static),
]


def mount(app: web.Application) -> None:
    """Adds the pages to the application."""
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for method, path, handler in PAGES:
        app.router.add_route(
            method, path, handler, name=f"portal.{handler.__module__.rpartition('.')[2]}.{handler.__name__}"
        )
        if method == "GET":
            app.router.add_route("HEAD", path, handler)
    aiohttp_jinja2.get_env(app).filters.update({**french.FILTERS, "benefit": benefit_fr})
    app[pages.SHOWN] = tuple(
        re.compile(re.sub(r"\{[^}]*\}+", "[^/]+", path.replace("{0,8}", "")))
        for method, path, _ in PAGES
        if method == "GET"
    )
    app[public.STATUS] = public.Status()
    app[ERROR_PAGE] = pages.error_page
    app[entry.PSC] = ProSanteConnect(app[STATE].settings)
