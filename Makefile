# `make` alone prints the commands. Each may be repeated; what is done already is not done again.

PYTHON   ?= python3
PIP_ARGS ?=
LAB_ARGS ?=
GPU_ARGS ?=
TEST_ARGS ?=
WORKERS  ?= 2

VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip install $(PIP_ARGS) --constraint constraints.txt
LAB   := $(BIN)/python -m jupyterlab --config=etc/jupyterlab/config.py
BOOKS := $(wildcard chapters exercises/source)

# JupyterLab will not run as root unless it is told to; in a container one often is.
ifeq ($(shell id -u),0)
LAB += --allow-root
endif

# An environment does not move with its folder: one that make made elsewhere is made anew.
ifneq ($(wildcard $(VENV)/.made),)
ifeq ($(shell grep -cF '$(CURDIR)/$(VENV)' '$(VENV)/bin/activate' 2>/dev/null || true),0)
$(info The folder was moved: its environment $(VENV) is made anew.)
$(shell rm -rf $(VENV))
endif
endif

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USER := 0

.DEFAULT_GOAL := help
.PHONY: help lab test lint coverage test-browser test-hostile test-offline test-book book epub wheel train gpu clean

help: ## print this list
	@echo "make COMMAND, where COMMAND is"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' Makefile
	@echo "Settings: PYTHON=python3.12       another Python for .venv (3.11 or newer)"
	@echo "          PIP_ARGS=\"...\"          arguments for pip, as --extra-index-url for a CPU build of torch"
	@echo "          LAB_ARGS, TEST_ARGS     arguments for JupyterLab, for pytest"
	@echo "          GPU_ARGS=--dry          try make gpu on a CPU, with small numbers"
	@echo "          WORKERS=2               test processes at a time"

lab: $(VENV)/.lab ## open the course in JupyterLab, at its first chapter
	$(LAB) $(LAB_ARGS)

test: $(VENV)/.test ## run every unit test and every notebook
	OMP_NUM_THREADS=1 FLOWLIB_SWEEP=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile -m "not browser and not hostile" \
	  --nbval-lax --nbval-current-env tests $(BOOKS) $(TEST_ARGS)

lint: $(VENV)/.test ## style, format, imports, types: what pre-commit runs
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

coverage: $(VENV)/.test ## run the unit tests, and say which lines of the library none of them reaches
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile -m "not browser and not hostile" \
	  --cov --cov-report=term:skip-covered tests $(TEST_ARGS)

test-browser: $(VENV)/.test ## use every chapter and the book in a real browser; report how fast the explorers answer
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadgroup -rs -m browser \
	  tests/browser tests/pages $(TEST_ARGS)

test-hostile: $(VENV)/.test ## grade submissions that cheat, loop, flood and break out (needs bubblewrap)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m hostile tests/classroom $(TEST_ARGS)

test-offline: $(VENV)/.test ## the same as test, with the network cut: only this machine is there (Linux)
	unshare --map-root-user --net -- sh -c 'ip link set lo up && exec $(MAKE) test'

book: $(VENV)/.test ## make the course into a site that reads without scripts: build/book/index.html
	OMP_NUM_THREADS=1 $(BIN)/python -m flowlib.pages.book build/book

epub: $(VENV)/.test ## the same, and an ePub of it, which its first page leads to: build/flowlib.epub
	OMP_NUM_THREADS=1 $(BIN)/python -m flowlib.pages.epub

test-book: book ## make the book, and move every control of every explorer in it, in a real browser (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs tests/pages/test_every_explorer.py $(TEST_ARGS)

wheel: $(VENV)/.lab ## build the wheel, and try it in an environment that has nothing else, outside of this folder
	rm -rf dist && $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	PYTHON=$(PYTHON) PIP_ARGS="$(PIP_ARGS)" sh etc/try-wheel dist/*.whl

train: $(VENV)/.lab ## train a flow transformer on a small text (minutes), and print a sample of it
	$(BIN)/flowlib train tiny --resume

# No environment is made: it runs in the one here or, where there is none, in PYTHON's own, with the torch that it has.
gpu: ## in nine minutes on one GPU: its tests, speeds, a trained model and an elastic one, into build/gpu
	PYTHONPATH=. $(firstword $(wildcard $(BIN)/python) $(PYTHON)) etc/gpu.py $(GPU_ARGS)

clean: ## remove .venv and what tests and builds leave behind (runs/, your trained models, stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# torch first and under the constraints, so that a machine without a GPU keeps the build that PIP_ARGS points at.
$(VENV)/.lab: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) --editable '.[lab]'
	@touch $@

$(VENV)/.test: $(VENV)/.lab
	$(PIP) --editable '.[lab,test]'
	@touch $@

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "flowlib needs Python 3.11 or newer, but there is no '$(PYTHON)'; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "flowlib needs Python 3.11 or newer, but this is $$($(PYTHON) --version 2>&1); try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
