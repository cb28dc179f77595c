"""What is published: conventions and DRE tables."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from json import dumps, loads
from pathlib import Path
from typing import Annotated

import typer
from jwt import PyJWTError
from rich.markup import escape
from rich.table import Column, Table

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR
from tpgateway.cli.frame import AsJson, Steps, err, explained, on_database, out, today
from tpgateway.conventions import service as conventions
from tpgateway.conventions.codec import files as convention_files
from tpgateway.database import Connection
from tpgateway.dre import service as dre
from tpgateway.dre.codec.signatures import SignatureWrong, Signer, verify
from tpgateway.dre.model import Counts, Outlook
from tpgateway.guarantees import service as guarantees
from tpgateway.guarantees.model import Unit
from tpgateway.web.routing import PARIS

tariffs_app = typer.Typer(no_args_is_help=True)
conventions_app = typer.Typer(no_args_is_help=True)
dre_app = typer.Typer(no_args_is_help=True)


@tariffs_app.command("list")
def list_tariffs(
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Those in force on a day; all if left out.")
    ] = None,
) -> None:
    """List national amounts and periods, each with the day it begins and its source.

    Example: `tpgateway tariffs list --on 2026-03-01`
    """
    with explained():
        found = on_database(
            configuration.load_database(), lambda each: guarantees.list_tariffs(each, on.date() if on else None)
        )
    table = Table("code", "from", "value", "unit", "source")
    for tariff in found:
        value = f"{tariff.value / 100:.2f}" if tariff.unit is Unit.CENTS else str(tariff.value)
        unit = "EUR" if tariff.unit is Unit.CENTS else tariff.unit.value
        table.add_row(tariff.code, tariff.valid_from.isoformat(), value, unit, tariff.source)
    out.print(table)


@tariffs_app.command("set")
def set_tariff(
    code: Annotated[str, typer.Argument(help="As `tpgateway tariffs list` names it.")],
    value: Annotated[int, typer.Argument(min=0, help="In cents, months or days, by the code's unit.")],
    begins: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day in force.")],
    source: Annotated[str, typer.Option(help="The text that says so.")],
) -> None:
    """Set a national amount or period from a day on. Running services follow within seconds.

    Example: `tpgateway tariffs set hospital_daily_fee 2400 --from 2027-01-01 --source "Arrêté du 15 décembre 2026"`
    """

    if not source.strip():
        raise typer.BadParameter("name the text that says so", param_hint="--source")

    async def act(connection: Connection) -> None:
        async with connection.transaction():
            await guarantees.set_tariff(
                connection, code, valid_from=begins.date(), value=value, source=source, actor=OPERATOR
            )

    with explained():
        on_database(configuration.load_database(), act)
    out.print(f"{code}: {value} from {begins.date()}")


@conventions_app.command("publish")
def publish_conventions(
    folder: Annotated[
        Path, typer.Argument(help="Folder of SPECIALITY.toml with SPECIALITY.md.", exists=True, file_okay=False)
    ],
) -> None:
    """Publish the conventions of a folder; those that say nothing new are left as they are.

    Example: `tpgateway conventions publish conventions/2027`
    """

    from tpgateway.conventions.codec.text import refuse_unprintable  # what writes PDF takes long to import

    async def act(connection: Connection) -> list[str]:
        lines = []
        async with connection.transaction():
            for terms in convention_files.read_folder(folder):
                refuse_unprintable(terms)
                done = await conventions.publish(connection, terms, now=datetime.now(UTC), actor=OPERATOR)
                state = f"version {done.version} from {terms.valid_from}" if done else "unchanged"
                lines.append(f"{terms.specialty}: {state}")
        return lines

    with explained():
        lines = on_database(configuration.load_database(), act)
        if not lines:
            err.print(f"There is no SPECIALTY.toml in {escape(str(folder))}.")
            raise typer.Exit(1)
        for line in lines:
            out.print(line)
    if not all(line.endswith("unchanged") for line in lines):
        err.print("Practitioners' tables follow with `tpgateway dre publish`.")


Effective = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of care that it counts for; today if left out.")
]
_LONGEST_NOTE = 1000


def _note(note: str | None) -> str | None:
    if note is not None and (not note.isprintable() or not note.strip() or len(note) > _LONGEST_NOTE):
        raise typer.BadParameter(f"a line of text, of at most {_LONGEST_NOTE} characters")
    return note and note.strip()


Note = Annotated[
    str | None,
    typer.Option(help="What to tell readers of it, in French.", callback=_note),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and stop.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Make a version even if it says nothing new.")]


@dre_app.command("publish")
def publish_tables(
    effective: Effective = None, note: Note = None, dry_run: DryRun = False, yes: Yes = False, anyway: Anyway = False
) -> None:
    """Publish a new version of the DRE tables, for every speciality that has a convention, after showing what changes.

    A version never changes once it is published, and counts for care from its first day on. Files are signed by the key in
    TPG_TABLE_KEYS.

    Example: `tpgateway dre publish --effective 2027-01-01 --note "Nouvelles garanties d'optique"`
    """
    _publish(None, effective, note, dry_run=dry_run, yes=yes, anyway=anyway)


@dre_app.command("rollback")
def roll_tables_back(
    version: Annotated[int, typer.Argument(min=1, max=999_999_999, help="The version whose tables are brought back.")],
    effective: Effective = None,
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Bring the tables of an earlier version back, as a new version.

    Example: `tpgateway dre rollback 12 --note "Retour aux tables de novembre"`
    """
    _publish(version, effective, note, dry_run=dry_run, yes=yes, anyway=False)


