"""Rights files as insurers send them, made ready for COPY: CSV or XML, plain or compressed by gzip or zstd.

What a file is shows from its first bytes. Lines of a CSV file without NIRs pass through in blocks, untouched one by one;
those of XML files and those with a NIR are written anew, the NIR sealed and hashed, so that it is never on a disk in clear.

The service does this in a process of its own (``python -m`` this module), where it takes no time from requests: standard
input brings the vault's keys on a line, then the file; what is ready goes to standard output; the last line of standard error
says in JSON what it is, or why it cannot be read.
"""

import codecs
import gzip
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

# What only some files need is imported where it is needed: a process of its own is started for each.
if TYPE_CHECKING:
    from lxml import etree

    from tpgateway.vault import Vault

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LONGEST_LINE = 1000
"""Bytes of a line; a longer one is a reject. Sealing makes a line longer by less than ``SEALING``."""
SEALING = 500
NAMESPACE = "urn:tpgateway:rights:1"

_BLOCK = 1024 * 1024
_MOST_BLANK = 1_000_000  # they are kept while lines are counted, and would fill a disk at no cost to who sends them
_ENDLESS = 1_000_000  # what is longer than this is no line at all
_NUMBER_END = "\x01"
# COPY's delimiter and quote, which no line may hold, and NUL, which no text may.
_FORBIDDEN = (b"\x00", b"\x01", b"\x02")
_CONTROL = re.compile(r"[\x00-\x1f]")
_NOT_PLAIN = re.compile(r"[;\x00-\x1f]")
_LIKE_A_NIR = re.compile(rb"[0-9AB ]{13,25}")
RIGHTS_HEADER = "membership_number;birth_date;birth_rank;valid_from;valid_to;convention_types;csr;product_code"
"""The first line of a rights file, which may go on with ``;nir``; see schemas/README.md."""
OpenVault: TypeAlias = "Callable[[], Vault]"
"""Gives the vault, where a file turns out to need it."""

_COLUMNS = RIGHTS_HEADER.split(";")
_ATTRIBUTES = frozenset([*_COLUMNS, "nir"])


class Unreadable(Exception):
    """The file as a whole cannot be read; the text says why and holds nothing of it."""


class WronglyEncoded(Exception):
    """The file is not UTF-8 text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What was written: whether each line has its number in the file in front, and whether NIRs stand in it."""

    are_numbered: bool
    has_nir: bool


def prepare(source: BinaryIO, target: BinaryIO, vault: "OpenVault | None", *, limit: int) -> Ready:
    """Writes the lines of a file, the header left out; raises ``Unreadable`` and ``WronglyEncoded``.

    ``limit`` is how many bytes the file may have once unpacked. Without a vault a file with NIRs is not readable.
    """
    try:
        text = io.BufferedReader(_Measured(_unpacked(io.BufferedReader(source, _BLOCK)), limit), _BLOCK)  # type: ignore[arg-type]
        if (start := text.peek(3)).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise WronglyEncoded
        if start.startswith(codecs.BOM_UTF8):
            text.read(len(codecs.BOM_UTF8))
        if text.peek(1).lstrip()[:1] == b"<":
            _write(_xml_lines(text), target, vault)
            return Ready(are_numbered=True, has_nir=True)
        header = text.readline(LONGEST_LINE).strip()
        if header == RIGHTS_HEADER.encode():
            _copy(text, target)
            return Ready(are_numbered=False, has_nir=False)
        if header == f"{RIGHTS_HEADER};nir".encode():
            _write(_csv_lines(text), target, vault)
            return Ready(are_numbered=True, has_nir=True)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError) as error:
        raise Unreadable("the compressed file is broken or cut short") from error
    except UnicodeDecodeError as error:
        raise WronglyEncoded from error
    if b"\x00" in header:
        raise WronglyEncoded
    raise Unreadable(f"the first line must be {RIGHTS_HEADER}, or that and ;nir")


def _unpacked(source: io.BufferedReader) -> BinaryIO:
    start = source.peek(4)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=source)  # type: ignore[return-value]
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return zstd.ZstdFile(source)  # type: ignore[return-value]
    return source


class _Measured(io.RawIOBase):
    """A file that may not be longer than a limit."""

    def __init__(self, source: BinaryIO, limit: int) -> None:
        self._source, self._left = source, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        block = self._source.read(len(buffer))
        self._left -= len(block)
        if self._left < 0:
            raise Unreadable("the file is larger than is accepted")
        buffer[: len(block)] = block
        return len(block)


def _copy(text: "io.BufferedReader[_Measured]", target: BinaryIO) -> None:
    """Blocks as they come, less carriage returns; whether they are UTF-8 is seen by COPY."""
    pending = blank = 0
    cells = text.peek(LONGEST_LINE).split(b"\n", 1)[0].strip().split(b";")
    if len(cells) > len(_COLUMNS) and _LIKE_A_NIR.fullmatch(cells[len(_COLUMNS)]):
        raise Unreadable("the first person has a NIR, which the header does not name: add ;nir to the first line")
    while block := text.read(_BLOCK):
        clean = block.replace(b"\r", b"")
        blank += clean.count(b"\n\n")
        if blank > _MOST_BLANK:
            raise Unreadable(f"more than {_MOST_BLANK} lines are blank")
        if any(byte in clean for byte in _FORBIDDEN):
            raise WronglyEncoded
        first_end = clean.find(b"\n")
        if pending + (len(clean) if first_end < 0 else first_end) > _ENDLESS:
            raise Unreadable(f"a line is longer than {_ENDLESS} bytes")
        pending = pending + len(clean) if first_end < 0 else len(clean) - clean.rfind(b"\n") - 1
        target.write(clean)


