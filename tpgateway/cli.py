"""The command line. Each command is thin: settings, a connection, one service call, a readable answer."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from stdnum.exceptions import ValidationError as IdentifierError

from tpgateway import settings as configuration
from tpgateway.audit import OPERATOR, chain
from tpgateway.cards import service as cards
from tpgateway.cards.model import ImportMode
from tpgateway.conventions import codec as convention_files
from tpgateway.conventions import service as conventions
from tpgateway.database import Connection
from tpgateway.database.embedded import database_url
from tpgateway.database.migrations import migrate as run_migrations
from tpgateway.database.pool import DatabaseNotUsable, check, prepare_connection
from tpgateway.directory import codec as directory_files
from tpgateway.directory import service as directory
from tpgateway.dre import service as dre
from tpgateway.errors import Problem
from tpgateway.identifiers import amc_number
from tpgateway.insurers import service as insurers
from tpgateway.mail import Post
from tpgateway.practitioners import oversight
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import Scheme
from tpgateway.settings import DatabaseSettings
from tpgateway.vault import Vault
from tpgateway.web import logs
from tpgateway.web.routing import PARIS
from tpgateway.web.tokens import new_signing_keys_json, rotated_signing_keys_json

main = typer.Typer(
    name="tpgateway",
    help="The gateway of a third-party-payment network. Start with: tpgateway demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
secrets_app = typer.Typer(help="Keys of the gateway itself.", no_args_is_help=True)
insurers_app = typer.Typer(help="Complementary insurers of the network.", no_args_is_help=True)
conventions_app = typer.Typer(help="Conventions of the specialities.", no_args_is_help=True)
dre_app = typer.Typer(help="DRE tables.", no_args_is_help=True)
rights_app = typer.Typer(help="Rights of insured people.", no_args_is_help=True)
directory_app = typer.Typer(help="Public directories that registrations are compared with.", no_args_is_help=True)
practitioners_app = typer.Typer(help="Practitioners' accounts.", no_args_is_help=True)
review_app = typer.Typer(help="Registrations and numbers that wait for a person's decision. Alone: lists them.")
audit_app = typer.Typer(help="The audit trail.", no_args_is_help=True)
main.add_typer(secrets_app, name="secrets")
main.add_typer(insurers_app, name="insurers")
main.add_typer(conventions_app, name="conventions")
main.add_typer(dre_app, name="dre")
main.add_typer(rights_app, name="rights")
main.add_typer(directory_app, name="directory")
main.add_typer(practitioners_app, name="practitioners")
practitioners_app.add_typer(review_app, name="review")
main.add_typer(audit_app, name="audit")

T = TypeVar("T")
_out = Console()
_err = Console(stderr=True)
AsJson = Annotated[bool, typer.Option("--json", help="Answer one line of JSON.")]


@contextmanager
def _explained() -> Iterator[None]:
    """What can go wrong, as sentences on stderr and exit status 1; a traceback is for our own mistakes only."""
    try:
        yield
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "TPG_" + ".".join(str(part) for part in fault["loc"]).upper()
            _err.print(f"[red]{name}[/]: {fault['msg']}")
        _err.print(
            "Secrets come from the environment or from files: `tpgateway secrets new DIR`, then TPG_SECRETS_DIR=DIR."
        )
        raise typer.Exit(1) from None
    except Problem as problem:
        _err.print(f"[red]{problem.title}[/]" + (f": {problem.detail}" if problem.detail else ""))
        if problem.hint:
            _err.print(problem.hint)
        raise typer.Exit(1) from None
    except DatabaseNotUsable as error:
        _err.print(f"[red]The database cannot be used[/]: {error}")
        raise typer.Exit(1) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _err.print(f"[red]{type(error).__name__}[/]: {error}")
        raise typer.Exit(1) from None


def _on_database(settings: DatabaseSettings, act: Callable[[Connection], Awaitable[T]]) -> T:
    """One act on one connection to a database of the right schema."""

    async def run(url: str) -> T:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await prepare_connection(connection)
            await check(connection)
            return await act(connection)
        finally:
            await connection.close()

    with database_url(settings) as url:
        return asyncio.run(run(url))


def _today() -> date:
    return datetime.now(PARIS).date()


def _amc(number: str) -> str:
    try:
        return amc_number.validate(number)
    except IdentifierError:
        raise typer.BadParameter("an AMC number has 8 to 10 digits") from None


@main.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Play the story and stop: exit status 0 if it went well.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="When ready, print one line of JSON and nothing else on stdout.")
    ] = False,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; 8080, or a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the demo keeps its database and keys.")] = None,
) -> None:
    """Play the gateway's main story with fictitious people, then keep serving.

    Everything is real but the people: PostgreSQL, the service, its worker, mail by SMTP, an insurer's server.

    Example: `tpgateway demo --once --json --data-dir /tmp/demo`
    """
    from tpgateway.demo.run import run_demo

    with _explained():
        status = run_demo(once=once, as_json=as_json, port=port, data_dir=data_dir)
    raise typer.Exit(status)


@main.command()
def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes share the port.")] = 1,
) -> None:
    """Serve the API and the pages until SIGTERM or Ctrl-C.

    Example: `TPG_SECRETS_DIR=/etc/tpgateway/secrets tpgateway serve --workers 4`
    """
    from tpgateway.app import serve as run

    with _explained():
        settings = configuration.load()
        logs.configure(level=settings.log_level, form=settings.log_format)
        with database_url(settings) as url:
            run(settings, url, workers=workers)


@main.command()
def work() -> None:
    """Work off the queue (mails, deliveries to insurers) until SIGTERM or Ctrl-C.

    Example: `TPG_SECRETS_DIR=/etc/tpgateway/secrets tpgateway work`
    """
    from tpgateway.worker import work as run

    with _explained():
        settings = configuration.load()
        logs.configure(level=settings.log_level, form=settings.log_format)
        with database_url(settings) as url:
            uvloop.run(run(settings, url))


@main.command()
def migrate() -> None:
    """Bring the database to this program's schema. Safe to run twice, and by several machines at once.

    Example: `TPG_DATABASE_URL=postgresql://tpgateway@db/tpgateway tpgateway migrate`
    """
    with _explained(), database_url(configuration.load_database()) as url:
        applied = asyncio.run(run_migrations(url))
    _out.print("Applied: " + ", ".join(applied) if applied else "Up to date.")


@main.command(hidden=True)
def openapi() -> None:
    """Print the OpenAPI document."""
    from tpgateway.app import openapi_text

    sys.stdout.write(openapi_text())


@secrets_app.command("rotate")
def rotate_secrets(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the keys.", exists=True, file_okay=False)],
) -> None:
    """Go one step in replacing the key that access tokens are signed with; nobody is logged out.

    Three steps, the processes restarted after each: a new key is published beside the old one; the new one signs and the
    old one still checks; the next time, the old one makes room.

    Example: `tpgateway secrets rotate /etc/tpgateway/secrets`
    """
    path = folder / "tpg_token_keys"
    with _explained():
        keys, said = rotated_signing_keys_json(path.read_text())
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(keys)
        fresh.replace(path)
    _out.print(said + " Now restart the processes that serve.")


@secrets_app.command("new")
def new_secrets(folder: Annotated[Path, typer.Argument(help="Folder to write the keys to; made if missing.")]) -> None:
    """Make the gateway's own keys, readable by you alone. Existing files are left as they are.

    Example: `tpgateway secrets new /etc/tpgateway/secrets`
    """
    with _explained():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, make in (("tpg_token_keys", new_signing_keys_json), ("tpg_vault_keys", Vault.new_json)):
            path = folder / name
            if path.exists():
                continue
            path.touch(mode=0o600)
            path.write_text(make())
            _out.print(f"Wrote {path}")
    _out.print(f"Now set TPG_SECRETS_DIR={folder}, and keep a copy: what is sealed cannot be read without these keys.")


@insurers_app.command("add")
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
                number=_amc(number),
                name=name,
                convention_types=sorted({_convention_type(each) for each in convention_type}),
                public_jwk=_public_jwk(key),
                actor=OPERATOR,
            )
        return {"number": insurer.number, "name": insurer.name, "client_id": str(client_id)}

    with _explained():
        made = _on_database(configuration.load_database(), act)
    if as_json:
        sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")
        return
    _out.print(f"Admitted {made['name']} ({made['number']}). Its client_id is {made['client_id']}")


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


@insurers_app.command("list")
def list_insurers() -> None:
    """Show the insurers of the network.

    Example: `tpgateway insurers list`
    """
    with _explained():
        found = _on_database(configuration.load_database(), insurers.list_all)
    table = Table("AMC number", "Name", "Convention types", "State")
    for insurer in found:
        table.add_row(insurer.number, insurer.name, " ".join(insurer.convention_types), insurer.state.value)
    _out.print(table)


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

    with _explained():
        for line in _on_database(configuration.load_database(), act):
            _out.print(line)


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
        day = effective.date() if effective else _today()
        async with connection.transaction():
            return await dre.publish(
                connection, effective_from=day, today=_today(), now=datetime.now(UTC), actor=OPERATOR
            )

    with _explained(), _err.status("Building the tables"):
        version, lines = _on_database(configuration.load_database(), act)
    _out.print(f"Version {version.version}, in force from {version.effective_from}")
    for specialty, count in lines.items():
        _out.print(f"  {specialty}: {count} lines")


@rights_app.command("import")
def import_rights(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, as schemas/README.md describes it.")],
    insurer: Annotated[str, typer.Option(help="AMC number of the insurer whose people these are.")],
    mode: Annotated[ImportMode, typer.Option(help="full closes whoever is missing.")] = ImportMode.UPDATE,
    confirm_closing: Annotated[
        bool, typer.Option("--confirm-closing", help="Let a full file close any share of the rights.")
    ] = False,
) -> None:
    """Load people's rights from a file. Good lines load, bad ones are listed.

    Example: `tpgateway rights import rights.csv --insurer 0075004407 --mode full`
    """
    number = _amc(insurer)
    started = datetime.now(UTC)
    settings = configuration.load_database()

    async def act(connection: Connection) -> Any:
        found = await insurers.find(connection, number)
        with _progress() as progress:
            lines = cards.clean_pieces(_pieces(file, progress))
            async with cards.staged_rights(connection, lines), connection.transaction():
                progress.update(progress.task_ids[0], description="Checking and merging")
                done = await cards.merge_rights(
                    connection,
                    found.id,
                    mode,
                    closing_percent=None if confirm_closing else settings.closing_percent,
                    started_at=started,
                    today=_today(),
                    actor=OPERATOR,
                )
        return done, await cards.rejects(connection, found.id, done.id, after=0, limit=20)

    with _explained():
        done, rejects = _on_database(settings, act)
    _out.print(f"{done.lines} lines: {done.loaded} loaded, {done.rejected} rejected, {done.closed} periods closed")
    for reject in rejects:
        _out.print(f"  line {reject.line}: {reject.column or 'line'}: {reject.code}")
    if done.rejected > len(rejects):
        _out.print(f"  and {done.rejected - len(rejects)} more, under import {done.id}")


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
        with file.open("rb") as lines, _progress() as progress:
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
                    on_merge=lambda: progress.update(task, description="Merging"),
                )
                await practitioners.place_missing(connection)
        return done

    with _explained():
        done = _on_database(configuration.load_database(), act)
    _out.print(f"{done.source.value}: {done.lines} lines, {done.entries} entries now, {done.skipped} lines not usable")


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
    with _explained():
        found = _on_database(configuration.load_database(), oversight.reviews)
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
        _out.print("Nothing waits.")
        return
    for each in found:
        what = "registration" if each.is_registration else "another number"
        _out.print(f"[bold]{each.id}[/]  {each.asked_at.astimezone(PARIS):%Y-%m-%d %H:%M}  {what}: {each.reason}")
        _out.print(f"  {each.identifier.scheme} {each.identifier.value}  {escape(each.name)}", soft_wrap=True)
        _out.print(f"  {each.specialty}, {each.postal_code}, {escape(each.email)}", soft_wrap=True)


@review_app.command("approve")
def approve_review(review_id: Annotated[UUID, typer.Argument(metavar="ID")]) -> None:
    """Let a claim stand; the practitioner is told by mail.

    Example: `tpgateway practitioners review approve 0199a1b2-…`
    """

    async def act(connection: Connection, post: Post) -> Any:
        return await oversight.approve(connection, post, review_id, now=datetime.now(UTC), actor=OPERATOR)

    done = _with_post(act)
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

    done = _with_post(act)
    _decided(done, "Refused")


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not 1 <= len(text) <= 500:
        raise typer.BadParameter("a reason has 1 to 500 characters")
    return text


def _decided(done: Any, what: str) -> None:
    if done is None:
        _err.print("[red]Nothing waits under this id[/]: see `tpgateway practitioners review`")
        raise typer.Exit(1)
    _out.print(f"{what}: {done.identifier.scheme} {done.identifier.value}. The practitioner is told by mail.")


def _with_post(act: Callable[[Connection, Post], Awaitable[T]]) -> T:
    """One act in one transaction, with what mails need."""
    with _explained():
        settings = configuration.load()
        post = Post.of(settings, Vault.from_json(settings.vault_keys.get_secret_value()))

        async def run(connection: Connection) -> T:
            async with connection.transaction():
                return await act(connection, post)

        return _on_database(settings, run)


@practitioners_app.command("suspend")
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

    _told(_with_post(act), "Suspended")


@practitioners_app.command("restore")
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

    _told(_with_post(act), "Restored")


@practitioners_app.command("recover")
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

    _told(_with_post(act), "Recovered")


def _email(text: str) -> str:
    from pydantic import TypeAdapter

    from tpgateway.members.payloads import Email

    try:
        return TypeAdapter(Email).validate_python(text)
    except ValidationError:
        raise typer.BadParameter("this is no e-mail address") from None


def _told(done: Any, what: str) -> None:
    if done is None:
        _err.print("[red]No account in the right state holds this number[/]")
        raise typer.Exit(1)
    _out.print(f"{what}: {escape(done.name)}. The practitioner is told by mail.")


@audit_app.command("verify")
def verify_audit(as_json: AsJson = False) -> None:
    """Go through the whole audit trail: exit status 1 where anything is not as it was written.

    Keep the last hash elsewhere, and compare it with the same day's later: it changes if the chain was written anew.

    Example: `tpgateway audit verify --json`
    """

    async def act(connection: Connection) -> list[chain.Finding]:
        days = await connection.fetchval("SELECT count(*) FROM audit_days")
        findings = []
        with Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} days"),
                      console=_err, transient=True) as progress:  # fmt: skip
            task = progress.add_task("Verifying", total=days + 1)
            async for finding in chain.verify(connection):
                findings.append(finding)
                progress.advance(task)
        return findings

    with _explained():
        findings = _on_database(configuration.load_database(), act)
    if as_json:
        sys.stdout.write(json.dumps([_finding(each) for each in findings], ensure_ascii=False) + "\n")
        raise typer.Exit(int(any(each.fault is not None for each in findings)))
    for finding in findings:
        if finding.fault is not None:
            _out.print(f"[red]{finding.day}[/]: {finding.fault}")
    entries = sum(finding.entries for finding in findings)
    checks = sum(finding.card_checks or 0 for finding in findings)
    if any(finding.fault is not None for finding in findings):
        _err.print("[red]The trail is not as it was written.[/] Compare with a backup; the days named above are where.")
        raise typer.Exit(1)
    _out.print(f"Whole: {len(findings)} days, {entries} entries, {checks} card checks of closed days")
    if findings and (last := findings[-1].hash) is not None:
        _out.print(f"Last hash, of {findings[-1].day}: {last.hex()}", soft_wrap=True)


def _finding(finding: chain.Finding) -> dict[str, Any]:
    return {
        "day": finding.day.isoformat(),
        "entries": finding.entries,
        "card_checks": finding.card_checks,
        "hash": finding.hash.hex() if finding.hash else None,
        "fault": finding.fault,
    }


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=_err,
    )


async def _pieces(file: Path, progress: Progress) -> AsyncIterator[bytes]:
    task = progress.add_task("Reading", total=os.path.getsize(file))
    with file.open("rb") as source:
        async for piece in cards.read_pieces(source):
            yield piece
            progress.advance(task, len(piece))


if __name__ == "__main__":
    main()
