# `make search` and `make test` need Python ≥ 3.11 and nothing else; either may come first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=

.PHONY: install search test lint docs

install: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

search: install
	$(BIN)/python scripts/search.py $(ARGS)

test: install
	$(BIN)/python -m pytest $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Builds from what is installed: after the first time it needs no network.
docs: $(VENV)/docs-installed
	$(BIN)/python docs/tools/insert_tables.py
	$(BIN)/sphinx-build -W --keep-going docs docs/_build/html

$(VENV)/docs-installed: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@
