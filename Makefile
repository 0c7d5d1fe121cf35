# make demo   predict on an example picture        make test    run the tests
# make check  style, types, import layers          make bench   measure speed
# make docs   write docs/cli.md from --help     make test-ray  those on a Ray cluster, minutes more
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test test-ray check bench docs clean

demo: .venv/base.stamp
	$(BIN)/agelens predict examples/pictures/group.jpg --annotate demo-output --png
	@echo "the annotated picture: demo-output/group.png"

test: .venv/all.stamp
	$(BIN)/python -m pytest -n auto

# Not side by side: each starts a cluster of its own.
test-ray: .venv/ray.stamp
	$(BIN)/python -m pytest -p no:xdist tests/batch/test_ray_engine.py tests/training/experiments/test_ray_workers.py

check: .venv/all.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/all.stamp
	$(BIN)/python benchmarks/speed.py --only chip photo group start

docs: .venv/all.stamp
	$(BIN)/python -m typer agelens.cli.app utils docs --name agelens --output docs/cli.md

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python {v[0]}.{v[1]} is too old: agelens needs 3.11 or newer; try  make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv

.venv/base.stamp: pyproject.toml | .venv/bin/python
	$(PIP) --editable .
	@touch $@

# constraints.txt: the torch that the tests were last run with
.venv/all.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --constraint constraints.txt --editable '.[data,train,serve,batch,video,dev]'
	@touch $@ .venv/base.stamp

.venv/ray.stamp: .venv/all.stamp
	$(PIP) --constraint constraints.txt --editable '.[scale]'
	@touch $@

clean:
	rm -rf .venv demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
