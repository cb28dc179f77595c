"""``python -m tests.fuzz --seconds N [TARGET…]``: each parser under a fuzzer for a while, all where none is named.

Inputs that reached something new stay in ``build/fuzz/TARGET`` and are where the next run begins. One that broke a promise
goes to ``tests/data/crashes/TARGET``, where a test replays it from then on; exit status 1 says that there was one.
"""

import argparse
import hashlib
import os
import re
import shutil
import string
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
CRASHES = ROOT / "tests" / "data" / "crashes"
CORPUS = ROOT / "build" / "fuzz"
_LIMITS = ("-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=1", "-reload=0")
_PLAIN = frozenset(string.ascii_letters.encode() + string.digits.encode() + b" /;:<>[]{}()!#&?=|._-")
_PROGRESS = re.compile(r"^#(\d+)\s.*cov: (\d+) ft: (\d+)", re.MULTILINE)
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_console = Console(highlight=False, soft_wrap=True, width=200)


class Run(NamedTuple):
    """What came of a target: ``found`` are the files that broke it, ``told`` the last that the fuzzer said."""

    executions: int
    edges: int
    features: int
    found: list[Path]
    told: str


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Parsers under a fuzzer.")
    arguments.add_argument("--seconds", type=int, default=int(os.environ.get("FUZZ_SECONDS", "20")), help="for each")
    arguments.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    asked = arguments.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        arguments.error(f"no such target: {', '.join(sorted(unknown))}")
    if find_spec("atheris") is None:
        _console.print("atheris is not here: make fuzz installs it, for a Python that it has a wheel for")
        return 1
    worst = 0
    for name in asked.targets or TARGETS:
        run = fuzz(name, asked.seconds)
        _console.print(
            f"{name:18} {run.executions:>10,} executions {run.executions / asked.seconds:>8,.0f}/s"
            f" {run.edges:>6,} edges {run.features:>7,} features"
        )
        for path in run.found:
            _console.print(f"  [red]broken by[/] {path.relative_to(ROOT)}")
        if run.found or not run.executions:
            _console.print(run.told, markup=False)
            worst = 1
    return worst


def fuzz(name: str, seconds: int) -> Run:
    """Runs one target in a process of its own, which ends at the first find."""
    target, corpus = TARGETS[name], CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds:
        (corpus / hashlib.sha1(seed.data, usedforsecurity=False).hexdigest()).write_bytes(seed.data)
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words or ("?",)))
        finds = Path(folder) / "finds"
        finds.mkdir()
        process = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.engine", name),
                *(*_LIMITS, f"-max_total_time={seconds}", f"-max_len={target.longest}"),
                *(f"-dict={words}", f"-artifact_prefix={finds}/", str(corpus)),
            ],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        found = [_keep(each, CRASHES / name) for each in sorted(finds.iterdir()) if not each.name.startswith("slow-")]
    said = process.stderr.decode(errors="replace") + process.stdout.decode(errors="replace")
    executions, edges, features = map(int, (_PROGRESS.findall(said) or [(0, 0, 0)])[-1])
    if executed := _EXECUTED.search(said):  # where it came to its end
        executions = int(executed[1])
    return Run(executions, edges, features, found, _end_of(said))


def _escaped(word: str) -> str:
    """As libFuzzer's dictionaries have it: what is no plain character in hexadecimal digits."""
    return "".join(chr(each) if each in _PLAIN else f"\\x{each:02x}" for each in word.encode())


def _end_of(said: str) -> str:
    """The traceback where there is one."""
    start = said.find("=== Uncaught Python exception")
    return said[start : start + 4000] if start >= 0 else said[-2000:]


def _keep(find: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(find, folder / find.name))


if __name__ == "__main__":
    sys.exit(main())
