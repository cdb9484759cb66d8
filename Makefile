# `make help` lists the targets. Set-up happens by itself, and once: a stamp holds what was installed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
# On a machine without a GPU: make report TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# The tests of one file stay together: they share what their fixtures built. WORKERS=0 runs all in one process.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
LINKS := probes workloads reports
SITE := site

# One point set, and the whole quick matrix, of each workload.
QNN := qnn-train qnn-infer
DISTRIBUTED := dist-train
EQPROP := eqprop-relax eqprop-train bp-train bptt-train eqprop-analog

# A point once more, whose repeats show the noise; and where no counter can be read a simulated machine, for its power trace.
define REPEATED
$(BIN)/energybench run qnn-infer --bits 8 --trace 20 --quick >/dev/null
$(BIN)/energybench doctor --json >/dev/null 2>&1 || ENERGYBENCH_SIMULATE=1 $(BIN)/energybench run qnn-infer --bits 8 --trace 20 --quick >/dev/null
endef

.PHONY: help setup report report-full gate-demo test lint hardware clean links

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(STAMP) ## create .venv and install everything at the versions of constraints.txt

# What `run` prints is what `report` prints once more: only its progress, on stderr, is shown.
report: $(STAMP) ## run one point set of each workload, then write and print site/index.html
	@$(BIN)/energybench run $(QNN) --bits 1,8,32 --quick >/dev/null
	$(BIN)/energybench run $(EQPROP) --quick >/dev/null
	$(BIN)/energybench run $(DISTRIBUTED) --nodes 2 --strategy sync,cultural --quick >/dev/null
	$(REPEATED)
	$(BIN)/energybench report --output $(SITE)

report-full: $(STAMP) ## the quick matrix of every workload, then the report
	@$(BIN)/energybench run $(QNN) --bits 1,2,3,4,8,16,32 --quick >/dev/null
	$(BIN)/energybench run $(EQPROP) --quick >/dev/null
	$(BIN)/energybench run eqprop-relax --param tolerance=1e-2,1e-4 --param mode=async,sync --quick >/dev/null
	$(BIN)/energybench run eqprop-train --param estimator=one-sided,random-sign --quick >/dev/null
	$(BIN)/energybench run eqprop-train bp-train qnn-train --energy-to-accuracy 0.95 --quick >/dev/null
	$(BIN)/energybench run $(DISTRIBUTED) --nodes 1,2,4,8 --quick >/dev/null
	$(REPEATED)
	$(BIN)/energybench report --output $(SITE)

gate-demo: $(STAMP) ## plant three commits in a scratch clone; asv, gate and history tell which cost energy or accuracy
	@$(BIN)/python tests/bench/gate_demo.py

test: $(STAMP) ## run the tests
	@command -v cc >/dev/null || {
	  echo "the tests compile a fake NVIDIA library, and there is no C compiler. Remedy on Debian and Ubuntu:" >&2
	  echo "  sudo apt install gcc g++ libc6-dev fuse3 libfuse2" >&2
	  exit 1
	}
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

lint: $(STAMP) ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

hardware: $(STAMP) ## the tests that need a GPU or a readable counter
	@$(BIN)/python -m pytest -m hardware

clean: ## remove what make made; records in .energybench stay
	@rm -rf $(VENV) $(SITE) build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# A checkout without symbolic links (core.symlinks=false, some zip programs) leaves files that only hold a path.
links:
	@for name in $(LINKS); do
	  if [ ! -L energybench/$$name ]; then
	    echo "energybench/$$name is no symbolic link, so energybench cannot be imported. Remedy:" >&2
	    echo "  git config core.symlinks true && git checkout -- energybench/probes energybench/workloads energybench/reports" >&2
	    exit 1
	  fi
	done

# Order-only: looked at on every run, and never a reason to install again.
$(STAMP): pyproject.toml constraints.txt | links
	@want=$$(cat pyproject.toml constraints.txt | cksum; pwd)
	if [ -f $@ ] && [ "$$(cat $@)" = "$$want" ]; then touch $@; exit 0; fi
	# The scripts of a virtual environment name the folder they were made in: one that was moved is made anew.
	if [ -f $@ ] && [ "$$(tail -n 1 $@)" != "$$(pwd)" ]; then rm -rf $(VENV); fi
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
	  echo "$(PYTHON) is missing or older than 3.11. Remedy: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || {
	  echo "no virtual environment could be made. Remedy on Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	echo "installing into $(VENV), once; it takes some minutes: pip …"
	$(PIP) install -c constraints.txt pip
	# That index has PyTorch alone in the right version; what PyTorch needs comes with the rest.
	[ -z "$(TORCH_INDEX)" ] || $(PIP) install --no-deps --index-url "$(TORCH_INDEX)" "$$(grep '^torch==' constraints.txt)"
	echo "… torch and everything else, a gigabyte or more …"
	$(PIP) install -c constraints.txt -e '.[workloads]' --group dev
	echo "$$want" > $@
