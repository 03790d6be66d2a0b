# make demo | test | check | clean-env; see README.md
CORES ?= $(shell nproc 2>/dev/null || echo 2)
PYTHON ?= python3
VENV ?= .venv
# vLLM's CUDA build where an NVIDIA driver answers, its CPU build elsewhere; set it to choose
ACCELERATOR ?= $(shell nvidia-smi -L > /dev/null 2>&1 && echo cuda || echo cpu)
BIN := $(VENV)/bin
DONE := $(VENV)/.installed-$(ACCELERATOR)
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: env demo test check clean-env

env: $(DONE)

$(DONE): envs/lock.txt envs/vllm-$(ACCELERATOR).txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than Python 3.11; set PYTHON=python3.11 or later"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r envs/lock.txt
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check \
	  $(if $(filter cpu,$(ACCELERATOR)),--no-deps,) -r envs/vllm-$(ACCELERATOR).txt
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: env
	snakemake --cores $(CORES) --configfile workflow/demo.yaml
	@python -m ruie.report --print results/demo/tables/heldin.parquet results/demo/tables/heldout.parquet \
	  --html results/demo/report.html

test: env
	python -m pytest

check: env
	ruff check . && ruff format --check .
	snakefmt --check Snakefile workflow
	mypy

clean-env:
	rm -rf $(VENV)
