"""Approvals as XML: the same as JSON, checked by schema, and deaf to what XML can be made to do."""

import time
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests import builders
from tests.claims.test_life import set_rules
from tests.driver import Gateway, Insurer, Practitioner, Reply

SCHEMAS = Path(__file__).parent.parent.parent / "schemas"
REQUEST = "urn:tpgateway:prior-approval:1"
XML = {"Content-Type": "application/xml"}
_SINGULAR = {"supplements": "supplement", "items": "item", "lines": "line", "documents": "document"}


def as_xml(root: str, body: dict[str, Any]) -> bytes:
    def fill(parent: Any, values: dict[str, Any]) -> None:
        for name, value in values.items():
            element = etree.SubElement(parent, f"{{{REQUEST}}}{name}")
            if isinstance(value, dict):
                fill(element, value)
            elif isinstance(value, list):
                for each in value:
                    child = etree.SubElement(element, f"{{{REQUEST}}}{_SINGULAR[name]}")
                    if isinstance(each, dict):
                        fill(child, each)
                    else:
                        child.text = str(each)
            else:
                element.text = str(value).lower() if isinstance(value, bool) else str(value)

    made = etree.Element(f"{{{REQUEST}}}{root}", nsmap={None: REQUEST})
    fill(made, body)
    return bytes(etree.tostring(made, pretty_print=True))


def read(reply: Reply) -> dict[str, Any]:
    root = etree.fromstring(reply.body)
    schema = etree.XMLSchema(etree.parse(SCHEMAS / "decision.xsd"))
    schema.assertValid(root)

    def value(element: Any) -> Any:
        children = list(element)
        if not children:
            return element.text
        return {etree.QName(child).localname: value(child) for child in children}

    return dict(value(root))


async def send(party: Practitioner | Insurer, path: str, body: bytes, **headers: str) -> Reply:
    return await party.call("POST", path, data=body, headers={**XML, **headers})


async def test_a_request_in_xml_is_decided_as_one_in_json(optician: Practitioner, proof: str) -> None:
    request = builders.a_request(proof, supplements=[builders.a_frame(price_cents=2_000)])
    as_json = (await optician.call("POST", "/v1/prior-approvals/simulation", request)).body
    body = as_xml("prior_approval", request)
    etree.XMLSchema(etree.parse(SCHEMAS / "prior-approval.xsd")).assertValid(etree.fromstring(body))
    simulated = await send(optician, "/v1/prior-approvals/simulation", body)
    assert (simulated.status, simulated.headers["Content-Type"]) == (200, "application/xml")
    told = read(simulated)
    assert told["totals"] == {name: str(value) for name, value in as_json["totals"].items()}
    made = await send(optician, "/v1/prior-approvals", body)
    assert made.status == 201
    approval = read(made)
    assert (approval["state"], as_json["state"]) == ("partially_approved", "partially_approved")
    shown = await optician.call("GET", f"/v1/prior-approvals/{approval['id']}", headers={"Accept": "application/xml"})
    assert shown.body == made.body
    mixed = await send(optician, "/v1/prior-approvals/simulation", body, Accept="application/json, application/xml")
    assert mixed.body["state"] == "refused"  # the period is used up by now
    assert mixed.body["lines"][0]["code"] == "renewal_too_early"


async def test_a_stay_and_an_insurers_decision_in_xml(gateway: Gateway, insurer: Insurer, worker: None) -> None:
    hospital = await gateway.join(specialty="hospital", legal_name="Centre hospitalier des Essais")
    await hospital.sign()
    room = builders.a_benefit("single_room", domain="HOSP", formula={"kind": "remainder", "per": "day"})
    await insurer.put_product(benefits=[room])
    await set_rules(insurer, reviews=[{"domain": "HOSP"}])
    proof = (await hospital.check(builders.a_card(), "HOSP")).body["proof"]
    treasury = {"office": "033090", "body": "123"}
    body = {
        "insurer_number": "0099990011",
        "proof": proof,
        "stay": builders.a_stay(treasury=treasury, is_psychiatry=True),
    }
    approval = read(await send(hospital, "/v1/prior-approvals", as_xml("prior_approval", body)))
    assert (approval["state"], approval["waits_for"]) == ("under_review", "insurer")
    assert approval["stay"]["treasury_office"] == "033090"
    place = f"/v1/insurer/prior-approvals/{approval['id']}/decision"
    cut = {
        "version": approval["version"],
        "decision": "partially_approved",
        "lines": [{"line": 2, "granted_cents": 100, "code": "insurer_price_too_high"}],
    }
    decided = read(await send(insurer, place, as_xml("insurer_decision", cut)))
    assert (decided["state"], decided["code"]) == ("partially_approved", "insurer_cut")


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        (b"<lpp>2210546</lpp>", b"<lpp>2210547</lpp>", "identifier_wrong_key", "/prior_approval/right_lens/lpp"),
        (b"<amo_cents>3</amo_cents>", b"<amo_cents>6</amo_cents>", "amounts_impossible", "/prior_approval/right_lens"),
        (b"<lpp>2210546</lpp>", b"<lpp>221054</lpp>", "xml_not_by_schema", "/prior_approval/right_lens/lpp"),
        (b"<price_cents>24000</price_cents>", b"", "xml_not_by_schema", "/prior_approval/right_lens"),
        (b"<prescriber_rpps>10999999906</prescriber_rpps>", b"", "field_missing", "/prior_approval"),
        (b"<price_cents>24000", b"<price_cents>0", "xml_not_by_schema", "/prior_approval/right_lens/price_cents"),
        (b"<lpp>2210546", b"<x/><lpp>2210546", "xml_not_by_schema", "/prior_approval/right_lens/x"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_with_line_and_path_and_without_the_value(
    gateway: Gateway, optician: Practitioner, proof: str, old: bytes, new: bytes, code: str, place: str
) -> None:
    body = as_xml("prior_approval", builders.a_request(proof))
    assert old in body
    wrong = body.replace(old, new, 1)
    reply = await send(optician, "/v1/prior-approvals", wrong)
    assert (reply.status, reply.faults[place]) == (422, code)
    line = next(error["detail"] for error in reply.body["errors"] if error["pointer"] == place)
    assert line.startswith("line ")
    assert "2210547" not in str(reply.body)
    assert "221054" not in str(reply.body)
    assert await gateway.fetchval("SELECT count(*) FROM prior_approvals") == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"<price_cents>24000</price_cents>", b"", "element_content, expected here: price_cents"),
        (b"<price_cents>24000", b"<price_cents>SECRET", "not of the type"),
        (b"prior_approval xmlns=", b"prior_approval xmlns:other=", "root is not prior_approval of "),
    ],
)
async def test_what_the_schema_wants_is_named(
    optician: Practitioner, proof: str, old: bytes, new: bytes, said: str
) -> None:
    body = as_xml("prior_approval", builders.a_request(proof))
    assert old in body
    reply = await send(optician, "/v1/prior-approvals", body.replace(old, new, 1))
    assert (reply.status, reply.code) == (422, "xml_not_by_schema")
    assert said in str([error["detail"] for error in reply.body["errors"]])
    assert "SECRET" not in str(reply.body)


