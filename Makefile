# Every target sets up what it needs: a virtual environment, the packages, the ARM toolchain.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
APT := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm

# Each file is compiled to bytecode once, not by every program that a test starts.
export PYTHONDONTWRITEBYTECODE :=

TEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal

.PHONY: setup toolchain docs demo test test-slow test-all lint types vectors mutate fuzz bench bench-train cells clean

setup: $(STAMP) toolchain

# Bytecode is made on every core, without the packages' own tests; what does not compile is a template.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[test]'
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	$(BIN)/python -m compileall -qq -j 0 lnn_edge tests/support
	touch $@

# What only `make docs` and tests that are marked slow need: Ray is 80 MB.
$(VENV)/.docs $(VENV)/.sweep: $(VENV)/.%: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	touch $@

toolchain:
	@command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc $(APT); \
	else \
	  echo "missing ARM toolchain or QEMU; install them with:"; \
	  echo "  sudo apt-get update && sudo apt-get install -y gcc $(APT)"; exit 1; \
	fi

demo: setup
	$(BIN)/lnn-edge demo --out demo

# Every operator, kernel and link, in minutes.
test: setup
	$(TEST) -m "not slow"

# What `make test` leaves out: mutations, whole matrices, long recordings, the wheel.
test-slow: setup $(VENV)/.docs $(VENV)/.sweep
	$(TEST) -m slow

test-all: setup $(VENV)/.docs $(VENV)/.sweep
	$(TEST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# After a deliberate change of an operator's meaning: the diff shows which operators changed.
vectors: $(STAMP)
	$(BIN)/python -m tests.support.make_vectors

# Damages copies of the sources: lines that were chosen, and a sample (docs/mutants.md). Tests must see each.
mutate: setup
	$(TEST) tests/test_mutation.py
	rm -f build/mutants.csv
	$(BIN)/python scripts/mutate.py --count 40 -o build/mutants.csv

# Random inputs for frames, commands and the runtime, and the lines they reach (docs/fuzzing.md). Takes minutes.
fuzz: setup
	$(BIN)/python -m scripts.fuzz --runs 200000 $$(command -v llvm-cov >/dev/null && echo --coverage)

# Instructions and bytes of fixed workloads: docs/bench.md and the figures that tests hold later code against.
bench: setup
	$(BIN)/python scripts/bench_table.py

# Forward and backward against ncps.torch, side by side in one run.
bench-train: setup
	$(BIN)/python scripts/bench_train.py

# Every cell, mode and kind of dt on every link, written to docs/cells.md.
cells: setup
	$(BIN)/python scripts/cell_table.py -o docs/cells.md

# The site, in build/site; every warning is an error.
docs: setup $(VENV)/.docs
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) demo build dist
