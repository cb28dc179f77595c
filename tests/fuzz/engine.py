"""One target under libFuzzer, in this process: ``python -m tests.fuzz.engine TARGET FLAGS… FOLDER``.

Its Python code is instrumented as it is loaded, so that inputs are kept by what they reach.
"""

import sys

import atheris

_INSTRUMENTED = ["tpgateway", "jwt", "stdnum", "PIL", "markdown_it", "fpdf", "tomllib", "csv", "gzip", "json"]

with atheris.instrument_imports(include=_INSTRUMENTED):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()
