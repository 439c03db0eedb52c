# make quickstart   build .venv, install, run the whole loop on this machine
# make test         build .venv, install with the test tools, run every check (minutes)
# make check        the quick ones of them: all but slow tests and those that need SLURM,
#                   a browser or a GPU
# make docs         the pages and the API reference, in build/docs/html/docs/index.html
# make gpu          on a machine with an NVIDIA GPU: its tests and benchmarks
# make simulate   schedules of faults in a simulated world: make simulate N=10000
# make rooms        docs/images/rooms.svg and the table of docs/architecture.md, from the imports
# VENV, PYTHON and SCALING_HOME may be given: make quickstart PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest \
  --dist loadgroup --no-loadscope-reorder

.PHONY: quickstart test check install lint docs rooms simulate gpu clean

quickstart: $(VENV)/.installed
	$(BIN)/scaling quickstart

test: $(VENV)/.installed-test
	$(MAKE) -j2 lint docs
	$(PYTEST) -n 5 -p tests.processor_time --durations=15  # three mostly wait for SLURM

check: $(VENV)/.installed-test lint
	$(PYTEST) -n 3 -m "not slow and not slurm and not browser and not gpu"

install: $(VENV)/.installed

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-test
	$(BIN)/sphinx-build -c docs -d build/docs/read -b html -E -W --keep-going -q . build/docs/html

rooms: $(VENV)/.installed-test
	$(BIN)/python docs/draw_rooms.py

simulate: $(VENV)/.installed-test
	$(BIN)/python benchmarks/simulate.py $(or $(N),10000)

gpu: $(VENV)/.installed-test
	$(BIN)/python benchmarks/on_gpu.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "scaling-lab needs Python 3.11 or later: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info
