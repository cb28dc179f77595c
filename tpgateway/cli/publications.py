"""What is published: conventions and DRE tables."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR
from tpgateway.cli.frame import err, explained, on_database, out, today
from tpgateway.conventions import service as conventions
from tpgateway.conventions.codec import files as convention_files
from tpgateway.database import Connection
from tpgateway.dre import service as dre
from tpgateway.guarantees import service as guarantees
from tpgateway.guarantees.model import Unit

tariffs_app = typer.Typer(help="National amounts and periods.", no_args_is_help=True)
conventions_app = typer.Typer(help="Conventions of the specialities.", no_args_is_help=True)
dre_app = typer.Typer(help="DRE tables.", no_args_is_help=True)


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

    async def act(connection: Connection) -> list[str]:
        lines = []
        async with connection.transaction():
            for terms in convention_files.read_folder(folder):
                done = await conventions.publish(connection, terms, now=datetime.now(UTC), actor=OPERATOR)
                state = f"version {done.version} from {terms.valid_from}" if done else "unchanged"
                lines.append(f"{terms.specialty}: {state}")
        return lines

    with explained():
        for line in on_database(configuration.load_database(), act):
            out.print(line)


@dre_app.command("publish")
def publish_tables(
    effective: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day in force; today if left out.")
    ] = None,
) -> None:
    """Publish a new version of the DRE tables, for every speciality that has a convention.

    Example: `tpgateway dre publish --effective 2027-01-01`
    """

    async def act(connection: Connection) -> Any:
        day = effective.date() if effective else today()
        async with connection.transaction():
            return await dre.publish(
                connection, effective_from=day, today=today(), now=datetime.now(UTC), actor=OPERATOR
            )

    with explained(), err.status("Building the tables"):
        version, lines = on_database(configuration.load_database(), act)
    out.print(f"Version {version.version}, in force from {version.effective_from}")
    for specialty, count in lines.items():
        out.print(f"  {specialty}: {count} lines")
