# `make demo` and `make test` do all the set-up they need, in .venv; a second call starts at once.
PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
WORKERS ?= 2
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo table test fuzz kill benchmarks docs lint clean

demo: $(READY)  ## bodies of a man in a real video (51 MB are downloaded once), their errors, a report, a GLB
	$(BIN)/python tools/demo.py

table: $(READY)  ## runs five configurations on the free synthetic stream, prints the table, draws the pictures
	$(BIN)/python tools/benchmark.py configs/3dhrco/tables/demo.yaml --jobs $(WORKERS)

test: $(READY)  ## the types and every test, the documentation's code and build included
	$(BIN)/python -m mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) tests

CASES ?= 3000
MINUTES ?= 20
fuzz: $(READY)  ## thousands of corrupted files for every reader and every command, in children with limits
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python tests/robustness/fuzz.py \
		--readers $(CASES) --commands $(CASES) --minutes $(MINUTES)

TRIALS ?= 30
kill: $(READY)  ## kills and interrupts runs at random and compares their results bit by bit
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python tests/robustness/kill.py $(TRIALS)

benchmarks: $(READY)  ## every benchmark of speed, a table of ratios in benchmarks/results; resumes
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/all.py

docs: $(READY)  ## the documentation as html
	$(BIN)/python -m sphinx -W -q -b html docs/en docs/en/_build
	@echo 'Open docs/en/_build/index.html'

lint: $(READY)  ## rules, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

clean:  ## removes what the other targets made, results excepted
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache docs/en/_build hrtk.egg-info

$(READY): $(wildcard requirements/*.txt) setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "The pinned versions need Python 3.11 or newer: \
	make PYTHON=/path/to/python3.11. For 3.10 see docs/en/get_started.md.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements/pinned.txt
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@touch $@
