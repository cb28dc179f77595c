"""``make bench``: each figure as a ratio to a rival of the same run, since machines differ and are shared."""

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.gateway import Gateway, open_gateway
from benchmarks.load import Measure, measure

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
CONNECTIONS = 32
ROUNDS = 3
RESULTS = Path(__file__).parent / "results" / "latest.json"


async def main() -> None:
    console = Console()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tpgateway-bench-")))
        with console.status("Starting the gateway and the empty handler"):
            gateway = await stack.enter_async_context(open_gateway(folder))
            empty_url = await stack.enter_async_context(_empty_handler(gateway))
        rounds: list[tuple[Measure, Measure]] = []
        for number in range(ROUNDS):
            # The two take turns, so that a slow moment of the machine falls on both.
            with console.status(f"Card checks, round {number + 1} of {ROUNDS}"):
                ours = await measure(gateway.url, gateway.requests, connections=CONNECTIONS, seconds=SECONDS)
                empty = await measure(empty_url, gateway.requests[:1], connections=CONNECTIONS, seconds=SECONDS)
            rounds.append((ours, empty))
    figures = _figures(rounds)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    table = Table(
        "what", "gateway", "empty handler", "ratio", title=f"Card checks, {CONNECTIONS} connections, one worker"
    )
    for row in figures["rows"]:
        table.add_row(row["what"], f"{row['ours']:,.1f}", f"{row['rival']:,.1f}", f"{row['ratio']:.2f}")
    console.print(table)
    console.print("The empty handler validates the same body and answers a fixed document of the same size.")
    console.print(f"Written to {RESULTS}", soft_wrap=True)


def _figures(rounds: list[tuple[Measure, Measure]]) -> dict[str, Any]:
    """The round whose ratio of throughputs is the middle one."""
    one, other = sorted(rounds, key=lambda pair: pair[0].per_second / pair[1].per_second)[len(rounds) // 2]
    rows = [
        ("requests a second", one.per_second, other.per_second),
        ("median, ms", one.percentile(50), other.percentile(50)),
        ("99th percentile, ms", one.percentile(99), other.percentile(99)),
    ]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [{"what": what, "ours": a, "rival": b, "ratio": a / b} for what, a, b in rows],
    }


@asynccontextmanager
async def _empty_handler(gateway: Gateway) -> AsyncIterator[str]:
    """The rival's URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.empty", str(listening.fileno()), str(gateway.answer_bytes)),
        pass_fds=(listening.fileno(),),
    )
    port = listening.getsockname()[1]
    listening.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main())
