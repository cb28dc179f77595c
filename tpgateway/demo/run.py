"""``tpgateway demo``: opens the house, plays the story, then keeps serving until it is told to stop."""

import asyncio
import fcntl
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from tpgateway.database.embedded import database_url
from tpgateway.demo import people
from tpgateway.demo.house import House, HouseFell
from tpgateway.demo.story import Story, StoryBroken
from tpgateway.settings import DatabaseSettings, default_data_dir

_WHO_WIDTH = 20


class Screen:
    """Tells the story on a terminal, one line a step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapters = 0

    def chapter(self, title: str) -> None:
        self._chapters += 1
        self._console.print(f"\n[bold]{self._chapters}. {escape(title)}[/]", soft_wrap=True)

    def step(self, who: str, sent: str, came: str, milliseconds: float) -> None:
        name = who.removesuffix(" (fictive)")
        spent = f"  [dim]{milliseconds:.0f} ms[/]" if milliseconds >= 1 else ""
        line = f"{escape(sent)} [dim]→[/] {escape(came)}{spent}"
        if not self._console.is_terminal:
            self._console.print(f"  ✓ {escape(name):<{_WHO_WIDTH}} {line}", soft_wrap=True)
            return
        # On a terminal, what does not fit goes on below itself and not below the name.
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(style="green", width=1)
        row.add_column(style="cyan", width=_WHO_WIDTH)
        row.add_column(overflow="fold")
        row.add_row("", "✓", escape(name), line)
        self._console.print(row)


def run_demo(*, once: bool, as_json: bool, port: int | None, data_dir: Path | None) -> int:
    """Plays the story; answers the exit status: 0 if it went well, 1 if not."""
    # With --json, stdout belongs to the one line of JSON.
    console = Console(stderr=as_json, highlight=False)
    folder = (data_dir or default_data_dir() / "demo").expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = DatabaseSettings(database_url=None, data_dir=folder)
    console.print(f"[bold]tpgateway demo[/]  data in {escape(str(folder))}", soft_wrap=True)
    with (folder / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("[red]A demo runs on this folder already.[/] Stop it, or choose another: --data-dir")
            return 1
        try:
            with console.status("Starting PostgreSQL") as status, database_url(settings) as url:
                status.stop()
                return asyncio.run(_live(console, folder, url, once=once, as_json=as_json, port=port))
        except KeyboardInterrupt:
            return 130


async def _live(console: Console, folder: Path, url: str, *, once: bool, as_json: bool, port: int | None) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    house = House(folder=folder, database_url=url, port=port)
    play = asyncio.create_task(_play(console, house, once=once, as_json=as_json))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({play, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if play.done():
            return play.result()
        play.cancel()
        await asyncio.gather(play, return_exceptions=True)
        return 0
    finally:
        stopped.cancel()
        console.print("Stopping: service, worker, mailbox, insurers")
        await house.close()


async def _play(console: Console, house: House, *, once: bool, as_json: bool) -> int:
    try:
        with console.status("Starting the service and its worker"):
            await house.open()
        async with aiohttp.ClientSession() as http:
            await Story(house, http, Screen(console)).play()
        if as_json:
            sys.stdout.write(json.dumps(_where_to_look(house), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        if once:
            console.print("\n[green]The story went well.[/]")
            return 0
        console.print(_panel(house))
        await house.watch()
    except StoryBroken as broken:
        console.print(f"[red]The story broke:[/] {escape(str(broken))}", soft_wrap=True)
    except HouseFell as fell:
        console.print(f"[red]{escape(str(fell))}[/]", soft_wrap=True)
    except (TimeoutError, aiohttp.ClientError) as error:
        console.print(f"[red]The story broke:[/] {type(error).__name__} {escape(str(error))}", soft_wrap=True)
    return 1


def _panel(house: House) -> Panel:
    lac = house.receivers[people.LAC.key]
    optician = people.OPTICIAN
    password = house.memory.data["practitioners"][optician.key]["password"]
    desk = house.memory.data["insurers"][people.LAC.key]["desk"]
    lines = [
        f"Pages for practitioners   {house.url}/",
        f"Pages for insurers        {house.url}/assureur",
        f"API documentation         {house.url}/docs",
        f"Mailbox                   {house.mailbox.url}/",
        f"What the insurer received {lac.url}",
        "",
        f"Log in as the optician: {optician.scheme} {optician.value}, password {password}",
        f"At the insurer's desk: AMC {people.LAC.number}, {desk['email']}, password {desk['password']}",
        f"Logs, keys, passwords: {house.folder}",
        "Ctrl-C stops everything; the data stays for the next run.",
    ]
    return Panel("\n".join(escape(line) for line in lines), title="Serving", expand=False)


def _where_to_look(house: House) -> dict[str, Any]:
    memory = house.memory.data
    return {
        "url": house.url,
        "mailbox_url": house.mailbox.url,
        "practitioners": [
            {
                "scheme": seed.scheme,
                "value": seed.value,
                "password": memory["practitioners"][seed.key]["password"],
                "specialty": seed.specialty,
                "client_id": memory["practitioners"][seed.key]["client_id"],
                "client_secret": memory["practitioners"][seed.key]["client_secret"],
            }
            for seed in people.PRACTITIONERS
        ],
        "insurers": [
            {
                "number": seed.number,
                "name": seed.name,
                "client_id": memory["insurers"][seed.key]["client_id"],
                "private_key_file": str(house.key_files(seed)[0]),
                "events_url": house.receivers[seed.key].url,
                "webhook_secret": house.receivers[seed.key].secret,
            }
            for seed in people.INSURERS
        ],
        "cards": [{**card, "expect": outcome.value} for card, outcome in people.CARDS],
    }
