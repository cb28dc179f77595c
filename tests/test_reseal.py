"""The vault's key replaced while the service runs: what it sealed is sealed anew, and the old key is let go last."""

import json
import re
from pathlib import Path
from uuid import uuid4

import pytest

from tests import builders
from tests.conftest import VAULT_KEYS
from tests.driver import Gateway, Practitioner
from tests.driver import run_command as run
from tpgateway.claims.documents import piece_purpose
from tpgateway.claims.model import AttachmentId
from tpgateway.cli.keys import SEALED
from tpgateway.vault import SealBroken, Vault, with_new_key, with_newest_current

NIR = "295109912611193"
IBAN = "FR7630001007941234567890185"
PIECES = 2500  # more than are sealed anew at once
# Hashes and digests, by which things are found and which open nothing; published files.
NOT_SEALED = re.compile("(.*_)?(hash|digest|sha256)|leaf|content|gzip|zstd")
NOT_SEALED_PAIRS = {("login_guards", "key")}


@pytest.fixture
async def kept(gateway: Gateway, pharmacist: Practitioner) -> Vault:
    """A person's NIR, an IBAN, secrets of an insurer, a document; gives the vault that sealed them."""
    insurer = await gateway.admit()
    content = f"{builders.RIGHTS_HEADER};nir\n{builders.a_right()};{NIR}\n"
    assert (await insurer.load_bytes(content.encode())).body["loaded"] == 1
    await insurer.call("PUT", "/v1/insurer/live-source", {"url": "http://127.0.0.1:9/checks"})
    await insurer.call("POST", "/v1/insurer/endpoints", {"url": "http://127.0.0.1:9/events"})
    asked = await pharmacist.in_person("PUT", "/v1/me/bank-details", {"bic": "BDFEFRPPCCT", "iban": IBAN})
    assert asked.status < 300
    vault = Vault.from_json(VAULT_KEYS)
    attachment = AttachmentId(uuid4())
    connection = await gateway.connect()
    await connection.executemany(
        "INSERT INTO prior_approval_attachment_pieces SELECT id, $1, $2, $3 FROM insurers",
        [
            (attachment, piece, vault.seal(b"%d" % piece, purpose=piece_purpose(attachment, piece)))
            for piece in range(PIECES)
        ],
    )
    await connection.close()
    return vault


async def opened(gateway: Gateway, vault: Vault) -> dict[str, list[bytes]]:
    connection = await gateway.connect()
    values = {
        f"{each.table}.{each.column}": [
            vault.open(row[each.column], purpose=each.purpose(row))
            for row in await connection.fetch(
                f"SELECT * FROM {each.table} WHERE {each.column} IS NOT NULL ORDER BY {', '.join(each.key)}"
            )
        ]
        for each in SEALED
    }
    await connection.close()
    return values


async def test_the_vaults_key_is_replaced_step_by_step_and_everything_still_opens(
    gateway: Gateway, kept: Vault, tmp_path: Path
) -> None:
    file = tmp_path / "tpg_vault_keys"
    file.write_text(VAULT_KEYS)
    assert (await run("secrets", "new", str(tmp_path)))[0] == 0  # the others

    async def step(*words: str) -> tuple[int, str]:
        status, printed, complaint = await run(
            "secrets", *words, database=gateway.database, TPG_SECRETS_DIR=str(tmp_path), TPG_ENVIRONMENT="development"
        )
        return status, printed + complaint

    def keys() -> tuple[str, list[str]]:
        text = json.loads(file.read_text())
        return text["current"], list(text["keys"])

    rotate = ("rotate", str(tmp_path), "--vault")
    before = await opened(gateway, kept)
    assert before["insured_nirs.nir_sealed"] == [NIR.encode()]
    assert before["bank_details.iban"] == [IBAN.encode()]
    assert (await step(*rotate))[0] == 0
    assert keys() == ("k1", ["k1", "k2"])
    assert (await step(*rotate))[0] == 0
    assert keys() == ("k2", ["k1", "k2"])
    status, said = await step(*rotate)
    assert status == 1
    assert "2,500 of prior_approval_attachment_pieces" in said
    assert keys() == ("k2", ["k1", "k2"])

    count = sum(len(values) for values in before.values())
    status, said = await step("reseal")
    assert status == 0
    assert f"{count:,} values sealed anew" in said
    assert "0 values sealed anew" in (await step("reseal"))[1]
    with pytest.raises(SealBroken):
        await opened(gateway, kept)
    assert (await step(*rotate))[0] == 0
    assert keys() == ("k2", ["k2"])
    assert (file.stat().st_mode & 0o777) == 0o600
    assert await opened(gateway, Vault.from_json(file.read_text())) == before


async def test_a_key_is_not_removed_on_the_word_of_another_database(database: str, tmp_path: Path) -> None:
    file = tmp_path / "tpg_vault_keys"
    file.write_text(with_newest_current(with_new_key(VAULT_KEYS)))
    before = file.read_text()
    status, _, complaint = await run("secrets", "rotate", str(tmp_path), "--vault", database=database)
    assert status == 1
    assert "Is it the right one?" in complaint
    assert file.read_text() == before


async def test_every_column_of_bytes_is_sealed_anew_or_known_not_to_be_sealed(gateway: Gateway) -> None:
    connection = await gateway.connect()
    rows = await connection.fetch(
        "SELECT DISTINCT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'bytea'"
    )
    await connection.close()
    known = {(each.table, each.column) for each in SEALED}
    left = {(row["table_name"], row["column_name"]) for row in rows} - known
    assert {pair for pair in left - NOT_SEALED_PAIRS if not NOT_SEALED.fullmatch(pair[1])} == set()
    assert known <= {(row["table_name"], row["column_name"]) for row in rows}
