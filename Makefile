# The first interpreter that is new enough; `make PYTHON=/path/to/python …` overrides it.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: install install-dev demo test chaos check format openapi bench load fuzz sbom lock clean

install: $(VENV)/installed

install-dev: $(VENV)/installed-dev

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or run make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "This Python has no venv module: on Debian or Ubuntu, apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing the locked dependencies (a minute or so the first time)"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	@echo "Installing what tests and checks need"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/installed-bench: requirements-bench.txt $(VENV)/installed
	@echo "Installing the rivals"
	@$(PIP) install --require-hashes -r requirements-bench.txt
	@touch $@

demo: install
	@$(BIN)/tpgateway demo

test: install-dev
	$(BIN)/python -m pytest -n $(JOBS)

# Five minutes of processes killed at random while requests come in, then one fault after the other (fail-over, a full disk, clocks
# that jump, processes replaced, upgrades, a restore): prints what was done, and what was lost.
chaos: install-dev
	CHAOS_SECONDS=$${CHAOS_SECONDS:-300} $(BIN)/python -m pytest -q tests/chaos tests/operations

check: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python .ci/supply.py
	$(BIN)/python -m openapi_spec_validator schemas/openapi.json
	$(BIN)/tpgateway openapi | diff -u schemas/openapi.json - || { echo "schemas/openapi.json is out of date: make openapi"; exit 1; }

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: install
	$(BIN)/tpgateway openapi > schemas/openapi.json

bench: install $(VENV)/installed-bench
	$(BIN)/python -m benchmarks

# What practitioners do all day (checks, approvals, tables, pages) at a rising rate, until the service is full and beyond.
load: install $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.mix

$(VENV)/installed-fuzz: requirements-fuzz.txt $(VENV)/installed
	@echo "Installing the fuzzer"
	@$(PIP) install --require-hashes -r requirements-fuzz.txt
	@touch $@

# Every operation with requests made up from the published document, by nobody, a practitioner and an insurer. Then every parser
# of outside input by itself, each for FUZZ_SECONDS (20), with inputs that are kept by what they reach.
fuzz: install $(VENV)/installed-fuzz
	$(BIN)/python -m benchmarks.fuzz
	$(BIN)/python -m tests.fuzz

# The bill of materials (CycloneDX) of what is installed with the product.
sbom: install-dev
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-format JSON --output-file sbom.json
	@echo "Written to sbom.json"

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra build pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra build --extra dev --extra traces -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra build --extra traces -c requirements.txt pyproject.toml -o requirements-traces.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra build --extra bench -c requirements.txt pyproject.toml -o requirements-bench.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra build --extra fuzz -c requirements.txt pyproject.toml -o requirements-fuzz.txt

clean:
	rm -rf $(VENV) build *.egg-info
