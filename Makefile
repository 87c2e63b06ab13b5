# make demo: from nothing to generated portraits.   make test: the tests.   make lint: style, types.
# make test-fast: unit tests in under a minute.   make test-long: the tests that take minutes each.
# make faults: inserts deliberate faults that tests must notice (about half an hour).
# make format: formats all files.   make docs: the documentation as a site, in site/.
# Without a GPU, the small CPU build of PyTorch: TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
DEMO   ?= demo
# Setuptools warns at length about every editable installation.
PIP     = PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet

.PHONY: demo test test-fast test-long faults lint format docs clean

demo: $(VENV)/.installed $(DEMO)/portraits/dataset.json
	$(BIN)/python generate.py --network portraits --seeds 0-31 --grid 8x4 --outdir $(DEMO)/pretrained
	@printf '%s\n' '' 'These are of the network in the package, 64x64. Now one of 32x32 is trained.' ''
	$(BIN)/python train.py --data $(DEMO)/portraits --outdir $(DEMO)/runs --preset demo --threads 2
	$(BIN)/python generate.py --network $(DEMO)/runs --seeds 0-127 --grid 16x8 --outdir $(DEMO)
	@printf '\nHow good it is: sliced Wasserstein distance to the training images, less is better.\n'
	$(BIN)/python -m metrics swd --data $(DEMO)/portraits --num-images 3000 \
	  --network "$$(ls $(DEMO)/runs/*/network-snapshot-*.safetensors | tail -n 1)"
	@printf '%s\n' '' \
	  'generated portraits    $(DEMO)/grid.png' \
	  'what it learned from   $(DEMO)/runs/*/reals.png' \
	  'how it learned         $(DEMO)/runs/*/fakes-*.png' \
	  'all that on one page   $(BIN)/python -m progan.report $(DEMO)/runs' \
	  'watch the curves       $(BIN)/tensorboard --logdir $(DEMO)/runs'

$(DEMO)/portraits/dataset.json: | $(VENV)/.installed
	$(BIN)/python dataset_tool.py create-demo --dest $(DEMO)/portraits --resolution 32 \
	  --num-images 6000

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 -m "not long" --durations=15

# Unit tests of what has no files, processes or trainings: for the time between two edits.
SLOW_TESTS = benchmarks data/celebahq data/importers commands explorer interop metrics projection \
  report runtime sampling training

test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 -m "not long and not slow" $(SLOW_TESTS:%=--ignore=tests/%)

test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 -m long

faults: $(VENV)/.installed-test
	$(BIN)/python -m tests.faults.run

lint: $(VENV)/.installed-lint
	$(BIN)/python -m ruff check --quiet
	$(BIN)/python -m ruff format --check --quiet
	$(BIN)/python -m mypy

format: $(VENV)/.installed-lint
	$(BIN)/python -m ruff check --fix --quiet
	$(BIN)/python -m ruff format --quiet

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) $(DEMO) build site *.egg-info

$(VENV)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(if $(TORCH_INDEX),$(PIP) torch torchvision --index-url $(TORCH_INDEX))
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable ".[test]"
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(PIP) --editable ".[test,lint]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable ".[docs]"
	touch $@
