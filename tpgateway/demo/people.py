"""Fictitious insurers, products, insured people and practitioners. The same day gives the same people."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tpgateway.cards.codec.rights_files import RIGHTS_HEADER
from tpgateway.cards.model import Outcome

PEOPLE = 10_000
COVERED_PEOPLE = 4_000
"""The first so many are all covered for optics today: each run of the demo takes the next for its approval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsurerSeed:
    """An insurer of the demo; none exists."""

    key: str
    number: str
    name: str
    convention_types: tuple[str, ...]


LAC = InsurerSeed(key="lac", number="0099990011", name="Mutuelle du Lac (fictive)", convention_types=("SP", "IS"))
MARAIS = InsurerSeed(key="marais", number="0099990029", name="Prévoyance du Marais (fictive)", convention_types=("VM",))
INSURERS = (LAC, MARAIS)
REVIEWER = ("relecture@lac.example", "Claire Martin")
"""Who sits at the first insurer's desk: address and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PractitionerSeed:
    """A practitioner of the demo; ``form`` is what its registration holds beside its password."""

    key: str
    label: str
    form: dict[str, Any]

    @property
    def scheme(self) -> str:
        return str(self.form["scheme"])

    @property
    def value(self) -> str:
        return str(self.form["value"])

    @property
    def specialty(self) -> str:
        return str(self.form["specialty"])


PHARMACIST = PractitionerSeed(
    key="pharmacist",
    label="pharmacist",
    form={
        "scheme": "finess",
        "value": "750000549",
        "legal_name": "Pharmacie du Pont Fictif",
        "specialty": "pharmacy",
        "postal_code": "75010",
        "email": "pharmacie@pont.example",
        "bic": "AGRIFRPP882",
    },
)
OPTICIAN = PractitionerSeed(
    key="optician",
    label="optician",
    form={
        "scheme": "adeli",
        "value": "752800011",
        "first_name": "Camille",
        "last_name": "Verrier",
        "specialty": "optics",
        "postal_code": "75011",
        "email": "camille@verrier.example",
        "bic": "CMCIFR2A",
    },
)
HOSPITAL = PractitionerSeed(
    key="hospital",
    label="public hospital",
    form={
        "scheme": "treasury",
        "value": "033090-123",
        "legal_name": "Centre hospitalier de démonstration",
        "specialty": "hospital",
        "postal_code": "33076",
        "email": "finances@hopital.example",
        "bic": "BDFEFRPPCCT",
        "finess": "330000019",
    },
)
PRACTITIONERS = (PHARMACIST, OPTICIAN, HOSPITAL)


def directories() -> dict[str, list[str]]:
    """The public directories of the demo's world, in the public files' own layout: a few lines of each."""
    places = (
        (PHARMACIST, "750000549", "620", "75010 PARIS", "652600;6864300;1,DEMO,100,DEMO,BAN,1,LAMB93"),
        (HOSPITAL, "330000019", "355", "33076 BORDEAUX CEDEX", "415900;6420600;1,DEMO,100,DEMO,BAN,1,LAMB93"),
    )
    sites = ["finess;etalab;98;2026-11-01"]
    for seed, number, category, delivery, _ in places:
        name = seed.form["legal_name"]
        sites.append(f"structureet;{number};;{name[:38]};{name};{';' * 10}{delivery};;;{category};;;;;;;;;;;;;;")
    sites += [f"geolocalisation;{number};{position};2026-11-01" for _, number, _, _, position in places]
    columns = (
        "Type d'identifiant PP", "Identifiant PP", "Nom d'exercice", "Prénom d'exercice", "Code profession",
        "Numéro SIRET site", "Numéro FINESS site", "Code postal (coord. structure)", "Bureau cedex (coord. structure)",
        "Libellé commune (coord. structure)",
    )  # fmt: skip
    last, first = OPTICIAN.form["last_name"], OPTICIAN.form["first_name"]
    where = f"28|||{OPTICIAN.form['postal_code']}||PARIS 11"
    persons = ["|".join(columns), f"0|752800011|{last}|{first}|{where}", f"8|10999999906|{last}|{first}|{where}"]
    return {"finess-demo.csv": sites, "professionals-demo.txt": persons}


def _line(domain: str, benefit: str, approval: str = "none", **formula: Any) -> dict[str, Any]:
    return {"domain": domain, "benefit": benefit, "formula": formula, "approval": approval}


_MEDICINES = [
    _line("PHAR", "medicine_65", kind="copayment", per="act"),
    _line("PHAR", "medicine_30", kind="copayment", per="act"),
]
_HOSPITAL = [
    _line("HOSP", "daily_fee", kind="remainder", per="day", approval="required"),
    _line("HOSP", "single_room", kind="flat", amount_cents=5_000, per="day", approval="required"),
]
_OPTICS = [
    _line("OPTI", "lens_simple_b", kind="flat", amount_cents=9_000, per="act", approval="required"),
    _line("OPTI", "lens_complex_b", kind="flat", amount_cents=20_000, per="act", approval="required"),
    _line("OPTI", "lens_very_complex_b", kind="flat", amount_cents=26_000, per="act", approval="required"),
    _line("OPTI", "frame_b", kind="flat", amount_cents=10_000, per="equipment", approval="required"),
]


def products(today: date) -> dict[str, dict[str, Any]]:
    """The products of the first insurer, by code, as its system states them."""
    first = f"{today.year}-01-01"
    return {
        "CONFORT": {
            "name": "Confort",
            "is_responsible": True,
            "valid_from": first,
            "benefits": _MEDICINES + _HOSPITAL + _OPTICS,
        },
        "HOSPI": {"name": "Hospitalisation", "is_responsible": True, "valid_from": first, "benefits": _HOSPITAL},
        "ESSENTIEL": {
            "name": "Essentiel",
            "is_responsible": True,
            "valid_from": first,
            "benefits": _MEDICINES + _HOSPITAL,
        },
    }


def other_product(today: date) -> dict[str, Any]:
    """The one product of the insurer that takes no part in the opticians' convention."""
    return {
        "name": "Unique",
        "is_responsible": True,
        "valid_from": f"{today.year}-01-01",
        "benefits": _MEDICINES + _HOSPITAL + _OPTICS,
    }


