# Every command of this project. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup dev demo test lint style types imports check fmt lock bench sim docs clean

SHELL := /bin/sh
PY := .venv/bin/python
# How many test processes; the tests of one xdist_group stay in one of them.
JOBS ?= 2
# What of the suite to run, for example: make test TESTS=tests/unit
TESTS ?=

help: ## List every target.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: dev ## Make .venv with all that demo, tests and lint need; the same as dev.

dev: ## Make .venv with everything that developing takes.
	@scripts/bootstrap.sh dev

demo: ## Run the main job on this machine: sign, publish, roll out to 200 virtual chargers, halt, take back.
	@scripts/bootstrap.sh run
	@$(PY) -m ops.demo

test: dev ## Run the test suite; what this machine lacks is left out and named at the end.
	@$(PY) -m pytest --numprocesses $(JOBS) --dist loadgroup $(TESTS)

lint: style types imports ## Style, types and import contracts.

style: dev ## Check style and format.
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: dev ## Check the types, strictly.
	@$(PY) -m mypy

imports: dev ## Check who may import whom.
	@.venv/bin/lint-imports --no-logo

check: lint test ## Everything that must be green before a commit.

fmt: dev ## Put the code into its format.
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

lock: dev ## Resolve the dependencies anew and write requirements/*.lock.
	@scripts/lock.sh

bench: dev ## Measure; writes bench/results.json and prints a table.
	@$(PY) -m bench

sim: dev ## Run the simulation over many seeds.
	@$(PY) -m ops.simulation

docs: dev ## Write the generated pages and diagrams of docs/ anew.
	@$(PY) -m ops.docs

clean: ## Remove the environment, caches and the demo's state.
	@rm -rf .venv .tidegate build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
