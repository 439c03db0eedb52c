# make quickstart   build .venv, install, run the whole loop on this machine
# make test         build .venv, install with the test tools, run every check (minutes)
# make check        the quick ones of them: all but slow tests and those that need SLURM,
#                   a browser or a GPU
# VENV, PYTHON and SCALING_HOME may be given: make quickstart PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: quickstart test check install lint clean

quickstart: $(VENV)/.installed
	$(BIN)/scaling quickstart

test: $(VENV)/.installed-test lint
	$(PYTEST) --durations=15

check: $(VENV)/.installed-test lint
	$(PYTEST) -m "not slow and not slurm and not browser and not gpu"

install: $(VENV)/.installed

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "scaling-lab needs Python 3.11 or later: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info
