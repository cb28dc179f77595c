"""Tables as practitioners' software has them: downloaded, verified offline, brought up to date, looked up, told of."""

import asyncio
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry
from lxml import etree

from tests import builders
from tests.conftest import TABLE_KEYS
from tests.dre.test_tables import publish
from tests.driver import Gateway, Practitioner, Reply, run_command
from tests.web.test_safety import assert_safe
from tpgateway.dre import rules, service
from tpgateway.dre.codec.signatures import SignatureWrong, Signer, verify
from tpgateway.dre.errors import TablesChanged
from tpgateway.dre.model import Change
from tpgateway.practitioners.model import Specialty
from tpgateway.web.tokens import new_signing_keys_json

SCHEMA = Path(__file__).parents[2] / "schemas" / "dre-tables.xsd"
FORMATS = ("json", "csv", "xml", "html", "pdf")


async def raw(optician: Practitioner, path: str, **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and the very bytes of an answer, nothing unpacked."""
    sent = {"Authorization": f"Bearer {optician.token}", "Accept-Encoding": "identity", **headers}
    http = optician.gateway.http
    async with http.get(optician.gateway.url + path, headers=sent, auto_decompress=False) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_a_practice_downloads_verifies_offline_updates_and_looks_up(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    folder = tmp_path / "software"
    folder.mkdir()
    await publish(gateway)
    keys = await gateway.call("GET", "/v1/dre/keys")
    (folder / "dre-keys.json").write_text(json.dumps(keys.body))
    assert "d" not in keys.body["keys"][0]
    known = OKPKey.import_key(keys.body["keys"][0])
    for kind in FORMATS:
        _, headers, content = await raw(optician, f"/v1/dre/tables/latest?format={kind}")
        name = headers["Content-Disposition"].partition('filename="')[2].rstrip('"')
        signature = await optician.call("GET", f"/v1/dre/tables/1/signature?format={kind}")
        assert signature.headers["Content-Type"] == "application/jose"
        (folder / name).write_bytes(content)
        (folder / f"{name}.jws").write_bytes(signature.body)
        verify(content, signature.body.decode(), keys.body["keys"])
        # By a second library, which knows nothing of ours.
        allowed = JWSRegistry(algorithms=["EdDSA"])
        allowed.max_payload_length = len(content)
        jws.deserialize_compact(signature.body, known, registry=allowed, payload=content)
        with pytest.raises(BadSignatureError):
            jws.deserialize_compact(signature.body, known, registry=allowed, payload=content[:-1] + b"?")
    status, printed, _ = await run_command("dre", "verify", str(folder / "dre-optics-1.json"))
    assert (status, "as the network published it" in printed) == (0, True)
    older, newer = folder / "dre-optics-1.json", folder / "dre-optics-2.json"
    newer.write_bytes(older.read_bytes())
    newer.with_name(f"{newer.name}.jws").write_bytes(older.with_name(f"{older.name}.jws").read_bytes())
    status, _, complaint = await run_command("dre", "verify", str(newer))
    assert (status, "this is dre-optics-1.json" in complaint) == (1, True)
    altered = bytearray((folder / "dre-optics-1.json").read_bytes())
    altered[len(altered) // 2] ^= 1
    (folder / "dre-optics-1.json").write_bytes(altered)
    status, _, complaint = await run_command("dre", "verify", str(folder / "dre-optics-1.json"))
    assert (status, "changed after it was signed" in complaint) == (1, True)

    first = (await optician.call("GET", "/v1/dre/tables/1")).body
    await (await gateway.admit("0099990029")).put_product()
    await publish(gateway, note="Un nouvel organisme rejoint le réseau.")
    news = (await optician.call("GET", "/v1/dre/tables?after=1&wait=5")).body
    assert [(each["version"], each["note"]) for each in news["versions"]] == [
        (2, "Un nouvel organisme rejoint le réseau.")
    ]
    changes = (await optician.call("GET", "/v1/dre/tables/2/changes-since/1")).body
    made = {name: rules.apply(name, first[name], Change(**changes[name])) for name in rules.KEYS}
    route = (
        await optician.call("POST", "/v1/dre/routes", {"insurer_number": "0099990029", "convention_type": "SP"})
    ).body
    assert route["version"] == 2
    assert route["grouping"] in made["grouping"]
    fresh = (await optician.call("GET", "/v1/dre/tables/latest")).body
    assert all(fresh[name] == made[name] for name in rules.KEYS)


async def test_each_format_says_the_same_and_the_xml_is_valid(
    gateway: Gateway, optician: Practitioner, tmp_path: Path
) -> None:
    await publish(gateway)
    document = (await optician.call("GET", "/v1/dre/tables/1")).body
    _, headers, content = await raw(optician, "/v1/dre/tables/1?format=xml")
    assert headers["Content-Type"] == "application/xml"
    root = etree.fromstring(content)
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(root)
    for name in rules.KEYS:
        lines = [dict(line.attrib) for line in root.find(f"{{*}}{name}")]
        assert lines == [
            {key: str(value) for key, value in line.items() if value not in {None, ""} or key in rules.KEYS[name]}
            for line in document[name]
        ]
    if xmllint := shutil.which("xmllint"):
        (tmp_path / "tables.xml").write_bytes(content)
        command = [xmllint, "--noout", "--nonet", "--schema", str(SCHEMA), str(tmp_path / "tables.xml")]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: ASYNC221
    _, headers, page = await raw(optician, "/v1/dre/tables/1?format=html")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Verre complexe (classe B)" in page.decode()
    assert "0099990011" in page.decode()
    _, headers, printed = await raw(optician, "/v1/dre/tables/1?format=pdf")
    assert (headers["Content-Type"], printed[:4]) == ("application/pdf", b"%PDF")
    assert_safe(headers)
    archive = zipfile.ZipFile(io.BytesIO((await raw(optician, "/v1/dre/tables/1?format=csv"))[2]))
    assert archive.read("version.csv").decode().splitlines()[1].startswith("1;")


async def test_files_come_packed_in_parts_and_only_where_they_are_new(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    path = "/v1/dre/tables/1"
    _, headers, content = await raw(optician, path)
    assert (headers["Accept-Ranges"], headers["Vary"], "Content-Encoding" in headers) == (
        "bytes",
        "Accept-Encoding",
        False,
    )
    tags = {headers["ETag"]}
    for encoding, unpack in (("gzip", gzip.decompress), ("zstd", zstd.decompress)):
        _, packed_headers, packed = await raw(optician, path, **{"Accept-Encoding": encoding})
        assert packed_headers["Content-Encoding"] == encoding
        assert unpack(packed) == content
        tags.add(packed_headers["ETag"])
        same = await raw(optician, path, **{"Accept-Encoding": encoding, "If-None-Match": packed_headers["ETag"]})
        assert (same[0], same[2]) == (304, b"")
    assert len(tags) == 3
    none = await raw(optician, path, **{"Accept-Encoding": "gzip;q=0, br"})
    assert "Content-Encoding" not in none[1]

    size, tag = len(content), headers["ETag"]
    for asked, part, said in (
        ("bytes=0-9", content[:10], f"bytes 0-9/{size}"),
        ("bytes=100-", content[100:], f"bytes 100-{size - 1}/{size}"),
        ("bytes=-7", content[-7:], f"bytes {size - 7}-{size - 1}/{size}"),
        (f"bytes=5-{size * 2}", content[5:], f"bytes 5-{size - 1}/{size}"),
    ):
        status, got, piece = await raw(optician, path, Range=asked)
        assert (status, piece, got["Content-Range"]) == (206, part, said)
        assert got["Content-Length"] == str(len(part))
    for ignored in ("bytes=0-1,4-5", "lines=0-1", "bytes=x"):
        status, _, whole = await raw(optician, path, Range=ignored)
        assert (status, whole) == (200, content)
    status, got, problem = await raw(optician, path, Range=f"bytes={size}-")
    assert (status, got["Content-Range"]) == (416, f"bytes */{size}")
    assert json.loads(problem)["code"] == "range_not_satisfiable"
    assert (await raw(optician, path, Range="bytes=0-9", **{"If-Range": tag}))[0] == 206
    assert (await raw(optician, path, Range="bytes=0-9", **{"If-Range": '"another"'}))[0] == 200
    head = await gateway.call("HEAD", path, token=optician.token, headers={"Accept-Encoding": "identity"})
    assert (head.status, head.headers["Content-Length"], head.headers["ETag"]) == (200, str(size), tag)


async def test_answers_of_one_connection_come_in_order_and_whole(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    path = "/v1/dre/tables/1"
    _, headers, content = await raw(optician, path)
    tag = headers["ETag"]
    await raw(optician, path, **{"If-None-Match": tag})
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    for more in (
        f"If-None-Match: {tag}\r\n",
        "",
        f"If-None-Match: {tag}\r\n",
        "Range: bytes=0-9\r\n",
        "Connection: close\r\n",
    ):
        asked = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {optician.token}\r\nAccept-Encoding: identity\r\n"
        )
        writer.write(f"{asked}{more}\r\n".encode())
    everything = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert everything.count(b"HTTP/1.1 304 Not Modified\r\n") == 2
    assert everything.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert everything.count(content) == 2
    first, rest = everything.split(b"\r\n\r\n", 1)
    assert f"ETag: {tag}".encode() in first
    assert b"\r\nDate: " in first
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert everything.endswith(content)


async def test_the_version_of_a_day_of_care_is_found_and_a_rollback_is_a_new_version(
    gateway: Gateway, optician: Practitioner
) -> None:
    today = builders.today()
    tomorrow, later = today + timedelta(days=1), today + timedelta(days=9)
    await publish(gateway)
    await (await gateway.admit("0099990029")).put_product()
    await publish(gateway, later)  # published first, counts last
    await publish(gateway, tomorrow)

    async def counts_on(day: Any) -> str:
        return (await optician.call("GET", f"/v1/dre/tables/{day}")).headers["X-Tables-Version"]

    assert [await counts_on(day) for day in (today, tomorrow, later)] == ["1", "3", "2"]
    assert (await optician.call("GET", f"/v1/dre/tables/{today - timedelta(days=1)}")).code == "no_tables"
    assert (await optician.call("GET", "/v1/dre/tables/2026-02-30")).code == "not_found"
    words = ("dre", "rollback", "1", "--effective", later.isoformat(), "--note", "Retour [en] arrière [/]")
    status, printed, complaint = await run_command(*words, database=gateway.database, TPG_TABLE_KEYS=TABLE_KEYS)
    assert (status, printed.splitlines()[-1]) == (0, f"Version 4, in force from {later}"), complaint
    assert "-1" in printed
    await told_of(optician, 4)
    listed = (await optician.call("GET", "/v1/dre/tables")).body["versions"]
    assert [(each["version"], each["restores"], each["is_in_force"]) for each in listed] == [
        (4, 1, False), (3, None, False), (2, None, False), (1, None, True),
    ]  # fmt: skip
    assert listed[0]["notice_days"] == 9
    assert [each["effective_to"] for each in listed] == [
        None, (later - timedelta(days=1)).isoformat(), (later - timedelta(days=1)).isoformat(), today.isoformat(),
    ]  # fmt: skip
    status, printed, complaint = await run_command("dre", "list", database=gateway.database)
    assert (status, complaint, "Retour [en] arrière [/]" in printed) == (0, "", True)
    assert await counts_on(later) == "4"
    one, four = [(await optician.call("GET", f"/v1/dre/tables/{number}")).body for number in (1, 4)]
    assert all(one[name] == four[name] for name in rules.KEYS)
    status, _, complaint = await run_command(
        "dre", "rollback", "77", database=gateway.database, TPG_TABLE_KEYS=TABLE_KEYS
    )
    assert (status, "no such version" in complaint) == (1, True)


async def test_a_speciality_that_has_no_convention_any_more_has_empty_tables(
    gateway: Gateway, optician: Practitioner
) -> None:
    await publish(gateway)
    await gateway.execute(
        "UPDATE conventions SET validity = daterange(lower(validity), current_date + 5) WHERE specialty = 'optics'"
    )
    _, lines = await publish(gateway, builders.today() + timedelta(days=10))
    assert lines[Specialty.OPTICS] == 0
    await told_of(optician, 2)
    ask = {"insurer_number": "0099990011", "convention_type": "SP"}
    days = [builders.today() + timedelta(days=day) for day in (0, 20)]
    found = [
        (await optician.call("POST", "/v1/dre/routes", {**ask, "care_date": day.isoformat()})).body["code"]
        for day in days
    ]
    assert found == ["routed", "no_route"]


async def test_what_came_between_showing_and_publishing_is_not_published(
    gateway: Gateway, optician: Practitioner
) -> None:
    connection = await gateway.connect()
    today = builders.today()
    shown = [each async for each in service.preview(connection, effective_from=today, today=today)]
    await connection.close()
    await publish(gateway)
    with pytest.raises(TablesChanged):
        await publish(gateway, shown=shown)
    assert await gateway.fetchval("SELECT max(version) FROM dre_versions") == 1


async def told_of(optician: Practitioner, version: int) -> Reply:
    """Waits until the service knows of a version that another process published."""
    reply = await optician.call("GET", f"/v1/dre/tables?after={version - 1}&wait=10")
    assert reply.body["versions"][0]["version"] == version
    return reply


async def test_software_that_waits_is_told_and_who_asked_is_mailed_once(
    gateway: Gateway, optician: Practitioner
) -> None:
    assert (await optician.call("GET", "/v1/dre/subscription")).body == {"mail": False}
    assert (await optician.call("PUT", "/v1/dre/subscription", {"mail": True})).code == "caller_not_allowed"
    assert (await optician.in_person("PUT", "/v1/dre/subscription", {"mail": True})).body == {"mail": True}
    waiting = asyncio.create_task(optician.call("GET", "/v1/dre/tables?wait=30"))
    await asyncio.sleep(0.2)
    before = gateway.mailbox.received
    await publish(gateway, note="[/] Garanties d'optique revues.")
    news = (await asyncio.wait_for(waiting, 10)).body
    assert ([each["version"] for each in news["versions"]], news["after"]) == ([1], 1)
    letter = await gateway.letter_about(optician.form["email"], "Nouvelles tables", after=before)
    assert "Garanties d'optique revues." in letter.text
    assert f"{builders.today():%d/%m/%Y}" in letter.subject
    await optician.in_person("PUT", "/v1/dre/subscription", {"mail": False})
    before = gateway.mailbox.received
    await publish(gateway)
    while await gateway.fetchval("SELECT count(*) FROM queue.pgqueuer"):
        await asyncio.sleep(0.05)
    assert gateway.mailbox.received == before


async def test_it_is_seen_who_still_uses_an_old_version(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)

    async def readers() -> dict[str, Any]:
        _, printed, _ = await run_command("dre", "list", "--json", database=gateway.database)
        found: dict[str, Any] = json.loads(printed)
        return {str(each["version"]): each["readers"] for each in found["versions"]} | {"none": found["never_fetched"]}

    await raw(optician, "/v1/dre/tables/1?format=pdf")  # a print says nothing of the software
    await gateway.call("HEAD", "/v1/dre/tables/1", token=optician.token)
    await raw(optician, "/v1/dre/tables/1", Range="bytes=0-9")
    assert await readers() == {"1": 0, "none": 1}
    await raw(optician, "/v1/dre/tables/1")
    await publish(gateway)
    assert await readers() == {"2": 0, "1": 1, "none": 0}
    _, printed, _ = await run_command("dre", "readers", "1", "--json", database=gateway.database)
    assert json.loads(printed)["specialty"] == "optics"
    await raw(optician, "/v1/dre/tables/2/changes-since/1")
    await raw(optician, "/v1/dre/tables/1")  # for care of a past day
    assert await readers() == {"2": 1, "1": 0, "none": 0}


async def test_a_publication_that_is_killed_leaves_nothing(gateway: Gateway, optician: Practitioner) -> None:
    holder = await gateway.connect()
    async with holder.transaction():
        await holder.execute("LOCK TABLE dre_files IN SHARE MODE")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tpgateway.cli", "dre", "publish"),
            env={**os.environ, "TPG_DATABASE_URL": gateway.database, "TPG_TABLE_KEYS": TABLE_KEYS},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        waits = "SELECT count(*) FROM pg_locks WHERE relation = 'dre_files'::regclass AND NOT granted"
        while not await holder.fetchval(waits):
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
    await holder.close()
    await asyncio.sleep(0.2)
    assert await gateway.fetchval("SELECT count(*) FROM dre_versions") == 0
    assert (await optician.call("GET", "/v1/dre/tables/latest")).code == "no_tables"
    assert (await publish(gateway))[0].version == 1


async def test_files_of_before_there_were_signatures_are_served_without(
    gateway: Gateway, optician: Practitioner
) -> None:
    await gateway.execute(
        "INSERT INTO dre_versions (version, effective_from, published_at) VALUES (1, current_date, now())"
    )
    await gateway.execute(
        "INSERT INTO dre_files (version, specialty, format, lines, sha256, content)"
        " VALUES (1, 'optics', 'json', 0, sha256('{}'), '{}')"
    )
    status, headers, content = await raw(optician, "/v1/dre/tables/1", **{"Accept-Encoding": "zstd"})
    assert (status, content, "Content-Encoding" in headers) == (200, b"{}", False)
    assert (await optician.call("GET", "/v1/dre/tables/1/signature")).code == "no_tables"
    assert (await optician.call("GET", "/v1/dre/tables/1?format=xml")).code == "no_tables"


async def test_keys_cannot_be_taken_away_by_the_service(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    connection = await gateway.connect()
    await connection.execute("SET ROLE tpgateway_service")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM dre_keys")
    await connection.close()


SIGNER = Signer(TABLE_KEYS)
PUBLIC = [dict(SIGNER.public_jwk)]


@given(st.binary(min_size=1, max_size=300), st.data())
@settings(max_examples=60, deadline=None)
def test_one_bit_changed_is_seen(content: bytes, data: st.DataObject) -> None:
    signature = SIGNER.sign(content, name="a.json")
    assert verify(content, signature, PUBLIC) == (SIGNER.kid, "a.json")
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    altered = bytearray(content)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureWrong):
        verify(bytes(altered), signature, PUBLIC)


@given(st.text(max_size=80) | st.sampled_from(["a..b", "..", "eyJhbGciOiJub25lIn0..", "[]..x"]))
@settings(max_examples=60, deadline=None)
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(SignatureWrong):
        verify(b"content", text, PUBLIC)


def test_a_key_that_is_not_in_the_set_verifies_nothing() -> None:
    other = Signer(new_signing_keys_json())
    with pytest.raises(SignatureWrong, match="not in the key set"):
        verify(b"x", other.sign(b"x", name="a"), PUBLIC)
    forged = [{**other.public_jwk, "kid": SIGNER.kid}]
    with pytest.raises(SignatureWrong):
        verify(b"x", SIGNER.sign(b"x", name="a"), forged)
    assert SIGNER.sign(b"x", name="a") == SIGNER.sign(b"x", name="a")
