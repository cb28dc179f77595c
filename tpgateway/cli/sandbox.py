"""The other side, to try a gateway against: a simulated insurer, published scenarios, conformance lists."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rich.markup import escape
from rich.table import Table
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from tpgateway.cli.frame import err, out, today
from tpgateway.client import Client, GatewayAway, GatewayProblem, PrivateKey
from tpgateway.sandbox import simulator
from tpgateway.sandbox.endpoint_conformance import EndpointList
from tpgateway.sandbox.insurer import Behaviour, Receiver
from tpgateway.sandbox.report import Finding, Report, Result
from tpgateway.sandbox.scenarios import SCENARIOS
from tpgateway.sandbox.software_conformance import Watcher, judge

simulate_app = typer.Typer(no_args_is_help=True)
certify_app = typer.Typer(no_args_is_help=True)

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; any free one if left out.")]
Reports = Annotated[Path, typer.Option(help="Folder for report.html and report.xml (JUnit).")]
_STOP_SECONDS = 4
_MARKS = {Result.PASSED: "[green]✓[/]", Result.FAILED: "[red]✗[/]", Result.NOT_SEEN: "[yellow]–[/]"}


@simulate_app.command("insurer")
def simulate_insurer(
    client_id: Annotated[str, typer.Option(help="The insurer's client_id, as `tpgateway insurers add` printed it.")],
    key: Annotated[Path, typer.Option(help="PEM file of its private key.", exists=True, dir_okay=False)],
    gateway: Annotated[str, typer.Option(help="The gateway's address.")] = "http://127.0.0.1:8080",
    name: Annotated[str, typer.Option(help="What stands on its page.")] = "Organisme d'essai",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 0,
    public_url: Annotated[str | None, typer.Option(help="Where the gateway reaches it, if not there.")] = None,
    behaviour: Annotated[
        Behaviour, typer.Option(help="How its server behaves; its page changes that.")
    ] = Behaviour.WELL,
    seconds: Annotated[float, typer.Option(help="How long a slow answer takes.")] = 5.0,
    load: Annotated[bool, typer.Option(help="Load the scenarios' products, rules and people first.")] = True,
) -> None:
    """Be an insurer: load the scenarios, receive and verify events, decide what waits, show all of it on a page.

    A gateway takes addresses of this machine only where TPG_WEBHOOK_PRIVATE_TARGETS says so, as the demo's does.

    Example: `tpgateway simulate insurer --gateway http://127.0.0.1:8080 --client-id 01a2… --key lac.pem --port 9000`
    """

    pem = _pem(key)

    async def run(stop: asyncio.Event) -> None:
        async with Client(gateway, PrivateKey(client_id, pem)) as client:
            receiver = Receiver(name, behaviour=behaviour, seconds=seconds, desk=simulator.ReviewDesk(client))
            with _listening(host, port):
                await receiver.open(host, port)
            page, endpoint = receiver.url, None
            try:
                receiver.url = public_url or page
                if load:
                    with err.status("Loading the scenarios"):
                        done = await simulator.load_scenarios(client, today())
                    out.print(f"Loaded {done['loaded']} people: `tpgateway simulate scenarios` lists them")
                endpoint = await simulator.connect(client, receiver)
                out.print(f"Receiving at {page}, which is also its page. Ctrl-C stops it.", soft_wrap=True)
                await stop.wait()
            finally:
                if endpoint is not None:
                    with suppress(GatewayProblem, GatewayAway, TimeoutError):
                        async with asyncio.timeout(3):
                            await client.request("DELETE", f"/v1/insurer/endpoints/{endpoint}")
                await receiver.close()

    _until_stopped(run)


@simulate_app.command("scenarios")
def list_scenarios() -> None:
    """Show the cards that always give the same outcome, once `tpgateway simulate insurer` has loaded them.

    Example: `tpgateway simulate scenarios`
    """
    table = Table("Membership", "Born", "Rank", "What to do", "Comes to", "Then")
    for each in SCENARIOS:
        what = f"ask for {(each.correction or '').replace('_', ' ')} lenses: " if each.is_request else "check: "
        table.add_row(
            each.membership_number,
            each.birth_date,
            str(each.birth_rank),
            what + each.about,
            each.expect,
            each.then or "",
        )
    out.print(table)


@certify_app.command("endpoint")
def certify_endpoint(
    url: Annotated[str, typer.Option(help="Where the insurer takes events.")],
    secret: Annotated[str, typer.Option(help="Its whsec_… secret.", envvar="TPG_CERTIFY_SECRET")],
    reports: Reports = Path("certification"),
) -> None:
    """Run the conformance list against an insurer's endpoint: events that it must take, and some that it must not.

    They are JSON and signed by the secret (v1), beside a v1a signature as the gateway's own are.

    Exit status 0 if all lines passed.

    Example: `tpgateway certify endpoint --url https://mutuelle.example/events --secret whsec_…`
    """

    try:
        Webhook(secret)
    except (ValueError, RuntimeError, EmptyWebhookSecretError):
        raise typer.BadParameter("a secret is written whsec_ and base64", param_hint="--secret") from None

    async def run() -> Report:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            return await EndpointList(http, url, secret).run(_tell)

    _end(asyncio.run(run()), reports)


@certify_app.command("software")
def certify_software(
    gateway: Annotated[str, typer.Option(help="The sandbox's address.")] = "http://127.0.0.1:8080",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 0,
    reports: Reports = Path("certification"),
) -> None:
    """Watch a practitioner's software: it is given this address in place of the gateway's, and judged on Ctrl-C.

    Of the ways to get a token it passes on those by a secret: an assertion is made out to the gateway's own address.

    The scenarios must be loaded (`tpgateway simulate insurer`). Exit status 0 if all lines passed.

    Example: `tpgateway certify software --gateway http://127.0.0.1:8080 --port 9100`
    """
    seen: list[Report] = []

    async def run(stop: asyncio.Event) -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True) as http:
            watcher = Watcher(http, gateway.rstrip("/"))
            with _listening(host, port):
                await watcher.open(host, port)
            out.print(f"Give the software this address: {watcher.url}. Ctrl-C ends and judges.", soft_wrap=True)
            await stop.wait()
            await watcher.close()
            seen.append(judge(watcher.calls, gateway))

    _until_stopped(run)
    for finding in seen[0].findings:
        _tell(finding)
    _end(seen[0], reports)


def _until_stopped(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs until SIGINT or SIGTERM, or until the gateway refuses: with its sentence and exit status 1."""

    async def live() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        running, stopped = asyncio.ensure_future(run(stop)), asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():  # it ends by itself, unless it waits for a gateway that is away
            await asyncio.wait({running}, timeout=_STOP_SECONDS)
            running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        stopped.cancel()

    try:
        asyncio.run(live())
    except GatewayProblem as problem:
        err.print(f"[red]{escape(str(problem))}[/]" + (f"\n{escape(str(problem.hint))}" if problem.hint else ""))
        raise typer.Exit(1) from None
    except (GatewayAway, aiohttp.ClientError, OSError) as error:
        err.print(f"[red]The gateway cannot be reached[/]: {escape(str(error))}")
        raise typer.Exit(1) from None


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        err.print(f"[red]Cannot listen on {escape(host)}:{port}[/]: {escape(str(error.strerror or error))}")
        raise typer.Exit(1) from None


def _pem(path: Path) -> bytes:
    raw = path.read_bytes()
    try:
        load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise typer.BadParameter(f"{path} is no private key in PEM", param_hint="--key") from None
    return raw


def _tell(finding: Finding) -> None:
    out.print(f" {_MARKS[finding.result]} {escape(finding.name)} [dim]{escape(finding.found)}[/]", soft_wrap=True)


def _end(report: Report, folder: Path) -> None:
    try:
        page, tests = report.write(folder)
    except OSError as error:
        err.print(f"[red]The report cannot be written[/]: {escape(str(error))}")
        raise typer.Exit(1) from None
    counts = ", ".join(f"{report.count(result)} {result.value}" for result in Result)
    out.print(f"{counts}. Written to {page} and {tests}", soft_wrap=True)
    raise typer.Exit(0 if report.is_passed else 1)
