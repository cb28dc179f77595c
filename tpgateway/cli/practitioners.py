"""Practitioners' accounts: reviews, suspensions, a way back."""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.markup import escape

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR
from tpgateway.cards import watch
from tpgateway.cli.frame import AsJson, err, explained, on_database, out, with_post
from tpgateway.database import Connection
from tpgateway.mail import Post
from tpgateway.members import service as members
from tpgateway.practitioners import oversight
from tpgateway.practitioners.model import Scheme
from tpgateway.web.routing import PARIS

app = typer.Typer(no_args_is_help=True)
review_app = typer.Typer(help="Registrations and numbers that wait for a person's decision. Alone: lists them.")
app.add_typer(review_app, name="review")
sessions_app = typer.Typer(no_args_is_help=True)


@sessions_app.callback()
def sessions() -> None:
    """Who is logged in, of practices and insurers."""


@sessions_app.command("end")
def end_sessions(
    email: Annotated[str | None, typer.Argument(help="Whose: the address that the person's mails go to.")] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="All people of all practices and insurers.")] = False,
) -> None:
    """Log somebody out wherever it is, or everybody: a password and a second factor are needed again.

    Software goes on; `practitioners suspend` and `insurers suspend` stop that too.

    Example: `tpgateway sessions end claire@officine.example`, `tpgateway sessions end --everybody`
    """
    if (email is None) is not everybody:
        raise typer.BadParameter("either an address or --everybody")

    async def act(connection: Connection) -> int | None:
        async with connection.transaction():
            if email is None:
                return await members.log_everybody_out(connection, actor=OPERATOR)
            return await members.log_out(connection, email, actor=OPERATOR)

    with explained():
        ended = on_database(configuration.load_database(), act)
    if ended is None:
        err.print("[red]Nobody has this address.[/]")
        raise typer.Exit(1)
    out.print(f"Sessions ended: {ended}")


@review_app.callback(invoke_without_command=True)
def review(context: typer.Context) -> None:
    """Registrations and numbers that wait for a person's decision. Alone: lists them.

    Example: `tpgateway practitioners review`
    """
    if context.invoked_subcommand is None:
        list_reviews()


@review_app.command("list")
def list_reviews(as_json: AsJson = False) -> None:
    """Show what waits, the oldest first.

    Example: `tpgateway practitioners review list`
    """
    with explained():
        found = on_database(configuration.load_database(), oversight.reviews)
    if as_json:
        rows = [
            {
                "id": str(each.id),
                "scheme": each.identifier.scheme.value,
                "value": each.identifier.value,
                "name": each.name,
                "specialty": each.specialty.value,
                "postal_code": each.postal_code,
                "email": each.email,
                "reason": each.reason,
                "asked_at": each.asked_at.isoformat(),
            }
            for each in found
        ]
        sys.stdout.write(json.dumps(rows, ensure_ascii=False) + "\n")
        return
    if not found:
        out.print("Nothing waits.")
        return
    for each in found:
        what = "registration" if each.is_registration else "another number"
        out.print(f"[bold]{each.id}[/]  {each.asked_at.astimezone(PARIS):%Y-%m-%d %H:%M}  {what}: {each.reason}")
        out.print(f"  {each.identifier.scheme} {each.identifier.value}  {escape(each.name)}", soft_wrap=True)
        out.print(f"  {each.specialty}, {each.postal_code}, {escape(each.email)}", soft_wrap=True)


@review_app.command("approve")
def approve_review(review_id: Annotated[UUID, typer.Argument(metavar="ID")]) -> None:
    """Let a claim stand; the practitioner is told by mail.

    Example: `tpgateway practitioners review approve 0199a1b2-…`
    """

    async def act(connection: Connection, post: Post) -> Any:
        return await oversight.approve(connection, post, review_id, now=datetime.now(UTC), actor=OPERATOR)

    done = with_post(act)
    _decided(done, "Approved")


@review_app.command("refuse")
def refuse_review(
    review_id: Annotated[UUID, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option(help="In French: it is mailed as it stands.")],
) -> None:
    """Refuse a claim; the reason is mailed.

    Example: `tpgateway practitioners review refuse 0199a1b2-… --reason "Ce numéro appartient à une autre pharmacie."`
    """

    async def act(connection: Connection, post: Post) -> Any:
        return await oversight.refuse(
            connection, post, review_id, _reason(reason), now=datetime.now(UTC), actor=OPERATOR
        )

    done = with_post(act)
    _decided(done, "Refused")


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not 1 <= len(text) <= 500:
        raise typer.BadParameter("a reason has 1 to 500 characters")
    return text


def _decided(done: Any, what: str) -> None:
    if done is None:
        err.print("[red]Nothing waits under this id[/]: see `tpgateway practitioners review`")
        raise typer.Exit(1)
    out.print(f"{what}: {done.identifier.scheme} {done.identifier.value}. The practitioner is told by mail.")


