"""The letters that practitioners get, in plain French."""

from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from tpgateway.practitioners.model import Registration


def _load(name: str) -> str:
    return files("tpgateway.practitioners").joinpath("templates", name).read_text(encoding="utf-8")


# Plain text: there is no mark-up to escape.
_environment = Environment(loader=FunctionLoader(_load), undefined=StrictUndefined, autoescape=False)  # noqa: S701


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    subject: str
    text: str


def activation(registration: Registration, *, link: str, lifetime: timedelta) -> Letter:
    """The letter with the activation link."""
    text = _environment.get_template("activation.txt").render(
        name=registration.legal_name or f"{registration.first_name} {registration.last_name}",
        scheme={"finess": "FINESS", "adeli": "Adeli", "rpps": "RPPS", "treasury": "de trésorerie"}[
            registration.identifier.scheme
        ],
        value=registration.identifier.value,
        link=link,
        hours=int(lifetime.total_seconds() // 3600),
    )
    return Letter(subject="Activez votre compte du réseau tiers payant", text=text)
