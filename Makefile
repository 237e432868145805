# Each target does its whole set-up in a private .venv: Python >= 3.11, make and a C compiler are
# enough. Stamps are keyed on pyproject.toml and setup.py, so that a second call starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
METADATA := pyproject.toml setup.py
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
# Without isolation the build sees the same NumPy headers as `make build`, and its objects are reused.
EDITABLE := $(INSTALL) --no-build-isolation --editable
C_FILES = $(shell find csrc -name '*.[ch]')
PYTEST_ARGS ?=

export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: help build test lint format parity mutants bench peers asan emulate clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

$(STAMP)-venv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) 'setuptools>=77' 'numpy>=2.0'
	@touch $@

$(STAMP)-test: $(STAMP)-venv $(METADATA)
	$(EDITABLE) '.[test]'
	@touch $@

$(STAMP)-lint: $(STAMP)-test
	$(EDITABLE) '.[dev]'
	@touch $@

# torch comes first and by its exact version: as a dependency of something else pip may choose a
# build with an accelerator's libraries, which is many times larger.
$(STAMP)-parity: $(STAMP)-test
	$(INSTALL) torch==2.13.0
	$(EDITABLE) '.[parity]'
	@touch $@

build: $(STAMP)-test  ## compile the C core in place (only what changed)
	@$(BIN)/python setup.py --quiet build_ext --inplace

test: build  ## the tests that need nothing but the package
	$(BIN)/pytest -m 'not parity and not slow' $(PYTEST_ARGS)

lint: build $(STAMP)-lint  ## ruff, mypy, stubtest, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml qbench._core
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)

format: $(STAMP)-lint  ## rewrite the sources in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

parity: build $(STAMP)-parity  ## compare with torch, transformers and lm-eval; slow tests; mutants
	$(BIN)/pytest -m 'parity or slow' $(PYTEST_ARGS)
	$(MAKE) emulate
	$(BIN)/python tools/mutants.py

mutants: build  ## show that the tests fail when the code is wrong
	$(BIN)/python tools/mutants.py

bench: build  ## time the engine on the test model
	$(BIN)/python -m benchmarks.bench_engine

# In an environment of their own, because they bring their own versions of everything. The flags are for
# llama.cpp on a processor with AMX: gcc 12 takes what it writes to a tile configuration for dead stores
# (its intrinsic names the first 8 bytes only), and the process dies in its first product.
peers: $(STAMP)-venv  ## install the engines that benchmarks compare with (minutes: one is compiled)
	test -x .venv-peers/bin/pip || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])' | CMAKE_ARGS="-DCMAKE_CXX_FLAGS='-fno-tree-dse -fno-dse'" xargs .venv-peers/bin/pip install --quiet --disable-pip-version-check

# The instrumented core lives in a tree of its own; PYTHONPATH puts that before the editable install.
asan: $(STAMP)-test  ## the tests of the C core under the address and undefined-behaviour sanitizers
	QBENCH_SANITIZE=1 $(BIN)/python setup.py --quiet build --build-lib build/asan --build-temp build/asan-temp
	PYTHONPATH=build/asan PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$$($${CC:-cc} -print-file-name=libasan.so) $$($${CC:-cc} -print-file-name=libubsan.so)" \
	$(BIN)/pytest -m 'not parity and not slow' $(PYTEST_ARGS) tests/core

# Runs the avx512 tier's logic where the processor lacks it; see csrc/kernels/emulate_avx512.h.
emulate: $(STAMP)-test  ## the tests of the C core with an emulated avx512 tier
	QBENCH_EMULATE_AVX512=1 $(BIN)/python setup.py --quiet build --build-lib build/emulate --build-temp build/emulate-temp
	PYTHONPATH=build/emulate $(BIN)/pytest -m 'not parity and not slow' $(PYTEST_ARGS) tests/core

clean:  ## remove what was built; .venv stays
	rm -rf build dist *.egg-info qbench/_core*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find qbench tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +
