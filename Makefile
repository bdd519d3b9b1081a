# `make demo` trains, `make test` tests on every core in minutes, `make test-all` with the slow tests, `make check` is what a change must pass,
# `make browser` looks at the report in Chromium,
# `make bench` measures (docs/benchmarks.md), `make suite` trains in every environment (docs/environments.md),
# `make regret` holds every agent against the known optima (docs/known_optimum.md), `make rlhf` goes from judgements to trained models (docs/rlhf.md),
# `make attack` tries to lose work and to break every reader (docs/attacks.md).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip install --disable-pip-version-check
INSTALL := $(BIN)/python $(PIP)
# The libraries that the benchmarks compare with stay out of .venv.
PEERS := .venv-peers

# Two OpenMP teams that spin beside each other are thirty times slower.
export OMP_WAIT_POLICY := passive

.PHONY: demo test test-all browser check suite regret rlhf attack bench bench-peers clean

demo: $(VENV)/.stamp-run
	$(BIN)/textenv train TextSentiment-v0 --agent ppo --out "runs/demo-$(shell date +%Y-%m-%d-%H%M%S)"

test: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

# The option of a command line takes the place of pyproject.toml's.
test-all: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not gpu and not browser"

browser: $(VENV)/.stamp-browser
	$(BIN)/python -m pytest -m browser tests

check: $(VENV)/.stamp-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pyright
	$(BIN)/python -m pytest -n auto --dist worksteal
	$(BIN)/python scripts/check_wheel.py

# Three seeds of every environment, ten to fifteen minutes each on two cores; stopped, it goes on where it was. Or one: make suite ARGS="--only TextHaiku-v0 --seeds 3"
suite: $(VENV)/.stamp-dev
	status=0; $(BIN)/python -m benchmarks.suite $(ARGS) || status=1; $(BIN)/python -m benchmarks.suite --table --cards; exit $$status

# Every agent against the known optima: make regret ARGS="--toys TextCopy-v0 --rows dqn"
regret: $(VENV)/.stamp-dev
	$(BIN)/python -m benchmarks.regret $(ARGS)

# A quarter of an hour; make rlhf RLHF=runs/another starts anew.
RLHF := runs/rlhf

rlhf: $(VENV)/.stamp-run
	$(BIN)/python examples/rlhf.py $(RLHF)

attack: $(VENV)/.stamp-dev
	$(BIN)/python -m benchmarks.attack $(ARGS)

bench: $(PEERS)/.stamp
	$(PEERS)/bin/python -m benchmarks.speed

# An hour or more, or in parts: make bench-peers ARGS="--peers ppo --settings 0 --seeds 1"
bench-peers: $(PEERS)/.stamp
	$(PEERS)/bin/python -m benchmarks.time_to_score $(ARGS)

# Neither the virtual environment nor the runs are products that can be thrown away unasked.
clean:
	rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find textenv tests examples scripts -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit('textenv needs Python 3.11 or newer: make PYTHON=python3.11' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)

# PyTorch comes first and alone: the build that is there already, for CPU or CUDA, then satisfies the rest.
$(VENV)/.stamp-torch: constraints.txt | $(BIN)/python
	$(INSTALL) -c constraints.txt torch
	touch $@

$(VENV)/.stamp-run: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	$(INSTALL) -c constraints.txt -e .
	touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	$(INSTALL) -c constraints.txt -e ".[dev]"
	touch $(VENV)/.stamp-run $@

$(VENV)/.stamp-browser: pyproject.toml constraints.txt $(VENV)/.stamp-dev
	$(INSTALL) -c constraints.txt -e ".[browser]"
	touch $@

$(PEERS)/.stamp: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(PIP) -c constraints.txt torch
	$(PEERS)/bin/python $(PIP) -c constraints.txt -r benchmarks/requirements.txt -e .
	touch $@
