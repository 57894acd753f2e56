# make demo       the default sweep, drawn             make lint     formatting, rules, types
# make test       the tests                            make clean    removes caches and builds, never a result
# make coverage   the tests, and which lines and branches they miss
# make test-slow  the tests that take longer, and random faults for MINUTES=5
#
# make bench        what it costs beside what people use instead    make growth     how that grows, drawn
# make bench-peers  beside Hydra, Optuna, Ray Tune, JAX             make bench-gpu  on a GPU, where there is one
#
# Each makes .venv first, if need be, from the versions in constraints.txt; bench-peers one of its own, .venv-peers.
#   BENCH='WORD ...'     the rows to measure; BENCH=--markdown writes the tables into docs/performance.md
#   PYTHON=python3.12    the interpreter that .venv is made with (3.11 or newer)
#   TORCH_INDEX=URL      one more index to take torch from, such as that of its CPU builds

PYTHON ?= python3
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
# Newer than both files that it depends on: .venv holds what they ask for, and nothing is to be set up.
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)
HATCHLING := $(shell grep '^hatchling==' constraints.txt)

PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready
PEERS_PIP := $(PEERS)/bin/python -m pip --disable-pip-version-check install -c constraints.txt
BENCH ?=
MINUTES ?= 5

.PHONY: demo test coverage test-slow lint bench bench-peers bench-gpu bench-million growth clean

demo: $(READY)
	@echo "demo: the default sweep, momentumlab sweep linreg"
	@$(BIN)/momentumlab sweep linreg

test: $(READY)
	@echo "test: every test that is not slow"
	@$(BIN)/python -m pytest -n auto --maxprocesses 4

coverage: $(READY)
	@echo "coverage: every test that is not slow, with the branches that it takes; about twice as long"
	@$(BIN)/python -m pytest --cov -n auto --maxprocesses 4

test-slow: $(READY)
	@echo "test-slow: the tests that take longer than a second each, then $(MINUTES) minutes of random faults"
	@$(BIN)/python -m pytest -m slow
	@$(BIN)/python -m tests.faults.campaign $(MINUTES)

lint: $(READY)
	@echo "lint: ruff format, ruff check, mypy --strict"
	@$(BIN)/ruff format --diff --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

bench: $(READY)
	@echo "bench: benchmarks/bench.py, about ten minutes"
	@$(BIN)/python benchmarks/bench.py $(BENCH)

bench-peers: $(PEERS_READY)
	@echo "bench-peers: benchmarks/bench_peers.py, about five minutes"
	@$(PEERS)/bin/python benchmarks/bench_peers.py $(BENCH)

bench-gpu: $(READY)
	@$(BIN)/python benchmarks/bench_gpu.py $(BENCH)

bench-million: $(READY)
	@echo "bench-million: benchmarks/bench_million.py"
	@$(BIN)/python benchmarks/bench_million.py $(BENCH)

growth: $(READY)
	@echo "growth: benchmarks/growth.py"
	@$(BIN)/python benchmarks/growth.py

clean:
	@echo "clean: caches and build products; results in runs/ and the environments $(VENV), $(PEERS) stay"
	@rm -rf build dist htmlcov .coverage .coverage.* coverage.xml .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	@find benchmarks configs examples momentumlab tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Torch comes in a line of its own, so that TORCH_INDEX is asked for nothing else; the build backend with it, so that
# the project is built with the pinned one. pip shows its progress on a terminal and is quiet in a pipe.
$(READY): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(CHECK_PYTHON) && $(PYTHON) -m venv --clear $(VENV); }
	@echo "setup: $(VENV) from constraints.txt, $(TORCH) first; the first time takes minutes"
	@test -t 1 || quiet=--quiet; \
	$(PIP) $$quiet $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)') $(TORCH) $(HATCHLING) && \
	$(PIP) $$quiet --no-build-isolation -e '.[dev]'
	@touch $@

$(PEERS_READY): pyproject.toml constraints.txt benchmarks/peers-requirements.txt
	@$(PEERS)/bin/python -m pip --version >/dev/null 2>&1 || { $(CHECK_PYTHON) && $(PYTHON) -m venv --clear $(PEERS); }
	@echo "setup: $(PEERS) from benchmarks/peers-requirements.txt; the first time takes minutes"
	@test -t 1 || quiet=--quiet; \
	$(PEERS_PIP) $$quiet $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)') $(TORCH) $(HATCHLING) && \
	$(PEERS_PIP) $$quiet --no-build-isolation -r benchmarks/peers-requirements.txt -e .
	@touch $@

CHECK_PYTHON = { command -v $(PYTHON) >/dev/null \
	|| { echo "momentumlab needs Python 3.11 or newer, and there is no $(PYTHON). $(NAME_ANOTHER)" >&2; false; }; } \
	&& $(PYTHON) -c "$$PYTHON_IS_NEW_ENOUGH"
NAME_ANOTHER := Name the interpreter: make PYTHON=/path/to/python3.11 ...

# In words that any Python understands, Python 2 too: the old ones shall say this and not SyntaxError.
define PYTHON_IS_NEW_ENOUGH
import sys
found = "%d.%d" % sys.version_info[:2]
problem = "momentumlab needs Python 3.11 or newer, and $(PYTHON) is Python " + found + ". $(NAME_ANOTHER)"
sys.exit(problem if sys.version_info < (3, 11) else 0)
endef
export PYTHON_IS_NEW_ENOUGH
