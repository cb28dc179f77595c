"""The other ways to ask: by NIR, by DataMatrix, by photo, in a batch, again."""

import asyncio
import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image, ImageFilter

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, Reply, run_command, until
from tpgateway.cards.codec import datamatrix
from tpgateway.cards.codec.datamatrix import PrintedCard
from tpgateway.cards.handlers.batch import _Out

NIR, OTHER_NIR = "295109912611193", "180027511600162"


def by_nir(nir: str = NIR, **changes: Any) -> dict[str, Any]:
    card = builders.a_card(nir=nir, **changes)
    return {
        name: value
        for name, value in card.items()
        if name not in {"membership_number", "birth_rank"} or name in changes
    }


@pytest.fixture
async def family(insurer: Insurer) -> None:
    """A mother with twins and another child, all under her NIR."""
    lines = [
        builders.a_right("77", birth_date="19951001"),
        builders.a_right("77", birth_date="20200305", birth_rank="1"),
        builders.a_right("77", birth_date="20200305", birth_rank="2"),
        builders.a_right("77", birth_date="20230909"),
    ]
    content = "\n".join([f"{builders.RIGHTS_HEADER};nir", *(f"{line};{NIR}" for line in lines)])
    assert (await insurer.load_bytes(content.encode())).body["loaded"] == 4


async def test_a_person_is_found_by_nir_and_birth_date(pharmacist: Practitioner, family: None) -> None:
    answer = (await pharmacist.check(by_nir(birth_date="20230909"), "PHAR")).body
    assert answer["outcome"] == "covered"
    assert NIR not in json.dumps(answer)
    assert (await pharmacist.check(by_nir(birth_date="20230908"), "PHAR")).body["outcome"] == "unknown_person"
    assert (await pharmacist.check(by_nir(OTHER_NIR, birth_date="20230909"), "PHAR")).body["code"] == "unknown_person"
    again = await pharmacist.call("GET", f"/v1/card-checks/{answer['id']}")
    assert again.body == answer


async def test_where_two_fit_nobody_is_answered_until_more_is_said(pharmacist: Practitioner, family: None) -> None:
    twins = (await pharmacist.check(by_nir(birth_date="20200305"), "PHAR")).body
    assert (twins["outcome"], twins["code"], twins["rights"]) == ("unknown_person", "ambiguous", None)
    assert "rang de naissance" in twins["next_step_fr"]
    one = (await pharmacist.check(by_nir(birth_date="20200305", birth_rank=2), "PHAR")).body
    assert one["outcome"] == "covered"


async def test_a_person_whose_membership_number_changed_is_found_by_nir(
    pharmacist: Practitioner, insurer: Insurer
) -> None:
    for member in ("OLD", "NEW"):
        content = f"{builders.RIGHTS_HEADER};nir\n{builders.a_right(member)};{NIR}\n"
        path = "/v1/insurer/rights-imports?mode=full&confirm_closing=true"
        loaded = await insurer.call("POST", path, data=content.encode(), headers={"Content-Type": "text/csv"})
        assert loaded.status == 201, loaded.body
    assert (await pharmacist.check(by_nir(birth_date="19800229"), "PHAR")).body["outcome"] == "covered"


async def test_a_nir_is_in_no_record_and_no_log(gateway: Gateway, pharmacist: Practitioner, family: None) -> None:
    await pharmacist.check(by_nir(birth_date="20230909"), "PHAR", key="k")
    replay = await pharmacist.check(by_nir(birth_date="20230909"), "PHAR", key="k")
    assert replay.headers["Idempotency-Replayed"] == "true"
    other = await pharmacist.check(by_nir(OTHER_NIR, birth_date="20230909"), "PHAR", key="k")
    assert other.code == "idempotency_key_reused"
    rows = await gateway.fetchval("SELECT json_agg(k)::text FROM card_checks k")
    assert NIR not in rows


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"insurer_number": "99990011"}, {"convention_type", "birth_date", "membership_number", "birth_rank"}),
        ({"nir": NIR}, {"insurer_number", "convention_type", "birth_date"}),
        ({**builders.a_card(), "birth_rank": None}, {"birth_rank"}),
    ],
)
async def test_what_is_missing_is_named_all_at_once(
    pharmacist: Practitioner, body: dict[str, Any], faults: set[str]
) -> None:
    reply = await pharmacist.check(body, "PHAR")
    assert reply.faults == {f"/{name}": "field_missing" for name in faults}


