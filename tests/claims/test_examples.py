"""Replays docs/examples/approvals: every transition of the table, as JSON and as XML, through the API."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests import builders
from tests.claims.conftest import an_insurer, an_optician
from tests.claims.test_life import run_clocks, set_rules
from tests.driver import Gateway, Insurer, Practitioner, Reply
from tests.worlds import People, Recipe, World
from tpgateway.claims.model import Kind, State
from tpgateway.claims.rules import life

FOLDER = Path(__file__).parent.parent.parent / "docs" / "examples" / "approvals"
SCHEMAS = Path(__file__).parent.parent.parent / "schemas"
EXAMPLES = sorted(FOLDER.glob("*--*.json"))
_PATHS = {
    "submission": ("practitioner", "/v1/prior-approvals"),
    "amendments": ("practitioner", None),
    "extension": ("practitioner", None),
    "appeal": ("practitioner", None),
    "information": ("practitioner", None),
    "use": ("practitioner", None),
    "cancellation": ("practitioner", None),
    "decision": ("insurer", None),
    "information-request": ("insurer", None),
}


def filled(text: str, *, proof: str, version: int) -> str:
    """The example with what only a running gateway knows: proof, version, days counted from today."""
    text = text.replace("{proof}", proof).replace('"{version}"', str(version)).replace("{version}", str(version))
    return re.sub(
        r"\{today(?:([+-])(\d+))?\}",
        lambda found: (builders.today() + timedelta(days=int(f"{found[1] or '+'}{found[2] or 0}"))).isoformat(),
        text,
    )


class Player:
    """One example on a gateway: who acts, and the approval as it stands."""

    def __init__(self, gateway: Gateway, practitioner: Practitioner, insurer: Insurer, proof: str) -> None:
        self.gateway, self.proof = gateway, proof
        self.parties = {"practitioner": practitioner, "insurer": insurer}
        self.approval: dict[str, Any] = {"version": 0}

    async def play(self, step: dict[str, Any], *, xml: str | None = None) -> None:
        """Takes a step, its body as JSON or as the XML document given."""
        if "clock_days" in step:
            assert await run_clocks(self.gateway, timedelta(days=step["clock_days"])) == 1
            await self.look()
            return
        who, path = _PATHS[step["act"]]
        if path is None:
            start = "/v1/insurer/prior-approvals" if who == "insurer" else "/v1/prior-approvals"
            path = f"{start}/{self.approval['id']}/{step['act']}"
        party = self.parties[who]
        if xml is None:
            body = json.loads(self._filled(json.dumps(step.get("body")))) if "body" in step else None
            reply = await party.call("POST", path, body)
        else:
            document = self._filled(xml).encode()
            self._validate("prior-approval.xsd", document)
            reply = await party.call("POST", path, data=document, headers={"Content-Type": "application/xml"})
        assert reply.status in {200, 201}, reply.body
        if xml is not None:
            self._validate("decision.xsd", reply.body)
        self.approval = reply.body if xml is None else {"id": _text(reply, "id")}
        await self.look()

    async def look(self) -> None:
        place = f"/v1/prior-approvals/{self.approval['id']}"
        self.approval = (await self.parties["practitioner"].call("GET", place)).body

    async def events(self) -> list[dict[str, Any]]:
        place = f"/v1/prior-approvals/{self.approval['id']}/events"
        return list((await self.parties["practitioner"].call("GET", place)).body["events"])

    def _filled(self, text: str) -> str:
        return filled(text, proof=self.proof, version=self.approval["version"])

    @staticmethod
    def _validate(schema: str, document: bytes) -> None:
        etree.XMLSchema(etree.parse(SCHEMAS / schema)).assertValid(etree.fromstring(document))


def _text(reply: Reply, name: str) -> str:
    return str(etree.fromstring(reply.body).findtext(f"{{*}}{name}"))


async def a_hospital(gateway: Gateway, folder: Path) -> People:
    insurer = (await an_insurer(gateway, folder)).insurer
    hospital = await gateway.join(specialty="hospital", legal_name="Centre hospitalier des Essais")
    await hospital.sign()
    return People(practitioner=hospital, insurer=insurer)


@pytest.fixture
def recipe(path: Path) -> Recipe:
    """Who acts in the example."""
    return a_hospital if json.loads(path.read_text())["speciality"] == "hospital" else an_optician


@pytest.fixture
async def practitioner(world: World, gateway: Gateway, worker: None) -> Practitioner:
    return await world.practitioner(gateway)


async def a_player(gateway: Gateway, insurer: Insurer, practitioner: Practitioner, example: dict[str, Any]) -> Player:
    product = json.loads((FOLDER / "product.json").read_text())
    assert (await insurer.put_product(**product)).status == 200
    await set_rules(insurer, **example["approval_rules"])
    domain = "HOSP" if example["speciality"] == "hospital" else "OPTI"
    proof = (await practitioner.check(builders.a_card(), domain)).body["proof"]
    return Player(gateway, practitioner, insurer, proof)


def test_every_transition_of_the_table_has_its_example() -> None:
    told = {path.stem for path in EXAMPLES}
    wanted = {f"{state or 'start'}--{kind}" for state, row in life.TRANSITIONS.items() for kind in row}
    assert told == wanted
    for path in EXAMPLES:
        assert path.with_suffix(".xml").is_file()
        example = json.loads(path.read_text())
        state = None if example["from"] is None else State(example["from"])
        assert path.stem == f"{example['from'] or 'start'}--{example['event']}"
        assert life.TRANSITIONS[state][Kind(example["event"])] == example["to"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_an_example_plays_as_it_says(
    gateway: Gateway, insurer: Insurer, practitioner: Practitioner, path: Path
) -> None:
    example = json.loads(path.read_text())
    xml = etree.fromstring(path.with_suffix(".xml").read_bytes())
    is_answer = etree.QName(xml).localname == "decision"
    player = await a_player(gateway, insurer, practitioner, example)
    *before, last = example["steps"]
    for step in before:
        await player.play(step)
    await player.play(last, xml=None if is_answer else path.with_suffix(".xml").read_text())
    for name, value in example["answer"].items():
        assert player.approval[name] == value, name
    happened = await player.events()
    steps = {
        (before and before["state"], event["kind"], event["state"])
        for before, event in zip([None, *happened], happened, strict=False)
    }
    assert (example["from"], example["event"], example["to"]) in steps
    if is_answer:
        player._validate("decision.xsd", path.with_suffix(".xml").read_bytes())
        shown = await player.parties["practitioner"].call(
            "GET", f"/v1/prior-approvals/{player.approval['id']}", headers={"Accept": "application/xml"}
        )
        for name in ("state", "code", "message_fr", "revision"):
            assert _text(shown, name) == xml.findtext(f"{{*}}{name}")
        told, shown_lines = xml.findall(".//{*}line/{*}granted_cents"), etree.fromstring(shown.body)
        assert [each.text for each in told] == [
            each.text for each in shown_lines.findall(".//{*}line/{*}granted_cents")
        ]


def test_the_diagram_in_the_docs_is_the_tables() -> None:
    text = (FOLDER.parent.parent / "approvals.md").read_text()
    assert f"```mermaid\n{life.diagram()}```" in text
