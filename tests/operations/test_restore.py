"""An operator's mistake, and the way back by the scripts of ``deploy``: base backup, archived WAL, a moment before it."""

import asyncio
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests import builders, postgres
from tests.chaos.house import House
from tests.conftest import VAULT_KEYS
from tests.driver import Gateway, run_command, until
from tests.operations.day import PEOPLE, Day, say
from tpgateway.practitioners.bank import SEALED
from tpgateway.vault import Vault

SCRIPTS = Path(__file__).parents[2] / "deploy" / "backup"
NIR, IBAN = "295109912611193", "FR7630001007941234567890185"
# As deploy/backup/README.md has it.
ARCHIVING = """
archive_mode = on
archive_command = 'test ! -f {0}/%f && cp %p {0}/%f.part && sync {0}/%f.part && mv {0}/%f.part {0}/%f'
archive_timeout = 60
"""
# Somebody who owns the schema can do what no program may.
MISTAKE = """
SET session_replication_role = replica;
TRUNCATE card_checks, prior_approvals, prior_approval_lines, prior_approval_events, benefit_uses CASCADE;
DELETE FROM audit_entries;
DELETE FROM bank_details;
"""


class Backups:
    """A folder of backups, and the scripts, run as the servers' user."""

    def __init__(self, home: Path) -> None:
        # Copied, since that user may not be allowed to look where this clone stands.
        self.scripts = Path(shutil.copytree(SCRIPTS, home / "scripts"))
        self.folder = home / "backups"
        self.wal = self.folder / "wal"
        self.wal.mkdir(parents=True)
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            for each in (self.folder, self.wal):
                os.chown(each, pwd.getpwnam(self._user).pw_uid, -1)

    async def run(self, script: str, *words: str, **environment: str) -> tuple[int, str]:
        """Exit status, and all that was printed."""
        done = await asyncio.to_thread(
            subprocess.run,
            [str(self.scripts / script), *words],
            user=self._user,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": f"{postgres.programs()}:/usr/bin:/bin", "BACKUP_DIR": str(self.folder), **environment},
            check=False,
        )
        return done.returncode, done.stdout.decode()


@asynccontextmanager
async def served(house: House) -> AsyncIterator[Gateway]:
    """The service and the worker on a database."""
    try:
        async with await house.open() as gateway:
            yield gateway
    finally:
        await house.close()


