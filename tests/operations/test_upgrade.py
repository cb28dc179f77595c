"""A new version in place of the old one, its schema first, while everybody works: no request fails, nothing is lost."""

import asyncio
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

import tpgateway
from tests import builders
from tests.chaos.house import House
from tests.driver import Gateway, Insurer
from tests.operations.day import PEOPLE, Day, say
from tpgateway.database.migrations import known_revisions, present_revision

HERE = Path(tpgateway.__file__).parents[1]
VERSIONS = "tpgateway/database/migrations/versions"
# What a next revision may well do: columns that the program of before does not know, on tables that all requests read.
NEXT = "9999_rehearsal"
NEXT_SQL = """
ALTER TABLE prior_approvals ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE card_checks ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE practitioners ADD COLUMN rehearsed_at timestamptz DEFAULT now();
ALTER TABLE practitioner_members ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE practitioner_clients ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE bank_details ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE insurers ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE insurer_clients ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE insurer_endpoints ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE product_versions ADD COLUMN rehearsed_at timestamptz;
ALTER TABLE rights_imports ADD COLUMN rehearsed_at timestamptz;
CREATE INDEX prior_approvals_rehearsed ON prior_approvals (insurer_id, rehearsed_at);
"""


def git(*words: str) -> bytes:
    """What git says of this clone; skips the test where it has nothing to say."""
    try:
        done = subprocess.run(["git", "-C", str(HERE), *words], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("without git, the version before the newest migration cannot be had")
    if done.returncode:
        pytest.skip("the version before the newest migration is not here: this is no clone, or a shallow one")
    return done.stdout


def version_before(folder: Path) -> Path:
    """The program as it was before the newest migration was added."""
    newest = f"{VERSIONS}/{known_revisions()[-1]}.py"
    added = git("log", "--diff-filter=A", "--format=%H", "-1", "--", newest).decode().strip()
    if not added:
        pytest.skip("the newest migration is not committed yet: there is no version before it")
    with tarfile.open(fileobj=io.BytesIO(git("archive", f"{added}^", "tpgateway", "pyproject.toml"))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def version_after(folder: Path) -> Path:
    """This program, with one migration more."""
    shutil.copytree(HERE / "tpgateway", folder / "tpgateway", ignore=shutil.ignore_patterns("__pycache__"))
    lines = f'"""."""\n\nfrom tpgateway.database.migrations.run import sql\n\nrevision = "{NEXT}"\n'
    lines += f'down_revision = "{known_revisions()[-1]}"\n\n\ndef upgrade() -> None:\n    sql(revision)\n'
    (folder / VERSIONS / f"{NEXT}.py").write_text(lines)
    (folder / VERSIONS / f"{NEXT}.sql").write_text(NEXT_SQL)
    return folder


async def admitted(house: House, gateway: Gateway, folder: Path) -> Insurer:
    """An insurer and the conventions, by the commands of the house's version: this one's need its own schema."""
    terms, key = folder / "conventions", Ed25519PrivateKey.generate()
    terms.mkdir()
    (folder / "insurer.jwk").write_text(OKPAlgorithm.to_jwk(key.public_key()))
    words = (
        "--number",
        "0099990011",
        "--name",
        "Mutuelle",
        "--convention-type",
        "SP",
        "--key",
        str(folder / "insurer.jwk"),
    )
    made, _ = await asyncio.gather(
        house.command("insurers", "add", *words, "--json"),
        house.command("conventions", "publish", str(builders.convention_files(terms))),
    )
    id_ = await gateway.fetchval("SELECT id FROM insurers")
    return Insurer(gateway, id_, "0099990011", json.loads(made.splitlines()[-1])["client_id"], key)


async def upgrade(old: Path, new: Path, folder: Path) -> tuple[Day, str, str]:
    """Puts one version in place of another under load; answers the day, and the revisions before and after."""
    house = House(folder, program=old, words=("--workers", "2"))
    try:
        async with await house.open() as gateway:
            insurer = await admitted(house, gateway, folder)
            await insurer.log_in()
            assert (await insurer.put_product()).status == 200
            await insurer.load(*(builders.a_right(str(number)) for number in range(1, PEOPLE)))
            optician = await gateway.join(**builders.an_optician())
            await optician.sign()
            connection = await gateway.connect()
            before = await present_revision(connection)
            day = Day(gateway, optician, insurer)
            async with day.at_work():
                await day.goes_on(150)
                house.program = new
                await house.command("migrate")
                after = await present_revision(connection)
                house.program = old
                await day.goes_on(150)
                await house.replace(new)
                await day.goes_on(150)
            await connection.close()
            assert await day.missing(gateway.database) == set()
            assert before
            assert after
            return day, before, after
    finally:
        await house.close()


async def test_the_version_before_goes_on_while_the_schema_is_migrated_and_this_one_takes_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = version_before(tmp_path / "before")
    day, before, after = await upgrade(old, HERE, tmp_path)
    assert (before, after) == tuple(known_revisions()[-2:])
    say(
        capsys,
        f"{before} → {after}: {day.answers.total():,} requests, failed: {dict(day.failed)}, pause {day.pause():.2f} s",
    )
    if "def drain" not in (old / "tpgateway/web/server.py").read_text():
        # It did not yet answer on open connections for a while when it was asked to stop.
        for what in [each for each in day.failed if each.endswith("Error")]:
            del day.failed[what]
    assert not day.failed, day.failed


async def test_this_version_goes_on_while_a_later_one_adds_columns_and_takes_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day, before, after = await upgrade(HERE, version_after(tmp_path / "after"), tmp_path)
    assert (before, after) == (known_revisions()[-1], NEXT)
    say(
        capsys,
        f"{before} → {after}: {day.answers.total():,} requests, failed: {dict(day.failed)}, pause {day.pause():.2f} s",
    )
    assert not day.failed, day.failed
