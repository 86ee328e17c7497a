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
# bytecode is kept, but outside the tree
export PYTHONPYCACHEPREFIX := $(CURDIR)/.build/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: chaos help setup build kernels web demo lint security test test-unit test-property test-contracts test-gas test-integration test-web
.PHONY: laws e2e bench gas fuzz prove halmos invariants mutants slither campaign-oracle campaign-vpp contract-docs lock clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

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
	@for name in requirements-bootstrap requirements requirements-prove requirements-openadr; do \
	  version=3.11; [ $$name = requirements-openadr ] && version=3.12; \
	  $(BIN)/uv pip compile --quiet --python-version $$version --generate-hashes --no-emit-index-url \
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

demo: build kernels ## the embedded market day, end to end
	@$(BIN)/bitwatt demo --out runs/demo --fresh

test-contracts: build ## the contracts' law
	@forge test

gas: build ## gas of a market day by order: table and tests/bench/gas.json
	@$(PYTHON) scripts/gas.py

contract-docs: ## render docs/contracts from the interfaces
	@$(PYTHON) scripts/write_contract_docs.py

# Provers pin other versions than the product: a venv and a lock of their own.
PROVE := .build/prove/venv/bin

.build/prove/tools: requirements-prove.lock | .build/python
	@mkdir -p .build/prove && $(PYTHON) -m venv .build/prove/venv
	@VIRTUAL_ENV=$(CURDIR)/.build/prove/venv $(BIN)/uv pip sync --quiet --require-hashes requirements-prove.lock
	@touch $@

prove: build .build/prove/tools halmos invariants mutants ## symbolic proofs, long invariants, mutants (about an hour)

halmos: build .build/prove/tools ## laws proved for every input
	@FOUNDRY_PROFILE=prove forge build --ast --extra-output storageLayout metadata --quiet
	@FOUNDRY_PROFILE=prove PATH=$(CURDIR)/$(PROVE):$(PATH) $(PROVE)/halmos --forge-build-out .build/prove/out \
	  --solver yices --function check_ --solver-timeout-assertion 300s

invariants: build ## the laws of the whole market over ten thousand random lives
	@FOUNDRY_PROFILE=long forge test --match-path 'tests/contracts/invariants/*'

mutants: build ## every hand-made mistake in the contracts must be noticed
	@$(PYTHON) scripts/mutants.py

differential: build ## the contracts' arithmetic against the auditor's on fresh random cases; SEED=... repeats some
	@$(BIN)/python tests/vectors/generate_settlement.py $(or $(SEED),$(shell date +%s)) 4000; \
	  forge test --match-path tests/contracts/libraries/Differential.t.sol; rc=$$?; \
	  $(BIN)/python tests/vectors/generate_settlement.py; exit $$rc

slither: build .build/prove/tools ## static analysis of the contracts; not yet run to its end, see docs/security.md
	@PATH=$(CURDIR)/$(PROVE):$(PATH) $(PROVE)/slither . --config-file slither.config.json

test-gas: build ## fails where a figure is more than 2 % above tests/bench/gas.json
	@$(PYTHON) scripts/gas.py --check >/dev/null

# --- web --------------------------------------------------------------------
WEB := $(shell find frontend \( -path frontend/dist -o -path frontend/guide \) -prune -o -type f -not -name schema.ts -print)

.build/web: $(WEB) package-lock.json $(shell find backend/api -name '*.py') .build/python .build/node
	@$(BIN)/bitwatt serve --openapi > .build/openapi.json
	@node_modules/.bin/openapi-typescript .build/openapi.json --default-non-nullable false -o frontend/src/api/schema.ts >/dev/null
	@node_modules/.bin/tsc -p frontend
	@node_modules/.bin/vite build --config frontend/vite.config.mts --logLevel warn
	@touch $@

# vite empties frontend/dist, so the guide is built after it
.build/guide: .build/web mkdocs.yml $(shell find docs frontend/guide -type f)
	@$(BIN)/mkdocs build --quiet
	@touch $@

