# Two commands matter: `make demo` and `make test`. Both create .venv and install everything they need.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test setup setup-test lint viewer viewer-check viewer-packages exchange-packages bench lock audit sbom coverage mutation clean

BIN := .venv/bin
VIEWER := web_export/viewer
EXCHANGE_TOOLS := tests/exchange_tools
# Test processes. More than the cores gain nothing; each one holds torch (about 1 GB).
JOBS ?= 2
ARGS ?=
OUT := build

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: setup ## generate a capture, train and export a small avatar, print the page's address
	$(BIN)/mobavatar demo $(ARGS)

test: setup-test lint viewer-check exchange-packages ## linters, type checkers, then every test
	@mkdir -p build
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --junitxml=build/junit.xml $(ARGS)

setup: ## .venv with everything `make demo` needs
	@tools/setup.sh demo

setup-test: ## the same, and what only the tests need
	@tools/setup.sh test

lint: setup-test ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

viewer: viewer-check ## type check and test the page's sources, then build its dist/
	cd $(VIEWER) && npm run --silent build

viewer-check: viewer-packages
	cd $(VIEWER) && npm run --silent check && npm test --silent

viewer-packages: $(VIEWER)/node_modules/.package-lock.json

# npm writes this file itself when an installation is complete
$(VIEWER)/node_modules/.package-lock.json: $(VIEWER)/package-lock.json | setup-test
	cd $(VIEWER) && npm ci --no-audit --no-fund
	@touch $@

exchange-packages: $(EXCHANGE_TOOLS)/node_modules/.package-lock.json

# other people's readers, for the tests of `mobavatar convert`; their install scripts only matter on macOS
$(EXCHANGE_TOOLS)/node_modules/.package-lock.json: $(EXCHANGE_TOOLS)/package-lock.json | setup-test
	cd $(EXCHANGE_TOOLS) && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

bench: setup-test ## the measurements behind docs/measured.md, into tests/bench/results
	$(BIN)/python -m tests.bench.road $(ARGS)

lock: setup-test ## resolve the dependencies anew, with hashes (tools/locks)
	tools/lock.sh

audit: setup-test viewer-packages ## known weaknesses of the locked packages, where the registries answer
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement tools/locks/demo.txt
	cd $(VIEWER) && npm audit

sbom: setup-test viewer-packages ## CycloneDX lists of what users install and of what builds the page, into build/
	@mkdir -p $(OUT)
	$(BIN)/cyclonedx-py requirements tools/locks/demo.txt --output-reproducible --output-file $(OUT)/sbom-python.json $(ARGS)
	cd $(VIEWER) && npm sbom --package-lock-only --sbom-format cyclonedx > $(abspath $(OUT))/sbom-page.json

coverage: setup-test viewer-packages exchange-packages ## every test, and which lines no test runs, into build/coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov --cov-report=term --cov-report=html:build/coverage --cov-report=json:build/coverage.json $(ARGS)
	$(BIN)/python -m tests.bench.coverage build/coverage.json

mutation: setup-test ## how many small changes of the core the tests notice: hours on two cores
	$(BIN)/python -m tests.bench.mutation --jobs $(JOBS)

clean: ## remove what these targets made (.venv included)
	rm -rf .venv build demo .coverage* $(VIEWER)/node_modules $(EXCHANGE_TOOLS)/node_modules .pytest_cache .ruff_cache nerfstudio_mobavatar.egg-info
