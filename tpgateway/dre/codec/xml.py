"""Tables as XML, by ``schemas/dre-tables.xsd``: a line an element, its columns attributes.

Empty ones are left out, but for those that name the line.
"""

import io

from lxml import etree

from tpgateway.dre.codec.files import lines_of
from tpgateway.dre.model import Tables, Version
from tpgateway.dre.rules import KEYS

_NAMESPACE = "urn:tpgateway:dre-tables:1"


def to_xml(version: Version, tables: Tables) -> bytes:
    """The whole document; says what the JSON says."""
    head = {
        "version": str(version.version),
        "effective_from": version.effective_from.isoformat(),
        "specialty": tables.specialty.value,
    }
    target = io.BytesIO()
    with etree.xmlfile(target, encoding="UTF-8") as document:  # as it goes: a tree would take ten times the memory
        document.write_declaration()
        with document.element(f"{{{_NAMESPACE}}}tables", head, nsmap={None: _NAMESPACE}):
            for name, lines in lines_of(tables).items():
                document.write("\n")
                with document.element(f"{{{_NAMESPACE}}}{name}"):
                    for line in lines:
                        document.write("\n")
                        said = {
                            column: str(value)
                            for column, value in line.items()
                            if value not in {None, ""} or column in KEYS[name]
                        }
                        with document.element(f"{{{_NAMESPACE}}}line", said):
                            pass
                    document.write("\n")
            document.write("\n")
    return target.getvalue()
