# `make demo` and `make test` do everything by themselves on a machine with python3 (3.11 or newer) and make.
VENV ?= .venv
PYTHON ?= python3
PIP = $(VENV)/bin/python -m pip install --quiet --compile --constraint constraints.txt
# Where real data sets lie; tests and benchmarks that need one are skipped, with a reason, when it is unset.
export LABELWISE_DATA

.PHONY: demo test check docs clean
demo: $(VENV)/.run
	$(VENV)/bin/labelwise demo

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet --site-dir build/site

docs: $(VENV)/.dev
	$(VENV)/bin/mkdocs serve

clean:
	rm -rf $(VENV) build site

$(VENV)/.run: pyproject.toml constraints.txt src/labelwise/functional/_rows.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "labelwise needs Python 3.11 or newer; set PYTHON=, for example: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "this Python has no venv module; on Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing labelwise (PyTorch is large: one to three minutes) ..."
	PYTHONDONTWRITEBYTECODE= $(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing the tools that the tests need ..."
	PYTHONDONTWRITEBYTECODE= $(PIP) --editable '.[dev]'
	touch $@
