# Two commands matter: `make demo` and `make test`. Both create .venv and install everything they need.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test setup setup-test lint viewer viewer-check viewer-packages exchange-packages bench clean

BIN := .venv/bin
VIEWER := web_export/viewer
EXCHANGE_TOOLS := tests/exchange_tools
# Test processes. More than the cores gain nothing; each one holds torch (about 1 GB).
JOBS ?= 2
ARGS ?=

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

bench: setup-test ## the measurements behind the README, into tests/bench/results
	$(BIN)/python -m tests.bench.road $(ARGS)

clean: ## remove what these targets made (.venv included)
	rm -rf .venv build demo $(VIEWER)/node_modules $(EXCHANGE_TOOLS)/node_modules .pytest_cache .ruff_cache nerfstudio_mobavatar.egg-info
