"""The files of an operator name what is there: settings, metrics, log events, problems, commands, places of the runbook."""

import ast
import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.main import get_command

from tests.driver import Gateway
from tpgateway.app import ROUTES
from tpgateway.cli import main
from tpgateway.errors import CATALOGUE
from tpgateway.settings import Settings
from tpgateway.web.metrics import GAUGES, Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
OPERATING, RUNBOOK = ROOT / "docs/operating.md", ROOT / "docs/runbook.md"
ALERTS, DASHBOARD = DEPLOY / "prometheus/alerts.yaml", DEPLOY / "grafana/tpgateway.json"
SETTINGS = {f"TPG_{name}".upper() for name in Settings.model_fields} | {"TPG_SECRETS_DIR"}
BASH = re.compile(r"```\n(.*?)```", re.S)


def files() -> list[Path]:
    return [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "container/compose.yaml").read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    """What is asked of Prometheus."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for rule in rules()] + [each["expr"] for panel in panels for each in panel.get("targets", [])]


def events() -> set[str]:
    """Every event that the code logs."""
    found = {"request", "library"} | set(
        CATALOGUE
    )  # written by itself; a problem that is ours is logged under its code
    for path in (ROOT / "tpgateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="_log")), args=[ast.Constant(value=str(event)), *_]):
                    found.add(event)
    return found


@pytest.mark.parametrize("path", [*files(), RUNBOOK], ids=lambda path: path.name)
def test_each_setting_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"\bTPG_[A-Z_]*[A-Z]\b", text))
    named |= {each.upper() for each in re.findall(r"\btpg_[a-z_]*[a-z]\b", text)}
    assert named <= SETTINGS


def test_each_setting_stands_in_the_operators_table() -> None:
    listed = set()
    for line in OPERATING.read_text().splitlines():
        if line.startswith("| `TPG_"):
            names = re.findall(r"`(\w+)`", line.split("|")[1])
            stem = names[0].rpartition("_")[0]
            listed |= {stem + name if name.startswith("_") else name for name in names}
    assert listed == SETTINGS - {"TPG_SECRETS_DIR"}


def test_what_is_asked_of_prometheus_is_counted() -> None:
    metrics = Metrics()
    metrics.requests.labels("x", "200").inc()
    metrics.spent("x", [0.1])
    metrics.problems.labels("x").inc()
    metrics.locks.labels("x").inc()
    told = {line.partition(b"{")[0].decode() for line in metrics.exposition().splitlines() if line[:1] != b"#"}
    told |= set(GAUGES)
    asked = {name for query in queries() for name in re.findall(r"\btpgateway_\w+", query)}
    assert asked <= told
    assert len(asked) > 4


def test_operations_and_problems_that_are_asked_for_exist() -> None:
    known = {"operation": {route.operation for route in ROUTES} | {"portal.*"}, "code": set(CATALOGUE)}
    for query in queries():
        for label, value in re.findall(r'\b(operation|code)=~?"([^"]+)"', query):
            assert set(value.split("|")) <= known[label], query


def test_each_alarm_has_a_severity_a_summary_and_a_place_in_the_runbook() -> None:
    titles = re.findall(r"^## (.+)$", RUNBOOK.read_text(), re.M)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert len(titles) == 10
    for rule in rules():
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / file, anchor in anchors) == (RUNBOOK, True), rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")
        assert f"`{rule['alert']}`" in RUNBOOK.read_text()


def test_each_log_event_that_is_named_is_written() -> None:
    runbook = re.sub(r"\([^()]*\)", "", RUNBOOK.read_text())
    sentences = re.findall(r"[Ll]og events? ((?:[,\s]|`\w+`|and\b)+)", runbook)
    named = {event for sentence in sentences for event in re.findall(r"`(\w+)`", sentence)}
    table = OPERATING.read_text().partition("| log event |")[2].partition("\n\n")[0]
    for line in table.splitlines():
        named |= {
            each for each in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "") if "tpg" not in each
        }
    assert named <= events()
    assert len(named) > 15


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where a command of ours is named, and its words."""
    for name, service in compose()["services"].items():
        if service["image"] == "tpgateway":
            yield name, service["command"]
    for unit in UNITS.glob("*.service"):
        for words in re.findall(r"^ExecStart=/opt/tpgateway/.venv/bin/tpgateway (.+)$", unit.read_text(), re.M):
            yield unit.name, words.split()
    for path in (RUNBOOK, DEPLOY / "README.md"):
        text = path.read_text()
        quoted = re.findall(r"`(?:[\w./]*/)?tpgateway (\w[^`]*)`", BASH.sub("", text))
        for block in BASH.findall(text):
            quoted += re.findall(r"(?:bin/|^)tpgateway (\w[^#&\n]*)", block, re.M)
        for words in quoted:
            yield path.name, shlex.split(words)


