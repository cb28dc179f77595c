"""Insured people's data: one person's, given out or erased, and what was kept long enough."""

import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from stdnum.exceptions import ValidationError as IdentifierError

from tpgateway import audit, worker
from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR, Action
from tpgateway.cards import keeping as cards
from tpgateway.cards.model import Person
from tpgateway.claims import keeping as claims
from tpgateway.claims.codec.documents import ENDINGS
from tpgateway.claims.model import AttachmentId
from tpgateway.cli.frame import AsJson, Steps, amc, err, explained, on_database, out
from tpgateway.database import Connection
from tpgateway.identifiers import nir as nirs
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId
from tpgateway.vault import Vault
from tpgateway.web import logs

people_app = typer.Typer(no_args_is_help=True)
retention_app = typer.Typer(no_args_is_help=True)

InsurerOption = Annotated[str, typer.Option("--insurer", help="AMC number of the insurer that the person belongs to.")]
NumberOption = Annotated[str | None, typer.Option("--membership-number", help="As on the card.")]
BornOption = Annotated[str, typer.Option("--birth-date", help="Eight digits, as on the card: 19800229.")]
RankOption = Annotated[int | None, typer.Option("--birth-rank", min=1, max=9, help="As on the card.")]
NirOption = Annotated[
    bool, typer.Option("--by-nir", help="Find the person by NIR, asked for unseen, in place of the membership number.")
]


@people_app.command("export")
def export_person(
    insurer: InsurerOption,
    birth_date: BornOption,
    output: Annotated[Path, typer.Option(help="The ZIP file to write; it must not exist.", dir_okay=False)],
    membership_number: NumberOption = None,
    birth_rank: RankOption = None,
    by_nir: NirOption = False,
) -> None:
    """Write all that is kept of one insured person to a ZIP file that you alone may read: JSON, and documents as they are.

    For a request of access (GDPR article 15). That it was made is audited; whose it was is not.

    Example: `tpgateway people export --insurer 0075004407 --membership-number 1234567 --birth-date 19800229 --birth-rank 1
    --output dossier.zip`
    """
    nir = _asked_nir(by_nir, membership_number, birth_rank)

    async def run(connection: Connection) -> dict[str, int]:
        async with connection.transaction():
            insurer_id, person = await _find(connection, vault, insurer, birth_date, membership_number, birth_rank, nir)
            with Steps() as steps:
                steps.begin("Reading")
                kept = await cards.of_person(connection, vault, insurer_id, person)
                approvals = await claims.of_person(connection, vault, insurer_id, person)
                if not (kept["nir"] or kept["rights"] or kept["card_checks"] or approvals):
                    raise _nobody()
                whole = {"insurer_number": amc(insurer), **person._asdict(), **kept, "prior_approvals": approvals}
                await _write(connection, vault, insurer_id, output, whole)
            await audit.record(connection, actor=OPERATOR, action=Action.PERSON_EXPORTED, insurer_id=insurer_id)
        return {name: len(whole[name]) for name in ("rights", "card_checks", "prior_approvals")}

    with explained():
        settings = configuration.load()
        vault = Vault.from_json(settings.vault_keys.get_secret_value())
        counts = on_database(settings, run)
    out.print(f"Written to {output}: {_said(counts)}. Hand it over by a safe way, then remove it.")


