"""Valid things, every field filled; a test names only what it is about."""

from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from stdnum import luhn

from tpgateway.web.routing import PARIS

RIGHTS_HEADER = "membership_number;birth_date;birth_rank;valid_from;valid_to;convention_types;csr;product_code"
_numbers = count(1)


def today() -> date:
    return datetime.now(PARIS).date()


def a_finess() -> str:
    """A FINESS that no other call gives."""
    body = f"75{next(_numbers):06d}"
    return body + str(luhn.calc_check_digit(body))


def a_registration(**changes: Any) -> dict[str, Any]:
    """A pharmacy's; change ``scheme`` and ``value`` for another's."""
    form: dict[str, Any] = {
        "scheme": "finess",
        "value": changes.get("value") or a_finess(),
        "legal_name": "Pharmacie des Essais",
        "specialty": "pharmacy",
        "postal_code": "75010",
        "email": f"essai{next(_numbers)}@pharmacie.example",
        "bic": "AGRIFRPP882",
        "password": "Officine-2026-ok",
        "terms_accepted": True,
        "privacy_accepted": True,
    }
    return {name: value for name, value in {**form, **changes}.items() if value is not None}


def an_optician(**changes: Any) -> dict[str, Any]:
    """What makes a registration an optician's."""
    return {"legal_name": None, "first_name": "Camille", "last_name": "Verrier", "specialty": "optics", **changes}


def a_benefit(benefit: str = "lens_complex_b", **changes: Any) -> dict[str, Any]:
    return {
        "domain": "OPTI",
        "benefit": benefit,
        "formula": {"kind": "flat", "amount_cents": 20_000, "per": "act"},
        "approval": "required",
        **changes,
    }


def a_product(**changes: Any) -> dict[str, Any]:
    """Pays optics of class B and medicines, from the start of last year on."""
    return {
        "name": "Confort",
        "is_responsible": True,
        "valid_from": f"{today().year - 1}-01-01",
        "benefits": [
            a_benefit("lens_simple_b"),
            a_benefit("lens_complex_b"),
            a_benefit("frame_b", formula={"kind": "flat", "amount_cents": 10_000, "per": "equipment"}),
            a_benefit("medicine_65", domain="PHAR", formula={"kind": "copayment", "per": "act"}, approval="none"),
        ],
        **changes,
    }


def a_right(membership: str = "1234567", **changes: Any) -> str:
    """A line of a rights file."""
    fields = {
        "membership_number": membership,
        "birth_date": "19800229",
        "birth_rank": "1",
        "valid_from": f"{today().year}-01-01",
        "valid_to": f"{today().year}-12-31",
        "convention_types": "SP",
        "csr": "",
        "product_code": "CONFORT",
    }
    return ";".join({**fields, **changes}.values())


def a_card(insurer_number: str = "0099990011", **changes: Any) -> dict[str, Any]:
    """The card of the person of ``a_right``."""
    return {
        "insurer_number": insurer_number,
        "convention_type": "SP",
        "csr": None,
        "membership_number": "1234567",
        "birth_date": "19800229",
        "birth_rank": 1,
        **changes,
    }


def a_lens(**changes: Any) -> dict[str, Any]:
    return {
        "correction": "complex",
        "price_class": "b",
        "lpp": "2210546",
        "price_cents": 24_000,
        "base_cents": 5,
        "amo_cents": 3,
        **changes,
    }


def a_frame(**changes: Any) -> dict[str, Any]:
    return {"price_class": "b", "lpp": "2248320", "price_cents": 14_000, "base_cents": 5, "amo_cents": 3, **changes}


def a_request(proof: str, insurer_number: str = "0099990011", /, **changes: Any) -> dict[str, Any]:
    """An optical request for two lenses and a frame."""
    request = {
        "insurer_number": insurer_number,
        "proof": proof,
        "prescription_date": (today() - timedelta(days=20)).isoformat(),
        "prescriber_rpps": "10999999906",
        "right_lens": a_lens(),
        "left_lens": a_lens(),
        "frame": a_frame(),
    }
    return {name: value for name, value in {**request, **changes}.items() if value is not None}


def convention_files(folder: Path, *, insurers: str = '"all"', text: str = "# Convention\n", **terms: str) -> Path:
    """A folder with the conventions of pharmacists, opticians and hospitals, in force since last year."""
    for specialty, domain in (("pharmacy", "PHAR"), ("optics", "OPTI"), ("hospital", "HOSP")):
        (folder / f"{specialty}.md").write_text(text)
        lines = {
            "title": f'"Convention {specialty}"',
            "valid_from": f"{today().year - 1}-01-01",
            "domains": f'["{domain}"]',
            "payment_days": "5",
            "insurers": insurers,
            **terms,
        }
        (folder / f"{specialty}.toml").write_text("\n".join(f"{name} = {value}" for name, value in lines.items()))
    return folder


def a_login(**changes: Any) -> dict[str, Any]:
    """Somebody who has no account."""
    return {"scheme": "finess", "value": "2B0000020", "password": "Officine-2026-ok", **changes}


def an_item(item: str = "single_room", **changes: Any) -> dict[str, Any]:
    """An item of a stay."""
    return {"item": item, "quantity": 1, "price_cents": 8_000, "base_cents": 8_000, "amo_cents": 0, **changes}


def a_stay(days: int = 5, first: date | None = None, **changes: Any) -> dict[str, Any]:
    """A full stay of so many days from today on, its daily fees and a single room."""
    first = first or today()
    fee = 2_300 * days
    return {
        "finess": "750000549",
        "admission": "planned",
        "entry_date": first.isoformat(),
        "exit_date": (first + timedelta(days=days - 1)).isoformat(),
        "dmt": "223",
        "mode_of_treatment": "03",
        "items": [
            an_item("daily_fee", quantity=days, price_cents=fee, base_cents=0),
            an_item("single_room", quantity=days, price_cents=8_000 * days, base_cents=0),
        ],
        **changes,
    }