@pytest.mark.parametrize(
    ("place", "words"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, list) else value
)
def test_each_command_that_is_named_exists(place: str, words: list[str]) -> None:
    command: Any = get_command(main)
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        command, words = command.get_command(None, words[0]), words[1:]
        assert command is not None, place
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, place


def test_containers_are_sandboxed_and_get_secrets_that_are_there() -> None:
    made = compose()
    for name, service in made["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        used = {each["source"] if isinstance(each, dict) else each for each in service.get("secrets", [])}
        assert used <= set(made["secrets"]), name


def test_what_containers_mount_of_this_machine_is_there_or_is_made_and_ignored() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for name, service in compose()["services"].items():
        for source in [each.partition(":")[0] for each in service.get("volumes", []) if each.startswith(".")]:
            path = (DEPLOY / "container" / source).resolve()
            there = any(each.is_relative_to(path) for each in files())
            assert there or f"/{path.relative_to(ROOT)}/" in ignored, (name, source)


def test_the_image_copies_what_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "container/Containerfile").read_text(), re.M)
    assert {source for line in copied for source in line.split()} == kept
    assert all((ROOT / each).exists() for each in kept)


def front() -> str:
    return (DEPLOY / "nginx/tpgateway.conf").read_text()


def test_the_front_lets_through_what_an_operation_takes() -> None:
    sizes = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    general = re.search(r"^    client_max_body_size (\d+)(\w);", front(), re.M)
    assert general
    limits = []
    for kind, place, body in re.findall(r"location (= |~ )?(\S+) \{(.*?)\n    \}", front(), re.S):
        if found := re.search(r"client_max_body_size (\d+)(\w);", body):
            pattern = place if kind == "~ " else f"^{re.escape(place)}$"
            limits.append((re.compile(pattern), int(found[1]) * sizes[found[2]]))
    for route in ROUTES:
        path = re.sub(r"\{\w+\}", "x", route.path)
        let = next((size for pattern, size in limits if pattern.search(path)), int(general[1]) * sizes[general[2]])
        assert let > route.body_limit, path


@pytest.mark.parametrize("upstream", ["upstream-systemd.conf", "upstream-compose.conf"])
def test_nginx_takes_the_fronts_configuration(tmp_path: Path, upstream: str) -> None:
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx is None:
        pytest.skip("nginx is not installed: its configuration was not looked at")
    write_certificate(tmp_path)
    site = (
        front()
        .replace("/etc/nginx/tls", str(tmp_path))
        .replace("listen 443", "listen 8443")
        .replace("listen 80 ", "listen 8080 ")
    )
    (tmp_path / "site.conf").write_text(site)
    folders = "".join(f"{kind}_temp_path {tmp_path};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    includes = f"include {DEPLOY}/nginx/{upstream}; include {tmp_path}/site.conf;"
    whole = f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ {folders} {includes} }}"
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run([nginx, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def write_certificate(folder: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    (folder / "tpgateway.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tpgateway.key").write_bytes(key.private_bytes(pem, *form))


def test_alarms_ring_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: the alarms' own tests were not run")
    tested = DEPLOY / "prometheus/alerts_test.yaml"
    done = subprocess.run([promtool, "test", "rules", tested], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alarm_has_a_test_of_its_own() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts_test.yaml").read_text())["tests"]
    rung = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert rung == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize(
    "unit", ["tpgateway-migrate.service", "tpgateway-serve@8081.service", "tpgateway-work.service"]
)
def test_units_are_right_and_sandboxed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed: its units were not looked at")
    for path in UNITS.rglob("*.*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(UNITS)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(re.sub(r"/opt/tpgateway/\S+bin/\w+", "/bin/true", path.read_text()))
    monkeypatch.setenv("SYSTEMD_UNIT_PATH", f"{tmp_path}:")
    for words in (["verify", "--man=no", unit], ["security", "--offline=true", "--threshold=20", unit]):
        done = subprocess.run([analyze, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert str(tmp_path) not in done.stderr, done.stderr


async def test_a_probe_tells_whether_an_instance_answers(gateway: Gateway) -> None:
    async def probe(url: str) -> int:
        words = (sys.executable, str(DEPLOY / "health.py"), url)
        return await (await asyncio.create_subprocess_exec(*words)).wait()

    assert await probe(f"{gateway.url}/health/ready") == 0
    assert await probe(f"{gateway.url}/nowhere") == 1
    assert await probe("http://127.0.0.1:9/health/ready") == 1