async def test_a_csr_is_compared_where_both_sides_state_one(pharmacist: Practitioner, insurer: Insurer) -> None:
    await insurer.load(builders.a_right("8", csr="A1", convention_types="IS SP"))
    for card_csr, code in (
        ("A1", "covered"),
        ("a1", "covered"),
        (None, "covered"),
        ("", "covered"),
        ("B2", "csr_not_held"),
    ):
        card = builders.a_card(membership_number="8", csr=card_csr)
        assert (await pharmacist.check(card, "PHAR")).body["code"] == code, card_csr
    assert (await pharmacist.check(builders.a_card(csr="Z9"), "PHAR")).body["code"] == "covered"


async def test_a_check_that_is_repeated_gets_a_fresh_proof_and_no_body(
    pharmacist: Practitioner, insurer: Insurer
) -> None:
    first = await pharmacist.check(builders.a_card(), "PHAR")
    again = await pharmacist.check(builders.a_card(), "PHAR", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["Proof"] != first.body["proof"]
    made = (await pharmacist.call("GET", again.headers["Content-Location"])).body
    assert (made["proof"], made["proof_expires_at"]) == (again.headers["Proof"], again.headers["Proof-Expires-At"])
    for form in ("W/{}", '"other", {}'):  # as a proxy makes it
        tag = form.format(first.headers["ETag"])
        assert (await pharmacist.check(builders.a_card(), "PHAR", headers={"If-None-Match": tag})).status == 304
    await insurer.load(builders.a_right(valid_to=f"{builders.today().year + 1}-01-31"))
    changed = await pharmacist.check(builders.a_card(), "PHAR", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status == 200
    assert changed.headers["ETag"] != first.headers["ETag"]
    other = await pharmacist.check(
        builders.a_card(membership_number="9"), "PHAR", headers={"If-None-Match": changed.headers["ETag"]}
    )
    assert (other.status, other.body["outcome"]) == (200, "unknown_person")


PRINTED = PrintedCard(
    insurer_number="0099990011",
    convention_types=("SP", "IS"),
    csr="",
    membership_number="1234567",
    valid_from=date(2026, 1, 1),
    valid_to=date(2026, 12, 31),
    beneficiaries=(("19800229", 1), ("20100305", 1), ("20100305", 2)),
)


def test_a_card_reads_back_from_its_text_and_from_its_picture() -> None:
    text = datamatrix.write(PRINTED)
    assert datamatrix.parse(text) == PRINTED
    assert datamatrix.parse(f" {text.lower()}\r\n") == PRINTED
    assert datamatrix.read_photo(datamatrix.draw(text)) == text


def test_a_card_is_written_with_all_four_digits_of_a_year() -> None:
    ancient = replace(PRINTED, valid_from=date(602, 12, 30))
    assert datamatrix.parse(datamatrix.write(ancient)) == ancient


async def test_a_datamatrix_takes_the_place_of_the_cards_fields(pharmacist: Practitioner) -> None:
    text = datamatrix.write(PRINTED)
    for chosen, code in (
        ({"birth_date": "19800229"}, "covered"),
        ({"birth_date": "20100305", "birth_rank": 2}, "unknown_person"),
        ({"birth_date": "19800229", "convention_type": "IS"}, "convention_type_not_held"),
    ):
        assert (await pharmacist.check({"datamatrix": text, **chosen}, "PHAR")).body["code"] == code


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"datamatrix": datamatrix.write(PRINTED)}, "/datamatrix", "beneficiary_needed"),
        ({"datamatrix": datamatrix.write(PRINTED), "birth_date": "20100305"}, "/datamatrix", "beneficiary_needed"),
        ({"datamatrix": datamatrix.write(PRINTED), "birth_date": "20110305"}, "/datamatrix", "beneficiary_not_on_card"),
        (
            {"datamatrix": datamatrix.write(PRINTED), "birth_date": "19800229", "convention_type": "KO"},
            "/datamatrix",
            "beneficiary_not_on_card",
        ),
        ({"datamatrix": datamatrix.write(PRINTED).replace("TPG1", "TPG2")}, "/datamatrix", "card_unreadable"),
        ({"datamatrix": datamatrix.write(PRINTED).replace("20261231", "20261331")}, "/datamatrix", "card_unreadable"),
        ({"datamatrix": "]d2010034009"}, "/datamatrix", "card_unreadable"),
        ({"datamatrix": datamatrix.write(PRINTED).replace("1234567", "ß")}, "/datamatrix", "card_unreadable"),
        (
            {"datamatrix": datamatrix.write(PRINTED), "membership_number": "1"},
            "/membership_number",
            "person_named_twice",
        ),
    ],
)
async def test_a_datamatrix_that_does_not_serve_says_why(
    pharmacist: Practitioner, body: dict[str, Any], pointer: str, code: str
) -> None:
    assert (await pharmacist.check(body, "PHAR")).faults == {pointer: code}


