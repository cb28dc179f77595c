"""XML made to do harm, at every door that reads XML: refused, or read as what it says, at once and with little memory.

Nothing outside the document is looked at: an address that listens hears nobody, and the text of a file is never told.
"""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import create_server

import psutil
import pytest

from tests import builders
from tests.claims.conftest import an_optician
from tests.conftest import VAULT_KEYS
from tests.driver import Gateway, Insurer, Practitioner, Reply, run_command
from tests.fuzz import seeds, targets
from tests.parsers.hostile import CASES, READ, Carrier, Trap
from tests.worlds import Recipe, World
from tpgateway.claims.routes import ROUTES

XML = {"Content-Type": "application/xml"}
SECONDS = 3
MEGABYTES = 150
RIGHTS = Carrier(
    root="rights",
    namespace="urn:tpgateway:rights:1",
    inside=seeds.a_right_element(membership_number="1"),
    size=3_000_000,
)
REFERENCE = "0099990011-01a20082-3212-791c-86f8-c7e4ea720af7"
# A rights file is held to no schema; a request may be as small as to have thousands of namespaces.
READ_AS_RIGHTS = READ | {
    *("Latin-1", "UTF-16 as UTF-8", "UTF-7", "another type", "base of an address", "version 1.1"),
}
READ_AS_APPROVAL = READ | {
    *("UTF-16 with a mark", "many namespaces", "version 1.1"),
    *("comment in the number", "instruction in the number", "number as a section", "section in the number"),
}


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    """An address and a file; at the end nobody has called."""
    file = tmp_path / "secret"
    file.write_text("<s3cr3t")  # no XML: who opens it has another fault to tell of than the document type
    with create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield Trap(address=f"http://127.0.0.1:{listening.getsockname()[1]}", file=file, secret="s3cr3t")
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.fixture
def recipe() -> Recipe:
    return an_optician


@pytest.fixture
async def insurer(world: World, gateway: Gateway) -> Insurer:
    return await world.insurer(gateway)


@pytest.fixture
async def optician(world: World, gateway: Gateway, insurer: Insurer, worker: None) -> Practitioner:
    return await world.practitioner(gateway)


@asynccontextmanager
async def little_memory() -> AsyncIterator[None]:
    """Neither the service nor a process that it starts takes more than so much."""
    service, peak = psutil.Process(), 0
    before = service.memory_info().rss

    async def watch() -> None:
        nonlocal peak
        while True:
            for child in service.children():
                try:
                    if child.cmdline()[-1:] == ["tpgateway.cards.codec.rights_files"]:
                        peak = max(peak, child.memory_info().rss)
                except psutil.Error:  # it ended meanwhile
                    continue
            peak = max(peak, service.memory_info().rss - before)
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    yield
    watching.cancel()
    assert peak < MEGABYTES << 20


def carrier(root: str, proof: str = seeds.PROOF) -> Carrier:
    """A door's own document, in one line, as it stands between the tags of its root."""
    body = {**seeds.REQUESTS[root][0], **({"proof": proof} if root == "prior_approval" else {})}
    written = seeds.xml_of(root, body).decode()
    inside = written.partition(">")[2].rpartition("</")[0]
    number = next(each for each in ("24000", "10999999906", "1", "2", "3") if f">{each}<" in inside)
    return Carrier(root=root, namespace=seeds.APPROVAL_NAMESPACE, inside=inside, size=60_000, number=number)


async def send(party: Practitioner | Insurer, path: str, body: bytes, trap: Trap) -> Reply:
    started = time.monotonic()
    reply = await party.call("POST", path, data=body, headers=XML)
    assert time.monotonic() - started < SECONDS
    assert trap.secret not in str(reply.body)
    if body.startswith(b"<!DOCTYPE") and trap.file.as_uri().encode() in body and b'="&e;"' not in body:
        assert "document type" in reply.body["detail"], "the file was opened"
    return reply


async def test_a_request_of_approval_is_refused_or_read_as_what_it_says(optician: Practitioner, trap: Trap) -> None:
    proof = str((await optician.check(builders.a_card())).body["proof"])
    door, path = carrier("prior_approval", proof), "/v1/prior-approvals/simulation"
    plain = await send(optician, path, door.write(), trap)
    assert plain.status == 200
    read = set()
    async with little_memory():
        for name, make in door.cases().items():
            reply = await send(optician, path, make(door, trap), trap)
            assert reply.status in {200, 400, 413, 422}, name
            if reply.status == 200:
                assert reply.body == plain.body, name
                read.add(name)
    assert read == READ_AS_APPROVAL


@pytest.mark.parametrize(
    "path", [each.path for each in ROUTES if each.xml and each.xml.request and "{id}" in each.path]
)
async def test_a_step_of_an_approval_is_refused_before_the_approval_is_looked_for(
    optician: Practitioner, insurer: Insurer, trap: Trap, path: str
) -> None:
    roots = {
        "amendments": "amendment",
        "decision": "insurer_decision",
        "information-request": "information_request",
    }
    last = path.removesuffix("/simulation").rpartition("/")[2]
    door, party = carrier(roots.get(last, last)), insurer if path.startswith("/v1/insurer") else optician
    place = path.replace("{id}", REFERENCE)
    read = set()
    async with little_memory():
        for name, make in door.cases().items():
            reply = await send(party, place, make(door, trap), trap)
            assert reply.status in {400, 404, 413, 422}, name
            if reply.status == 404:
                read.add(name)
    assert read == READ_AS_APPROVAL


async def test_a_rights_document_is_refused_or_read_as_what_it_says(trap: Trap) -> None:
    """What the service does in a process of its own for each file, done here."""
    plain, read = targets.rights_file(RIGHTS.write()), set()
    async with little_memory():
        for name, make in RIGHTS.cases().items():
            started = time.monotonic()
            written = targets.rights_file(make(RIGHTS, trap))
            assert time.monotonic() - started < SECONDS, name
            assert trap.secret not in str(written), name
            read |= {name} if written == plain else set()
            assert written != b"" or name == "nothing by declaration", name
            await asyncio.sleep(0)
    assert read == READ_AS_RIGHTS


LARGE = {"entities without end", "quadratic in an attribute", "many attributes of a child", "defaults of attributes"}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
async def test_a_rights_file_that_reaches_out_or_swells_is_refused_or_read_as_what_it_says(
    insurer: Insurer, trap: Trap, pack: Callable[[bytes], bytes]
) -> None:
    async with little_memory():
        for name, make in RIGHTS.cases().items():
            if name in LARGE or (pack is bytes and name.endswith(("of a file", "of an address", "laughs in text"))):
                reply = await send(insurer, "/v1/insurer/rights-imports?mode=update", pack(make(RIGHTS, trap)), trap)
                assert reply.status in {201, 400, 422}, name
                is_loaded = reply.status == 201 and reply.body["loaded"] == 1
                assert is_loaded is (name in READ_AS_RIGHTS), name


@pytest.mark.parametrize(
    "name",
    ["billion laughs in an attribute", "entity of a file", "entities without end", "parameter of an address", "EBCDIC"],
)
async def test_a_rights_file_of_the_operators_is_refused_with_a_sentence(
    gateway: Gateway, insurer: Insurer, trap: Trap, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "rights.xml"
    file.write_bytes(CASES[name](RIGHTS, trap))
    status, said, complaint = await run_command(
        "rights", "import", str(file), "--insurer", insurer.number, database=gateway.database, TPG_VAULT_KEYS=VAULT_KEYS
    )
    assert (status, said) == (1, "")
    assert "rights file" in complaint.lower()
    assert trap.secret not in complaint