_Line = tuple[int, list[str]]


def _csv_lines(text: "io.BufferedReader[_Measured]") -> Iterator[_Line]:
    number = 1
    while raw := text.readline(_ENDLESS + 1):
        number += 1
        if len(raw) > _ENDLESS:
            raise Unreadable(f"a line is longer than {_ENDLESS} bytes")
        line = raw.replace(b"\r", b"").rstrip(b"\n")
        if any(byte in line for byte in _FORBIDDEN):
            raise WronglyEncoded
        if line:
            yield number, line.decode().split(";")


class _Watched:
    """What the parser reads. It keeps in memory what comes before a tag and in it: neither may be endless."""

    def __init__(self, text: "io.BufferedReader[_Measured]") -> None:
        self._text, self.unseen = text, 0

    def read(self, size: int) -> bytes:
        self.unseen += size
        if self.unseen > _ENDLESS:
            raise Unreadable(f"there is no element for longer than {_ENDLESS} bytes")
        return self._text.read(size)


def _xml_lines(text: "io.BufferedReader[_Measured]") -> Iterator[_Line]:
    """One line for each ``right``, numbered in the order of the file: parsers do not count lines beyond 65,535."""
    from lxml import etree  # noqa: PLC0415

    source = _Watched(text)
    parser = etree.iterparse(
        source,
        events=("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    root, number, has_children = None, 0, False
    try:
        for event, element in parser:
            source.unseen = 0
            if root is None:
                root = element
                if element.getroottree().docinfo.doctype:
                    raise Unreadable("a document type is not accepted")
                if element.tag != f"{{{NAMESPACE}}}rights":
                    raise Unreadable(f"the root must be rights of {NAMESPACE}")
            elif event == "end" and element is not root:
                if element.getparent() is root:
                    number += 1
                    yield number, _cells(element, has_children=has_children)
                has_children = element.getparent() is not root
                element.clear()
                while element.getprevious() is not None:  # the parser may still need the element itself
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise Unreadable(f"no well-formed XML: line {error.lineno}") from error


def _cells(element: "etree._Element", *, has_children: bool) -> list[str]:
    # The parser looks for each attribute among all: of an element with a million, only those that are wanted are read.
    is_right = (
        element.tag == f"{{{NAMESPACE}}}right"
        and len(element.attrib) <= len(_ATTRIBUTES)
        and _ATTRIBUTES.issuperset(element.attrib.keys())
    )
    if not is_right or has_children or element.text:
        return [str(element.get(name, "")) for name in _COLUMNS[:3]]  # a reject, but of somebody
    return [str(element.get(name, "")) for name in (*_COLUMNS, "nir")]


def _write(lines: Iterator[_Line], target: BinaryIO, vault: "OpenVault | None") -> None:
    ready: list[str] = []
    for number, cells in lines:
        ready.append(f"{number}{_NUMBER_END}{_sealed(cells, vault)}\n")
        if len(ready) >= 10_000:
            target.write("".join(ready).encode())
            ready.clear()
    target.write("".join(ready).encode())


def _sealed(cells: list[str], vault: "OpenVault | None") -> str:
    """The line with hash and sealed NIR in the place of the NIR; with ``!`` and a reject code where that is none."""
    if len(cells) != len(_COLUMNS) + 1:
        # No more than what names the person, and nothing that could be taken for more: it is a reject in any case.
        return ";".join(_NOT_PLAIN.sub("?", cell) for cell in cells[:3])
    line = ";".join(cells[:-1])
    if _CONTROL.search(line):
        line = _CONTROL.sub("?", line)
    if len(line) > LONGEST_LINE:
        return line.ljust(LONGEST_LINE + SEALING + 1)[: LONGEST_LINE + SEALING + 1]
    if not (written := cells[-1].strip()):
        return f"{line};;"
    if vault is None:
        raise Unreadable("the file holds NIRs: TPG_VAULT_KEYS must be set to seal them")
    return f"{line};{_sealer(vault)(written)}"


@cache
def _sealer(vault: "OpenVault") -> Callable[[str], str]:
    """What makes of a NIR its hash and its sealed form, or the reject that it is."""
    from stdnum.exceptions import InvalidChecksum, ValidationError  # noqa: PLC0415

    from tpgateway.cards.codec.nirs import NIR_PURPOSE  # noqa: PLC0415
    from tpgateway.identifiers import nir  # noqa: PLC0415

    opened = vault()

    def seal(written: str) -> str:
        try:
            number = nir.validate(written).encode()
        except InvalidChecksum:
            return "!wrong_key;"
        except ValidationError:
            return "!wrong_form;"
        hashed, sealed = opened.match(number, purpose=NIR_PURPOSE), opened.seal(number, purpose=NIR_PURPOSE)
        return f"\\x{hashed.hex()};\\x{sealed.hex()}"

    return seal


def main() -> None:
    """The process of its own; what requests need comes first."""
    os.nice(5)
    keys, limit = json.loads(sys.stdin.buffer.readline())

    def open_vault() -> "Vault":
        from tpgateway.vault import Vault  # noqa: PLC0415

        return Vault.from_json(keys)

    try:
        ready = prepare(sys.stdin.buffer, sys.stdout.buffer, open_vault, limit=limit)
        sys.stdout.buffer.flush()
        said = asdict(ready)
    except Unreadable as error:
        said = {"unreadable": str(error)}
    except WronglyEncoded:
        said = {"wrong_encoding": True}
    sys.stderr.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
