"""A new version in place of the old one, its schema first, while everybody works: no request fails, nothing is lost."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import tpgateway
from tests.chaos.house import AT_LENGTH, House
from tests.operations.day import Day, say
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


async def upgrade(old: Path, new: Path, folder: Path) -> tuple[Day, str, str]:
    """Puts one version in place of another under load; answers the day, and the revisions before and after."""
    house = House(folder, program=old, words=("--workers", "2"))
    try:
        async with await house.open() as gateway:
            day = await Day.begin(house, gateway, folder)
            connection = await gateway.connect()
            before = await present_revision(connection)
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


@AT_LENGTH
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