web: .build/web .build/guide ## build web and guide into frontend/dist

test-web: web ## the web's style, rules and budgets
	@cd frontend && ../node_modules/.bin/biome ci .
	@node_modules/.bin/vitest run --config frontend/vite.config.mts --reporter=dot
	@node scripts/check_web_size.mjs frontend/dist

e2e: build web ## journeys in Chromium against a real market day
	@bash scripts/install_chromium.sh
	@$(BIN)/python -m pytest -p no:ape_test -n 0 tests/e2e

# --- checks -----------------------------------------------------------------
# Two workers, a file each at a time; ape's plugin is not needed and slow to load.
PYTEST := $(BIN)/python -m pytest -p no:ape_test -n 2 --dist loadfile

# What the kernels import decides what they compile to, which numba's own cache does not see.
.build/kernels: $(shell find backend/market backend/vpp -name '*.py') scripts/compile_kernels.py .build/python
	@rm -rf .build/numba
	@$(BIN)/python scripts/compile_kernels.py
	@touch $@

kernels: .build/kernels ## compile the numba kernels

lint: setup ## style and types
	@$(BIN)/ruff check bitwatt backend oracle audit scripts tests
	@$(BIN)/ruff format --check bitwatt backend oracle audit scripts tests
	@$(BIN)/mypy

security: setup ## static security checks, no secret in the tree, dependencies pinned and free
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml bitwatt backend oracle audit scripts
	@$(PYTHON) scripts/scan_secrets.py
	@$(BIN)/python scripts/check_dependencies.py

fuzz: setup ## coverage-guided fuzzing of every parser, eleven minutes; FUZZ_SECONDS=... for another time
	@$(BIN)/python tests/fuzz/campaign.py $(if $(FUZZ_SECONDS),--seconds $(FUZZ_SECONDS))

chaos: build ## kill, pause, cut off, fill and hurry everything for a simulated day; CHAOS="--seed N --slots N"
	@$(BIN)/python tests/chaos/campaign.py $(CHAOS)

# compilers and linters use one core each
test: ## everything, fast parts first
	@$(MAKE) --no-print-directory -j 2 --output-sync lint security kernels build web
	@$(MAKE) --no-print-directory test-unit test-property test-contracts test-gas test-integration test-web

test-unit: build kernels ## rules, one by one
	@$(PYTEST) tests/unit tests/fuzz tests/chaos

laws: build kernels ## the laws of clearing on 306 books and 54 with assets, HiGHS as judge
	@BITWATT_LAW_BOOKS=306 $(PYTEST) --timeout 900 tests/property/market

test-property: build kernels ## laws under random input
	@$(PYTEST) tests/property

test-integration: build ## real chain, real processes
	@$(PYTEST) tests/integration

campaign-oracle: build ## the oracle's long runs: 96 slots of trouble, 50 kills
	@BITWATT_DAY_SLOTS=96 $(BIN)/python -m pytest -p no:ape_test -n 0 tests/integration/test_oracle_day.py
	@BITWATT_KILLS=50 $(BIN)/python -m pytest -p no:ape_test -n 0 tests/integration/test_oracle_chaos.py

campaign-service: build ## five minutes of killed processes under load; BITWATT_KILL_SECONDS=... for another time
	@BITWATT_KILL_SECONDS=$${BITWATT_KILL_SECONDS:-300} $(BIN)/python -m pytest -p no:ape_test -n 0 -s tests/integration/service/test_killed.py

bench: build ## the figures of the engine and the oracle, as JSON
	@$(BIN)/bitwatt bench clearing --orders 1000 --json
	@$(BIN)/bitwatt bench oracle --json

campaign-vpp: build ## a day of ten thousand flexible resources, from bids to the audit
	@$(BIN)/bitwatt vpp day --resources 10000 --out runs/vpp --json $(if $(VPP_DATA),--data $(VPP_DATA))

clean: ## remove what set-up and builds made
	rm -rf .build $(VENV) node_modules out cache runs
