# make demo    compile, check and measure the network that comes with intaglio
# make test    run the tests; options for pytest: make test PYTEST='-m slow'
# make lint    formatting, types, import rules
# make clean   remove build products, caches and the test environment
#
# Each needs nothing but Python 3.11 or newer: the environments are made on first use.
# In an environment of your own: make test VENV=path

PYTHON ?= python3
VENV ?= .venv-test
DEMO_VENV ?= .venv-demo
SOURCES = pyproject.toml $(wildcard *.py */*.py frontend/*/*.py backends/templates/* examples/assets/*)
PYTEST ?=
# Tests of a file stay together: what a file's tests share is made once.
WORKERS ?= -n auto --maxprocesses 4 --dist loadfile

# PyPI's torch for Linux brings gigabytes of CUDA; PyTorch's own index has the CPU build. Where it
# cannot be reached, or with TORCH_INDEX= on the command line, pip looks where it always looks.
ifeq ($(shell uname -s),Linux)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
endif
REACH = import urllib.request as r; r.urlopen("$(TORCH_INDEX)/torch/", timeout=10)
FROM_TORCH = $(shell $(PYTHON) -c '$(REACH)' 2>/dev/null && echo --index-url $(TORCH_INDEX))

PIP = -m pip --quiet --disable-pip-version-check

.PHONY: help demo test lint clean

help:
	@sed -n '/^# make/s/^# //p' Makefile

demo: $(DEMO_VENV)/.ready
	@$(DEMO_VENV)/bin/intaglio demo

test: $(VENV)/.ready
	@$(VENV)/bin/python -m pytest -q $(WORKERS) $(PYTEST)

lint: $(VENV)/.ready
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

$(DEMO_VENV)/.ready: $(SOURCES)
	@echo "Installing intaglio into $(DEMO_VENV) ..."
	@test -x $(DEMO_VENV)/bin/python || $(PYTHON) -m venv $(DEMO_VENV)
	@$(DEMO_VENV)/bin/python $(PIP) install .
	@touch $@

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Installing intaglio and its test tools into $(VENV) ..."
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP) install -c constraints.txt $(FROM_TORCH) torch
	@$(VENV)/bin/python $(PIP) install -c constraints.txt --editable '.[test,dev]'
	@touch $@

clean:
	@rm -rf build dist *.egg-info .venv-demo .venv-test .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@rm -rf .import_linter_cache .coverage intaglio-demo.html
	@find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +
