# The one command for each thing one does here. Needs Python >= 3.11 and nothing else: .venv is made on first use.

PYTHON ?= python3
FORMAT ?= der
STACK  ?= folders
JOBS   ?= 2
EXAMPLES ?= 100000
ROUNDS   ?= 2
TESTS  ?=
AUDIT  ?= --vulnerability-service pypi

BIN       := .venv/bin
INSTALLED := .venv/.installed
SOURCES   := src tests demo bench fuzz faults
# Floors 0 to 2 of docs/architecture.md: the rules themselves, which tests must cover branch by branch.
CORE      := metadata formats verification signing image_repository director timeserver vehicle
empty     :=
space     := $(empty) $(empty)
comma     := ,
INCLUDE   := $(subst $(space),$(comma),$(foreach room,$(CORE),src/uptane/$(room)/*))

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check conformance mutants format format-check lint types imports coverage walkthrough \
  bench bench-check bench-start load fuzz faults audit

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED)  ## the whole walkthrough on its own: ten updates and attacks (FORMAT=der|json|pouf1|pouf1-json STACK=production)
	$(BIN)/uptane demo --format $(FORMAT) --stack $(STACK)

test: $(INSTALLED)  ## all tests (FORMAT=... for the tests that follow the demonstration)
	UPTANE_DEMO__FORMAT=$(FORMAT) $(BIN)/python -m pytest -q -n $(JOBS) $(TESTS)

check: format-check lint types imports coverage walkthrough bench-check  ## everything that must hold before a change is done

conformance: $(INSTALLED)  ## every clause of the Standard has a test: docs/standard/conformance.md; fails on a gap
	PYTHONPATH=tests/support $(BIN)/python tests/house/conformance.py -n $(JOBS)

mutants: $(INSTALLED)  ## every check of verification/ is taken away in turn, and a test must notice
	PYTHONPATH=tests/support $(BIN)/python tests/house/mutants.py

install: $(INSTALLED)  ## make .venv with the pinned dependencies

format: $(INSTALLED)  ## rewrite the sources in the house format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix --quiet $(SOURCES)

format-check: $(INSTALLED)
	$(BIN)/ruff format --check $(SOURCES)

lint: $(INSTALLED)  ## ruff
	$(BIN)/ruff check $(SOURCES)

types: $(INSTALLED)  ## mypy --strict
	$(BIN)/mypy

imports: $(INSTALLED)  ## the floors and their arrows (import-linter)
	$(BIN)/lint-imports

coverage: $(INSTALLED)  ## all tests with branch coverage; at least 95 % on floors 0 to 2
	UPTANE_DEMO__FORMAT=$(FORMAT) $(BIN)/python -m pytest -q -n $(JOBS) --cov --cov-report=
	$(BIN)/coverage report --skip-covered --include '$(INCLUDE)' --fail-under 95

walkthrough: $(INSTALLED)  ## the walkthrough in every format
	$(BIN)/uptane demo --format der
	$(BIN)/uptane demo --format json
	$(BIN)/uptane demo --format pouf1
	$(BIN)/uptane demo --format pouf1-json

bench: $(INSTALLED)  ## speed and memory, beside tuf and beside the bare signatures: writes docs/benchmarks.md
	$(BIN)/python -m bench

load: $(INSTALLED)  ## what a fleet costs the Director on PostgreSQL over mutual TLS: writes docs/load.md (LOAD=--print)
	nice $(BIN)/python -m bench.load $(LOAD)

bench-check: $(INSTALLED)  ## fails when a ratio of the benchmarks got worse by more than a third (15 s)
	$(BIN)/python -m bench --check

audit: $(INSTALLED)  ## known vulnerabilities of every pinned dependency; needs the network, and what is skipped has failed
	@$(BIN)/python tests/house/audit.py --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt -r dev-overrides.txt $(AUDIT) || { \
	  echo "The audit has FAILED: a vulnerability is known, or a dependency could not be looked up." >&2; exit 1; }

fuzz: $(INSTALLED)  ## 100,000 hostile inputs for all decoders (EXAMPLES=...)
	$(BIN)/python -m fuzz --examples $(EXAMPLES)

faults: $(INSTALLED)  ## production servers under load while everything that they stand on fails in turn (three minutes)
	PYTHONPATH=tests/support $(BIN)/python -m faults --rounds $(ROUNDS)

bench-start: $(INSTALLED)  ## what `uptane --help` costs above an empty command line of the same size
	$(BIN)/python tests/house/startup_cost.py

# The first Python that is new enough makes the environment; it is filled again when a pin or a dependency changes.
.venv/bin/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    $$python -c 'import ensurepip, venv' 2>/dev/null || { \
	      echo "$$python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	    echo "Making .venv with $$($$python --version)"; exec $$python -m venv .venv; \
	  fi; \
	done; \
	echo "uptane needs Python 3.11 or newer, and $(PYTHON) is older or missing. Name one: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

$(INSTALLED): pyproject.toml constraints.txt dev-requirements.txt dev-overrides.txt | .venv/bin/python
	@echo "Installing the pinned dependencies into .venv"
	@$(BIN)/python -m pip install -qq -c constraints.txt hatchling
	@$(BIN)/python -m pip install -qq --no-build-isolation -r dev-requirements.txt
	@$(BIN)/python -m pip install -qq --no-deps -r dev-overrides.txt
	@touch $@
