"""Rights files of any number of fictitious people, written a line at a time."""

import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from tpgateway.cards.codec.rights_files import RIGHTS_HEADER


def person(number: int) -> tuple[str, str]:
    """Membership number and birth date of the how-manieth person; no two have the same number."""
    mixed = number * 2_654_435_761 % 2**32
    return f"M{number:09d}", f"{1930 + mixed % 95}{1 + mixed % 12:02d}{1 + mixed % 28:02d}"


def lines(count: int, *, product: str, with_nir: bool = False) -> Iterator[str]:
    """The file's lines, the header first."""
    year = date.today().year  # noqa: DTZ011
    yield f"{RIGHTS_HEADER};nir" if with_nir else RIGHTS_HEADER
    for number in range(count):
        member, born = person(number)
        line = f"{member};{born};1;{year}-01-01;{year}-12-31;SP;;{product}"
        yield f"{line};{_nir(number)}" if with_nir else line


def _nir(number: int) -> str:
    body = 1_000_000_000_000 + number * 97 % 1_000_000_000_000
    return f"{body}{97 - body % 97:02d}"


def write(path: Path, count: int, *, product: str, with_nir: bool = False) -> Path:
    """Writes a file and answers where."""
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines(count, product=product, with_nir=with_nir))
    return path


def some(count: int, *, among: int) -> list[int]:
    """Numbers of people, each of another part of the file."""
    return random.Random(7).sample(range(among), count)  # noqa: S311
