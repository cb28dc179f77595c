"""Conventions: published, read, signed."""

import hashlib
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway
from tpgateway.conventions.codec import read_folder
from tpgateway.conventions.errors import ConventionOverlaps, ConventionUnreadable
from tpgateway.insurers.errors import InsurerUnknown


async def test_the_convention_in_force_is_read_and_signed(gateway: Gateway, worker: None, tmp_path: Path) -> None:
    text = "# Convention\n\nArticle 1 : tiers payant.\n"
    await gateway.publish_conventions(builders.convention_files(tmp_path, text=text))
    optician = await gateway.join(**builders.an_optician())
    convention = (await optician.call("GET", "/v1/conventions/optics")).body
    assert convention["text_markdown"] == text
    assert convention["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (convention["signature"], convention["insurers"], convention["domains"]) == (None, None, ["OPTI"])
    await optician.sign()
    signed = (await optician.call("GET", "/v1/conventions/optics")).body["signature"]
    assert (signed["version"], signed["text_sha256"]) == (1, convention["text_sha256"])
    await optician.sign()  # once more changes nothing
    assert await gateway.fetchval("SELECT count(*) FROM convention_signatures") == 1


async def test_software_cannot_sign(gateway: Gateway, worker: None, tmp_path: Path) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    optician = await gateway.join(**builders.an_optician())
    reply = await optician.call("POST", "/v1/conventions/optics/signature", {"version": 1})
    assert reply.code == "caller_not_allowed"


async def test_only_the_own_speciality_and_the_version_in_force_are_signed(
    gateway: Gateway, worker: None, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    optician = await gateway.join(**builders.an_optician())
    other = await optician.in_person("POST", "/v1/conventions/pharmacy/signature", {"version": 1})
    assert (other.status, other.code) == (403, "other_specialty")
    outdated = await optician.in_person("POST", "/v1/conventions/optics/signature", {"version": 7})
    assert (outdated.status, outdated.code) == (409, "convention_outdated")
    none = await optician.call("GET", "/v1/conventions/dental")
    assert (none.status, none.code) == (404, "no_convention")
    assert (await optician.call("GET", "/v1/conventions/astrology")).code == "not_found"


async def test_a_version_that_begins_later_ends_the_one_before(gateway: Gateway, worker: None, tmp_path: Path) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    tomorrow = builders.today() + timedelta(days=1)
    changed = builders.convention_files(tmp_path, payment_days="9", valid_from=tomorrow.isoformat())
    await gateway.publish_conventions(changed)
    await gateway.publish_conventions(changed)  # says nothing new
    optician = await gateway.join(**builders.an_optician())
    versions = []
    for day in (builders.today(), tomorrow):
        found = (await optician.call("GET", f"/v1/conventions/optics?date={day}")).body
        versions.append((found["version"], found["payment_days"], found["valid_to"]))
    assert versions == [(1, 5, builders.today().isoformat()), (2, 9, None)]
    listed = (await optician.call("GET", "/v1/conventions")).body["conventions"]
    assert [each["specialty"] for each in listed] == ["hospital", "optics", "pharmacy"]


async def test_a_version_may_not_begin_before_the_latest(gateway: Gateway, tmp_path: Path) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    with pytest.raises(ConventionOverlaps):
        await gateway.publish_conventions(builders.convention_files(tmp_path, valid_from="2020-01-01"))


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
    gateway: Gateway, worker: None, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path, notice_days="10"))
    insurer = await gateway.admit()
    await insurer.put_product()
    await insurer.load(builders.a_right())
    optician = await gateway.join(**builders.an_optician())
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
    await optician.sign()  # back again
    assert await outcome(builders.today()) == "covered"
    shown = (await optician.call("GET", "/v1/conventions/optics")).body["signature"]
    assert shown["left_on"] is None
    assert (await optician.call("DELETE", path)).status == 403  # software does not leave
