"""Loading the public directories, by the operator's command, and what registrations come to by them."""

import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, run_command
from tpgateway.directory.codec import read
from tpgateway.directory.errors import DirectoryFileUnknown
from tpgateway.directory.model import Entry, Position, Source

Command = Callable[..., Awaitable[tuple[int, str, str]]]
ESTABLISHMENTS = Path(__file__).parents[1] / "data" / "establishments.csv"

FINESS = """\
finess;etalab;98;2026-05-12
structureet;010000024;010780054;CH DE FLEYRIAT;CENTRE HOSPITALIER DE FLEYRIAT;;;900;RTE;DE PARIS;;;451;01;AIN;\
01440 VIRIAT;0474454647;;355;Centre Hospitalier;1102;CH;26010004500012;8610Z;;;;;1979-02-13;1979-02-13;;
structureet;010000065;010780096;"CH ""TREVOUX""; MONTPENSIER";;;;14;R;DU PONT;;;427;01;AIN;01606 TREVOUX CEDEX;;;355;CH;;;\
26010028400017;;;;;;;;;
structureet;010000066;;MAUVAISE CLE;;;;;;;;;427;01;AIN;01606 TREVOUX CEDEX;;;355;CH;;;;;;;;;;;;
structureet;970302022;;HOPITAL D'OUTRE-MER;;;;;;;;;302;9C;GUYANE;97300 CAYENNE;;;355;CH;;;;;;;;;;;;
geolocalisation;010000024;870215.7;6571590.5;1,ATLASANTE,100,IGN,BD_ADRESSE,V2.2,LAMB93;2026-05-12
geolocalisation;970302022;353000;545000;2,ATLASANTE,90,IGN,BD_ADRESSE,V2.2,UTM_N22;2026-05-12
geolocalisation;010000065;x;y;1,LAMB93;2026-05-12
autre;chose
"""

PROFESSIONALS = """\
Type d'identifiant PP|Identifiant PP|Identification nationale PP|Nom d'exercice|Prénom d'exercice|Code profession|\
Numéro SIRET site|Numéro FINESS site|Code postal (coord. structure)|Bureau cedex (coord. structure)|\
Libellé commune (coord. structure)|Indice répétition voie (coord. Structure)|
8|10999999906|810999999906|VERRIER|Camille|28|||75011||PARIS 11|B|
8|10999999906|810999999906|VERRIER|Camille|28|||69001||LYON||
8|10999999907|810999999907|FAUSSE|Clé|28|||69001||LYON||
0|752800011|0752800011|VERRIER|Camille|28||||||
9|1|91|AUTRE|Type|28||||||
8|10888888806
"""


@pytest.fixture
def command(database: str) -> Command:
    """The operator's command line, against the test's own database."""

    async def run(*words: str) -> tuple[int, str, str]:
        return await run_command(*words, database=database, TPG_TOKEN_KEYS=TOKEN_KEYS, TPG_VAULT_KEYS=VAULT_KEYS)

    return run


def lines_of(text: str, encoding: str = "utf-8") -> io.BytesIO:
    return io.BytesIO(text.encode(encoding))


def test_the_finess_extraction_is_read_with_its_positions() -> None:
    source, records = read(lines_of(FINESS))
    found = list(records)
    assert source is Source.FINESS
    sites = {each.number: each for each in found if isinstance(each, Entry)}
    assert set(sites) == {"010000024", "010000065", "970302022"}
    assert (sites["010000024"].long_name, sites["010000024"].siret) == (
        "CENTRE HOSPITALIER DE FLEYRIAT",
        "26010004500012",
    )
    trevoux = sites["010000065"]
    assert (trevoux.legal_name, trevoux.postal_code, trevoux.is_cedex) == ('CH "TREVOUX"; MONTPENSIER', "01606", True)
    places = {
        each.number: (round(each.latitude, 2), round(each.longitude, 2)) for each in found if isinstance(each, Position)
    }
    assert places == {"010000024": (46.22, 5.21), "970302022": (4.93, -52.33)}
    assert found.count(None) == 2  # the wrong key, the position that is none


def test_old_files_are_of_another_encoding() -> None:
    old = FINESS.replace("FLEYRIAT", "FLÉYRIAT")
    for encoding in ("utf-8", "iso-8859-15"):
        _, records = read(lines_of(old, encoding))
        first = next(records)
        assert isinstance(first, Entry)
        assert first.legal_name == "CH DE FLÉYRIAT"


