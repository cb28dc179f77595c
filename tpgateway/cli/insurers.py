"""Complementary insurers of the network."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.markup import escape
from rich.table import Table

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR
from tpgateway.cli.frame import AsJson, amc, explained, on_database, out, with_post
from tpgateway.database import Connection
from tpgateway.insurers import credentials, endpoints, people
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import Contact, Endpoint, Insurer, InsurerClient
from tpgateway.mail import Post
from tpgateway.web.callers import Role


def a_name(text: str) -> str:
    """Words of one line; raises ``typer.BadParameter`` for none, or for more than a name."""
    if not text.strip() or len(text) > 100 or not text.isprintable():
        raise typer.BadParameter("one line of 1 to 100 characters")
    return text.strip()


Key = Annotated[Path | None, typer.Option(help="File with a public JWK.", exists=True, dir_okay=False)]
JwksUrl = Annotated[str | None, typer.Option(help="Where the insurer publishes its keys (https), in place of --key.")]

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add_insurer(
    number: Annotated[str, typer.Option(help="AMC number, 8 to 10 digits.")],
    name: Annotated[str, typer.Option(callback=a_name)],
    convention_type: Annotated[list[str], typer.Option(help="Two letters, as on its cards; repeat for several.")],
    key: Key = None,
    jwks_url: JwksUrl = None,
    contact: Annotated[
        list[str] | None, typer.Option(help="Whom to write to, as `Name <address>`; repeat for several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Admit an insurer, with the public key that its system signs its token requests with, or the address of its keys.

    Example: `tpgateway insurers add --number 0075004407 --name "Mutuelle du Lac" --key lac.jwk --convention-type SP
    --contact "Astreinte <astreinte@lac.example>"`
    """
    public_jwk, contacts = _one_key(key, jwks_url), [_contact(each) for each in contact or ()]
    with explained():
        settings = configuration.load_database()

    async def act(connection: Connection) -> dict[str, Any]:
        async with connection.transaction():
            insurer, client_id = await insurers.add(
                connection,
                number=amc(number),
                name=name,
                convention_types=sorted({_convention_type(each) for each in convention_type}),
                public_jwk=public_jwk,
                jwks_url=jwks_url,
                contacts=contacts,
                allows_private=settings.webhook_private_targets,
                actor=OPERATOR,
            )
        return {"number": insurer.number, "name": insurer.name, "client_id": str(client_id)}

    with explained():
        made = on_database(settings, act)
    if as_json:
        sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")
        return
    out.print(f"Admitted {escape(made['name'])} ({made['number']}). Its client_id is {made['client_id']}")


def _convention_type(text: str) -> str:
    if len(text) != 2 or not text.isalpha() or not text.isascii():
        raise typer.BadParameter("a convention type has two letters")
    return text.upper()


def _contact(text: str) -> Contact:
    from tpgateway.insurers.payloads import ContactShape

    name, address = parseaddr(text)
    try:
        shape = ContactShape.model_validate({"name": name or address, "email": address})
    except ValidationError:
        raise typer.BadParameter(f"a contact is written as `Name <address>`: {text}") from None
    return Contact(name=shape.name, email=shape.email)


def _one_key(key: Path | None, jwks_url: str | None) -> dict[str, Any] | None:
    """The key of a file; None where keys are to be read at an address."""
    if (key is None) == (jwks_url is None):
        raise typer.BadParameter("give --key or --jwks-url, one of both")
    return None if key is None else _public_jwk(key)


def _public_jwk(path: Path) -> dict[str, Any]:
    from tpgateway.web.fields import PublicJwkField

    try:
        return TypeAdapter(PublicJwkField).validate_json(path.read_bytes())
    except ValidationError as error:
        raise typer.BadParameter(f"{path}: {error.errors(include_input=False)[0]['msg']}") from None


