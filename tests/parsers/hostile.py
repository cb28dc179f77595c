"""XML made to do harm, and XML that only looks so: a table of cases, each made around a valid document of a door's own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A valid document of a door. ``number`` stands in its text, where it has any; ``size`` is about what the door takes."""

    root: str
    namespace: str
    inside: str
    size: int
    number: str = ""

    def write(self, *, prolog: str = "", more: str = "", attributes: str = "", inside: str | None = None) -> bytes:
        content = self.inside if inside is None else inside
        return f'{prolog}<{self.root} xmlns="{self.namespace}"{attributes}>{more}{content}</{self.root}>'.encode()

    def split(self, between: str) -> bytes:
        """The number with something between its first digit and the others."""
        written = f">{self.number[:1]}{between}{self.number[1:]}<"
        return self.write(inside=self.inside.replace(f">{self.number}<", written, 1))

    def prefixed(self) -> bytes:
        inside = re.sub(r"<(/?)(\w)", r"<\1p:\2", self.inside)
        return f'<p:{self.root} xmlns:p="{self.namespace}">{inside}</p:{self.root}>'.encode()

    def cases(self) -> "Mapping[str, Callable[[Carrier, Trap], bytes]]":
        """Those that can be made around this document: without text, there is no number to split."""
        return {name: make for name, make in CASES.items() if self.number or "number" not in name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What must neither be called nor told: an address that listens, and a file with a secret in it."""

    address: str
    file: Path
    secret: str


def doctype(*declared: str) -> str:
    return f"<!DOCTYPE x [{''.join(declared)}]>"


def _attributes(count: int) -> str:
    return "".join(f' a{number:x}=""' for number in range(count))


def _laughs(letter: str) -> list[str]:
    names = [f"{letter}{number}" for number in range(10)]
    tens = [f'<!ENTITY {name} "{f"&{former};" * 10}">' for former, name in pairwise(names)]
    return [f'<!ENTITY {names[0]} "ha">', *tens]


def _outside(kind: str, where: Callable[[Trap], str]) -> Callable[[Carrier, Trap], bytes]:
    def make(door: Carrier, trap: Trap) -> bytes:
        declared = {
            "general": f'<!ENTITY e SYSTEM "{where(trap)}">',
            "parameter": f'<!ENTITY % e SYSTEM "{where(trap)}">%e;',
            "public": f'<!ENTITY e PUBLIC "-//X//Y" "{where(trap)}">',
        }
        return door.write(prolog=doctype(declared[kind]), more="" if kind == "parameter" else "&e;")

    return make


def _file(trap: Trap) -> str:
    return trap.file.as_uri()


def _address(trap: Trap) -> str:
    return f"{trap.address}/{trap.secret}"


def _encoded(encoding: str, *, said: str | None = None, mark: bytes = b"") -> Callable[[Carrier, Trap], bytes]:
    def make(door: Carrier, _: Trap) -> bytes:
        prolog = f'<?xml version="1.0" encoding="{said}"?>' if said else ""
        return mark + door.write(prolog=prolog, more="<!-- é -->").decode().encode(encoding)

    return make


_XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

CASES: Mapping[str, Callable[[Carrier, Trap], bytes]] = {
    "nothing": lambda door, _: b"",
    "blanks": lambda door, _: b" \n" * 100,
    "NULs": lambda door, _: b"\0" * 1000,
    "cut": lambda door, _: door.write()[:-5],
    "twice": lambda door, _: door.write() * 2,
    "something behind": lambda door, _: door.write() + b"<x/>",
    "NUL in the text": lambda door, _: door.write(more="\0"),
    "NUL as a reference": lambda door, _: door.write(more="&#0;"),
    "half of a pair as a reference": lambda door, _: door.write(more="&#xD800;"),
    "another root": lambda door, _: door.write().replace(door.root.encode(), b"other"),
    "another namespace": lambda door, _: door.write().replace(door.namespace.encode(), b"urn:other"),
    "no namespace within": lambda door, _: door.write(inside=re.sub(r"<(\w+)", r'<\1 xmlns=""', door.inside, count=1)),
    "namespace of our own prefix": lambda door, _: door.prefixed(),
    "prefix that is not bound": lambda door, _: door.prefixed().replace(b" xmlns:p", b" xmlns:q"),
    "prefix of xml bound anew": lambda door, _: door.write(attributes=' xmlns:xml="urn:x"'),
    "prefix undone": lambda door, _: door.write(attributes=' xmlns:p=""'),
    "document type alone": lambda door, _: door.write(prolog="<!DOCTYPE x>"),
    "billion laughs in text": lambda door, _: door.write(prolog=doctype(*_laughs("a")), more="&a9;"),
    "billion laughs in an attribute": lambda door, _: door.write(prolog=doctype(*_laughs("a")), attributes=' a="&a9;"'),
    "laughs of parameters": lambda door, _: door.write(
        prolog=doctype('<!ENTITY % a "&#37;b;"><!ENTITY % b "&#37;a;">', "%a;")
    ),
    "entity of itself": lambda door, _: door.write(prolog=doctype('<!ENTITY a "&b;"><!ENTITY b "&a;">'), more="&a;"),
    "quadratic in text": lambda door, _: door.write(
        prolog=doctype(f'<!ENTITY a "{"x" * (door.size // 3)}">'), more="&a;" * (door.size // 9)
    ),
    "quadratic in an attribute": lambda door, _: door.write(
        prolog=doctype(f'<!ENTITY a "{"x" * (door.size // 3)}">'), attributes=f' a="{"&a;" * (door.size // 9)}"'
    ),
    "defaults of attributes": lambda door, _: door.write(
        prolog=doctype(f'<!ATTLIST a b CDATA "{"x" * (door.size // 3)}">'), more="<a/>" * (door.size // 12)
    ),
    "entities without end": lambda door, _: door.write(
        prolog=doctype(*(f'<!ENTITY e{number} "">' for number in range(door.size // 18)))
    ),
    "entity of a file": _outside("general", _file),
    "public entity of a file": _outside("public", _file),
    "entity of an address": _outside("general", _address),
    "parameter of a file": _outside("parameter", _file),
    "parameter of an address": _outside("parameter", _address),
    "document type of a file": lambda door, trap: door.write(prolog=f'<!DOCTYPE x SYSTEM "{_file(trap)}">'),
    "document type of an address": lambda door, trap: door.write(prolog=f'<!DOCTYPE x SYSTEM "{_address(trap)}">'),
    "entity in an attribute": lambda door, trap: door.write(
        prolog=doctype(f'<!ENTITY e SYSTEM "{_file(trap)}">'), attributes=' a="&e;"'
    ),
    "entity that is not declared": lambda door, _: door.write(more="&e;"),
    "inclusion of a file": lambda door, trap: door.write(
        inside=f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" parse="text" href="{_file(trap)}"/>'
    ),
    "inclusion from an address": lambda door, trap: door.write(
        inside=f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{_address(trap)}"/>'
    ),
    "schema of an address": lambda door, trap: door.write(
        attributes=f'{_XSI} xsi:schemaLocation="{door.namespace} {_address(trap)}"'
    ),
    "schema without namespace": lambda door, trap: door.write(
        attributes=f'{_XSI} xsi:noNamespaceSchemaLocation="{_address(trap)}"'
    ),
    "stylesheet of an address": lambda door, trap: door.write(
        prolog=f'<?xml-stylesheet type="text/xsl" href="{_address(trap)}"?>'
    ),
    "another type": lambda door, _: door.write(attributes=f'{_XSI} xsi:type="xs:anyType"'),
    "nothing by declaration": lambda door, _: door.write(attributes=f'{_XSI} xsi:nil="true"', inside=""),
    "base of an address": lambda door, trap: door.write(attributes=f' xml:base="{_address(trap)}"'),
    "deep": lambda door, _: door.write(more="<a>" * min(door.size // 3, 100_000)),
    "deep and closed": lambda door, _: door.write(more="<a>" * (door.size // 7) + "</a>" * (door.size // 7)),
    "huge attribute": lambda door, _: door.write(attributes=f' a="{"x" * door.size}"'),
    "huge name": lambda door, _: door.write(more=f"<{'x' * door.size}/>"),
    "huge text": lambda door, _: door.write(more="x" * door.size),
    "text and comments": lambda door, _: door.write(more="x<!-- -->" * (door.size // 9)),
    "many attributes": lambda door, _: door.write(attributes=_attributes(door.size // 9)),
    "many attributes under a prefix": lambda door, _: (
        f'<p:{door.root} xmlns:p="{door.namespace}"'.encode()
        + _attributes(door.size // 18).encode()
        + b">"
        + b"<p:x/>" * (door.size // 14)
        + f"</p:{door.root}>".encode()
    ),
    "many attributes of a child": lambda door, _: door.write(more=f"<x{_attributes(door.size // 9)}/>"),
    "an attribute twice": lambda door, _: door.write(attributes=' a="" a=""'),
    "many namespaces": lambda door, _: door.write(
        attributes="".join(f' xmlns:a{number:x}="u:{number:x}"' for number in range(door.size // 22))
    ),
    "many children": lambda door, _: door.write(more="<x/>" * (min(door.size, 400_000) // 4)),
    "instruction in the number": lambda door, _: door.split("<?x y?>"),
    "comment in the number": lambda door, _: door.split("<!-- x -->"),
    "section in the number": lambda door, _: door.split("<![CDATA[]]>"),
    "element in the number": lambda door, _: door.split("<b/>"),
    "entity in the number": lambda door, _: doctype('<!ENTITY e "0">').encode() + door.split("&e;"),
    "number as a section": lambda door, _: door.write(
        inside=door.inside.replace(f">{door.number}<", f"><![CDATA[{door.number}]]><", 1)
    ),
    "number in other digits": lambda door, _: door.split("٣"),
    "UTF-8 with a mark": _encoded("utf-8-sig"),
    "UTF-8 in capitals": _encoded("utf-8", said="UTF-8"),
    "Latin-1 as UTF-8": _encoded("latin-1", said="utf-8"),
    "Latin-1": _encoded("latin-1", said="ISO-8859-1"),
    "UTF-8 as ASCII": _encoded("utf-8", said="US-ASCII"),
    "UTF-16 with a mark": _encoded("utf-16"),
    "UTF-16 with a mark, said": _encoded("utf-16", said="UTF-16"),
    "UTF-16 as UTF-8": _encoded("utf-16-le", said="UTF-8"),
    "UTF-16, big end first": _encoded("utf-16-be", said="UTF-16"),
    "UTF-16 by its word alone": _encoded("utf-8", said="UTF-16"),
    "UTF-32": _encoded("utf-32", said="UTF-32"),
    "UTF-7": lambda door, _: (
        b'<?xml version="1.0" encoding="UTF-7"?>' + door.write().replace(b"<", b"+ADw-").replace(b">", b"+AD4-")
    ),
    "EBCDIC": _encoded("cp500", said="cp500"),
    "encoding that nobody knows": _encoded("utf-8", said="x-nobody"),
    "version 1.1": lambda door, _: door.write(prolog='<?xml version="1.1"?>'),
    "version 9": lambda door, _: door.write(prolog='<?xml version="9.0"?>'),
}

READ = {
    "UTF-8 in capitals",
    "UTF-8 with a mark",
    "namespace of our own prefix",
    "schema of an address",
    "schema without namespace",
    "stylesheet of an address",
}
"""What every door reads, as the same without it."""