def test_professionals_are_read_by_the_names_of_columns() -> None:
    source, records = read(lines_of(PROFESSIONALS))
    found = list(records)
    assert source is Source.PROFESSIONALS
    entries = [each for each in found if isinstance(each, Entry)]
    assert [(each.scheme, each.number, each.postal_code) for each in entries] == [
        ("rpps", "10999999906", "75011"),
        ("rpps", "10999999906", "69001"),
        ("adeli", "752800011", None),
    ]
    assert found.count(None) == 3
    renamed = PROFESSIONALS.replace("Identifiant PP|", "IDENTIFIANT  pp|")
    assert sum(isinstance(each, Entry) for each in read(lines_of(renamed))[1]) == 3


def test_what_no_database_keeps_is_left_out_of_a_line() -> None:
    _, records = read(lines_of(FINESS.replace("CH DE FLEYRIAT", "CH\0 DE\0 FLEYRIAT")))
    first = next(records)
    assert isinstance(first, Entry)
    assert first.legal_name == "CH DE FLEYRIAT"


@pytest.mark.parametrize("text", ["", "\n", "nothing;of;ours", "a|b|c", "finess,name", '{"json": 1}'])
def test_a_file_that_is_no_directory_is_refused(text: str) -> None:
    with pytest.raises(DirectoryFileUnknown):
        read(lines_of(text))


@given(
    st.sampled_from([FINESS, PROFESSIONALS, "finess,name,category_code,postal_code,town,siret\n"]),
    st.binary(max_size=300),
)
def test_no_line_breaks_the_reading(text: str, junk: bytes) -> None:
    _, records = read(
        io.BytesIO(text.encode() + junk + b"\nstructureet;" + junk + b"\ngeolocalisation;010000024;" + junk)
    )
    for record in records:
        assert record is None or isinstance(record, (Entry, Position))


async def test_an_import_replaces_what_was_loaded_before_and_says_what_it_did(
    gateway: Gateway, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "etalab.csv"
    file.write_text(FINESS)
    status, said, _ = await command("directory", "import", str(file))
    assert (status, said.strip()) == (0, "finess: 7 lines, 3 entries now, 2 lines not usable")
    latitude = "SELECT round(latitude::numeric, 1)::text FROM directory_places WHERE prefix = $1"
    assert await gateway.fetchval(latitude, "01440") == "46.2"
    assert await gateway.fetchval(latitude, "973") == "4.9"
    assert await gateway.fetchval(latitude, "97") is None
    status, _, _ = await command("directory", "import", str(file))
    assert await gateway.fetchval("SELECT count(*) FROM directory_entries") == 3
    other = tmp_path / "people.txt"
    other.write_text(PROFESSIONALS)
    assert (await command("directory", "import", str(other)))[1].strip().startswith("professionals: 6 lines, 3 entries")
    assert await gateway.fetchval("SELECT count(*) FROM directory_entries") == 6


async def test_a_file_that_was_cut_short_changes_nothing_unless_it_is_meant(
    gateway: Gateway, command: Command, tmp_path: Path
) -> None:
    status, said, _ = await command("directory", "import", str(ESTABLISHMENTS))
    assert (status, said.startswith("establishments: 1998 lines, 1998 entries")) == (0, True)
    short = tmp_path / "short.csv"
    short.write_text("\n".join(ESTABLISHMENTS.read_text().splitlines()[:500]))
    status, _, complaint = await command("directory", "import", str(short))
    assert (status, "--confirm-shrinking" in complaint) == (1, True)
    assert await gateway.fetchval("SELECT count(*) FROM directory_entries") == 1998
    status, _, _ = await command("directory", "import", str(short), "--confirm-shrinking")
    assert (status, await gateway.fetchval("SELECT count(*) FROM directory_entries")) == (0, 499)
    status, _, complaint = await command("directory", "import", __file__)
    assert (status, "none of the directories" in complaint) == (1, True)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"value": "2A0000014"}, "not_found", "pas encore dans l'annuaire"),
        ({"legal_name": "Pharmacie Martin"}, "name_differs", "le nom donné"),
        ({"postal_code": "69001"}, "place_differs", "le code postal donné"),
    ],
)
async def test_what_disagrees_waits_for_a_person_with_its_reason(
    gateway: Gateway, worker: None, command: Command, changes: dict[str, Any], reason: str, words: str
) -> None:
    await gateway.enlist(builders.a_registration(value="010000024"))
    form = builders.a_registration(**{"value": "010000024", **changes})
    token = await gateway.mailed_token(form)
    activated = await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
    assert (activated.status, activated.body["state"]) == (200, "in_review")
    login = {name: form[name] for name in ("scheme", "value", "password")}
    assert (await gateway.call("POST", "/v1/sessions", login)).code == "account_in_review"
    assert words in (await gateway.letter_about(form["email"], "en cours de vérification")).text

    listed = json.loads((await command("practitioners", "review", "list", "--json"))[1])
    assert [(each["value"], each["reason"]) for each in listed] == [(form["value"], reason)]
    assert reason in (await command("practitioners", "review"))[1]
    status, said, _ = await command("practitioners", "review", "approve", listed[0]["id"])
    assert (status, said.startswith("Approved")) == (0, True)
    await gateway.letter_about(form["email"], "Votre compte est ouvert")
    assert (await gateway.call("POST", "/v1/sessions", login)).status == 201
    assert (await command("practitioners", "review"))[1].strip() == "Nothing waits."
    assert (await command("practitioners", "review", "approve", listed[0]["id"]))[0] == 1