async def test_after_a_mistake_the_database_goes_back_to_the_moment_before_and_all_that_was_accepted_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with postgres.folder() as home:
        backups = Backups(home)
        primary = await postgres.Server.new(home, "primary", ARCHIVING.format(backups.wal))
        restored, latest = postgres.Server(home, "restored"), postgres.Server(home, "latest")
        try:
            # A day's work, with a base backup in it and more work after that.
            house = House(tmp_path, database=primary.url())
            async with served(house) as gateway:
                day = await Day.begin(house, gateway, tmp_path)
                with_nir = f"{builders.RIGHTS_HEADER};nir\n{builders.a_right('77', birth_date='19951001')};{NIR}\n"
                assert (await day.insurer.load_bytes(with_nir.encode())).body["loaded"] == 1
                async with day.at_work():
                    await day.goes_on(100)
                    where = {"PGHOST": "127.0.0.1", "PGPORT": str(primary.port), "PGUSER": "postgres"}
                    status, made = await backups.run("base-backup", **where)
                    assert status == 0, made
                    before = (len(day.proofs), len(day.approvals))
                    bank = {"bic": "BDFEFRPPCCT", "iban": IBAN}
                    assert (await day.optician.in_person("PUT", "/v1/me/bank-details", bank)).status == 202
                    await asyncio.sleep(1.1)  # a backup's name has its second
                    await day.goes_on(100)
                    assert (len(day.proofs), len(day.approvals)) > before
                    target = datetime.now(UTC)
                    await asyncio.sleep(0.2)
                    await day.goes_on(20)  # accepted between the moment and the mistake: what going back costs
                    assert not day.failed, day.failed
                    accepted = [at for at in day.proofs.values() if at <= target]
                    feed = (await day.insurer.call("GET", "/v1/insurer/events?after=0&limit=1000")).body
                    read, known = feed["after"], {event["id"] for event in feed["events"]}
                    await gateway.execute(MISTAKE)
                assert await day.missing(primary.url())
            await primary.stop()

            # The way back.
            began = time.monotonic()
            target_text = target.isoformat(sep=" ").replace("+00:00", "Z")
            status, told = await backups.run("restore", target_text, RESTORE_DIR=str(restored.data))
            assert status == 0, told
            assert made.strip() in told
            await restored.configure("")
            await restored.start()
            await until(partial(_takes_writes, restored), 30)
            await restored.run(*_psql(restored, "-f", str(backups.scripts / "after-restore.sql")))
            async with served(House(tmp_path, database=restored.url())) as gateway:
                optician, insurer = await day.optician.at(gateway), await day.insurer.at(gateway)
                check = await optician.check(builders.a_card(membership_number=str(PEOPLE - 1)))
                assert check.body["outcome"] == "covered"
                back = time.monotonic() - began

                # Whatever was accepted is there, as it was; the mistake is not.
                assert await day.missing(restored.url(), by=target) == set()
                last = await gateway.fetchval("SELECT max(checked_at) FROM card_checks WHERE id <> $1", _id(check.body))
                assert last <= target
                status, said, _ = await run_command("audit", "verify", database=restored.url())
                assert (status, said[:5]) == (0, "Whole")

                # The keys of before open what was sealed before.
                sealed = await gateway.fetchval("SELECT iban FROM bank_details WHERE iban IS NOT NULL")
                vault = Vault.from_json(VAULT_KEYS)
                assert vault.open(sealed, purpose=SEALED[0].purpose(sealed)).decode() == IBAN
                by_nir = builders.a_card(nir=NIR, birth_date="19951001")
                del by_nir["membership_number"], by_nir["birth_rank"]
                assert (await optician.check(by_nir)).body["outcome"] == "covered"

                # All goes on; an insurer that had read further than the database went back misses nothing that is new.
                approval = await optician.call("POST", "/v1/prior-approvals", builders.a_request(check.body["proof"]))
                assert approval.status == 201
                # What had no number yet at that moment is told again, under the id that it had.
                news = (await insurer.call("GET", f"/v1/insurer/events?after={read}")).body["events"]
                new = [event for event in news if event["id"] not in known]
                assert [event["data"]["prior_approval_id"] for event in new] == [approval.body["id"]]

            # Once looked at, it archives again: first of all which timeline goes on from where, so that none is used twice.
            assert not list(backups.wal.glob("00000002*"))
            settings = restored.data / "postgresql.auto.conf"
            settings.write_text(settings.read_text().replace("archive_command = ''\n", ""))
            await restored.control("reload")
            status, again = await backups.run("base-backup", **where | {"PGPORT": str(restored.port)})
            assert status == 0, again

            async def archived() -> bool:
                return {"00000002.history"} < {each.name for each in backups.wal.glob("00000002*")}

            await until(archived, 30)

            # Its machine is gone: another comes to where the archive ends.
            await restored.stop()
            status, told = await backups.run("restore", "latest", RESTORE_DIR=str(latest.data))
            assert status == 0, told
            assert again.strip() in told
            await latest.configure("")
            await latest.start()
            await until(partial(_takes_writes, latest), 30)
            found = await latest.run(*_psql(latest, "-c", f"SELECT id FROM card_checks WHERE id = '{_id(check.body)}'"))
            assert found.strip() == _id(check.body)
            lost = sum(at > target for at in day.proofs.values())
            say(
                capsys,
                f"the last check that is there was made {(target - last).total_seconds() * 1000:.0f} ms before the moment;"
                f" 0 of {len(accepted):,} accepted by then lost, {lost} accepted after it are not there;"
                f" checks again {back:.1f} s after the restore began",
            )
        finally:
            for server in (primary, restored, latest):
                await server.stop("immediate")


def _psql(server: postgres.Server, *words: str) -> tuple[str, ...]:
    return ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", server.url(), *words)


async def _takes_writes(server: postgres.Server) -> bool:
    return (await server.run(*_psql(server, "-c", "SELECT pg_is_in_recovery()"))).strip() == "f"


def _id(check: "dict[str, str]") -> str:
    return check["id"].partition("-")[2]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--help"], 0, "BACKUP_DIR"),
        ([], 2, "TIME"),
        (["2026-11-22 14:29:30"], 2, "no offset from UTC"),
        (["2026-11-22 14:29:30' Z"], 2, "quotes"),
        (["2020-01-01 00:00:00Z"], 1, "no base backup"),
        (["2026-11-22 14:29:30Z"], 1, "is not empty"),
        (["latest"], 1, "is not empty"),
    ],
)
async def test_a_restore_that_cannot_be_made_says_why_and_touches_nothing(
    words: list[str], status: int, says: str
) -> None:
    with postgres.folder() as home:
        backups = Backups(home)
        into = home / "data"
        (backups.folder / "base-20210101T000000Z").mkdir()
        if "empty" in says:
            into.mkdir()
            (into / "PG_VERSION").write_text("18")
        ended, told = await backups.run("restore", *words, RESTORE_DIR=str(into))
        assert (ended, says in told) == (status, True), told
        assert not into.exists() or [each.name for each in into.iterdir()] == ["PG_VERSION"]


async def test_a_base_backup_that_fails_leaves_nothing() -> None:
    with postgres.folder() as home:
        backups = Backups(home)
        assert (await backups.run("base-backup", "--help"))[0] == 0
        status, _ = await backups.run("base-backup", PGHOST="127.0.0.1", PGPORT="1", PGUSER="postgres")
        assert status != 0
        assert [each.name for each in backups.folder.iterdir()] == ["wal"]