@app.command("invite")
def invite_person(
    number: Annotated[str, typer.Argument(help="AMC number.")],
    email: Annotated[str, typer.Option(help="Where the invitation is mailed to.")],
    name: Annotated[str | None, typer.Option(callback=lambda text: text and a_name(text))] = None,
    role: Annotated[Role, typer.Option(help="owner, staff or read_only.")] = Role.OWNER,
) -> None:
    """Invite somebody to an insurer's desk; its owners invite the others themselves, on its pages.

    Example: `tpgateway insurers invite 0075004407 --email astreinte@lac.example --name "Claire Martin"`
    """
    from tpgateway.members.payloads import Email

    try:
        address = TypeAdapter(Email).validate_python(email)
    except ValidationError:
        raise typer.BadParameter(f"this address cannot be used: {email}") from None

    with explained():
        days = configuration.load().invitation_days

    async def act(connection: Connection, post: Post) -> Insurer:
        insurer = await insurers.find(connection, amc(number))
        await people.invite(
            connection,
            post,
            insurer,
            email=address,
            name=name,
            role=role,
            days=days,
            session_id=None,
            now=datetime.now(UTC),
            actor=OPERATOR,
        )
        return insurer

    insurer = with_post(act)
    out.print(f"Invited {escape(address)} to the desk of {escape(insurer.name)} ({insurer.number}).", soft_wrap=True)


@app.command("list")
def list_insurers() -> None:
    """Show the insurers of the network, and how many events wait for each.

    Example: `tpgateway insurers list`
    """

    async def act(connection: Connection) -> list[tuple[Insurer, int, str]]:
        return [
            (
                insurer,
                await insurers.pending_events(connection, insurer.id),
                _health(await endpoints.list_all(connection, insurer.id)),
            )
            for insurer in await insurers.list_all(connection)
        ]

    with explained():
        found = on_database(configuration.load_database(), act)
    table = Table("AMC number", "Name", "Convention types", "State", "Endpoints", "Events waiting")
    for insurer, waiting, health in found:
        table.add_row(
            insurer.number,
            escape(insurer.name),
            " ".join(insurer.convention_types),
            insurer.state.value,
            health,
            f"{waiting:,}",
        )
    out.print(table)


def _health(found: Sequence[Endpoint]) -> str:
    """How the endpoints of an insurer do, in a few words."""
    off = sum(each.disabled_at is not None for each in found)
    failing = sum(each.disabled_at is None and each.failing_since is not None for each in found)
    words = [f"{len(found) - off - failing} well"] if len(found) > off + failing else []
    words += [f"{failing} failing"] if failing else []
    words += [f"{off} off"] if off else []
    return ", ".join(words) or "none"


@app.command("suspend")
def suspend_insurer(
    number: Annotated[str, typer.Argument(help="AMC number.")],
    why: Annotated[str, typer.Option(callback=a_name, help="The reason, kept with the account.")],
) -> None:
    """Take an insurer out of the network for a while: no token, no check, no request. Its events are kept for it.

    Example: `tpgateway insurers suspend 0075004407 --why "contract ended"`
    """

    async def act(connection: Connection) -> Insurer:
        async with connection.transaction():
            return await insurers.suspend(connection, amc(number), why, now=datetime.now(UTC), actor=OPERATOR)

    with explained():
        insurer = on_database(configuration.load_database(), act)
    out.print(f"Suspended {escape(insurer.name)} ({insurer.number}). Tokens already out last ten minutes at most.")


@app.command("restore")
def restore_insurer(number: Annotated[str, typer.Argument(help="AMC number.")]) -> None:
    """Let a suspended insurer back in.

    Example: `tpgateway insurers restore 0075004407`
    """

    async def act(connection: Connection) -> Insurer:
        async with connection.transaction():
            return await insurers.restore(connection, amc(number), now=datetime.now(UTC), actor=OPERATOR)

    with explained():
        insurer = on_database(configuration.load_database(), act)
    out.print(f"{escape(insurer.name)} ({insurer.number}) is active again.")


@app.command("add-key")
def add_key(
    number: Annotated[str, typer.Argument(help="AMC number.")],
    name: Annotated[
        str, typer.Option(callback=a_name, help="What the insurer will know it by.")
    ] = "key added by an operator",
    key: Key = None,
    jwks_url: JwksUrl = None,
) -> None:
    """Let another system of an insurer in: for one that lost its key. Its former ones are revoked over the API.

    Example: `tpgateway insurers add-key 0075004407 --key new.jwk`
    """
    public_jwk = _one_key(key, jwks_url)
    with explained():
        settings = configuration.load_database()

    async def act(connection: Connection) -> InsurerClient:
        async with connection.transaction():
            insurer = await insurers.find(connection, amc(number))
            return await credentials.add(
                connection,
                insurer.id,
                name=name,
                public_jwk=public_jwk,
                jwks_url=jwks_url,
                allows_private=settings.webhook_private_targets,
                actor=OPERATOR,
            )

    with explained():
        client = on_database(settings, act)
    out.print(f"The key's client_id is {client.id}")
