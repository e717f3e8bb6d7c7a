# Targets install what they need first, once. PYTHON selects the interpreter.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# The build of torch that the tests install. MATTEBOX_TORCH_INDEX sets the URL of a package index with the build you
# want; it is not needed if pip finds a CPU build of this version by default.
TORCH  ?= torch==2.13.0
TORCH_INDEX := $(if $(MATTEBOX_TORCH_INDEX),--index-url $(MATTEBOX_TORCH_INDEX))

# Cached bytecode saves the tests about a tenth of their time: they start hundreds of Python processes, and pytest
# rewrites the assertions of its modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install test-install serve demo test test-slow check gpu-check format bench clean

help:
	@echo "make serve      install, then serve the pages and the API on http://localhost:8080"
	@echo "make demo       install, download weights, matte a real clip"
	@echo "make test       install with the test tools, run all checks and tests"
	@echo "make test-slow  run the long tests"
	@echo "make gpu-check  check parity and measure speed on a CUDA device"
	@echo "make bench      run benchmarks on this machine"
	@echo "make format     format and sort imports"

# On a machine with an NVIDIA GPU, also install the engine birefnet, which needs torch.
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
# without its dependencies, which are in [test]: it asks for an older typer than ours, but works with it
	$(PIP) install --quiet --no-deps 'openapi-python-client>=0.29,<1'
	@touch $@

# Ray is large, and only slow tests start it.
$(VENV)/.tested-slow: $(VENV)/.tested
	$(PIP) install --quiet --editable '.[ray]'
	@touch $@

# WORDS: options of `mattebox serve`, such as make serve WORDS='--port 9000'
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

PYTEST := $(BIN)/python -m pytest

# Runs tests that check time limits (`clocked`). Those that fail are run once more, alone, because other work on the
# machine can spend their time; what they said first stays in the output. Only "some tests failed" (1) leads to that.
define clocked
	$(PYTEST) $(1) -m 'clocked and $(2)' || \
	  { [ $$? -eq 1 ] && $(PYTEST) --last-failed --last-failed-no-failures none -m 'clocked and $(2)'; }
endef

# Three tests at a time, on two cores: half of the time a test waits, for a browser, a process or a loop of the server;
# those that check time limits wait even more. Of these, never two that process much live video, or two that load pages,
# start many programs or process files (tests/conftest.py).
test: check
	$(PYTEST) -n 3 -m 'not clocked and not slow and not long and not gpu'
	$(call clocked,-n 3 --dist loadgroup,not slow and not long and not gpu)

# Long tests run as those of `make test`; slow ones two at a time, except those that measure speed.
test-slow: $(VENV)/.tested-slow
	$(PYTEST) -n 3 -m 'long and not clocked and not slow and not gpu'
	$(call clocked,-n 3 --dist loadgroup,long and not slow and not gpu)
	$(PYTEST) -n 2 -m 'slow and not clocked'
	$(call clocked,-n 2 --dist loadgroup,slow and not alone)
	$(call clocked,,slow and alone)

bench: install
	$(BIN)/mattebox bench file
	$(BIN)/mattebox bench live --videos 1 --clip tests/data/talk_bikes.mp4
	$(BIN)/mattebox bench feed --clip tests/data/talk_bikes.mp4

# On a machine with a CUDA device: parity, kernels and speed, as a table and as JSON. AGAINST: a checkout of the public
# BiRefNet to compare with. GPU_PYTHON: an interpreter with all requirements; then nothing is installed.
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
