"""What is published: conventions and DRE tables."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR
from tpgateway.cli.frame import err, explained, on_database, out, today
from tpgateway.conventions import codec as convention_files
from tpgateway.conventions import service as conventions
from tpgateway.database import Connection
from tpgateway.dre import service as dre

conventions_app = typer.Typer(help="Conventions of the specialities.", no_args_is_help=True)
dre_app = typer.Typer(help="DRE tables.", no_args_is_help=True)


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
