"""Logs hold what is on the list, and nothing of people."""

import ast
import io
import json
import logging
from pathlib import Path

import pytest
import structlog

import tpgateway
from tests import builders
from tests.driver import Gateway
from tpgateway.web import logs
from tpgateway.web.logs import ALLOWED
from tpgateway.web.state import STATE


def written(to: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in to.getvalue().splitlines()]


@pytest.fixture
def log() -> io.BytesIO:
    to = io.BytesIO()
    logs.configure(level="info", form="json", to=to)
    return to


def test_a_key_that_is_not_listed_is_not_written(log: io.BytesIO) -> None:
    structlog.get_logger().info("request", status=200, membership_number="1234567", birth_date="19800229")
    [entry] = written(log)
    assert entry["status"] == 200
    assert set(entry) == {"event", "level", "timestamp", "status"}


def test_what_other_libraries_say_is_reduced_to_where_they_said_it(log: io.BytesIO) -> None:
    try:
        raise ValueError("the card of 1234567")
    except ValueError:
        logging.getLogger("asyncpg").exception("row (1234567, 19800229)")
    [entry] = written(log)
    assert (entry["logger"], entry["failure"]) == ("asyncpg", "ValueError")
    assert b"1234567" not in log.getvalue()


def test_where_names_modules_and_lines_without_texts_or_paths() -> None:
    try:
        raise ValueError("the card of 1234567")
    except ValueError as error:
        assert logs.where(error).startswith("tests.web.test_logs:")


def test_every_key_that_is_logged_anywhere_is_written() -> None:
    dropped = []
    for file in Path(tpgateway.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_log(node.func.value):
                dropped += [f"{file.name}: {each.arg}" for each in node.keywords if each.arg not in {None, *ALLOWED}]
    assert dropped == []


def _is_log(node: ast.expr) -> bool:
    return ast.unparse(node) in {"_log", "log", "structlog.get_logger()"}


async def test_a_whole_visit_leaves_nothing_of_its_people_in_the_log(gateway: Gateway, worker: None) -> None:
    to = io.BytesIO()
    logs.configure(level="debug", form="json", to=to)
    insurer, practitioner = await gateway.admit(), await gateway.join()
    await insurer.load(builders.a_right("SECRET99", birth_date="19451399"))
    await practitioner.check(builders.a_card(membership_number="SECRET99", birth_date="19451399"), "PHAR")
    await gateway.call("GET", "/activation/verysecrettoken", headers={"Accept": "text/html"})
    gateway.app[STATE].request_log.write()
    text = to.getvalue().decode()
    assert '"operation":"cards.check_card"' in text
    for secret in ("SECRET99", "19451399", "verysecrettoken", *map(str, practitioner.form.values())):
        assert secret not in text or secret in {"True", "finess", "pharmacy"}, secret
