"""Documents of approvals: attached when asked, sealed, read by the parties; and letters."""

import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from tests import builders
from tests.claims.test_life import act, set_rules, submit
from tests.driver import Gateway, Insurer, Practitioner
from tests.web.test_safety import assert_safe

ASKS = [{"domain": "OPTI", "document": "prescription"}]
SECRET = b"vision de pres et de loin"
PDF = b"%PDF-1.7\n" + SECRET + b"x" * 600_000 + b"\n%%EOF"
STREAM = {"Content-Type": "application/octet-stream"}


def a_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "white").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
async def asked(optician: Practitioner, insurer: Insurer, proof: str) -> dict[str, Any]:
    await set_rules(insurer, attachments=ASKS)
    return dict((await submit(optician, proof)).body)


async def attach(
    optician: Practitioner, approval: dict[str, Any], content: bytes, kind: str = "prescription", **more: Any
) -> Any:
    path = f"/v1/prior-approvals/{approval['id']}/attachments?kind={kind}"
    return await optician.call("POST", path, data=content, headers=STREAM, **more)


async def test_a_document_is_asked_for_given_and_looked_at(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, asked: dict[str, Any]
) -> None:
    assert (asked["state"], asked["waits_for"], asked["documents"]) == (
        "information_requested",
        "practitioner",
        ["prescription"],
    )
    early = await act(optician, asked, "information", answer="Voici.")
    assert (early.status, early.code, early.body["detail"]) == (422, "attachment_missing", "missing: prescription")
    given = await attach(optician, asked, PDF)
    assert (given.status, given.body["media_type"], given.body["size"]) == (201, "application/pdf", len(PDF))
    assert given.body["sha256"] == hashlib.sha256(PDF).hexdigest()
    answered = await act(optician, asked, "information", answer="Voici l'ordonnance.")
    assert (answered.body["state"], answered.body["documents"]) == ("under_review", [])
    for party, start in ((optician, "/v1/prior-approvals"), (insurer, "/v1/insurer/prior-approvals")):
        place = f"{start}/{asked['id']}/attachments"
        listed = (await party.call("GET", place)).body["attachments"]
        assert [each["id"] for each in listed] == [given.body["id"]]
        read = await party.call("GET", f"{place}/{given.body['id']}")
        assert (read.status, read.headers["Content-Type"], read.body) == (200, "application/pdf", PDF)
        assert read.headers["Content-Disposition"] == 'attachment; filename="prescription.pdf"'
        assert_safe(read.headers)
    trace = "SELECT count(*) FROM audit_entries WHERE action = 'approval:attachment:read'"
    assert await gateway.fetchval(trace) == 2
    pieces = "SELECT count(*) FROM prior_approval_attachment_pieces WHERE position($1::bytea in sealed) > 0"
    assert await gateway.fetchval(pieces, SECRET) == 0
    assert (await act(insurer, answered.body, "decision", decision="approved")).body["state"] == "approved"


@pytest.mark.parametrize(
    ("content", "code", "status"),
    [
        (b"", "attachment_unreadable", 422),
        (b"%PDF", "attachment_unreadable", 422),
        (b"<html>" + b"x" * 100, "attachment_unreadable", 422),
        (b"GIF89a" + b"x" * 100, "attachment_unreadable", 422),
        (b"MZ%PDF-1.7" + b"x" * 100, "attachment_unreadable", 422),
        (b"%PDF-" + b"x" * (10 * 1024 * 1024), "body_too_large", 413),
    ],
)
async def test_what_is_no_document_or_too_large_is_refused(
    gateway: Gateway, optician: Practitioner, asked: dict[str, Any], content: bytes, code: str, status: int
) -> None:
    reply = await attach(optician, asked, content)
    assert (reply.status, reply.code) == (status, code)
    assert await gateway.fetchval("SELECT count(*) FROM prior_approval_attachment_pieces") == 0


async def test_a_photo_is_told_by_its_content(optician: Practitioner, asked: dict[str, Any]) -> None:
    first = await attach(optician, asked, a_png(), key="photo")
    again = await attach(optician, asked, a_png(), key="photo")
    assert first.body["media_type"] == "image/png"
    assert (again.body, again.headers["Idempotency-Replayed"]) == (first.body, "true")
    listed = await optician.call("GET", f"/v1/prior-approvals/{asked['id']}/attachments")
    assert len(listed.body["attachments"]) == 1


async def test_nobody_sends_what_nobody_asked_for(
    optician: Practitioner, insurer: Insurer, asked: dict[str, Any]
) -> None:
    assert (await attach(optician, asked, PDF, "quote")).code == "attachment_not_asked"
    assert (await attach(optician, asked, PDF, "selfie")).code == "field_invalid"
    for _ in range(10):
        assert (await attach(optician, asked, a_png())).status == 201
    assert (await attach(optician, asked, a_png())).code == "attachments_too_many"
    answered = (await act(optician, asked, "information", answer="Voici.")).body
    await act(insurer, answered, "decision", decision="approved")
    assert (await attach(optician, asked, PDF)).code == "attachment_not_asked"


async def test_a_second_question_wants_documents_of_its_own(
    optician: Practitioner, insurer: Insurer, asked: dict[str, Any]
) -> None:
    for _ in range(10):
        last = await attach(optician, asked, a_png(), key=f"k{_}")
    again = await attach(optician, asked, a_png(), key="k9")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (last.body, "true")
    answered = (await act(optician, asked, "information", answer="Voici.")).body
    replayed = await attach(optician, asked, a_png(), key="k9")
    assert replayed.body == last.body
    more = (await act(insurer, answered, "information-request", question="Lisible ?", documents=["prescription"])).body
    early = await act(optician, more, "information", answer="Déjà donnée.")
    assert early.code == "attachment_missing"
    assert (await attach(optician, more, a_png())).status == 201
    assert (await act(optician, more, "information", answer="Voici.")).body["state"] == "under_review"


async def test_documents_and_letters_are_the_parties_own(
    gateway: Gateway, optician: Practitioner, asked: dict[str, Any]
) -> None:
    given = (await attach(optician, asked, PDF)).body
    other, stranger = await gateway.join(**builders.an_optician()), await gateway.admit("0099990029")
    for party, start in ((other, "/v1/prior-approvals"), (stranger, "/v1/insurer/prior-approvals")):
        for what in ("attachments", f"attachments/{given['id']}"):
            assert (await party.call("GET", f"{start}/{asked['id']}/{what}")).code == "not_found"
    assert (await attach(other, asked, PDF)).code == "not_found"
    assert (await other.call("GET", f"/v1/prior-approvals/{asked['id']}/letter")).code == "not_found"
    unknown = f"/v1/prior-approvals/{asked['id']}/attachments/{asked['id'][11:]}"
    assert (await optician.call("GET", unknown)).code == "not_found"


async def test_a_decision_is_a_letter_that_is_the_same_each_time(
    optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    approval = (await submit(optician, proof)).body
    place = f"/v1/prior-approvals/{approval['id']}/letter"
    letter = await optician.call("GET", place)
    assert (letter.status, letter.headers["Content-Type"]) == (200, "application/pdf")
    assert letter.body.startswith(b"%PDF-")
    assert (await optician.call("GET", place)).body == letter.body
    await set_rules(insurer, attachments=ASKS)
    other = await optician.check(builders.a_card(membership_number="7654321"))
    waiting = (await submit(optician, other.body["proof"])).body
    refused = await optician.call("GET", f"/v1/prior-approvals/{waiting['id']}/letter")
    assert (refused.status, refused.code) == (409, "state_forbids")
