"""The counter: a card scanned, typed or photographed, and the answer in large letters."""

import re
from pathlib import Path

import aiohttp
import pytest

from tests import builders
from tests.driver import Gateway, Practitioner
from tpgateway.cards.codec import datamatrix

HTML = {"Accept": "text/html"}
YEAR = builders.today().year


@pytest.fixture
async def pharmacist(gateway: Gateway, worker: None, tmp_path: Path) -> Practitioner:
    insurer = await gateway.admit()
    await insurer.put_product()
    await insurer.load(builders.a_right(), builders.a_right(birth_date="20100305"))
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    pharmacist = await gateway.join()
    await pharmacist.sign()
    return pharmacist


def a_card(*people: str) -> str:
    return f"tpg1/0099990011/sp//1234567/{YEAR}0101/{YEAR}1231/{'/'.join(people or ('19800229-1',))}"


async def post(practitioner: Practitioner, path: str = "/comptoir", **typed: object) -> tuple[int, str]:
    reply = await practitioner.in_person("POST", path, data=typed, headers=HTML)
    if reply.status == 303:  # the answer has an address of its own
        reply = await practitioner.in_person("GET", reply.headers["Location"], headers=HTML)
    return reply.status, reply.body.decode()


async def test_a_card_is_checked_at_the_counter_whichever_way_it_comes(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    opened = await pharmacist.in_person("GET", "/comptoir", headers=HTML)
    page = opened.body.decode()
    assert (opened.status, opened.headers["Cache-Control"]) == (200, "no-store")
    assert "default-src 'none'" in opened.headers["Content-Security-Policy"]
    assert page.index('name="card"') < page.index('name="insurer_number"')
    assert "Aucune depuis douze heures" in page
    assert "<option" in page
    assert "Optique" not in page  # of the own convention's domains alone

    status, page = await post(pharmacist, card=a_card(), domain="PHAR", care_date="", insurer_number="")
    assert (status, "<strong>Oui</strong>" in page) == (200, True)
    proof = re.search(r'id="preuve">([0-9A-Z-]{14})<', page)
    assert proof
    assert "Médicaments remboursés à 65" in page
    assert page.count(proof[1]) == 2  # in the answer, and among the last checks

    # Of several people on one card, the one is asked for.
    card = a_card("19800229-1", "20100305-1")
    status, page = await post(pharmacist, card=card, domain="PHAR")
    assert (status, "Pour qui est-ce ?" in page, "05/03/2010" in page) == (200, True, True)
    status, page = await post(pharmacist, card=card, domain="PHAR", person="20100305-1")
    assert (status, "<strong>Oui</strong>" in page) == (200, True)

    # By hand, the birth date as it stands on cards; what was typed wrong is told, and nothing of it lost.
    by_hand = {
        "insurer_number": "0099990011",
        "convention_type": "sp",
        "membership_number": "1234567",
        "domain": "PHAR",
    }
    for born in ("29/02/1980", "29.2.1980", "29021980", "19800229"):
        status, page = await post(pharmacist, card="", **by_hand, birth_date=born, birth_rank="1")
        assert (status, "<strong>Oui</strong>" in page) == (200, True), born
    status, page = await post(pharmacist, **by_hand, birth_date="29 fév", birth_rank="1")
    assert (status, 'value="29 fév"' in page, 'value="1234567"' in page) == (422, True, True)
    assert 'aria-invalid="true" aria-describedby="birth_date-faute"' in page
    status, page = await post(
        pharmacist, **{**by_hand, "membership_number": "7"}, birth_date="29021980", birth_rank="1"
    )
    assert (status, "<strong>Non</strong>" in page, "numéro d&#39;adhérent" in page) == (200, True, True)
    status, page = await post(pharmacist, card="3400930000011", domain="PHAR")
    assert (status, 'role="alert"' in page) == (422, True)

    photo = aiohttp.FormData()
    photo.add_field("domain", "PHAR")
    photo.add_field("photo", datamatrix.draw(a_card().upper()), filename="card.png", content_type="image/png")
    read = await pharmacist.in_person("POST", "/comptoir/photo", data=photo, headers=HTML)
    answer = await pharmacist.in_person("GET", read.headers["Location"], headers=HTML)
    assert (read.status, "<strong>Oui</strong>" in answer.body.decode()) == (303, True)
    for wrong in (b"", b"nothing"):
        photo = aiohttp.FormData({"domain": "PHAR"})
        photo.add_field("photo", wrong, filename="card.png", content_type="image/png")
        read = await pharmacist.in_person("POST", "/comptoir/photo", data=photo, headers=HTML)
        assert (read.status, 'role="alert"' in read.body.decode()) == (422, True)
    read = await pharmacist.in_person("POST", "/comptoir/photo", data={"photo": "x"}, headers=HTML)
    assert (read.status, 'role="alert"' in read.body.decode()) == (422, True)

    listed = (await pharmacist.in_person("GET", "/comptoir", headers=HTML)).body.decode()
    assert listed.count('<tr><td data-name="Heure">') == 8  # the last ones
    elsewhere = {**HTML, "Sec-Fetch-Site": "cross-site"}
    refused = await pharmacist.in_person("POST", "/comptoir", data={"card": a_card()}, headers=elsewhere)
    assert refused.status == 403
    stranger = await gateway.call("GET", "/comptoir", headers=HTML)
    assert (stranger.status, stranger.headers["Location"]) == (303, "/connexion?vers=/comptoir")
