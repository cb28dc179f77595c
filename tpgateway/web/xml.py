"""XML beside JSON: a document of our own schemas becomes the same shape that JSON does, and an answer goes back so.

Nothing outside the document is ever read: no DTD, no entities, no network, no inclusion. What a schema or a shape finds wrong
is told with the line and the path of the element, and never with its value.
"""

import json
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from lxml import etree
from pydantic import BaseModel

from tpgateway.errors import Fault, FieldMissing, InvalidRequest
from tpgateway.web.problems import NotXml, XmlNotBySchema

TYPES = frozenset({"application/xml", "text/xml"})
_PARSER = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


@dataclass(frozen=True, slots=True)
class XmlForm:
    """How one operation speaks XML: the schema and the root element of what comes in, and of what goes out."""

    request: "Document | None" = None
    answer: "Document | None" = None


class Document:
    """A root element of a schema. ``singular`` names what stands in each list: ``lines`` hold ``line``."""

    def __init__(self, schema: Path, root: str, *, singular: Mapping[str, str]) -> None:
        tree = etree.parse(schema, etree.XMLParser(**_PARSER))
        self._schema = etree.XMLSchema(tree)
        self._namespace = tree.getroot().get("targetNamespace")
        self._root, self._singular = root, singular
        self.about = f"an element `{root}` of schemas/{schema.name}"

    def read(self, raw: bytes, shape: type[BaseModel]) -> "Read":
        """The document as JSON for the shape; raises ``NotXml``, and ``InvalidRequest`` with what the schema refuses."""
        try:
            root = etree.fromstring(raw, etree.XMLParser(**_PARSER))
        except etree.XMLSyntaxError as error:
            line, column = error.position
            raise NotXml(f"line {line}, column {column}") from None
        info = root.getroottree().docinfo
        if info.doctype or info.internalDTD is not None:
            raise NotXml("a document type is not accepted")
        if (info.encoding or "UTF-8").upper() not in {"UTF-8", "UTF8", "ASCII", "US-ASCII"}:
            raise NotXml("the encoding is not UTF-8")
        if root.tag != f"{{{self._namespace}}}{self._root}":
            said = f"line {root.sourceline}: root is not {self._root} of {self._namespace}"
            raise InvalidRequest(faults=[Fault(pointer="/", problem=XmlNotBySchema, detail=said)])
        if not self._schema.validate(root):
            # An element may have thousands of attributes that are all wrong alike: where it is, is looked for once.
            alike = {(entry.path, entry.line, entry.type_name): entry for entry in self._schema.error_log}
            found = [_fault(root, entry) for entry in alike.values()]
            raise InvalidRequest(faults=list({(each.pointer, each.detail): each for each in found}.values()))
        return Read(root, json.dumps(_value(root, shape)).encode())

    def write(self, view: BaseModel) -> bytes:
        """The view as a document; what is null is left out."""
        root = etree.Element(f"{{{self._namespace}}}{self._root}", nsmap={None: self._namespace})
        self._fill(root, view.model_dump(mode="json", by_alias=True))
        written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
        return written

    def _fill(self, parent: Any, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if value is None:
                continue
            element = etree.SubElement(parent, f"{{{self._namespace}}}{name}")
            if isinstance(value, dict):
                self._fill(element, value)
            elif isinstance(value, list):
                for each in value:
                    child = etree.SubElement(element, f"{{{self._namespace}}}{self._singular[name]}")
                    if isinstance(each, dict):
                        self._fill(child, each)
                    else:
                        child.text = _text(each)
            else:
                element.text = _text(value)


@dataclass(frozen=True, slots=True)
class Read:
    """A document that its schema accepts: the JSON that says the same, and where each of its parts stands."""

    root: Any
    as_json: bytes

    def located(self, problem: InvalidRequest) -> InvalidRequest:
        """The faults of the shape, each at its element."""
        return InvalidRequest(faults=[self._at(fault) for fault in problem.faults])

    def _at(self, fault: Fault) -> Fault:
        element, said = self.root, fault.detail
        for part in fault.pointer.strip("/").split("/"):
            children = list(element)
            if part.isdigit():
                following = children[int(part)] if int(part) < len(children) else None
            else:
                following = next((each for each in children if etree.QName(each).localname == part), None)
            if following is None:
                said = f"{part} is missing" if fault.problem is FieldMissing else said
                break
            element = following
        detail = f"line {element.sourceline}" + (f": {said}" if said else "")
        return Fault(pointer=_path(element), problem=fault.problem, detail=detail, message_fr=fault.message_fr)


def is_wanted(accept: str | None, sent: str) -> bool:
    """Whether the answer should be XML: what is wanted most, the first of equals, or as was sent.

    A browser, which wants pages first of all, gets JSON.
    """
    named: list[tuple[float, int, bool]] = []
    anything: list[tuple[float, int]] = []
    for place, each in enumerate((accept or "*/*").lower().split(",")):
        kind, *parameters = (part.strip() for part in each.split(";"))
        if kind == "text/html":
            return False
        quality = next((_quality(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
        if kind in TYPES or kind == "application/json":
            named.append((-quality, place, kind in TYPES))
        elif kind in {"*/*", "application/*"} and quality:
            anything.append((-quality, place))
    wanted = [each for each in named if each[0]]
    refused = {is_xml for quality, _, is_xml in named if not quality}
    # As was sent, unless that is what is refused by name.
    as_sent = sent in TYPES
    wanted += [(quality, place, as_sent != (as_sent in refused)) for quality, place in anything]
    return bool(wanted) and min(wanted)[2]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _fault(root: Any, entry: Any) -> Fault:
    try:
        found = root.getroottree().xpath(entry.path) if entry.path else []
    except etree.XPathError:  # a prefix of the document's own, which an expression does not know
        found = [element for element in root.iter() if element.sourceline == entry.line][-1:]
    place = _path(found[0]) if found else "/"
    return Fault(pointer=place, problem=XmlNotBySchema, detail=f"line {entry.line}: {_what(entry)}")


_EXPECTED = re.compile(r"Expected is(?: one of)? \( (.*?) \)")
_NOT_OF_TYPE = re.compile(r" of the (?:atomic|list|union) type '(?:\{[^}]*\})?([\w:.-]+)'\.?$")
_NO_SUCH_ATTRIBUTE = re.compile(r"The attribute '(\w+)' is required but missing")


def _what(entry: Any) -> str:
    """What is wrong, in words of the schema: the library's own sentence holds the value, which is nobody's business."""
    what = str(entry.type_name).removeprefix("SCHEMAV_").removeprefix("CVC_").lower()
    if what == "element_content" and (expected := _EXPECTED.search(entry.message)):
        names = ", ".join(re.sub(r"\{[^}]*\}", "", expected[1]).split(", "))
        return f"{what}, expected here: {names}"
    if kind := _NOT_OF_TYPE.search(entry.message):
        return f"{what}, not of the type {kind[1]}"
    if missing := _NO_SUCH_ATTRIBUTE.search(entry.message):
        return f"{what}, {missing[1]} is missing"
    return what


def _path(element: Any) -> str:
    names = []
    while element is not None:
        parent = element.getparent()
        name = etree.QName(element).localname
        if parent is not None:
            alike = [each for each in parent if each.tag == element.tag]
            name += f"[{alike.index(element) + 1}]" if len(alike) > 1 else ""
        names.append(name)
        element = parent
    return "/" + "/".join(reversed(names))


def _value(element: Any, kind: Any) -> Any:
    """An element's content as the JSON that a field of this kind takes."""
    kind = _plain(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        found = {etree.QName(child).localname: child for child in element}
        return {name: _value(child, fields[name]) for name, child in found.items() if name in fields}
    if get_origin(kind) is list:
        return [_value(child, get_args(kind)[0]) for child in element]
    text = (element.text or "").strip()
    if kind is bool:
        return text in {"true", "1"}
    return int(text) if kind is int else text


def _plain(kind: Any) -> Any:
    """A field's kind without annotations and without None."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in {Union, types.UnionType}:
            kind = next(each for each in get_args(kind) if each is not type(None))
        else:
            return kind


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
