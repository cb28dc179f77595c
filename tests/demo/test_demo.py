"""The demo, as a program: what it prints, its exit status, and that it leaves nothing behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import asyncpg
import psutil

from tpgateway.database.embedded import EmbeddedServer

DEMO = (sys.executable, "-m", "tpgateway.cli", "demo")


def processes_of(folder: Path) -> list[str]:
    """Whatever still runs and names the demo's folder in its command or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = [*process.cmdline(), process.environ().get("TPG_SECRETS_DIR", "")]
        except psutil.Error:
            continue
        if any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


@contextmanager
def serving(folder: Path) -> "Iterator[tuple[subprocess.Popen[str], dict[str, object]]]":
    """The demo, ready, with the line of JSON that it printed."""
    demo = subprocess.Popen(
        [*DEMO, "--json", "--data-dir", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert demo.stdout
        yield demo, json.loads(demo.stdout.readline())
    finally:
        demo.kill()
        demo.wait()
        assert demo.stdout
        demo.stdout.close()


def test_it_plays_its_story_again_on_the_same_data_after_a_stop_and_after_it_was_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as (demo, ready):
        look_around(json.loads(json.dumps(ready)))
        second = subprocess.run(
            [*DEMO, "--data-dir", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (second.returncode, "runs on this folder already" in second.stdout) == (1, True)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(30) == 0
    assert processes_of(tmp_path) == []
    with serving(tmp_path) as (demo, again):
        assert again["practitioners"] == ready["practitioners"]
        demo.kill()
        demo.wait()
    done = subprocess.run(
        [*DEMO, "--once", "--json", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert json.loads(line)["practitioners"] == ready["practitioners"]
    assert processes_of(tmp_path) == []
    values = asyncio.run(personal_values(tmp_path))
    assert len(values) > 10_000
    assert found_in_logs(tmp_path, values | {"serving": "what does stand there"}) == {
        "serving": "what does stand there"
    }


# Where the schema keeps what says who somebody is. Of it, and of secrets, words of six letters and more are looked for.
PERSONAL = {
    "practitioners": "first_name, last_name, legal_name, street, mobile, finess, siret",
    "practitioner_identifiers": "value",
    "practitioner_members": "name, email",
    "directory_entries": "legal_name, long_name, last_name, number",
    "insured_rights": "membership_number, birth_date",
    "card_checks": "membership_number, birth_date, proof, care_date",
    "prior_approvals": "membership_number, birth_date, care_date, comment, request",
    "prior_approval_events": "details",
    "insurer_events": "data",
    "sessions": "agent, address",
}


async def personal_values(folder: Path) -> dict[str, str]:
    """Every name, number, date, address and secret that the story left behind, with where it stands."""
    server = EmbeddedServer(folder)
    found: dict[str, str] = {}

    def take(value: Any, where: str) -> None:
        if isinstance(value, dict):
            for each in value.values():
                take(each, where)
        elif isinstance(value, list):
            for each in value:
                take(each, where)
        elif value is not None and not isinstance(value, bool):
            for form in {str(value), str(value).replace("-", "")}:
                if len(form) >= 6 and form != "127.0.0.1":
                    found[form] = where

    try:
        connection = await asyncpg.connect(server.url())
        for table, columns in PERSONAL.items():
            rows = await connection.fetch(
                f"SELECT DISTINCT row_to_json(t)::text FROM (SELECT {columns} FROM {table}) t"
            )
            assert rows, table
            for row in rows:
                take(json.loads(row[0]), table)
        ids = await connection.fetch("SELECT id::text FROM insurers")
        codes = await connection.fetch("SELECT DISTINCT code FROM prior_approvals")
        await connection.close()
    finally:
        server.stop()
    take(json.loads((folder / "demo.json").read_text()), "demo.json")
    for row in (*ids, *codes):  # whose events wait, and which problem was answered, is no person's
        found.pop(row[0], None)
    return found


def found_in_logs(folder: Path, values: dict[str, str]) -> dict[str, str]:
    """Which of the values stand in the logs of the demo's processes."""
    logs = "".join((folder / name).read_text() for name in ("serve.log", "work.log"))
    assert '"operation":"cards.check_card"' in logs
    assert '"operation":"prior_approvals.submit"' in logs
    words = set(re.findall(r"[\w@.+-]{6,}", logs)) | set(re.findall(r"\w{6,}", logs))
    spaced = {value: where for value, where in values.items() if " " in value and value in logs}
    today = datetime.now(UTC).date().isoformat()
    return {value: where for value, where in values.items() if value in words and value != today} | spaced


def look_around(ready: dict[str, Any]) -> None:
    """What the line of JSON says is so."""
    assert set(ready) == {"url", "mailbox_url", "practitioners", "insurers", "cards"}
    assert [each["scheme"] for each in ready["practitioners"]] == ["finess", "adeli", "treasury"]
    optician = next(each for each in ready["practitioners"] if each["specialty"] == "optics")
    token = ask_token(ready["url"], optician["client_id"], optician["client_secret"])
    expectations = {card["expect"] for card in ready["cards"]}
    assert expectations == {"covered", "unknown_person", "rights_closed", "not_covered", "not_contracted"}
    for card in ready["cards"]:
        expected = card.pop("expect")
        body = json.dumps({**card, "domain": "OPTI"}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with urlopen(Request(f"{ready['url']}/v1/card-checks", body, headers)) as answer:
            assert json.load(answer)["outcome"] == expected
    with urlopen(f"{ready['mailbox_url']}/mails.json") as answer:
        subjects = [mail["subject"][:12] for mail in json.load(answer)["mails"]]
        joined = ["Activez votr", "Votre code :", "Un accès log"]
        assert subjects == [*joined, *joined, joined[0], "Votre inscri", "Votre compte", *joined[1:], "Invitation à"]
    with urlopen(ready["insurers"][0]["events_url"]) as answer:
        assert "prior_approval.decided" in [event["type"] for event in json.load(answer)["events"]]
    for insurer in ready["insurers"]:
        file = Path(insurer["private_key_file"])
        assert file.stat().st_mode & 0o077 == 0
        assert (file.parents[1] / "demo.json").stat().st_mode & 0o077 == 0


def test_a_stop_at_any_moment_of_the_start_leaves_no_process(tmp_path: Path) -> None:
    for number, moment in enumerate((0.3, 1.0, 1.8, 2.6, 3.5)):
        folder = tmp_path / str(number)
        demo = subprocess.Popen(
            [*DEMO, "--once", "--data-dir", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            demo.wait(moment)
        except subprocess.TimeoutExpired:
            demo.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
        demo.wait(60)
        assert processes_of(folder) == [], moment


def ask_token(url: str, client_id: str, client_secret: str) -> str:
    form = f"grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}"
    with urlopen(Request(f"{url}/oauth/token", form.encode())) as answer:
        return str(json.load(answer)["access_token"])
