# `make` lists the targets. Works with GNU make 3.81 (macOS) and later, and any POSIX shell.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# A file goes to one worker, so that what its tests share is made once; the rooms with the longest files come first.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder

# Tests start many commands, and a command with bytecode at hand starts in two thirds of the time.
unexport PYTHONDONTWRITEBYTECODE

# A stamp exists only while its installation is whole: it goes before pip starts and comes back after pip is
# done. So an interrupted installation has no stamp, and is made anew.
INSTALLED := $(VENV)/.installed
DEV_INSTALLED := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check docs fix wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## install into .venv (PYTHON=... to choose the Python)
	@echo "installed, run it with $(BIN)/cnnkit"

demo: $(INSTALLED) ## train on handwritten digits
	$(BIN)/cnnkit train configs/digits.yaml

test: $(DEV_INSTALLED) ## run the fast tests (PYTEST_ARGS="-k name" to choose)
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

test-all: $(DEV_INSTALLED) ## run all tests, those that are slow by nature too
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(DEV_INSTALLED) ## check format, lint, types, the direction of imports, what is declared
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .

docs: $(DEV_INSTALLED) ## build the documentation into build/docs (DOCS_ARGS=--all: run its trainings too)
	$(BIN)/python scripts/console_blocks.py $(DOCS_ARGS)
	$(BIN)/python scripts/write_reference.py
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs

fix: $(DEV_INSTALLED) ## format, and repair what lint can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(DEV_INSTALLED) ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## remove all that make made; runs/ stays
	rm -rf $(VENV) build dist docs/reference/generated .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A whole environment is updated in place; without a stamp, or if its Python has gone, it is made anew.
$(INSTALLED): pyproject.toml constraints.txt
	@if ! { test -e $@ && $(BIN)/python -c ''; } 2>/dev/null; then $(MAKE_VENV); fi
	@rm -f $(INSTALLED) $(DEV_INSTALLED)
	@echo "installing cnnkit into $(VENV), takes about a minute"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(DEV_INSTALLED): $(INSTALLED)
	@rm -f $(INSTALLED) $(DEV_INSTALLED)
	@echo "installing the tools for tests, checks and documentation"
	@$(PIP) install --constraint constraints.txt --editable '.[dev,docs]'
	@touch $(INSTALLED) $@

# Each candidate has to prove itself: pyenv puts commands on the path that fail when run, and Debian has Pythons
# without ensurepip.
SUITABLE := import ensurepip, sys, venv; ensurepip.version(); sys.exit(not (3, 11) <= sys.version_info < (3, 14))
define MAKE_VENV
	python=; \
	for candidate in "$(PYTHON)" python3.13 python3.12 python3.11 python3; do \
	    test -n "$$candidate" || continue; \
	    if "$$candidate" -c '$(SUITABLE)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	    if test "$$candidate" = "$(PYTHON)"; then \
	        echo "PYTHON=$(PYTHON) is no Python 3.11 to 3.13 with venv and ensurepip, trying others" >&2; \
	    fi; \
	done; \
	if test -z "$$python"; then \
	    echo "cnnkit needs Python 3.11, 3.12 or 3.13 with venv: install one (Debian, Ubuntu: python3-venv too)," \
	        "or name it: make install PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$python" --version), $$(command -v "$$python")"; \
	rm -rf $(VENV); \
	"$$python" -m venv $(VENV)
endef