@app.command("suspend")
def suspend_practitioner(
    scheme: Annotated[Scheme, typer.Option()],
    value: Annotated[str, typer.Option(help="The number that the account holds.")],
    reason: Annotated[str, typer.Option(help="In French: it is mailed, and shown at the door.")],
) -> None:
    """Suspend an account: its sessions end at once, its software gets no more tokens.

    Example: `tpgateway practitioners suspend --scheme finess --value 010000024 --reason "Vol de mot de passe signalé."`
    """

    async def act(connection: Connection, post: Post) -> Any:
        return await oversight.suspend(
            connection,
            post,
            oversight.number(scheme, value),
            _reason(reason),
            now=datetime.now(UTC),
            actor=OPERATOR,
        )

    _told(with_post(act), "Suspended")


@app.command("restore")
def restore_practitioner(
    scheme: Annotated[Scheme, typer.Option()],
    value: Annotated[str, typer.Option(help="The number that the account holds.")],
) -> None:
    """Put a suspended account in use again.

    Example: `tpgateway practitioners restore --scheme finess --value 010000024`
    """

    async def act(connection: Connection, post: Post) -> Any:
        return await oversight.restore(
            connection, post, oversight.number(scheme, value), now=datetime.now(UTC), actor=OPERATOR
        )

    _told(with_post(act), "Restored")


@app.command("unlock-checks")
def unlock_checks(
    scheme: Annotated[Scheme, typer.Option()],
    value: Annotated[str, typer.Option(help="The number that the account holds.")],
) -> None:
    """Let an account check cards again after unusual use; its counts begin anew.

    Example: `tpgateway practitioners unlock-checks --scheme finess --value 010000024`
    """

    async def act(connection: Connection) -> Any:
        found = await oversight.in_use(connection, oversight.number(scheme, value))
        if found is None:
            return None
        async with connection.transaction():
            return await watch.unlock(connection, found, now=datetime.now(UTC), actor=OPERATOR)

    with explained():
        ended = on_database(configuration.load_database(), act)
    if ended is None:
        err.print("[red]No account in use holds this number[/]")
        raise typer.Exit(1)
    out.print(f"{ended} locks ended." if ended else "Nothing was locked.")


@app.command("recover")
def recover_practitioner(
    scheme: Annotated[Scheme, typer.Option()],
    value: Annotated[str, typer.Option(help="The number that the account holds.")],
    email: Annotated[str | None, typer.Option(help="The holder's new address, where the mailbox is lost.")] = None,
    forget_former: Annotated[
        bool, typer.Option("--forget-former", help="Former addresses are a thief's: tell them nothing from now on.")
    ] = False,
) -> None:
    """Give a holder who lost telephone or mailbox a way back, once you have seen proof of who it is.

    The authenticator application is removed and all sessions end. Former addresses are told for some weeks, unless they are
    to be forgotten.

    Example: `tpgateway practitioners recover --scheme rpps --value 10999999906 --email camille@verrier.example`
    """
    address = _email(email) if email else None

    async def act(connection: Connection, post: Post) -> Any:
        return await oversight.recover(
            connection,
            post,
            oversight.number(scheme, value),
            email=address,
            forgets_former=forget_former,
            now=datetime.now(UTC),
            actor=OPERATOR,
        )

    _told(with_post(act), "Recovered")


@app.command("unlink-psc")
def unlink_psc(
    scheme: Annotated[Scheme, typer.Option()],
    value: Annotated[str, typer.Option(help="The number that the account holds.")],
) -> None:
    """Let a holder whose identity at Pro Santé Connect changed be linked anew, once you have seen proof of who it is.

    Who next comes from there with the account's number is linked, and the holder is told by mail.

    Example: `tpgateway practitioners unlink-psc --scheme rpps --value 10999999906`
    """

    async def act(connection: Connection, _: Post) -> Any:
        return await oversight.unlink_psc(connection, oversight.number(scheme, value), actor=OPERATOR)

    done = with_post(act)
    if done is None:
        err.print("[red]No account that is linked holds this number[/]")
        raise typer.Exit(1)
    out.print(f"Unlinked: {escape(done.name)}.")


def _email(text: str) -> str:
    from pydantic import TypeAdapter

    from tpgateway.members.payloads import Email

    try:
        return TypeAdapter(Email).validate_python(text)
    except ValidationError:
        raise typer.BadParameter("this is no e-mail address") from None


def _told(done: Any, what: str) -> None:
    if done is None:
        err.print("[red]No account in the right state holds this number[/]")
        raise typer.Exit(1)
    out.print(f"{what}: {escape(done.name)}. The practitioner is told by mail.")