def a_photo(kind: str = "JPEG") -> bytes:
    """A card on a table: turned, blurred, grey, with room around."""
    code = Image.open(io.BytesIO(datamatrix.draw(datamatrix.write(PRINTED)))).convert("RGB")
    table = Image.new("RGB", (1200, 900), (120, 100, 90))
    table.paste(Image.new("RGB", (600, 500), (235, 235, 230)), (250, 180))
    table.paste(code, (400, 280))
    photo = table.rotate(11, fillcolor=(120, 100, 90)).filter(ImageFilter.GaussianBlur(1.2))
    out = io.BytesIO()
    photo.save(out, kind)
    return out.getvalue()


async def send_photo(pharmacist: Practitioner, photo: bytes, query: str = "", kind: str = "image/jpeg") -> Reply:
    path = f"/v1/card-checks/photo?domain=PHAR{query}"
    return await pharmacist.call("POST", path, data=photo, headers={"Content-Type": kind})


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
async def test_a_photo_of_a_card_is_read(pharmacist: Practitioner, kind: str) -> None:
    reply = await send_photo(pharmacist, a_photo(kind), "&birth_date=19800229", f"image/{kind.lower()}")
    assert (reply.status, reply.body["outcome"]) == (200, "covered")


async def test_a_photo_that_does_not_serve_says_why(pharmacist: Practitioner) -> None:
    blank = io.BytesIO()
    Image.new("L", (400, 400), 200).save(blank, "PNG")
    thin = io.BytesIO()
    Image.new("L", (1, 39_000_000)).save(thin, "PNG")
    huge = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(huge, "PNG")
    for photo, kind, status, code in (
        (blank.getvalue(), "image/png", 422, "no_code_in_photo"),
        (huge.getvalue(), "image/png", 422, "photo_unreadable"),
        (b"GIF89a", "image/png", 422, "photo_unreadable"),
        (thin.getvalue(), "image/png", 422, "photo_unreadable"),
        (datamatrix.draw("TPG1/" + "A" * 1_200), "image/png", 422, "no_code_in_photo"),
        (a_photo()[:2_000], "image/jpeg", 422, "photo_unreadable"),
        (a_photo(), "image/gif", 415, "media_type_not_supported"),
        (b"x" * (10 * 1024 * 1024 + 1), "image/png", 413, "body_too_large"),
        (a_photo(), "image/jpeg", 422, "beneficiary_needed"),
    ):
        reply = await send_photo(pharmacist, photo, kind=kind)
        assert (reply.status, reply.code) == (status, code)


async def test_the_command_writes_what_the_gateway_reads(pharmacist: Practitioner, tmp_path: Path) -> None:
    words = [
        "cards",
        "datamatrix",
        "--insurer",
        "99990011",
        "--membership-number",
        "1234567",
        "--convention-type",
        "SP",
    ]
    words += ["--valid-from", "2026-01-01", "--valid-to", "2026-12-31", "--beneficiary", "19800229-1"]
    status, printed, _ = await run_command(*words)
    assert status == 0
    assert (await pharmacist.check({"datamatrix": printed.strip()}, "PHAR")).body["outcome"] == "covered"
    status, _, _ = await run_command(*words, "--output", str(tmp_path / "card.png"))
    assert status == 0
    reply = await send_photo(pharmacist, (tmp_path / "card.png").read_bytes(), kind="image/png")
    assert reply.body["outcome"] == "covered"
    for option, value in (
        ("--beneficiary", "1980-1"),
        ("--valid-to", "2025-12-31"),
        ("--valid-from", "2026-13-01"),
        ("--csr", "É"),
        ("--output", str(tmp_path / "card.jpg")),
        ("--output", str(tmp_path / "none" / "card.png")),
    ):
        status, _, complaint = await run_command(*words, option, value)
        assert (status, f"Invalid value for {option}" in complaint) == (2, True), complaint


async def send_batch(pharmacist: Practitioner, content: Any) -> list[dict[str, Any]]:
    reply = await pharmacist.call(
        "POST", "/v1/card-checks/batch", data=content, headers={"Content-Type": "application/x-ndjson"}
    )
    assert reply.status == 200
    return [json.loads(line) for line in reply.body.splitlines()]


def a_line(number: int, **changes: Any) -> str:
    return json.dumps({**builders.a_card(), "domain": "PHAR", "id": f"n{number}", **changes})


