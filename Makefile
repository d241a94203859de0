# Every target sets up .venv by itself; only Python 3.11 or newer is needed beforehand.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN = .venv/bin
LOWEST = .venv-lowest
# Without compiling all that is installed to bytecode, a third of the time: what is imported is compiled then.
INSTALL = -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: demo test test-lowest lint docs bench clean

demo: .venv/base.stamp  ## reconstruct three photographs; a picture that grows with each
	$(BIN)/csdip demo

test: lint  ## ruff and pyright, then the whole suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-lowest: $(LOWEST)/dev.stamp  ## the whole suite on the lowest versions that setup.cfg allows, by Python 3.11
	$(LOWEST)/bin/python -m pytest -n 2 --dist worksteal

# pyright comes with its own Node.js; without the warning it asks no network for a newer version of itself.
lint: export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: .venv/docs.stamp  ## the documentation into docs/_build/html; DOCS='-t quick' runs the gallery's scripts at toy size
	$(BIN)/python -m sphinx -W --keep-going $(DOCS) docs docs/_build/html

bench: .venv/bench.stamp  ## speed beside PyTorch and scikit-learn, memory
	$(BIN)/python -m experiments.benchmark

.venv/base.stamp: requirements.txt setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) -r requirements.txt -e '.[experiments]'
	@touch $@

.venv/dev.stamp: .venv/base.stamp
	$(BIN)/python $(INSTALL) -e '.[dev]'
	@touch $@

$(LOWEST)/dev.stamp: requirements-lowest.txt setup.cfg pyproject.toml
	python3.11 -m venv $(LOWEST)
	$(LOWEST)/bin/python $(INSTALL) -c requirements-lowest.txt -e '.[dev]'
	@touch $@

.venv/docs.stamp: .venv/base.stamp
	$(BIN)/python $(INSTALL) -e '.[docs]'
	@touch $@

.venv/bench.stamp: .venv/base.stamp
	$(BIN)/python $(INSTALL) -e '.[bench]'
	@touch $@

clean:  ## remove the environments and the built documentation, not the runs
	rm -rf .venv $(LOWEST) docs/_build docs/gallery
