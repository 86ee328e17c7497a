# BitWatt. `make demo` and `make test` do all set-up themselves; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOUNDRY := $(CURDIR)/node_modules/@foundry-rs
export PATH := $(CURDIR)/$(BIN):$(FOUNDRY)/forge-linux-amd64/bin:$(FOUNDRY)/anvil-linux-amd64/bin:$(FOUNDRY)/cast-linux-amd64/bin:$(PATH)
export OPENBLAS_NUM_THREADS := 1
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup build demo test test-unit test-property test-contracts test-integration lint bench lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# --- set-up -----------------------------------------------------------------
.build/tools:
	@bash scripts/check_tools.sh $(PYTHON)
	@mkdir -p .build && touch $@

.build/python: requirements.lock requirements-bootstrap.lock pyproject.toml | .build/tools
	@echo "setup: Python packages"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements-bootstrap.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock requirements-bootstrap.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.build/node: package.json package-lock.json | .build/tools
	@echo "setup: Node packages"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

setup: .build/python .build/node ## install everything into .venv and node_modules

lock: ## resolve the Python dependencies again
	@for name in requirements-bootstrap requirements; do \
	  $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header $$name.in -o $$name.lock; done

# --- contracts --------------------------------------------------------------
# One compiler for forge, py-solc-x and ape: the npm solc behind .build/solcx/solc-v<version> (foundry.toml names it).
export SOLCX_BINARY_PATH := $(CURDIR)/.build/solcx
SOLIDITY := $(shell find contracts -name '*.sol')

.build/solc: scripts/install_solc.sh scripts/solc.cjs .build/node
	@bash scripts/install_solc.sh .build/solcx
	@touch $@

.build/contracts: $(SOLIDITY) foundry.toml scripts/write_artifacts.py .build/solc
	@forge build --skip test --quiet
	@$(PYTHON) scripts/write_artifacts.py
	@touch $@

build: setup .build/contracts ## compile the contracts, write backend/chain/artifacts

demo: build ## the embedded market day, end to end
	@$(BIN)/bitwatt demo --out runs/demo --fresh

test-contracts: build ## the contracts' law
	@forge test

# --- checks -----------------------------------------------------------------
PYTEST := $(BIN)/python -m pytest

lint: setup ## style and types
	@$(BIN)/ruff check bitwatt backend oracle audit scripts tests
	@$(BIN)/ruff format --check bitwatt backend oracle audit scripts tests
	@$(BIN)/mypy

test: lint test-unit test-property test-contracts test-integration ## everything, fast parts first

test-unit: build ## rules, one by one
	@$(PYTEST) tests/unit

test-property: build ## laws under random input
	@$(PYTEST) tests/property

test-integration: build ## real chain, real processes
	@$(PYTEST) tests/integration

clean: ## remove what set-up and builds made
	rm -rf .build $(VENV) node_modules out cache runs
