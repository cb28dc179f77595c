"""``make fuzz``: every operation with requests made from the published document, by nobody, a practitioner and an insurer.

Schemathesis, all its phases. What counts as found: an answer of 500 and above, a status, header or content that the
document does not promise. ``FUZZ_EXAMPLES`` (30) is how many requests are made up for each operation.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.gateway import Gateway, open_gateway
from tpgateway.client import PrivateKey
from tpgateway.demo import people as seeds

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "30")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance"
)
# What waits on purpose, and what cannot be made up: a stream of lines.
_LEFT_OUT = "^/v1/(insurer/events|dre/tables|card-checks/batch)$"
_console = Console()


async def main() -> int:
    worst = 0
    with tempfile.TemporaryDirectory(prefix="tpgateway-fuzz-") as folder:
        async with open_gateway(Path(folder) / "house") as gateway:
            practitioner = await gateway.token_of(seeds.OPTICIAN)
            insurer = await _insurers_token(gateway)
            for who, token in (("nobody", None), ("practitioner", practitioner), ("insurer", insurer)):
                _console.rule(who)
                worst = max(worst, await _run(gateway, token))
            log = (Path(folder) / "house" / "serve.log").read_text()
    failures = log.count('"internal_error"')
    _console.print(f"Failures in the service's log: {failures}")
    return worst or int(failures > 0)


async def _run(gateway: Gateway, token: str | None) -> int:
    known = ["-H", f"Authorization: Bearer {token}"] if token else []
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "schemathesis",
        *("run", f"{gateway.url}/openapi.json", "--url", gateway.url, *known),
        *("--phases", "examples,coverage,fuzzing,stateful", "-n", EXAMPLES, "--workers", "2", "--checks", CHECKS),
        *("--exclude-path-regex", _LEFT_OUT, "--generation-database", "none", "--continue-on-failure"),
    )
    return await process.wait()


async def _insurers_token(gateway: Gateway) -> str:
    key = gateway.house.key_files(seeds.LAC)[0].read_bytes()
    client_id = gateway.house.memory.data["insurers"][seeds.LAC.key]["client_id"]
    address = f"{gateway.url}/oauth/token"
    form = {"grant_type": "client_credentials", **PrivateKey(client_id, key).form(address)}
    async with gateway.http.post(address, data=form) as answer:
        token: str = (await answer.json())["access_token"]
        return token


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
