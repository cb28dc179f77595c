"""What is loaded from files: people's rights, public directories."""

import asyncio
import os
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR
from tpgateway.cards import service as cards
from tpgateway.cards.codec import rights_files
from tpgateway.cards.errors import RightsFileUnreadable
from tpgateway.cards.model import RIGHTS_FILE_LIMIT, ImportMode
from tpgateway.cards.payloads import REASONS, REJECTS_HEADER, rejects_as_csv
from tpgateway.cli.frame import Steps, amc, explained, on_database, out, today
from tpgateway.database import Connection
from tpgateway.directory import codec as directory_files
from tpgateway.directory import service as directory
from tpgateway.insurers import service as insurers
from tpgateway.practitioners import service as practitioners
from tpgateway.vault import Vault
from tpgateway.web.problems import WrongEncoding

_SHOWN, _PAGE = 20, 5_000

rights_app = typer.Typer(no_args_is_help=True)
directory_app = typer.Typer(no_args_is_help=True)


@rights_app.command("import")
def import_rights(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="CSV or XML, plain, gzip or zstd: see schemas/README.md."),
    ],
    insurer: Annotated[str, typer.Option(help="AMC number of the insurer whose people these are.")],
    mode: Annotated[ImportMode, typer.Option(help="full: what the file does not say ends today.")] = ImportMode.UPDATE,
    confirm_closing: Annotated[
        bool, typer.Option("--confirm-closing", help="Let the file leave any share of people without rights.")
    ] = False,
    rejects: Annotated[
        Path | None, typer.Option(dir_okay=False, writable=True, help="Where to write all bad lines' numbers, as CSV.")
    ] = None,
) -> None:
    """Load people's rights from a file. Good lines load, bad ones are listed. Fails where no line is good.

    Example: `tpgateway rights import rights.csv --insurer 0075004407 --mode full --rejects rejects.csv`
    """
    number = amc(insurer)
    started = datetime.now(UTC)
    settings = configuration.load_database()

    async def act(connection: Connection) -> Any:
        found = await insurers.find(connection, number)
        with Steps() as progress, tempfile.TemporaryFile() as spool:
            task = progress.add_task("Reading", total=os.path.getsize(file))
            with progress.open(file, "rb", task_id=task) as source:
                ready = await asyncio.to_thread(_prepare, source, spool, settings)
            spool.seek(0)
            async with connection.transaction():
                done = await cards.import_rights(
                    connection,
                    found.id,
                    mode,
                    cards.read_pieces(spool),
                    ready,
                    closing_percent=None if confirm_closing else settings.closing_percent,
                    started_at=started,
                    today=today(),
                    actor=OPERATOR,
                    tell=progress.begin,
                )
            progress.end()
        some = await cards.rejects(connection, found.id, done.id, after=0, limit=_SHOWN)
        if rejects is not None:
            with rejects.open("wb") as written:
                written.write(REJECTS_HEADER)
                page = some
                while page:
                    written.write(rejects_as_csv(page))
                    page = await cards.rejects(connection, found.id, done.id, after=page[-1].line, limit=_PAGE)
        return done, some

    with explained():
        done, some = on_database(settings, act)
    out.print(
        f"{done.lines} lines: {done.loaded} loaded, {done.unchanged} of them unchanged, {done.rejected} rejected,"
        f" {done.closed} periods closed"
    )
    for reject in some:
        out.print(f"  line {reject.line}: {reject.column or 'line'}: {reject.code} ({REASONS[reject.code]})")
    if done.rejected > len(some) and rejects is None:
        out.print(f"  and {done.rejected - len(some)} more, under import {done.id}: --rejects FILE writes all")
    if done.lines and not done.loaded:
        raise typer.Exit(1)


@directory_app.command("import")
def import_directory(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What it is, is seen from its first line.")],
    confirm_shrinking: Annotated[
        bool, typer.Option("--confirm-shrinking", help="Load a file of less than half the entries before.")
    ] = False,
) -> None:
    """Load a public directory: the FINESS extraction, the file of health professionals, or a list of establishments.

    What the file holds replaces what was loaded from such a file before.

    Example: `tpgateway directory import etalab-cs1100507-stock-20260512.csv`
    """

    async def act(connection: Connection) -> Any:
        with file.open("rb") as lines, Steps() as progress:
            source, records = directory_files.read(lines)
            task = progress.add_task("Reading", total=os.path.getsize(file))

            def tell(_: int) -> None:
                progress.update(task, completed=lines.tell())

            async with connection.transaction():
                done = await directory.load(
                    connection,
                    source,
                    records,
                    now=datetime.now(UTC),
                    may_shrink=confirm_shrinking,
                    on_progress=tell,
                    on_merge=lambda: progress.begin("Merging"),
                )
                await practitioners.place_missing(connection)
            progress.end()
        return done

    with explained():
        done = on_database(configuration.load_database(), act)
    out.print(f"{done.source.value}: {done.lines} lines, {done.entries} entries now, {done.skipped} lines not usable")


def _prepare(source: Any, spool: Any, settings: configuration.DatabaseSettings) -> rights_files.Ready:
    keys = settings.vault_keys
    open_vault = partial(Vault.from_json, keys.get_secret_value()) if keys else None
    try:
        return rights_files.prepare(source, spool, open_vault, limit=RIGHTS_FILE_LIMIT)
    except rights_files.Unreadable as error:
        raise RightsFileUnreadable(str(error)) from error
    except rights_files.WronglyEncoded:
        raise WrongEncoding from None