async def test_a_refusal_mails_its_reason_and_frees_the_number(
    gateway: Gateway, worker: None, command: Command
) -> None:
    form = builders.a_registration()
    await gateway.call("POST", "/v1/practitioners/activation", {"token": await gateway.mailed_token(form)})
    listed = json.loads((await command("practitioners", "review", "list", "--json"))[1])
    reason = "Ce numéro est celui d'une autre pharmacie."
    status, _, _ = await command("practitioners", "review", "refuse", listed[0]["id"], "--reason", reason)
    assert status == 0
    assert reason in (await gateway.letter_about(form["email"], "refusée")).text
    login = {name: form[name] for name in ("scheme", "value", "password")}
    refused = await gateway.call("POST", "/v1/sessions", login)
    assert (refused.code, reason in refused.body["next_step_fr"]) == ("account_refused", True)
    owner = await gateway.join(value=form["value"])
    assert (await owner.in_person("GET", "/v1/me")).body["state"] == "active"


async def test_a_treasury_number_is_compared_by_the_establishment_beside_it(gateway: Gateway, worker: None) -> None:
    by_siret = builders.a_registration(
        scheme="treasury", value="033090-123", siret="26010004500012", legal_name="CH de Fleyriat", postal_code="01440"
    )
    await gateway.execute(
        "INSERT INTO directory_entries (scheme, number, place, source, legal_name, postal_code, is_cedex, siret)"
        " VALUES ('finess', '010000024', '', 'finess', 'CH DE FLEYRIAT', '01440', false, '26010004500012')"
    )
    activated = await gateway.call(
        "POST", "/v1/practitioners/activation", {"token": await gateway.mailed_token(by_siret)}
    )
    assert activated.body["state"] == "in_review"
    assert await gateway.fetchval("SELECT reason FROM practitioner_reviews") == "treasury"
    other = builders.a_registration(scheme="treasury", value="033090-124", siret="26010004500012", postal_code="01440")
    token = await gateway.mailed_token(other)
    await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
    reasons = "SELECT array_agg(reason ORDER BY asked_at) FROM practitioner_reviews"
    assert await gateway.fetchval(reasons) == ["treasury", "name_differs"]


async def test_an_operator_suspends_and_restores(gateway: Gateway, worker: None, command: Command) -> None:
    pharmacist = await gateway.join()
    number = ["--scheme", "finess", "--value", pharmacist.form["value"]]
    status, _, _ = await command("practitioners", "suspend", *number, "--reason", "Vol de mot de passe signalé.")
    assert status == 0
    assert (await pharmacist.in_person("GET", "/v1/me")).code == "authentication_required"
    refused = await gateway.call("POST", "/v1/sessions", pharmacist.login)
    assert (refused.code, "Vol de mot de passe" in refused.body["next_step_fr"]) == ("account_suspended", True)
    await gateway.letter_about(pharmacist.form["email"], "suspendu")
    assert (await command("practitioners", "restore", *number))[0] == 0
    assert (await gateway.call("POST", "/v1/sessions", pharmacist.login)).status == 201
    status, _, complaint = await command("practitioners", "restore", *number)
    assert (status, "No account" in complaint) == (1, True)


async def test_the_entries_of_a_number_are_found_by_an_index(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("SET enable_seqscan = off")
    for query in (
        "SELECT * FROM directory_entries WHERE scheme = 'finess' AND number = '1'",
        "SELECT * FROM directory_entries WHERE siret = '1'",
    ):
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}")
        assert "Index" in str(plan)
    await connection.close()