def _publish(
    restores: int | None, effective: datetime | None, note: str | None, *, dry_run: bool, yes: bool, anyway: bool
) -> None:
    day = effective.date() if effective else today()

    async def act(connection: Connection) -> None:
        with Steps() as steps:
            steps.begin("Comparing")
            shown = [
                each async for each in dre.preview(connection, effective_from=day, today=today(), restores=restores)
            ]
        if not shown:
            out.print(f"No convention is in force on {day}: publish one first, with `tpgateway conventions publish`.")
            raise typer.Exit(1)
        out.print(_outlook(shown))
        for later in await dre.versions_after(connection, day):
            out.print(f"From {later.effective_from} on, version {later.version} counts, as published before.")
        if not anyway and not any(each.is_new for each in shown):
            hint = "" if restores else " (--anyway makes one)"
            out.print(f"Nothing changes: no version is made{hint}.")
            return
        if dry_run:
            return
        if not yes and sys.stdin.isatty():
            typer.confirm(f"Publish, for care from {day} on?", abort=True)
        with Steps() as steps, steps.counting("Publishing", len(shown)) as advance:
            async with connection.transaction():
                version, _ = await dre.publish(
                    connection,
                    signer,
                    effective_from=day,
                    today=today(),
                    now=datetime.now(UTC),
                    actor=OPERATOR,
                    note=note,
                    restores=restores,
                    shown=shown,
                    progress=lambda _: advance(),
                )
        out.print(f"Version {version.version}, in force from {version.effective_from}")

    with explained():
        settings = configuration.load_database()
        if not dry_run:
            signer = _signer(settings)
        on_database(settings, act)


def _signer(settings: configuration.DatabaseSettings) -> Signer:
    if settings.table_keys is None:
        err.print("[red]TPG_TABLE_KEYS[/]: is not set; published files must be signed")
        err.print("`tpgateway secrets new DIR` makes the keys that are missing, then TPG_SECRETS_DIR=DIR.")
        raise typer.Exit(1)
    try:
        return Signer(settings.table_keys.get_secret_value())
    except (PyJWTError, ValueError, KeyError, TypeError):  # whose text may hold the key
        err.print("[red]TPG_TABLE_KEYS[/]: must be as `tpgateway secrets new` writes it")
        raise typer.Exit(1) from None


def _outlook(found: Sequence[Outlook]) -> Table:
    table = Table("speciality", "follows", "lines", "grouping", "convention", "guarantee")
    for each in found:
        since = f"version {each.since}" if each.since else "nothing"
        changes = [_counts(each.changes[name]) for name in ("grouping", "convention", "guarantee")]
        table.add_row(each.specialty, since, f"{each.lines:,}", *changes)
    return table


def _counts(counts: Counts) -> str:
    said = " ".join(f"{sign}{count:,}" for sign, count in zip("+-~", counts, strict=True) if count)
    return said or "[dim]same[/]"


