# `make run` and `make test` need Python 3.11 and nothing else; they create .venv from the lock file.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?= experiment=quickstart
OUTPUT ?= $(or $(OFA_OUTPUT),outputs)
PORT ?= 5000
# Two processes share the files of tests: as many as keep the memory small. One that dies ends the run, as another in
# its place would wait for the last test for ever; so does a test of ten minutes, and its stack is shown.
WORKERS ?= -n 2 --dist loadfile --max-worker-restart=0 \
	-o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

.PHONY: run test test-fast test-slow test-interop check docs ui openvino install clean help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: install  ## set up and run: make run ARGS="task=sst2 ofa.widths=[1,0.75,0.5]"
	$(BIN)/python main.py $(ARGS)

test: install  ## set up and run the tests (minutes)
	$(BIN)/python -m pytest $(WORKERS) -m "not slow"

test-fast: install  ## the tests that start no process, fill no database, run no whole job and export no network
	$(BIN)/python -m pytest $(WORKERS) -m "not slow and not process and not database and not job"

test-slow: install  ## the tests that make real runs of many minutes
	$(BIN)/python -m pytest -m slow

check: install  ## what CI runs: ruff, mypy, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(WORKERS) -m "not slow"

ui: install  ## MLflow's pages on this machine only
	$(BIN)/python main.py ui --port $(PORT) --output-dir '$(subst ','\'',$(OUTPUT))'

openvino: install  ## the engine OpenVINO, without the package by which it reports its use
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps openvino==2026.4.1

test-interop: install .venv-interop4/installed .venv-interop5/installed  ## exported folders in Transformers 4 and 5, optimum
	$(BIN)/python -m pytest tests/interop

.venv-interop%/installed: tests/interop/requirements-%.txt
	$(PYTHON) -m venv .venv-interop$*
	.venv-interop$*/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

docs: .venv-docs/installed  ## the pages of docs/ as HTML under build/docs, links checked
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict --site-dir build/docs

.venv-docs/installed: docs/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	touch $@

install: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:  ## remove the environment (not your outputs)
	rm -rf $(VENV) .venv-docs .venv-interop4 .venv-interop5
