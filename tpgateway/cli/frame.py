"""What every command stands on: sentences for what goes wrong, a database, mails, progress."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from stdnum.exceptions import ValidationError as IdentifierError

from tpgateway import settings as configuration
from tpgateway.database import Connection, connecting
from tpgateway.database.embedded import database_url
from tpgateway.database.pool import DatabaseNotUsable, check, prepare_connection
from tpgateway.errors import Problem
from tpgateway.identifiers import amc_number
from tpgateway.settings import DatabaseSettings
from tpgateway.vault import Vault

if TYPE_CHECKING:
    from tpgateway.mail import Post

T = TypeVar("T")
# Where nobody looks on, and nobody says how wide it is, nothing is cut: a file or another program reads it.
_WIDE = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 240
out = Console(width=_WIDE)
err = Console(stderr=True, width=_WIDE)
AsJson = Annotated[bool, typer.Option("--json", help="Answer one line of JSON.")]


@contextmanager
def explained() -> Iterator[None]:
    """What can go wrong, as sentences on stderr and exit status 1; a traceback is for our own mistakes only."""
    try:
        yield
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "TPG_" + ".".join(str(part) for part in fault["loc"]).upper()
            err.print(f"[red]{name}[/]: {fault['msg']}")
        err.print(
            "Secrets come from the environment or from files: `tpgateway secrets new DIR`, then TPG_SECRETS_DIR=DIR."
        )
        raise typer.Exit(1) from None
    except SettingsError as error:  # a secret's file may not be read; the cause names it
        err.print(f"[red]{error}[/]: {escape(str(error.__cause__))}")
        raise typer.Exit(1) from None
    except Problem as problem:
        err.print(f"[red]{problem.title}[/]" + (f": {escape(problem.detail)}" if problem.detail else ""))
        if problem.hint:
            err.print(problem.hint)
        raise typer.Exit(1) from None
    except DatabaseNotUsable as error:
        err.print(f"[red]The database cannot be used[/]: {error}")
        raise typer.Exit(1) from None
    except (OSError, ImportError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        err.print(f"[red]{type(error).__name__}[/]: {escape(str(error))}")
        raise typer.Exit(1) from None


def on_database(settings: DatabaseSettings, act: Callable[[Connection], Awaitable[T]]) -> T:
    """One act on one connection to a database of the right schema."""

    async def run(url: str) -> T:
        connection = await connecting.connect(url, timeout=10)
        try:
            await prepare_connection(connection)
            await check(connection)
            return await act(connection)
        finally:
            await connection.close()

    with database_url(settings) as url:
        return asyncio.run(run(url))


def today() -> date:
    return datetime.now(ZoneInfo("Europe/Paris")).date()


def amc(number: str) -> str:
    try:
        return amc_number.validate(number)
    except IdentifierError:
        raise typer.BadParameter("an AMC number has 8 to 10 digits") from None


def with_post(act: "Callable[[Connection, Post], Awaitable[T]]") -> T:
    """One act in one transaction, with what mails need."""
    from tpgateway.mail import Post

    with explained():
        settings = configuration.load()
        post = Post.of(settings, Vault.from_json(settings.vault_keys.get_secret_value()))

        async def run(connection: Connection) -> T:
            async with connection.transaction():
                return await act(connection, post)

        return on_database(settings, run)


class _OfFile(ProgressColumn):
    """A column that is shown only while a file is read, whose size is known."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return "" if task.total is None or task.finished else self._column.render(task)


class Steps(Progress):
    """A line for each step: a file being read, with speed and what remains, then work of which only the time is known."""

    def __init__(self) -> None:
        columns = (_OfFile(DownloadColumn()), _OfFile(TransferSpeedColumn()), _OfFile(TimeRemainingColumn()))
        super().__init__(TextColumn("{task.description:9}"), BarColumn(), TimeElapsedColumn(), *columns, console=err)

    def begin(self, step: str) -> None:
        """Ends the step before and begins one whose length is not known."""
        self.end()
        self.add_task(step, total=None)

    @contextmanager
    def counting(self, step: str, total: int) -> Iterator[Callable[[], None]]:
        """A step of so many parts; what it gives is called after each."""
        self.end()
        task = self.add_task(step, total=total)
        yield lambda: self.advance(task)
        self.end()

    def end(self) -> None:
        """Ends whatever is under way."""
        for task in self.tasks:
            if not task.finished:
                total = task.total or 1
                self.update(task.id, total=total, completed=total)