@dre_app.command("list")
def list_tables(json: AsJson = False) -> None:
    """List all versions, which counts today, and how many practitioners' software has each.

    Example: `tpgateway dre list`
    """
    with explained():
        versions, readers = on_database(configuration.load_database(), dre.all_versions)
    current, ends = dre.number_in_force(versions, today()), dre.last_days(versions)
    if json:
        lines = [
            {
                "version": each.version,
                "effective_from": each.effective_from.isoformat(),
                "published_at": each.published_at.isoformat(),
                "is_in_force": each.version == current,
                "readers": readers.get(each.version, 0),
                "note": each.note,
                "restores": each.restores,
            }
            for each in versions
        ]
        print(dumps({"versions": lines, "never_fetched": readers.get(None, 0)}))
        return
    table = Table("version", "for care from", "published", "", "has it", "note")
    for each in versions:
        state = "past" if each.effective_from <= today() else "to come"
        if each.version == current:
            state = "in force"
        elif (end := ends[each.version]) is not None and end < each.effective_from:
            state = "replaced"
        note = " ".join(filter(None, (f"restores {each.restores}" if each.restores else "", escape(each.note or ""))))
        published = each.published_at.astimezone(PARIS)
        table.add_row(
            str(each.version), str(each.effective_from), f"{published:%Y-%m-%d %H:%M}", state,
            f"{readers.get(each.version, 0):,}", note,
        )  # fmt: skip
    out.print(table)
    out.print(f"{readers.get(None, 0):,} practitioners in service never fetched any.")


@dre_app.command("readers")
def list_readers(
    version: Annotated[str, typer.Argument(help="A version, or `none` for who never fetched any.")],
    limit: Annotated[int, typer.Option(min=1, help="How many to list at most.")] = 100,
    json: AsJson = False,
) -> None:
    """List who still uses a version: practitioners whose software never fetched a newer one, those first who are latest.

    Example: `tpgateway dre readers 12`
    """
    if version != "none" and not re.fullmatch("[1-9][0-9]{0,8}", version):
        raise typer.BadParameter("a version's number, or none")
    wanted = None if version == "none" else int(version)
    with explained():
        found = on_database(configuration.load_database(), lambda each: dre.readers(each, wanted, limit=limit))
    if json:
        for each in found:
            print(
                dumps(
                    {
                        "practitioner_id": str(each.practitioner_id),
                        "name": each.name,
                        "specialty": each.specialty,
                        "version": each.version,
                        "read_at": each.read_at and each.read_at.isoformat(),
                    }
                )
            )
        return
    if not found:
        out.print("Nobody.")
        return
    table = Table("practitioner", "speciality", "fetched", Column("id", no_wrap=True))
    for each in found:
        read = f"{each.read_at.astimezone(PARIS):%Y-%m-%d %H:%M}" if each.read_at else "never"
        table.add_row(escape(each.name), each.specialty, read, str(each.practitioner_id))
    out.print(table)
    if len(found) == limit:
        out.print(f"Only the first {limit} are listed; --limit shows more.")


@dre_app.command("verify")
def verify_file(
    file: Annotated[
        Path, typer.Argument(help="A downloaded file, byte by byte as it came.", exists=True, dir_okay=False)
    ],
    signature: Annotated[
        Path | None, typer.Option(help="Its signature; FILE.jws if left out.", exists=True, dir_okay=False)
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="The key set kept from /v1/dre/keys; dre-keys.json beside FILE if left out.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Verify, without any network, that a file of the DRE tables is what was published.

    Fetch the key set once, from the network itself and by https, and keep it: keys that came with the file prove nothing. The
    signature names the file, so that an older version is not taken for a newer: keep the name that it came with.

    Example: `tpgateway dre verify dre-optics-3.json`
    """
    signature = signature or file.with_name(f"{file.name}.jws")
    keys = keys or file.with_name("dre-keys.json")
    with explained():
        for needed, fetched in ((signature, "…/signature"), (keys, "GET /v1/dre/keys")):
            if not needed.exists():
                err.print(f"[red]{escape(str(needed))} is missing[/]: fetch it ({fetched}), or say where it is")
                raise typer.Exit(1)
        try:
            known = loads(keys.read_text())["keys"]
        except (ValueError, KeyError, TypeError, RecursionError):
            err.print(f"[red]Not verified[/]: {escape(str(keys))} is not a key set")
            raise typer.Exit(1) from None
        try:
            signed = verify(file.read_bytes(), signature.read_text(errors="replace").strip(), known)
        except SignatureWrong as error:
            err.print(f"[red]Not verified[/]: {error}")
            raise typer.Exit(1) from None
    if signed.name != file.name:
        err.print(f"[red]Not verified[/]: this is {escape(signed.name)}, not {escape(file.name)}")
        raise typer.Exit(1)
    out.print(f"{file.name} is as the network published it (key {signed.kid}).")
