PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PURE := bots/domain/*,bots/x12/*,bots/mapping/*,bots/handlers/*,server/search/*,server/validation/*,fhir_profiles/*

.DEFAULT_GOAL := help
.PHONY: help setup demo run test fast lint fmt cover conformance bench bench-sweep chaos golden wheel clean

help: ## what each verb does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -e 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## create .venv and install everything into it

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	@echo "installing into $(VENV), about half a minute" >&2
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@

demo: $(STAMP) ## server, bots and sandbox with synthetic patients; ARGS=--once ends after one check
	@$(BIN)/inforce demo $(ARGS)

run: $(STAMP) ## the same three programs without patients; data in INFORCE_DATABASE
	@$(BIN)/inforce demo --empty $(ARGS)

test: $(STAMP) ## every test: units, contracts, real programs, a real browser
	$(BIN)/python -m pytest $(ARGS)

fast: $(STAMP) ## the tests that need no program, no browser and no Node
	$(BIN)/python -m pytest -m 'not loopback and not browser and not node' $(ARGS)

lint: $(STAMP) ## style, types, import directions, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

fmt: $(STAMP) ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

cover: $(STAMP) ## branch coverage of the pure rooms by the fast tests, at least 97 %
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m 'not loopback and not browser and not node'
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=97 --include='$(PURE)'

conformance: $(STAMP) ## the checklist of the FHIR server, row by row, on both databases
	@$(BIN)/python tools/conformance.py

bench: $(STAMP) ## measure checks, deliveries, reads and writes against their limits
	$(BIN)/python tools/bench.py $(ARGS)

bench-sweep: $(STAMP) ## measure the sweep of 10,000 visits, and checks at the desk beside it
	$(BIN)/python tools/bench_sweep.py

chaos: $(STAMP) ## kill -9 programs at random under load on both engines; every event must arrive
	@$(BIN)/python tools/chaos.py $(ARGS)

golden: $(STAMP) ## write the expected responses of fixtures/x12/271 anew; review the diff
	$(BIN)/python tools/golden.py

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m build --wheel --quiet .

clean: ## remove what was built, and .venv
	rm -rf $(VENV) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
