"""A small run of the workflow in a folder of its own: real BM25, tiny models made on the fly."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from tiny import causal, encoder

ROOT = Path(__file__).parents[2]
RUN = "results/tiny"
TABLES = [f"{RUN}/tables/heldout.parquet", f"{RUN}/tables/heldin.parquet"]
#: film is held out, careers held in; news is trained on and never asked about.
DATASETS = ["news", "careers", "film"]
OVERRIDES = {
    "run": "tiny",
    "datasets": {"root": "data", "include": DATASETS},
    "models": {
        "tiny-lm": {"path": "tiny lm", "dtype": "float32"},
        "tiny-encoder": {"path": "tiny encoder"},
    },
    "candidates": {"queries_per_dataset": 4, "k": 6},
    "scoring": {"llm": "tiny-lm", "shards": 2},
    "reward": {"model": "tiny-encoder", "steps": 2, "batch_size": 2, "last": 3, "negatives": 2},
    "retriever": {"model": "tiny-encoder", "steps": 2, "batch_size": 2, "last": 3, "negatives": 2},
    "inference": {"backend": "transformers", "max_new": 8},
    "evaluation": {
        "held_in": ["careers"],
        "queries_per_dataset": 3,
        "systems": ["bm25", "ruie"],
        "llms": ["tiny-lm"],
        "k": [2],
    },
}


def merged(base: dict, changes: dict) -> dict:
    out = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if nested else value
    return out


class Project:
    """A copy of the workflow in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("workflow", "ruie", "envs", "profiles"):
            ignored = shutil.ignore_patterns("__pycache__", "demo") if name == "ruie" else None
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for name in DATASETS:
            source = next((ROOT / "workflow/datasets/demo").glob(f"*/{name}"))
            shutil.copytree(source, folder / "data" / source.parent.name / name)
        causal(folder / "tiny lm", "llama")  # a space, which must not break a command
        encoder(folder / "tiny encoder")

    def command(self, *arguments: str, changes: dict | None = None) -> list[str]:
        """A call of Snakemake under the overrides and ``changes``."""
        config = merged(yaml.safe_load((ROOT / "workflow/demo.yaml").read_text()), OVERRIDES)
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(merged(config, changes or {})))
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments,
                "--configfile", "tiny.yaml"]  # fmt: skip

    def snakemake(self, *arguments: str, changes: dict | None = None, fails: bool = False) -> str:
        """Run Snakemake under the overrides and ``changes``; what it printed."""
        done = subprocess.run(
            self.command(*arguments, changes=changes),
            cwd=self.folder, text=True, capture_output=True, timeout=1800,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, printed[-6000:]
        return printed

    def planned(self, *arguments: str, changes: dict | None = None) -> dict[str, int]:
        """Rule -> number of jobs that a dry run of the tables plans."""
        printed = self.snakemake(*TABLES, "-n", *arguments, changes=changes)
        if "Nothing to be done" in printed:
            return {}
        stats = printed.split("Job stats:")[1].split("\ntotal")[0]
        return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", stats, re.M)}
