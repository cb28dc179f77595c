"""A conformance report: for a person (HTML) and for a machine (JUnit XML)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree

from tpgateway.sandbox.insurer import pages


class Result(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_SEEN = "not seen"
    """Nothing happened by which it could be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the list: what is expected, why, and what was found."""

    name: str
    why: str
    result: Result
    found: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run came to."""

    title: str
    subject: str
    at: datetime
    findings: Sequence[Finding]

    @property
    def is_passed(self) -> bool:
        """Whether all was seen and all of it is well."""
        return all(each.result is Result.PASSED for each in self.findings)

    def count(self, result: Result) -> int:
        """How many lines came to this."""
        return sum(each.result is result for each in self.findings)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes ``report.html`` and ``report.xml`` into a folder; answers where they are."""
        folder.mkdir(parents=True, exist_ok=True)
        page, tests = folder / "report.html", folder / "report.xml"
        page.write_text(pages.get_template("report.html").render(report=self, Result=Result), encoding="utf-8")
        tests.write_bytes(self.as_junit())
        return page, tests

    def as_junit(self) -> bytes:
        """JUnit's XML, as build servers read it: what was not seen is skipped."""
        suite = ElementTree.Element(
            "testsuite",
            name=self.title,
            tests=str(len(self.findings)),
            failures=str(self.count(Result.FAILED)),
            skipped=str(self.count(Result.NOT_SEEN)),
            errors="0",
            timestamp=self.at.isoformat(timespec="seconds"),
            time=f"{sum(each.seconds for each in self.findings):.3f}",
        )
        for each in self.findings:
            case = ElementTree.SubElement(
                suite, "testcase", classname=self.title, name=each.name, time=f"{each.seconds:.3f}"
            )
            if each.result is Result.FAILED:
                ElementTree.SubElement(case, "failure", message=each.found).text = each.why
            elif each.result is Result.NOT_SEEN:
                ElementTree.SubElement(case, "skipped", message=each.found)
        root = ElementTree.Element("testsuites")
        root.append(suite)
        ElementTree.indent(root)
        written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        return written
