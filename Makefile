# make demo | test | test-long | test-serve | test-cluster | check | bench-score | bench-train | bench-search | bench-dag | clean-env; see README.md
CORES ?= $(shell nproc 2>/dev/null || echo 2)
PYTHON ?= python3
VENV ?= .venv
# vLLM's CUDA build where an NVIDIA driver answers, its CPU build elsewhere; set it to choose
ACCELERATOR ?= $(shell nvidia-smi -L > /dev/null 2>&1 && echo cuda || echo cpu)
# what workflow/datasets/ie_sample.yaml names, for the benchmarks
DATA ?= data/ie
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
DONE := $(VENV)/.installed-$(ACCELERATOR)
export PATH := $(abspath $(BIN)):$(PATH)
# pip compiles nothing (--no-compile saves a minute): what is imported is compiled at its first
# import, which must be kept even where the machine says otherwise, or every job compiles it again
export PYTHONDONTWRITEBYTECODE :=

.PHONY: env demo test test-long test-serve test-cluster check bench-score bench-train bench-search bench-dag clean-env

env: $(DONE)

$(DONE): envs/lock.txt envs/vllm-$(ACCELERATOR).txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than Python 3.11; set PYTHON=python3.11 or later"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@# the lock names every package, so its parts can be unpacked side by side
	grep -v '^#' envs/lock.txt | tr '\n' '\0' | xargs -0 -P $(CORES) -n 70 $(PIP) --no-deps
	@# what torch was built with decides what it needs beside the lock: CUDA's libraries, or nothing
	$(PIP) -c envs/lock.txt torch
	$(PIP) $(if $(filter cpu,$(ACCELERATOR)),--no-deps,) -r envs/vllm-$(ACCELERATOR).txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: env
	snakemake --cores $(CORES) --configfile workflow/demo.yaml
	@python -m ruie.report --print results/demo/tables/heldin.parquet results/demo/tables/heldout.parquet \
	  --usage results/demo/tables/usage.parquet --html results/demo/report.html

test: env
	python -m pytest

# whole runs of what is off by default: the chain, and a second round
test-long: env
	python -m pytest -m long

# against a real vLLM server on loopback
test-serve: env
	python -m pytest -m serve

# the workflow through a SLURM of one node that the tests start and stop themselves
test-cluster: env
	sh tests/cluster/install.sh
	python -m pytest tests/cluster -m cluster -rs

check: env
	ruff check . && ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint --configfile workflow/demo.yaml
	mypy

bench-score: env
	snakemake results/bench/candidates.parquet models/gemma-3-270m --cores $(CORES) \
	  --configfile workflow/demo.yaml workflow/studies/bench.yaml --config 'datasets={root: $(DATA)}'
	python benchmarks/score.py --run results/bench --model models/gemma-3-270m

bench-dag: env
	python benchmarks/dag.py
	python benchmarks/dag.py --k 2 4 8 12 16 --llms 1
	python benchmarks/dag.py --k 2 4 8 12 16

bench-train: env
	snakemake results/bench/candidates.parquet models/minilm --cores $(CORES) \
	  --configfile workflow/demo.yaml workflow/studies/bench.yaml --config 'datasets={root: $(DATA)}'
	python benchmarks/train.py --run results/bench --model models/minilm

bench-search: env
	$(PIP) --no-deps -r envs/bench.txt
	snakemake models/minilm --cores $(CORES) --configfile workflow/demo.yaml
	python benchmarks/search.py --model models/minilm --data $(DATA)

clean-env:
	rm -rf $(VENV)
