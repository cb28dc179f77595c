"""Conventions: published, read, signed."""

import hashlib
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway, Practitioner
from tpgateway.conventions.codec.files import read_folder
from tpgateway.conventions.codec.text import refuse_unprintable
from tpgateway.conventions.errors import ConventionInPast, ConventionOverlaps, ConventionUnreadable
from tpgateway.insurers.errors import InsurerUnknown


async def test_the_convention_in_force_is_read_and_signed(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    text = "# Convention\n\nArticle 1 : tiers payant.\n"
    await gateway.publish_conventions(builders.convention_files(tmp_path, text=text))
    convention = (await optician.call("GET", "/v1/conventions/optics")).body
    assert convention["text_markdown"] == text
    assert convention["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (convention["signature"], convention["insurers"], convention["domains"]) == (None, None, ["OPTI"])
    await optician.sign()
    signed = (await optician.call("GET", "/v1/conventions/optics")).body["signature"]
    assert (signed["version"], signed["text_sha256"]) == (1, convention["text_sha256"])
    await optician.sign()  # once more changes nothing
    assert await gateway.fetchval("SELECT count(*) FROM convention_signatures") == 1


async def test_a_convention_is_read_as_a_page_a_print_and_the_bytes_that_are_signed(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    text = "# Convention optics\n\n## Paiement\n\nSous *dix* jours <script>alert(1)</script>.\n\n[x](javascript:alert(1))\n"
    documents = '[{kind = "prescription", label = "Ordonnance"}]'
    tariffs = '[{code = "MONTURE-A", label = "Monture de classe A", amount_cents = 3000}]'
    builders.convention_files(tmp_path, text=text, documents=documents, tariffs=tariffs)
    await gateway.publish_conventions(tmp_path)
    path = "/v1/conventions/optics/text"
    page = await optician.in_person("GET", path)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    html = page.body.decode()
    assert "<em>dix</em>" in html
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert html.count("Convention optics</h1>") == 1
    assert "Ordonnance" in html
    assert "30,00\N{NO-BREAK SPACE}€" in html
    one, two = [await optician.call("GET", f"{path}?format=pdf") for _ in range(2)]
    assert one.headers["Content-Type"] == "application/pdf"
    assert one.body.startswith(b"%PDF")
    assert one.body == two.body
    source = await optician.call("GET", f"{path}?format=markdown&version=1")
    convention = (await optician.call("GET", "/v1/conventions/optics")).body
    assert hashlib.sha256(source.body).hexdigest() == convention["text_sha256"]
    assert convention["documents"] == [{"kind": "prescription", "label": "Ordonnance", "domain": None}]
    assert convention["tariffs"][0]["amount_cents"] == 3000
    for wrong in ("?version=9", "?date=2001-01-01"):
        assert (await optician.call("GET", path + wrong)).code == "no_convention"


async def test_what_changed_between_two_versions_is_told_by_term_and_passage(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path, text="# A\n\n## Paiement\n\nCinq jours.\n"))
    tomorrow = (builders.today() + timedelta(days=1)).isoformat()
    changed = {"payment_days": "9", "valid_from": tomorrow, "approval": '["OPTI"]'}
    (tmp_path / "new").mkdir()
    files = builders.convention_files(tmp_path / "new", text="# A\n\n## Paiement\n\nNeuf jours.\n", **changed)
    for other in ("pharmacy", "hospital"):
        (files / f"{other}.toml").unlink()
    await gateway.publish_conventions(files)
    versions = (await optician.call("GET", "/v1/conventions/optics/versions")).body["versions"]
    assert [(each["version"], each["payment_days"]) for each in versions] == [(2, 9), (1, 5)]
    path = "/v1/conventions/optics/versions/2/changes-since/1"
    found = (await optician.call("GET", path)).body
    terms = {each["term"]: (each["before"], each["after"]) for each in found["terms"]}
    assert terms["payment_days"] == (5, 9)
    assert terms["approval_domains"] == ([], ["OPTI"])
    assert "title" not in terms
    assert found["text"] == [{"heading": "Paiement", "removed": ["Cinq jours."], "added": ["Neuf jours."]}]
    assert (await optician.call("GET", path.replace("2", "7"))).code == "no_convention"


async def test_the_receipt_names_who_signed_what_and_when(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    path = "/v1/conventions/optics/signature"
    assert (await optician.call("GET", f"{path}/receipt")).status == 404
    await gateway.execute("UPDATE sessions SET second_factor_at = now() - interval '1 hour'")
    stale = await optician.in_person("POST", path, {"version": 1})
    assert (stale.status, stale.code) == (403, "second_factor_needed")
    await optician.give_code()
    await optician.sign()
    receipt = await optician.in_person("GET", f"{path}/receipt")
    assert receipt.headers["Content-Type"] == "application/pdf"
    assert receipt.body.startswith(b"%PDF")
    assert await gateway.fetchval("SELECT member_id IS NOT NULL FROM convention_signatures")


async def test_software_cannot_sign(gateway: Gateway, optician: Practitioner, tmp_path: Path) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    reply = await optician.call("POST", "/v1/conventions/optics/signature", {"version": 1})
    assert reply.code == "caller_not_allowed"


async def test_only_the_own_speciality_and_the_version_in_force_are_signed(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    other = await optician.in_person("POST", "/v1/conventions/pharmacy/signature", {"version": 1})
    assert (other.status, other.code) == (403, "other_specialty")
    outdated = await optician.in_person("POST", "/v1/conventions/optics/signature", {"version": 7})
    assert (outdated.status, outdated.code) == (409, "convention_outdated")
    none = await optician.call("GET", "/v1/conventions/dental")
    assert (none.status, none.code) == (404, "no_convention")
    assert (await optician.call("GET", "/v1/conventions/astrology")).code == "not_found"


async def test_a_version_that_begins_later_ends_the_one_before(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    tomorrow = builders.today() + timedelta(days=1)
    changed = builders.convention_files(tmp_path, payment_days="9", valid_from=tomorrow.isoformat())
    await gateway.publish_conventions(changed)
    await gateway.publish_conventions(changed)  # says nothing new
    versions = []
    for day in (builders.today(), tomorrow):
        found = (await optician.call("GET", f"/v1/conventions/optics?date={day}")).body
        versions.append((found["version"], found["payment_days"], found["valid_to"]))
    assert versions == [(1, 5, builders.today().isoformat()), (2, 9, None)]
    listed = (await optician.call("GET", "/v1/conventions")).body["conventions"]
    assert [each["specialty"] for each in listed] == ["hospital", "optics", "pharmacy"]


async def test_a_version_may_not_begin_before_the_latest(gateway: Gateway, tmp_path: Path) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    with pytest.raises(ConventionInPast):
        await gateway.publish_conventions(builders.convention_files(tmp_path, valid_from="2020-01-01"))
    later = [(builders.today() + timedelta(days=days)).isoformat() for days in (9, 5)]
    await gateway.publish_conventions(builders.convention_files(tmp_path, valid_from=later[0]))
    with pytest.raises(ConventionOverlaps):
        await gateway.publish_conventions(builders.convention_files(tmp_path, valid_from=later[1]))


async def test_a_later_version_never_lengthens_one_that_had_an_end(gateway: Gateway, tmp_path: Path) -> None:
    ends = builders.today() + timedelta(days=3)
    await gateway.publish_conventions(builders.convention_files(tmp_path, valid_to=ends.isoformat()))
    begins = (builders.today() + timedelta(days=30)).isoformat()
    await gateway.publish_conventions(builders.convention_files(tmp_path, valid_from=begins))
    found = await gateway.fetchval("SELECT DISTINCT upper(validity) - 1 FROM conventions WHERE version = 1")
    assert found == ends


def test_a_text_that_could_not_be_printed_is_refused_and_lists_links_and_images_are_no_such(tmp_path: Path) -> None:
    text = "# A\n\n- un\n- deux\n\n1. a\n   - b\n\n> - cité\n\n![x](/etc/passwd) [y](#a) [z](https://x.example) \U0001f600\n"
    for terms in read_folder(builders.convention_files(tmp_path, text=text)):
        refuse_unprintable(terms)
    row = "|".join(["x"] * 80)
    wide = f"# A\n\n|{row}|\n|{'|'.join(['-'] * 80)}|\n|{row}|\n"
    with pytest.raises(ConventionUnreadable) as refused:
        refuse_unprintable(read_folder(builders.convention_files(tmp_path, text=wide))[0])
    assert "cannot be printed" in str(refused.value.detail)
    mixed = "# A\n\n| a |\n|---|\n| un *mot* |\n"  # in cells the PDF library knows text or a mark, not both
    with pytest.raises(ConventionUnreadable):
        refuse_unprintable(read_folder(builders.convention_files(tmp_path, text=mixed))[0])
    for broken in ("", "\n", "a\0b"):
        with pytest.raises(ConventionUnreadable):
            read_folder(builders.convention_files(tmp_path, text=broken))


async def test_an_insurer_outside_the_network_cannot_take_part(gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(InsurerUnknown):
        await gateway.publish_conventions(builders.convention_files(tmp_path, insurers='["0000000019"]'))
    assert await gateway.fetchval("SELECT count(*) FROM conventions") == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"domains": '["NOPE"]'},
        {"domains": "[]"},
        {"payment_days": "-1"},
        {"valid_from": '"soon"'},
        {"insurers": '["12"]'},
        {"insurers": '"some"'},
        {"surprise": "1"},
        {"title": "= ="},
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, terms: dict[str, str]) -> None:
    with pytest.raises(ConventionUnreadable) as caught:
        read_folder(builders.convention_files(tmp_path, **terms))
    assert caught.value.detail
    assert "hospital.toml" in caught.value.detail


def test_the_files_that_come_with_the_demo_can_be_read() -> None:
    found = read_folder(Path(__file__).parents[2] / "tpgateway" / "demo" / "conventions")
    assert [terms.specialty for terms in found] == ["hospital", "optics", "pharmacy"]


async def test_who_leaves_is_contracted_until_the_notice_is_over(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path, notice_days="10"))
    insurer = await gateway.admit()
    await insurer.put_product()
    await insurer.load(builders.a_right())
    path = "/v1/conventions/optics/signature"
    assert (await optician.in_person("DELETE", path)).code == "not_signed"
    await optician.sign()
    left = await optician.in_person("DELETE", path)
    last = builders.today() + timedelta(days=10)
    assert (left.status, left.body["left_on"]) == (200, last.isoformat())
    assert (await optician.in_person("DELETE", path)).code == "not_signed"

    async def outcome(day: date) -> str:
        card = builders.a_card(care_date=day.isoformat())
        return str((await optician.check(card)).body["outcome"])

    assert await outcome(builders.today()) == "covered"
    await gateway.execute("UPDATE convention_signatures SET left_on = $1", builders.today())
    assert await outcome(builders.today()) == "not_contracted"
    assert await outcome(builders.today() - timedelta(days=1)) == "covered"
    first = await gateway.fetchval("SELECT signed_at FROM convention_signatures")
    await gateway.execute("UPDATE convention_signatures SET left_on = $1", builders.today() - timedelta(days=5))
    await optician.sign()  # back again: from today on, and not for the days between
    outcomes = [await outcome(builders.today() - timedelta(days=days)) for days in (0, 1, 5, 6)]
    assert outcomes == ["covered", "not_contracted", "not_contracted", "covered"]
    shown = (await optician.call("GET", "/v1/conventions/optics")).body["signature"]
    assert shown["left_on"] is None
    assert await gateway.fetchval("SELECT min(signed_at) FROM convention_signatures") == first
    await optician.in_person("DELETE", path)
    await optician.sign()  # before the notice is over: as if never left
    assert await gateway.fetchval("SELECT count(*) FROM convention_signatures") == 2
    assert await outcome(builders.today()) == "covered"
    assert (await optician.call("DELETE", path)).status == 403  # software does not leave
