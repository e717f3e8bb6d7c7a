# `make demo`, `make test`: everything they need is set up first, once. PYTHON picks the interpreter.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Which build of torch the tests install. MATTEBOX_TORCH_INDEX names an index that holds the build you want;
# where pip finds a CPU build of this version by itself, nothing need be set.
TORCH  ?= torch==2.13.0
TORCH_INDEX := $(if $(MATTEBOX_TORCH_INDEX),--index-url $(MATTEBOX_TORCH_INDEX))

.PHONY: help install test-install serve demo test test-slow check gpu-check format bench clean

help:
	@echo "make serve      install, then the page, the API and a worker on http://localhost:8080"
	@echo "make demo       install, fetch weights, matte a real clip"
	@echo "make test       install with the test tools, run every check and test"
	@echo "make test-slow  the bounded long tests"
	@echo "make gpu-check  parity and speed on a CUDA device"
	@echo "make bench      measure this machine"
	@echo "make format     format and sort imports"

# A machine with an NVIDIA GPU gets the engine birefnet, and torch with it.
EXTRA := $(if $(shell sh -c 'command -v nvidia-smi'),[birefnet])

install: $(VENV)/.installed
test-install: $(VENV)/.tested

$(VENV)/.made:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "mattebox needs Python 3.11 or newer: make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	$(PIP) install --quiet --editable '.$(EXTRA)'
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(PIP) install --quiet $(TORCH_INDEX) '$(TORCH)'
	$(PIP) install --quiet --editable '.[test]'
	@touch $@

# WORDS: options of `mattebox serve`, as in make serve WORDS='--port 9000'
serve: install
	@$(BIN)/mattebox serve $(WORDS)

DEMO := demo/talk_bikes.mp4

demo: install
	@mkdir -p demo
	$(BIN)/mattebox file tests/data/talk_bikes.mp4 -o $(DEMO) --background image:docs/backdrop.jpg
	@echo "The matted video: $(CURDIR)/$(DEMO)"

check: test-install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Two at a time, but those that hold a clock against a limit: these have the machine to themselves.
test: check
	$(BIN)/python -m pytest -n 2 -m 'not clocked and not slow and not gpu'
	$(BIN)/python -m pytest -m 'clocked and not slow and not gpu'

test-slow: test-install
	$(BIN)/python -m pytest -m slow

bench: install
	$(BIN)/mattebox bench file
	$(BIN)/mattebox bench live --videos 1 --clip tests/data/talk_bikes.mp4

# On a machine with a CUDA device: parity, kernels and speed; one table, one JSON. AGAINST names a checkout of the public
# BiRefNet to be measured beside. With GPU_PYTHON, an interpreter that has what is needed, nothing is installed.
ifdef GPU_PYTHON
gpu-check:
	$(GPU_PYTHON) -m workers.bench.check $(if $(AGAINST),--against $(AGAINST))
else
gpu-check: test-install
	$(BIN)/python -m workers.bench.check $(if $(AGAINST),--against $(AGAINST))
endif

format: test-install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo build *.egg-info
