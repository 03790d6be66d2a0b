"""`snakemake --lint` has nothing to say; with `--sdm conda` a job runs in its rule's environment.

Conda itself is not there: a script in its place says what Snakemake asks it, and makes environments
whose ``python`` is this one, but says where it was started.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
#: With the rules that are there on demand: a further round, labels in the index, BM25's first, the
#: chain.
EVERYTHING = {
    "systems": {
        "bm25_labels": {"retriever": "bm25", "range": "mixed", "schema_text": "both"},
        "second": {
            "retriever": "trained", "range": "mixed", "keywords": True, "reward": True,
            "distill": True, "candidates": "ruie",
        },
        "ruie": {"bm25_first": 30},
    },
    "evaluation": {"systems": ["bm25", "bm25_labels", "ruie", "second"]},
    "chain": {"datasets": "all"},
}  # fmt: skip
CONDA = """#!/bin/sh
case "$*" in
  "info --json") echo '{"conda_prefix": "@BASE@", "platform": "linux-64"}' ;;
  --version) echo "conda 25.1.0" ;;
  "config --get channel_priority --json") echo '{"get": {"channel_priority": "strict"}}' ;;
  "clean "*) ;;
  "env create "*)
    for word; do last=$word; done
    mkdir -p "$last/bin"
    cp @BASE@/bin/started-python "$last/bin/python" ;;
  *) echo "conda $*: not thought of" >&2; exit 1 ;;
esac
"""
PYTHON = """#!/bin/sh
echo "$CONDA_PREFIX $PYTHONPATH" >> @BASE@/started
exec @PYTHON@ "$@"
"""
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'

pytestmark = pytest.mark.workflow


def snakemake(folder: Path, *words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *words],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_lint_has_nothing_to_say(tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump(EVERYTHING))
    printed = snakemake(ROOT, "--lint", "--configfile", "workflow/demo.yaml", str(more))
    assert "Lints for" not in printed
    assert "your workflow is in a good condition" in printed


def test_a_job_runs_in_the_environment_of_its_rule(tmp_path: Path) -> None:
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("workflow", "ruie", "envs", "profiles"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    base = tmp_path / "base"
    (base / "bin").mkdir(parents=True)
    for name, text in {"conda": CONDA, "started-python": PYTHON, "activate": ACTIVATE}.items():
        script = text.replace("@PYTHON@", shlex.quote(sys.executable)).replace("@BASE@", str(base))
        (base / "bin" / name).write_text(script)
        (base / "bin" / name).chmod(0o755)
    words = [
        "results/demo/data/film/test.parquet",
        "--cores",
        "2",
        "--configfile",
        "workflow/demo.yaml",
    ]
    path = f"{base / 'bin'}:{os.environ['PATH']}"
    snakemake(tmp_path, *words, "--sdm", "conda", PATH=path, PYTHONPATH="")
    started = set((base / "started").read_text().splitlines())
    (made,) = (tmp_path / ".snakemake/conda").glob("*.yaml")
    assert made.read_bytes() == (ROOT / "envs/workflow.yaml").read_bytes()
    # its packages are the environment's, and `ruie` is this folder's
    assert started == {f"{made.with_suffix('')} {tmp_path}"}
    # the ordinary way takes the results as they are, and needs no conda
    assert "Nothing to be done" in snakemake(tmp_path, *words, "-n")
