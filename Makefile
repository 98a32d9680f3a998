# On a fresh machine: `make demo`, `make test`, `make bench` (hours, best on an idle machine, with the real
# pictures in $HUEPROBE_SHARED, default ../shared). Each makes its own .venv.
PYTHON ?= python3
BIN := .venv/bin
NATIVE := hueprobe/memory/_sparse.c hueprobe/search/exact/_native.c
# Tests run on so many processes; each holds torch, so more than the cores does not help.
JOBS ?= 2

.PHONY: demo test quick faults bench docs clean

demo: .venv/demo.stamp
	$(BIN)/hueprobe demo

test: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

# For the hand while working: the tests that are not marked `slow`, in about three minutes on two cores, without
# ruff and mypy. It replaces nothing: CI runs `make test`, which leaves no test out.
quick: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not slow"

# Kills, full disks, damage and hostile input in the long version, and a quarter of an hour without a leak.
FAULT_MINUTES ?= 15
faults: .venv/dev.stamp
	HUEPROBE_FAULTS=long OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) tests/faults
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.long_run --minutes $(FAULT_MINUTES)

# The environment is rebuilt only when what it is made from changes.
.venv/demo.stamp: setup.cfg setup.py pyproject.toml $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	touch $@

.venv/dev.stamp: setup.cfg setup.py pyproject.toml $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[dev,demo]'
	touch $@ .venv/demo.stamp

# The documentation, with warnings as errors and without a network: docs/_build/html/index.html. The gallery is
# executed; what has not changed since the last build is not. Then every internal link and anchor is followed.
docs: .venv/docs.stamp
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python docs/generators/links.py docs/_build/html

.venv/docs.stamp: setup.cfg setup.py pyproject.toml $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[docs,demo]'
	touch $@

bench: .venv/dev.stamp
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.search_networks
	$(BIN)/python -m benchmarks.selection_share
	$(BIN)/python -m benchmarks.observe_stages
	$(BIN)/python -m benchmarks.explorer
	$(BIN)/python -m benchmarks.explorer_page
	$(BIN)/python -m benchmarks.extraction
	$(BIN)/python -m benchmarks.memory_use
	$(BIN)/python -m benchmarks.million_images
	$(BIN)/python -m benchmarks.tables

clean:
	rm -rf .venv hueprobe-demo build docs/_build docs/gallery/data *.egg-info