async def test_a_number_with_thousands_of_zeros_is_refused(optician: Practitioner, proof: str) -> None:
    body = as_xml("prior_approval", builders.a_request(proof)).replace(b">24000<", b">" + b"0" * 5_000 + b"24000<", 1)
    reply = await send(optician, "/v1/prior-approvals/simulation", body)
    assert (reply.status, set(reply.faults.values())) == (422, {"xml_not_by_schema"})


async def test_thousands_of_wrong_attributes_under_a_prefix_are_told_of_once_and_quickly(
    optician: Practitioner,
) -> None:
    attributes, children = " ".join(f'a{n:x}=""' for n in range(3_500)), "<p:x/>" * 5_500
    body = f'<p:prior_approval xmlns:p="{REQUEST}" {attributes}>{children}</p:prior_approval>'.encode()
    started = time.monotonic()
    reply = await send(optician, "/v1/prior-approvals/simulation", body)
    assert (reply.status, set(reply.faults.values())) == (422, {"xml_not_by_schema"})
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("accept", "is_xml"),
    [
        ("application/xml", True),
        ("application/json", False),
        ("application/xml;q=0, application/json", False),
        ("application/xml, text/xml;q=0", True),
        ("application/json;q=0, */*", True),
        ("application/json;q=0.5, text/xml", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("*/*", False),
        ("application/xml;q=x", False),
    ],
)
async def test_the_answer_is_what_is_wanted_most(optician: Practitioner, proof: str, accept: str, is_xml: bool) -> None:
    reply = await optician.call(
        "POST", "/v1/prior-approvals/simulation", builders.a_request(proof), headers={"Accept": accept}
    )
    assert reply.headers["Content-Type"].startswith("application/xml" if is_xml else "application/json")


BOMB = b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 1000 + b'">' + b"".join(
    b'<!ENTITY b%d "%s">' % (n, b"&b;" * 100) for n in range(50)
) + b"]>"  # fmt: skip
OUTSIDE = b'<!DOCTYPE a SYSTEM "file:///etc/passwd">'
ENTITY = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<prior_approval",
        b"\x00\x01",
        BOMB + b"<a>&b1;</a>",
        OUTSIDE + b"<a/>",
        ENTITY + b"<a>&x;</a>",
        b"<a>" * 20_000,
        b'<a b="' + b"x" * 60_000 + b'"',
        '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9</a>',
    ],
    ids=range(10),
)
async def test_what_xml_can_be_made_to_do_is_refused_quickly(optician: Practitioner, body: bytes) -> None:
    started = time.monotonic()
    reply = await send(optician, "/v1/prior-approvals", body)
    assert (reply.status, reply.code) == (400, "not_xml")
    assert time.monotonic() - started < 2
    assert "root:" not in str(reply.body)


async def test_another_root_and_an_inclusion_are_not_the_schemas(optician: Practitioner) -> None:
    for body in (
        b"<prior_approval/>",
        f'<appeal xmlns="{REQUEST}"/>'.encode(),
        f'<prior_approval xmlns="{REQUEST}" xmlns:i="http://www.w3.org/2001/XInclude">'.encode()
        + b'<i:include href="/etc/passwd"/></prior_approval>',
    ):  # fmt: skip
        reply = await send(optician, "/v1/prior-approvals", body)
        assert (reply.status, set(reply.faults.values())) == (422, {"xml_not_by_schema"})


async def test_where_no_xml_is_spoken_it_is_not_taken(optician: Practitioner, proof: str) -> None:
    reply = await send(optician, "/v1/card-checks", b"<a/>")
    assert (reply.status, reply.code) == (415, "media_type_not_supported")
