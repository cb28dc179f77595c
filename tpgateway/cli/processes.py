"""The demo, and the halves that run in production."""

import asyncio
import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tpgateway import settings as configuration
from tpgateway.cli.frame import err, explained, out
from tpgateway.database.embedded import database_url
from tpgateway.settings import Settings

app = typer.Typer()


@app.command()
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

    with explained():
        status = run_demo(once=once, as_json=as_json, port=port, data_dir=data_dir)
    raise typer.Exit(status)


def _refuse_unsafe(settings: Settings) -> None:
    """Ends here where production would not be safe with these settings, and says each reason."""
    found = settings.unsafe() if settings.environment == "production" else []
    if found:
        err.print("[red]These settings are not safe in production[/] (TPG_ENVIRONMENT=development accepts them):")
        for each in found:
            err.print(f"  {escape(each)}", soft_wrap=True)
        raise typer.Exit(2)


@app.command()
def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes share the port.")] = 1,
    only_checks: Annotated[
        bool, typer.Option("--check", help="Say whether it could start: settings, keys, schema. Exit status 0 or not.")
    ] = False,
) -> None:
    """Serve the API and the pages until SIGTERM or Ctrl-C.

    With two workers or more, SIGHUP puts new ones in place of all, one by one: the program as it is installed then, with the
    settings of then. No request fails. A program that could not start is refused, and the old one goes on.

    Example: `TPG_SECRETS_DIR=/etc/tpgateway/secrets tpgateway serve --workers 4`
    """
    from tpgateway.app import serve as run
    from tpgateway.database.pool import verify
    from tpgateway.vault import Vault
    from tpgateway.web import logs, tls

    with explained():
        settings = configuration.load()
        _refuse_unsafe(settings)
        logs.configure(level=settings.log_level, form=settings.log_format)
        with database_url(settings) as url:
            if only_checks:
                Vault.from_json(settings.vault_keys.get_secret_value())
                tls.server_context(settings)
                asyncio.run(verify(url))
            else:
                run(settings, url, workers=workers)


@app.command()
def work() -> None:
    """Work off the queue (mails, clocks) and post events to insurers until SIGTERM or Ctrl-C.

    Example: `TPG_SECRETS_DIR=/etc/tpgateway/secrets tpgateway work`
    """
    import uvloop

    from tpgateway.web import logs
    from tpgateway.worker import work as run

    with explained():
        settings = configuration.load()
        _refuse_unsafe(settings)
        logs.configure(level=settings.log_level, form=settings.log_format)
        with database_url(settings) as url:
            uvloop.run(run(settings, url))


@app.command()
def migrate(
    distribute: Annotated[
        bool, typer.Option("--distribute", help="Then spread it over the servers of a Citus cluster, by insurer.")
    ] = False,
) -> None:
    """Bring the database to this program's schema. Safe to run twice, and by several machines at once.

    Programs of the version before go on meanwhile: a table that they use is changed in a moment when it is free.

    Example: `TPG_DATABASE_URL=postgresql://tpgateway@db/tpgateway tpgateway migrate`
    """
    from tpgateway.database.migrations import migrate as run_migrations
    from tpgateway.database.migrations.distribute import NoCitus
    from tpgateway.database.migrations.distribute import distribute as run_distribution

    @cache  # said once, however often it is tried
    def tell() -> None:
        err.print("Tables are in use: waiting for a moment in which they are free")

    with explained(), database_url(configuration.load_database()) as url:
        applied = asyncio.run(run_migrations(url, tell=tell))
        out.print("Applied: " + ", ".join(applied) if applied else "Up to date.")
        if not distribute:
            return
        try:
            is_new = asyncio.run(run_distribution(url))
        except NoCitus:
            err.print("[red]Not distributed[/]: this is no database of a Citus cluster.")
            err.print("CREATE EXTENSION citus on each server, citus_add_node() for each worker, then run it again.")
            raise typer.Exit(1) from None
        out.print("Distributed by insurer." if is_new else "Distributed already.")


@app.command(hidden=True)
def openapi() -> None:
    """Print the OpenAPI document."""
    from tpgateway.app import openapi_text

    sys.stdout.write(openapi_text())
