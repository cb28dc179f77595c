"""Requests by pages: what a form shows is what is sent, nothing is done twice, and faults stand where they were made."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import lxml.html
import pytest

from tests import builders
from tests.driver import Gateway, Practitioner

HTML = {"Accept": "text/html"}


@pytest.fixture
async def optician(gateway: Gateway, worker: None, tmp_path: Path) -> Practitioner:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    insurer = await gateway.admit()
    room = builders.a_benefit("single_room", domain="HOSP", formula={"kind": "remainder", "per": "day"})
    product = builders.a_product()
    assert (await insurer.put_product(benefits=[*product["benefits"], room])).status == 200
    await insurer.load(builders.a_right())
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


def fields(page: bytes) -> dict[str, str]:
    """The form of the page as a browser would send it untouched."""
    (form,) = [each for each in lxml.html.fromstring(page).forms if each.get("action") is None]
    return {name: value for name, value in form.form_values() if name != "simulate"}


async def see(practitioner: Practitioner, path: str) -> bytes:
    reply = await practitioner.in_person("GET", path, headers=HTML)
    assert reply.status == 200, path
    return bytes(reply.body)


async def send(practitioner: Practitioner, path: str, typed: dict[str, str]) -> tuple[int, str]:
    reply = await practitioner.in_person("POST", path, data=typed, headers=HTML)
    return reply.status, reply.headers.get("Location") or reply.body.decode()


async def ask(practitioner: Practitioner, domain: str = "OPTI", **changes: Any) -> dict[str, Any]:
    proof = (await practitioner.check(builders.a_card(), domain)).body["proof"]
    body = {"insurer_number": "0099990011", "proof": proof, **changes}
    made = await practitioner.call("POST", "/v1/prior-approvals", body)
    assert made.status == 201, made.body
    return dict(made.body)


async def test_glasses_opened_to_be_changed_and_sent_back_are_the_same(optician: Practitioner) -> None:
    supplements = [builders.a_frame(lpp="2248320", price_cents=1_000 + number) for number in range(4)]
    glasses = builders.a_request("", supplements=supplements, right_lens=builders.a_lens(correction="simple"))
    made = await ask(optician, **{name: value for name, value in glasses.items() if name != "proof"})
    path = f"/demandes/{made['id']}/modification"
    typed = fields(await see(optician, path))
    assert (typed["supplements.3.price"], typed["right_lens.price"]) == ("10,03", "240,00")
    status, way = await send(optician, path, typed)
    assert (status, way) == (303, f"/demandes/{made['id']}")
    changed = (await optician.call("GET", f"/v1/prior-approvals/{made['id']}")).body
    assert (changed["revision"], changed["lines"]) == (2, made["lines"])

    # Sent again from a page that is no longer true: what was typed stands, and goes through once it was read anew.
    status, page = await send(optician, path, {**typed, "frame.price": "130,00", "key": str(uuid4())})
    assert (status, 'value="130,00"' in page) == (409, True)
    status, way = await send(optician, path, fields(page.encode()))
    assert status == 303, way


async def test_a_stay_opened_to_be_changed_and_sent_back_is_the_same(gateway: Gateway, optician: Practitioner) -> None:
    hospital = await gateway.join(specialty="hospital")
    await hospital.sign()
    items = [
        builders.an_item("single_room", quantity=3, price_cents=24_000, base_cents=0),
        builders.an_item("excess_fees", price_cents=10_000, base_cents=5_000),
        builders.an_item("excess_fees", price_cents=20_000, base_cents=6_000, is_optam=False),
    ]
    treasury = {"office": "033090", "body": "123"}
    made = await ask(hospital, "HOSP", stay=builders.a_stay(3, items=items, is_psychiatry=True, treasury=treasury))
    path = f"/demandes/{made['id']}/modification"
    typed = fields(await see(hospital, path))
    assert typed["stay.is_psychiatry"] == "oui"
    assert (await send(hospital, path, typed))[0] == 303
    changed = (await hospital.call("GET", f"/v1/prior-approvals/{made['id']}")).body
    by_item = [sorted((line["item"], line["price_cents"]) for line in each["lines"]) for each in (made, changed)]
    assert by_item[0] == by_item[1]
    assert changed["stay"] == made["stay"]
    # A box that was unticked stays so beside a fault.
    unticked = {name: value for name, value in fields(await see(hospital, path)).items() if "psychiatry" not in name}
    status, page = await send(hospital, path, {**unticked, "stay.dmt": "x"})
    assert (status, "stay.is_psychiatry" in fields(page.encode())) == (422, False)


async def test_a_form_sent_many_times_at_once_asks_once(gateway: Gateway, optician: Practitioner) -> None:
    check = (await optician.check(builders.a_card())).body
    typed = fields(await see(optician, f"/demandes/nouvelle/optique?verification={check['id']}"))
    typed |= {"prescription_date": builders.today().isoformat(), "prescriber_rpps": "10999999906"}
    lens = {"lpp": "2210546", "price": "240", "base": "0,05", "amo": "0,03", "sphere": "-4"}
    typed |= {f"right_lens.{name}": value for name, value in lens.items()}
    sent = await asyncio.gather(*(send(optician, "/demandes/nouvelle/optique", typed) for _ in range(5)))
    assert {status for status, _ in sent} == {303}
    assert len({way for _, way in sent}) == 1
    assert await gateway.fetchval("SELECT count(*) FROM prior_approvals") == 1


async def test_what_waits_longest_is_on_top_and_all_is_counted(gateway: Gateway, optician: Practitioner) -> None:
    made = [await ask(optician, **_glasses()) for _ in range(3)]
    await gateway.execute("UPDATE prior_approvals SET state = 'information_requested', waits_for = 'practitioner'")
    for days, each in enumerate(made):
        await gateway.execute(
            "UPDATE prior_approvals SET due_at = now() + $1 * interval '1 day' WHERE id = $2",
            10 - days,
            each["id"][11:],
        )
    page = (await see(optician, "/demandes")).decode()
    assert "3 demandes attendent" in page
    places = [page.index(each["id"]) for each in made]
    assert places == sorted(places, reverse=True)


def _glasses() -> dict[str, Any]:
    return {name: value for name, value in builders.a_request("").items() if name not in {"insurer_number", "proof"}}


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("1 234,5", 123_450),
        ("1234.50 €", 123_450),
        ("12", 1_200),
        ("0,05", 5),
        ("-3", None),
        ("1.234,50", None),
        ("1,234", None),
        ("²", None),
        ("9" * 5_000, None),
    ],
)
async def test_amounts_are_read_as_people_write_them(optician: Practitioner, typed: str, amount: int | None) -> None:
    check = (await optician.check(builders.a_card())).body
    form = fields(await see(optician, f"/demandes/nouvelle/optique?verification={check['id']}"))
    form |= {"prescription_date": builders.today().isoformat(), "prescriber_rpps": "10999999906"}
    form |= {"frame.lpp": "2248320", "frame.price": typed, "frame.base": "0", "frame.amo": "0"}
    status, said = await send(optician, "/demandes/nouvelle/optique", form)
    if amount is None:
        assert (status, "Écrivez un montant en euros" in said, 'id="frame.price-faute"' in said) == (422, True, True)
        return
    made = (await optician.call("GET", said.replace("/demandes", "/v1/prior-approvals"))).body
    assert made["totals"]["price_cents"] == amount


@pytest.mark.parametrize("number", ["²", "9" * 5_000, "-1", ""])
async def test_numbers_that_a_page_wrote_and_somebody_changed_are_no_failure(
    gateway: Gateway, optician: Practitioner, number: str
) -> None:
    made = await ask(optician, **_glasses())
    for path, typed in (
        (f"/demandes/{made['id']}/facturation", {"version": number, "billed_on": "2026-01-01"}),
        ("/convention/signature", {"version": number}),
        ("/inscription", {"step": number, "value": "x"}),
        ("/tables/avis", {"mail": number}),
    ):
        status, _ = await send(optician, path, typed)
        assert status in {303, 409, 422}, path


async def test_a_document_that_breaks_off_is_none_and_the_answer_beside_it_stays(
    gateway: Gateway, optician: Practitioner
) -> None:
    made = await ask(optician, **_glasses())
    await gateway.execute(
        "UPDATE prior_approvals SET state = 'information_requested', waits_for = 'practitioner', documents = '{quote}'"
    )
    await gateway.execute(
        "INSERT INTO prior_approval_events SELECT insurer_id, approval_id, version + 1, 'information_requested',"
        " 'information_requested', 'insurer', actor_id, reason_code, now(), details FROM prior_approval_events"
        " ORDER BY version DESC LIMIT 1"
    )
    fields = {"version": str(made["version"] + 1), "answer": "Voici le devis."}
    head = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head += '--b\r\nContent-Disposition: form-data; name="document.quote"; filename="a.pdf"\r\n'
    whole = head.encode() + b"Content-Type: application/pdf\r\n\r\n%PDF-1.4\n" + b"x" * 3_000
    unreadable = head.encode() + b"Content-Type: application/pdf\r\n\r\nno document\r\n--b--\r\n"
    headers = {**HTML, "Content-Type": "multipart/form-data; boundary=b"}
    path = f"/demandes/{made['id']}/reponse"
    await gateway.execute("UPDATE prior_approvals SET version = version + 1")
    for body, status, count in (
        (whole, 422, 0),
        (b"no form", 422, 0),
        (unreadable, 422, 0),
        (whole + b"\r\n--b--\r\n", 303, 1),
    ):
        reply = await optician.in_person("POST", path, data=body, headers=headers)
        assert reply.status == status
        if body.startswith(b"--b"):
            assert status == 303 or b"Voici le devis." in reply.body  # nothing that was typed is lost
        assert await gateway.fetchval("SELECT count(*) FROM prior_approval_attachments") == count


async def test_each_fault_is_told_once_and_in_words(gateway: Gateway, optician: Practitioner) -> None:
    path = "/demandes/nouvelle/optique"
    lens = {"price_class": "b", "lpp": "12", "price": "240", "base": "0,05", "amo": "0,03", "sphere": "abc"}
    typed = {"same_lenses": "oui", **{f"right_lens.{name}": value for name, value in lens.items()}}
    status, page = await send(optician, path, typed)
    assert (status, page.count('href="#right_lens.'), page.count('href="#left_lens.')) == (422, 2, 0)
    hospital = await gateway.join(specialty="hospital")
    await hospital.sign()
    today = builders.today().isoformat()
    stay = {"finess": "750000549", "dmt": "223", "mode_of_treatment": "03", "admission": "planned"}
    dates = {"stay.entry_date": today, "stay.exit_date": today}
    typed = {"insurer_number": "99990011", "proof": "HWYA-H1AG-MHEW", **dates}
    path = "/demandes/nouvelle/hospitalisation"
    status, page = await send(hospital, path, {**typed, **{f"stay.{name}": value for name, value in stay.items()}})
    assert (status, "La demande ne comporte aucun élément." in page) == (422, True)


async def test_an_empty_form_tells_all_that_it_needs(optician: Practitioner) -> None:
    check = (await optician.check(builders.a_card())).body
    path = f"/demandes/nouvelle/optique?verification={check['id']}"
    status, page = await send(optician, path, fields(await see(optician, path)))
    assert status == 422
    for said in ('href="#prescription_date"', 'href="#prescriber_rpps"', "La demande ne comporte aucun élément."):
        assert said in page
    lens = {"lpp": "2210546", "price": "240", "base": "0,05", "amo": "0,03", "sphere": "-7,13"}
    status, page = await send(optician, path, {f"right_lens.{name}": value for name, value in lens.items()})
    assert (status, "Le nombre doit être un multiple de 0,25." in page) == (422, True)
    assert 'href="#prescription_date"' in page


async def test_a_left_lens_that_says_something_else_is_not_replaced_by_the_right_one(optician: Practitioner) -> None:
    check = (await optician.check(builders.a_card())).body
    path = f"/demandes/nouvelle/optique?verification={check['id']}"
    typed = fields(await see(optician, path))
    typed |= {"prescription_date": builders.today().isoformat(), "prescriber_rpps": "10999999906"}
    lens = {"lpp": "2210546", "price": "240", "base": "0,05", "amo": "0,03", "sphere": "-4"}
    typed |= {"same_lenses": "oui", **{f"right_lens.{name}": value for name, value in lens.items()}}
    status, page = await send(optician, path, {**typed, "left_lens.sphere": "-5"})
    assert (status, "décochez cette case" in page) == (422, True)
    status, _ = await send(optician, path, {**typed, "key": "another", "left_lens.sphere": "-4"})
    assert status == 303


async def test_a_change_is_calculated_beside_its_form(gateway: Gateway, optician: Practitioner) -> None:
    made = await ask(optician, **_glasses())
    path = f"/demandes/{made['id']}/modification"
    typed = fields(await see(optician, path)) | {"frame.price_class": "a"}
    status, panel = await send(optician, f"{path}/simulation", typed)
    assert (status, "La demande serait accordée en partie." in panel) == (200, True)
    assert "Limite : 30,00\xa0€." in panel
    status, page = await send(optician, path, {**typed, "simulate": "1"})
    assert (status, "La demande serait accordée en partie." in page) == (200, True)
    status, page = await send(optician, path, {**typed, "simulate": "1", "frame.price": "x"})
    assert (status, "Écrivez un montant en euros" in page) == (422, True)
    hospital = await gateway.join(specialty="hospital")
    await hospital.sign()
    stay = await ask(hospital, "HOSP", stay=builders.a_stay(3))
    path = f"/demandes/{stay['id']}/prolongation"
    longer = fields(await see(hospital, path))
    status, panel = await send(hospital, f"{path}/simulation", longer)
    assert (status, "repousse la sortie" in panel) == (200, True)
    later = (builders.today() + timedelta(days=5)).isoformat()
    status, panel = await send(hospital, f"{path}/simulation", {**longer, "stay.exit_date": later})
    assert (status, "La demande serait accordée" in panel) == (200, True)
    assert (await hospital.call("GET", f"/v1/prior-approvals/{stay['id']}")).body == stay


async def test_an_answer_that_came_with_a_file_is_there_after_the_log_in(
    gateway: Gateway, optician: Practitioner
) -> None:
    made = await ask(optician, **_glasses())
    await gateway.execute("UPDATE sessions SET seen_at = now() - interval '2 hours'")
    parts = {"version": "1", "answer": "Voici le devis."}
    body = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts.items()
    )
    body += '--b\r\nContent-Disposition: form-data; name="document.quote"; filename="a.pdf"\r\n\r\n%PDF\r\n--b--\r\n'
    headers = {**HTML, "Content-Type": "multipart/form-data; boundary=b"}
    path = f"/demandes/{made['id']}"
    reply = await optician.in_person("POST", f"{path}/reponse", data=body.encode(), headers=headers)
    assert (reply.status, "reprise" in reply.headers["Location"]) == (303, True)
    kept = await gateway.fetchval("SELECT path FROM member_drafts")
    assert kept == path
