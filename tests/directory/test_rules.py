"""Whether what somebody says agrees with the directory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpgateway.directory.model import Claim, Disagreement, Entry
from tpgateway.directory.rules import disagreement, is_same_name


def a_site(**changes: object) -> Entry:
    fields = {
        "scheme": "finess",
        "number": "010000024",
        "place": "",
        "legal_name": "CH DE FLEYRIAT",
        "long_name": None,
        "postal_code": "01440",
    }
    return Entry(**{**fields, **changes})  # type: ignore[arg-type]


def a_body(name: str = "CH de Fleyriat", postal_code: str = "01440") -> Claim:
    return Claim(first_name=None, last_name=None, legal_name=name, postal_code=postal_code)


def a_person(first: str = "Zoé", last: str = "Œuvrard-Müller") -> Claim:
    return Claim(first_name=first, last_name=last, legal_name=None, postal_code="75011")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("CH de Fleyriat", "CH DE FLEYRIAT"),
        ("Centre hospitalier de Fleyriat", "CH DE FLEYRIAT"),
        ("Pharmacie du Pont", "PHIE DU PONT"),
        ("SELARL Pharmacie du Pont", "PHARMACIE DU PONT"),
        ("Pharmacie de l'Église", "PHARMACIE DE L EGLISE"),
        ("Hopital Saint Joseph", "HOPITAL ST JOSEPH"),
        ("Pharmacie Fleuriet du Marché", "PHARMACIE FLEURIER DU MARCHE"),
    ],
)
def test_a_body_may_write_its_name_out_or_slip_once(ours: str, theirs: str) -> None:
    assert is_same_name(a_body(ours), a_site(legal_name=theirs))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Pharmacie", "PHARMACIE DU PONT"),
        ("Pharmacie du Port", "PHARMACIE DE LA GARE"),
        ("Centre hospitalier de Trévoux", "CH DE FLEYRIAT"),
        ("Pharmacie Martin", "PHARMACIE DURAND"),
        ("!!!", "PHARMACIE DU PONT"),
    ],
)
def test_another_name_is_another_body(ours: str, theirs: str) -> None:
    assert not is_same_name(a_body(ours), a_site(legal_name=theirs))


def test_the_long_name_counts_too() -> None:
    assert is_same_name(a_body("Centre de soins du Pays de Gex"), a_site(long_name="CENTRE DE SOINS DU PAYS DE GEX"))


@pytest.mark.parametrize(
    ("first", "last", "same"),
    [
        ("ZOE", "OEUVRARD MULLER", True),
        ("Zoé", "Œuvrard-Müller", True),
        ("Zoé", "Muller", False),
        ("Chloé", "Œuvrard-Müller", False),
    ],
)
def test_a_persons_names_may_differ_in_accents_and_marks_alone(first: str, last: str, same: bool) -> None:
    entry = a_site(scheme="rpps", legal_name=None, last_name="OEUVRARD-MULLER", first_name="Zoé", postal_code="75011")
    assert is_same_name(a_person(first, last), entry) is same
    assert not is_same_name(a_body("OEUVRARD-MULLER"), entry)


@pytest.mark.parametrize(
    ("claimed", "listed", "is_cedex", "reason"),
    [
        ("01440", "01440", False, None),
        ("01606", "01606", True, None),
        ("01600", "01606", True, None),
        ("01600", "01606", False, Disagreement.PLACE_DIFFERS),
        ("75011", "01606", True, Disagreement.PLACE_DIFFERS),
        ("01440", None, False, Disagreement.PLACE_DIFFERS),
    ],
)
def test_the_place_is_the_code_or_the_ordinary_one_of_a_cedex(
    claimed: str, listed: str | None, is_cedex: bool, reason: Disagreement | None
) -> None:
    site = a_site(postal_code=listed, is_cedex=is_cedex)
    assert disagreement(a_body(postal_code=claimed), [site])[0] is reason


def test_one_of_several_places_of_work_is_enough() -> None:
    places = [a_site(postal_code="69001"), a_site(postal_code="01440")]
    assert disagreement(a_body(), places) == (None, places[1])
    assert disagreement(a_body("Autre"), places)[0] is Disagreement.NAME_DIFFERS
    assert disagreement(a_body(), [])[0] is Disagreement.NOT_FOUND


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_name_breaks_the_comparison(ours: str, theirs: str) -> None:
    assert is_same_name(a_body(ours), a_site(legal_name=theirs)) in {True, False}
