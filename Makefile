# Two commands: `make run` (the bundled example, end to end) and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin
# Processes of the test run.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format example docs lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

setup: ## .venv with the tensaw command, and Icarus where it may be installed
	@PYTHON="$(PYTHON)" sh scripts/setup.sh

run: setup ## digits on a generated 16x16 NPU in Verilator, each byte checked
	@$(BIN)/python examples/digits/run.py

lint: setup ## ruff and pyright
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

test: lint ## lint, then all tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

format: setup ## let ruff rewrite the sources
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

example: setup ## train and quantise the digits network again
	$(BIN)/python examples/digits/train.py

docs: setup ## write the generated tables of docs/ anew
	$(BIN)/python scripts/update_docs.py

lock: ## write requirements.lock anew with today's versions
	sh scripts/lock.sh

clean: ## remove what can be made again (not .venv)
	rm -rf build dist out .pytest_cache .ruff_cache
