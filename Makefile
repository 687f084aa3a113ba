# Each target creates or reuses .venv itself. PYTHON may be any CPython 3.10, 3.11 or 3.12.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
N ?= 20000
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

.PHONY: help install demo quick test test-slow fuzz check format bench docs clean

help:
	@echo "make demo       set up, then run the stock 'kipoi predict DeepRiPe/parclip_mid' on the example files"
	@echo "make quick      set up, then run the tests of files, formats and measures (under a minute)"
	@echo "make test       set up, then run the default tests (under 10 minutes on 2 cores)"
	@echo "make test-slow  the slow tests"
	@echo "make fuzz       20,000 damaged files per format through every reader (hours)"
	@echo "make check      formatting, lint, types"
	@echo "make docs       the documentation site, into site/"
	@echo "make bench      the benchmarks; results go to benchmarks/results"

install: $(STAMP)

$(STAMP): setup.py constraints.txt requirements-kipoi-plugins.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else "Python 3.10, 3.11 or 3.12 is needed, this is %d.%d: make PYTHON=python3.11 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-kipoi-plugins.txt
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m dataloaders.demo

quick: $(STAMP)
	$(PYTEST) -m "not slow" tests/contract/test_layering.py tests/unit/genome tests/unit/output tests/unit/evaluation

test: $(STAMP)
	$(PYTEST) -m "not slow"

test-slow: $(STAMP)
	$(PYTEST) -m slow

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz.run --n $(N) --keep fuzz-faults

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks.run_all

$(VENV)/.docs: $(STAMP)
	PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	@touch $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

clean:
	rm -rf $(VENV) site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