async def test_a_batch_is_answered_line_by_line_in_order(gateway: Gateway, pharmacist: Practitioner) -> None:
    lines = [a_line(n) for n in range(200)]
    lines[3] = "{not json"
    lines[5] = a_line(5, birth_rank=0)
    lines[7] = a_line(7, membership_number="404")
    lines[9] = a_line(9, insurer_number="0000000019")
    lines[11] = "x" * 9_000
    lines[12] = a_line(12, domain="OPTI")
    lines[13] = "[" * 5_000
    lines[14] = a_line(14, id=["x"])
    answers = await send_batch(pharmacist, ("\n\n" + "\n".join(lines)).encode())
    assert len(answers) == 200
    assert {answers[n]["code"] for n in (0, 1, 2, 4, 6, 100, 199)} == {"covered"}
    assert [answers[n]["code"] for n in (3, 5, 7, 9, 11, 12, 13, 14)] == [
        "not_json",
        "field_invalid",
        "unknown_person",
        "insurer_unknown",
        "line_too_long",
        "domain_outside_convention",
        "not_json",
        "field_invalid",
    ]
    assert [answer.get("line_id") for answer in answers] == [
        None if n in {3, 11, 13, 14} else f"n{n}" for n in range(200)
    ]
    assert await gateway.fetchval("SELECT count(*) FROM card_checks") == 194
    assert len({answer["proof"] for answer in answers if answer.get("proof")}) == 192


async def test_the_first_answers_of_a_batch_come_before_its_last_lines_are_sent(pharmacist: Practitioner) -> None:
    had_answers = asyncio.Event()

    async def lines() -> Any:
        yield (a_line(0) + "\n").encode()
        await asyncio.wait_for(had_answers.wait(), 10)
        for n in range(1, 301):
            yield (a_line(n) + "\n").encode()

    url = f"{pharmacist.gateway.url}/v1/card-checks/batch"
    headers = {"Authorization": f"Bearer {pharmacist.token}", "Content-Type": "application/x-ndjson"}
    async with pharmacist.gateway.http.post(url, data=lines(), headers=headers) as answer:
        first = await asyncio.wait_for(answer.content.readline(), 10)
        had_answers.set()
        rest = await answer.content.read()
    assert json.loads(first)["line_id"] == "n0"
    assert rest.count(b"\n") == 300


async def test_what_was_ready_while_the_caller_was_slow_goes_as_soon_as_he_reads() -> None:
    class Slow(web.StreamResponse):
        reads, had = asyncio.Event(), bytearray()

        async def write(self, data: Any) -> None:
            await self.reads.wait()
            self.had += data

    response = Slow()
    out = _Out(response)
    await out.put(b"one")
    out.write()
    await asyncio.sleep(0)
    await out.put(b"two")
    out.write()  # now it would wait for a slow line
    response.reads.set()
    async with asyncio.timeout(2):
        while response.had != b"onetwo":
            await asyncio.sleep(0)
    await out.finish()
    assert response.had == b"onetwo"


async def test_a_batch_has_so_many_lines_and_no_more(gateway: Gateway, pharmacist: Practitioner) -> None:
    line = b'{"domain":1}\n'
    answers = await send_batch(pharmacist, line * 10_000)
    assert len(answers) == 10_000
    assert {answer["code"] for answer in answers} == {"field_invalid"}
    answers = await send_batch(pharmacist, line * 10_002)
    assert (len(answers), answers[-1]["code"]) == (10_001, "too_many_lines")


async def test_a_caller_who_reads_only_at_the_end_gets_all_answers(pharmacist: Practitioner) -> None:
    host, port = pharmacist.gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    body = (a_line(1) + "\n").encode() * 3_000
    head = (
        f"POST /v1/card-checks/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pharmacist.token}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await asyncio.wait_for(writer.drain(), 20)
    answer = await asyncio.wait_for(reader.read(-1), 20)
    writer.close()
    assert answer.count(b'"covered"') >= 3_000


async def test_a_caller_who_hangs_up_on_a_batch_leaves_nothing_behind(pharmacist: Practitioner) -> None:
    host, port = pharmacist.gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = (a_line(1) + "\n").encode() * 400
    head = (
        f"POST /v1/card-checks/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pharmacist.token}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await reader.readuntil(b'"covered"')
    writer.transport.abort()

    async def is_over() -> bool:
        # The end of a generator, which the collector asks for, is a task without a name.
        under_way = {getattr(task.get_coro(), "__qualname__", None) for task in asyncio.all_tasks()}
        return not under_way & {"RequestHandler._handle_request", "_answer", "_send"}

    await until(is_over)
    assert (await pharmacist.check(builders.a_card(), "PHAR")).status == 200


async def test_a_caller_who_goes_away_in_a_batch_leaves_the_service_well(pharmacist: Practitioner) -> None:
    async def lines() -> Any:
        yield (a_line(1) + "\n").encode() * 50
        raise aiohttp.ClientError

    with pytest.raises(aiohttp.ClientError):
        await pharmacist.call(
            "POST", "/v1/card-checks/batch", data=lines(), headers={"Content-Type": "application/x-ndjson"}
        )
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["outcome"] == "covered"