@people_app.command("erase")
def erase_person(
    insurer: InsurerOption,
    birth_date: BornOption,
    membership_number: NumberOption = None,
    birth_rank: RankOption = None,
    by_nir: NirOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase all that is kept of one insured person at one insurer: rights, NIR, checks, approvals, documents, events.

    Whether the person may ask it is yours to judge: what the law has kept, or a dispute needs, is not to be erased (GDPR
    article 17). What no longer says who it was stays: that a practice made a check, the audit trail. Run it as the schema's
    owner.

    Example: `tpgateway people erase --insurer 0075004407 --membership-number 1234567 --birth-date 19800229 --birth-rank 1`
    """
    nir = _asked_nir(by_nir, membership_number, birth_rank)

    async def run(connection: Connection) -> Mapping[str, int]:
        async with connection.transaction():
            insurer_id, person = await _find(connection, vault, insurer, birth_date, membership_number, birth_rank, nir)
            if still := await claims.open_of(connection, insurer_id, person):
                err.print(f"[red]Nothing erased[/]: {len(still)} prior approvals of this person have not ended yet.")
                err.print(
                    "Have them cancelled or decided first: " + ", ".join(f"{amc(insurer)}-{each}" for each in still)
                )
                raise typer.Exit(1)
            counts = await claims.erase(connection, vault, insurer_id, person)
            if not any(counts.values()):
                raise _nobody()
            await audit.record(connection, actor=OPERATOR, action=Action.PERSON_ERASED, insurer_id=insurer_id)
            if not yes:
                typer.confirm(f"Erase {_said(counts)} of this person for good?", abort=True, err=True)
        return counts

    with explained():
        settings = configuration.load()
        vault = Vault.from_json(settings.vault_keys.get_secret_value())
        counts = on_database(settings, run)
    out.print(f"Erased: {_said(counts)}.")
    out.print("Ask the insurer to leave this person out: its next rights file brings back whoever stands in it.")
    out.print("Backups of before still hold the data, until they are too old to be kept.")


@retention_app.command("run")
def run_retention(as_json: AsJson = False) -> None:
    """Let go at once of what was kept long enough, as the worker does each night.

    Example: `tpgateway retention run`
    """

    async def run(connection: Connection) -> Mapping[str, int]:
        with Steps() as steps:
            steps.begin("Forgetting")
            return await worker.forget_old(connection, settings, vault)

    with explained():
        settings = configuration.load()
        vault = Vault.from_json(settings.vault_keys.get_secret_value())
        logs.configure(level="error", form=settings.log_format)
        counts = on_database(settings, run)
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        out.print(f"{_said(counts)}.")


def _asked_nir(by_nir: bool, membership_number: str | None, birth_rank: int | None) -> str | None:
    """The NIR, asked for where no process list and no shell's history keeps it; None where the card's fields are given."""
    if not by_nir:
        if membership_number is None or birth_rank is None:
            raise typer.BadParameter("give --membership-number and --birth-rank, or --by-nir")
        return None
    if membership_number is not None:
        raise typer.BadParameter("give --membership-number or --by-nir, one of both")
    try:
        return nirs.validate(typer.prompt("NIR, 15 digits", hide_input=True, err=True))
    except IdentifierError:
        raise typer.BadParameter("that is no NIR") from None


async def _find(
    connection: Connection,
    vault: Vault,
    insurer: str,
    birth_date: str,
    membership_number: str | None,
    birth_rank: int | None,
    nir: str | None,
) -> tuple[InsurerId, Person]:
    insurer_id = (await insurers.find(connection, amc(insurer))).id
    if nir is None:
        assert membership_number is not None
        assert birth_rank is not None
        return insurer_id, Person(membership_number, birth_date, birth_rank)
    found = await cards.persons_of_nir(connection, vault, insurer_id, nir, birth_date)
    found = [person for person in found if birth_rank in {None, person.birth_rank}]
    if not found:
        raise _nobody()
    if len(found) > 1:
        err.print("[red]Several people[/] have this NIR and birth date: give --birth-rank too, or the card's fields.")
        raise typer.Exit(1)
    return insurer_id, found[0]


def _nobody() -> typer.Exit:
    err.print("[red]Nothing is kept[/] of such a person at this insurer. Compare with the card, letter by letter.")
    return typer.Exit(1)


async def _write(
    connection: Connection, vault: Vault, insurer_id: InsurerId, path: Path, whole: Mapping[str, Any]
) -> None:
    path.touch(mode=0o600, exist_ok=False)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        file.writestr("person.json", to_json({"made_at": made_at, **whole}, indent=2))
        for approval in whole["prior_approvals"]:
            for each in approval["attachments"]:
                name = f"documents/{each['id']}.{ENDINGS[each['media_type']]}"
                with file.open(name, "w") as document:
                    async for piece in claims.document(connection, vault, insurer_id, AttachmentId(each["id"])):
                        document.write(piece)


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