def member(number: int) -> tuple[str, str, int]:
    """Membership number, birth date and birth rank of the insured person of a number, from 0 to ``PEOPLE`` - 1."""
    born = date(1930, 1, 1) + timedelta(days=(number * 7919) % 33_000)
    # One in 400 has a lunar birth date: no such day ever was.
    birth_date = f"{born.year}{born.month:02d}00" if number % 400 == 7 else born.strftime("%Y%m%d")
    return f"{4_100_000 + number // 3}", birth_date, number % 3 + 1


def rights_file(today: date) -> Iterator[bytes]:
    """The first insurer's file, line by line: ``PEOPLE`` good lines, and two that are broken."""
    year = today.year
    yield f"{RIGHTS_HEADER}\n".encode()
    for number in range(PEOPLE):
        membership, birth_date, rank = member(number)
        product = "CONFORT" if number < COVERED_PEOPLE else ("CONFORT", "ESSENTIEL", "HOSPI")[number % 3]
        kinds = "SP IS" if number % 5 == 0 else "SP"
        begin, end = f"{year}-01-01", f"{year}-12-31"
        if number >= COVERED_PEOPLE and number % 10 == 3:
            begin, end = f"{year - 1}-01-01", f"{year - 1}-12-31"
        yield f"{membership};{birth_date};{rank};{begin};{end};{kinds};;{product}\n".encode()
    yield f"4199998;1980022;1;{year}-01-01;{year}-12-31;SP;;CONFORT\n".encode()
    yield f"4199999;19800229;1;{year}-12-31;{year}-01-01;SP;;CONFORT\n".encode()


def other_rights_file(today: date) -> Iterator[bytes]:
    """The second insurer's file: one person."""
    yield f"{RIGHTS_HEADER}\n".encode()
    yield f"7700001;19710605;1;{today.year}-01-01;{today.year}-12-31;VM;;UNIQUE\n".encode()


def _card(insurer: InsurerSeed, member: tuple[str, str, int]) -> dict[str, Any]:
    membership, birth_date, rank = member
    return {
        "insurer_number": insurer.number,
        "convention_type": insurer.convention_types[0],
        "csr": None,
        "membership_number": membership,
        "birth_date": birth_date,
        "birth_rank": rank,
    }


COVERED = _card(LAC, member(1))
LUNAR = _card(LAC, member(7))
CLOSED = _card(LAC, member(COVERED_PEOPLE + 3))
WITHOUT_OPTICS = _card(LAC, member(COVERED_PEOPLE))
WITHOUT_PHARMACY = _card(LAC, member(COVERED_PEOPLE + 1))
STRANGER = _card(LAC, ("4999999", "19800229", 1))
NOT_IN_OPTICS = _card(MARAIS, ("7700001", "19710605", 1))

CARDS = (
    (COVERED, Outcome.COVERED),
    (LUNAR, Outcome.COVERED),
    (STRANGER, Outcome.UNKNOWN_PERSON),
    (CLOSED, Outcome.RIGHTS_CLOSED),
    (WITHOUT_OPTICS, Outcome.NOT_COVERED),
    (NOT_IN_OPTICS, Outcome.NOT_CONTRACTED),
)
"""Cards with what a check for optics by the demo's optician comes to."""


def covered_card(run: int) -> dict[str, Any]:
    """The card of the person whose approval the demo asks for on its nth run."""
    return _card(LAC, member(100 + run % (COVERED_PEOPLE - 100)))


def reviewed_card(run: int) -> dict[str, Any]:
    """The card of the person whose request the demo leaves to the desk on its nth run."""
    return _card(LAC, member(COVERED_PEOPLE - 1 - run % 1000))


def hospital_request(card: dict[str, Any], proof: str, today: date, *, days: int) -> dict[str, Any]:
    """A request for a full stay from today on, with a single room."""
    items = [
        {"item": "daily_fee", "quantity": days, "price_cents": 2_300 * days},
        {"item": "single_room", "quantity": days, "price_cents": 6_500 * days},
    ]
    stay = {
        "finess": HOSPITAL.form["finess"],
        "treasury": {"office": "033090", "body": "123"},
        "admission": "planned",
        "entry_date": today.isoformat(),
        "exit_date": (today + timedelta(days=days - 1)).isoformat(),
        "dmt": "223",
        "mode_of_treatment": "03",
        "items": items,
    }
    return {"insurer_number": card["insurer_number"], "proof": proof, "stay": stay}


def optical_request(card: dict[str, Any], proof: str, today: date, *, correction: str = "complex") -> dict[str, Any]:
    """A request for two progressive lenses and a frame, all of free price."""
    lens = {
        "correction": correction,
        "price_class": "b",
        "lpp": "2210546",
        "price_cents": 24_000,
        "base_cents": 5,
        "amo_cents": 3,
    }
    return {
        "insurer_number": card["insurer_number"],
        "proof": proof,
        "prescription_date": (today - timedelta(days=20)).isoformat(),
        "prescriber_rpps": "10999999906",
        "right_lens": lens,
        "left_lens": lens,
        "frame": {"price_class": "b", "lpp": "2248320", "price_cents": 14_000, "base_cents": 5, "amo_cents": 3},
    }
