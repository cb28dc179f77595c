"""Complementary insurers of the network."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR
from tpgateway.cli.frame import AsJson, amc, explained, on_database, out
from tpgateway.database import Connection
from tpgateway.insurers import service as insurers

app = typer.Typer(help="Complementary insurers of the network.", no_args_is_help=True)


@app.command("add")
def add_insurer(
    number: Annotated[str, typer.Option(help="AMC number, 8 to 10 digits.")],
    name: Annotated[str, typer.Option()],
    key: Annotated[Path, typer.Option(help="File with the insurer's public JWK.", exists=True, dir_okay=False)],
    convention_type: Annotated[list[str], typer.Option(help="Two letters, as on its cards; repeat for several.")],
    as_json: AsJson = False,
) -> None:
    """Admit an insurer, with the public key that its system signs its token requests with.

    Example: `tpgateway insurers add --number 0075004407 --name "Mutuelle du Lac" --key lac.jwk --convention-type SP`
    """

    async def act(connection: Connection) -> dict[str, Any]:
        async with connection.transaction():
            insurer, client_id = await insurers.add(
                connection,
                number=amc(number),
                name=name,
                convention_types=sorted({_convention_type(each) for each in convention_type}),
                public_jwk=_public_jwk(key),
                actor=OPERATOR,
            )
        return {"number": insurer.number, "name": insurer.name, "client_id": str(client_id)}

    with explained():
        made = on_database(configuration.load_database(), act)
    if as_json:
        sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")
        return
    out.print(f"Admitted {made['name']} ({made['number']}). Its client_id is {made['client_id']}")


def _convention_type(text: str) -> str:
    if len(text) != 2 or not text.isalpha() or not text.isascii():
        raise typer.BadParameter("a convention type has two letters")
    return text.upper()


def _public_jwk(path: Path) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from tpgateway.web.fields import PublicJwkField

    try:
        return TypeAdapter(PublicJwkField).validate_json(path.read_bytes())
    except ValidationError as error:
        raise typer.BadParameter(f"{path}: {error.errors(include_input=False)[0]['msg']}") from None


@app.command("list")
def list_insurers() -> None:
    """Show the insurers of the network.

    Example: `tpgateway insurers list`
    """
    with explained():
        found = on_database(configuration.load_database(), insurers.list_all)
    table = Table("AMC number", "Name", "Convention types", "State")
    for insurer in found:
        table.add_row(insurer.number, insurer.name, " ".join(insurer.convention_types), insurer.state.value)
    out.print(table)
