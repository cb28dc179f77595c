"""The command line: what operators type, what they read, and the exit status."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from tests import builders
from tests.conftest import TABLE_KEYS
from tests.driver import Gateway
from tests.driver import run_command as run
from tpgateway.cards.payloads import REASONS
from tpgateway.web.callers import Access, Caller
from tpgateway.web.tokens import Tokens

LONG_NAME = "Mutuelle du grand lac et des communes de ses rives, îles comprises"


def a_key(folder: Path, *, private: bool = False) -> str:
    key = Ed25519PrivateKey.generate()
    file = folder / "key.jwk"
    file.write_text(OKPAlgorithm.to_jwk(key if private else key.public_key()))
    return str(file)


async def test_an_insurer_is_admitted_once_and_listed(database: str, tmp_path: Path) -> None:
    words = ("insurers", "add", "--number", "99990011", "--name", LONG_NAME, "--convention-type", "sp")
    words += ("--key", a_key(tmp_path), "--json")
    status, printed, _ = await run(*words, database=database)
    assert (status, json.loads(printed)["number"]) == (0, "0099990011")
    status, _, complaint = await run(*words, database=database)
    assert status == 1
    assert "exists already" in complaint
    _, listed, _ = await run("insurers", "list", database=database)
    assert "0099990011" in listed
    assert LONG_NAME in listed


async def test_a_private_key_is_refused(database: str, tmp_path: Path) -> None:
    words = ("insurers", "add", "--number", "99990011", "--name", "x", "--convention-type", "SP")
    status, _, complaint = await run(*words, "--key", a_key(tmp_path, private=True), database=database)
    assert status == 2
    assert "not public" in complaint


async def test_rights_are_loaded_from_a_file_and_bad_lines_told(gateway: Gateway, tmp_path: Path) -> None:
    await gateway.admit()
    file = tmp_path / "rights.csv"
    file.write_text("\n".join([builders.RIGHTS_HEADER, builders.a_right(), "broken", ""]))
    words = ("rights", "import", str(file), "--insurer", "99990011", "--mode", "full")
    status, printed, _ = await run(*words, database=gateway.database)
    assert (status, printed.splitlines()) == (
        0,
        [
            "2 lines: 1 loaded, 0 of them unchanged, 1 rejected, 0 periods closed",
            f"  line 3: line: wrong_column_count ({REASONS['wrong_column_count']})",
        ],
    )
    file.write_text("\n".join([builders.RIGHTS_HEADER, *["broken"] * 30]))
    rejects = tmp_path / "rejects.csv"
    words = ("rights", "import", str(file), "--insurer", "99990011", "--rejects", str(rejects))
    status, printed, _ = await run(*words, database=gateway.database)
    assert (status, len(printed.splitlines())) == (1, 21)  # not one is good
    assert rejects.read_text().splitlines()[0] == "line;column;code;reason"
    assert len(rejects.read_text().splitlines()) == 31
    assert await gateway.fetchval("SELECT count(*) FROM insured_rights") == 1
    status, _, complaint = await run("rights", "import", str(file), "--insurer", "19000000", database=gateway.database)
    assert status == 1
    assert "No insurer" in complaint


async def test_conventions_and_tables_are_published(gateway: Gateway, tmp_path: Path) -> None:
    await (await gateway.admit()).put_product()
    folder = str(builders.convention_files(tmp_path))
    _, printed, _ = await run("conventions", "publish", folder, database=gateway.database)
    assert f"optics: version 1 from {builders.today().year - 1}-01-01" in printed
    _, printed, _ = await run("conventions", "publish", folder, database=gateway.database)
    assert printed.splitlines() == ["hospital: unchanged", "optics: unchanged", "pharmacy: unchanged"]
    status, _, complaint = await run("dre", "publish", database=gateway.database)
    assert (status, "TPG_TABLE_KEYS" in complaint) == (1, True)
    publish = partial(run, "dre", "publish", database=gateway.database, TPG_TABLE_KEYS=TABLE_KEYS)
    status, printed, _ = await publish("--dry-run")
    assert (status, "optics" in printed, "+1" in printed) == (0, True, True)
    assert await gateway.fetchval("SELECT count(*) FROM dre_versions") == 0
    status, printed, _ = await publish()
    assert (status, printed.splitlines()[-1]) == (0, f"Version 1, in force from {builders.today()}")
    status, printed, _ = await publish()
    assert (status, "no version is made" in printed) == (0, True)
    status, _, complaint = await publish("--effective", "2020-01-01")
    assert status == 1
    assert "past" in complaint


async def test_secrets_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert (await run("secrets", "new", str(folder)))[0] == 0
    made = {path.name: (path.read_text(), path.stat().st_mode & 0o077) for path in folder.iterdir()}
    assert {name: mode for name, (_, mode) in made.items()} == {
        "tpg_token_keys": 0,
        "tpg_vault_keys": 0,
        "tpg_table_keys": 0,
    }
    await run("secrets", "new", str(folder))
    assert all((folder / name).read_text() == text for name, (text, _) in made.items())


async def test_a_secret_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tpg_smtp_password").write_bytes(b"\xff\xfe no text")  # root may read all
    status, _, complaint = await run("serve", TPG_SECRETS_DIR=str(tmp_path))
    assert status == 1
    assert "smtp_password" in complaint
    assert "Traceback" not in complaint


async def test_a_database_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/x"
    status, _, complaint = await run("insurers", "list", database=nowhere)
    assert status == 1
    assert "ConnectionRefusedError" in complaint


async def test_every_command_has_help_with_an_example() -> None:
    for words in (("demo",), ("serve",), ("work",), ("migrate",), ("rights", "import"), ("dre", "publish")):
        status, printed, _ = await run(*words, "--help")
        assert status == 0
        assert "Example" in printed, words


async def test_the_groups_of_commands_are_listed_in_their_own_words_and_none_is_imported_for_it() -> None:
    look = "import atexit, sys; from tpgateway.cli import main; sys.argv = ['tpgateway', '--help']; atexit.register("
    look += "lambda: print(sorted(name for name in sys.modules if name.startswith('tpgateway.cli.')))); main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", look), stdout=asyncio.subprocess.PIPE, env={**os.environ, "COLUMNS": "200"}
    )
    listed = (await process.communicate())[0].decode()
    assert listed.splitlines()[-1] == "['tpgateway.cli.frame', 'tpgateway.cli.processes']"
    for group in ("secrets", "insurers", "dre", "rights", "practitioners", "audit", "sessions", "people"):
        _, own, _ = await run(group, "--help")
        sentence = own.splitlines()[3].split()
        assert [group, *sentence] in [line.strip("│ ").split() for line in listed.splitlines()]


async def test_the_signing_key_is_replaced_step_by_step_and_two_are_live(tmp_path: Path) -> None:
    assert (await run("secrets", "new", str(tmp_path)))[0] == 0
    file = tmp_path / "tpg_token_keys"

    def tokens() -> Tokens:
        return Tokens(keys_json=file.read_text(), base_url="https://x.example", lifetime=timedelta(minutes=9))

    caller = Caller(access=Access.INSURER_CLIENT, account_id=uuid4(), client_id=uuid4(), scopes=frozenset())
    now = datetime.now(UTC)
    before = tokens()
    orders = [[key["kid"] for key in before.jwks["keys"]]]
    for _ in range(4):
        earlier = tokens()
        assert (await run("secrets", "rotate", str(tmp_path)))[0] == 0
        later = tokens()
        orders.append([key["kid"] for key in later.jwks["keys"]])
        # Processes of one step and of the next check each other's tokens.
        assert later.check(earlier.issue(caller, now), now) == caller
        assert earlier.check(later.issue(caller, now), now) == caller
        assert all(set(key) <= {"kty", "crv", "x", "kid", "alg", "use"} for key in later.jwks["keys"])
    a = orders[0][0]
    b, c = orders[1][1], orders[3][1]
    assert orders == [[a], [a, b], [b, a], [b, c], [c, b]]
    assert (file.stat().st_mode & 0o777) == 0o600
