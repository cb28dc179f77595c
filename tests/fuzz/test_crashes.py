"""What once broke a parser does so no more, and what fuzzers begin from is what it is taken for."""

from pathlib import Path

import pytest

from tests.fuzz.seeds import Seed
from tests.fuzz.targets import TARGETS

CRASHES = Path(__file__).parents[1] / "data" / "crashes"
FILES = sorted(path for path in CRASHES.glob("*/*") if path.is_file())
SEEDS = [
    pytest.param(name, seed, id=f"{name}-{place}")
    for name, each in TARGETS.items()
    for place, seed in enumerate(each.seeds)
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_once_broke_a_parser_is_read_or_refused(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


def test_every_input_that_is_kept_is_one_of_a_parser_and_told_of() -> None:
    told = (CRASHES / "README.md").read_text()
    assert FILES
    assert {path.parent.name for path in FILES} <= set(TARGETS)
    assert [path.name for path in FILES if f"`{path.parent.name}/{path.name}`" not in told] == []


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_a_seed_is_read_or_refused_as_it_says(name: str, seed: Seed) -> None:
    assert (TARGETS[name].run(seed.data) is not None) is seed.is_read
