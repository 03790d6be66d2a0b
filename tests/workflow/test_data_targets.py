"""The targets `statistics` and `validation` on two demo datasets; no model takes part."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
#: careers is held in, film held out.
DATASETS = ["careers", "film"]

pytestmark = pytest.mark.workflow


def test_validation_of_a_run(tmp_path: Path) -> None:
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("workflow", "ruie", "envs", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name)
    config = yaml.safe_load((ROOT / "workflow/demo.yaml").read_text())
    config["datasets"]["include"] = DATASETS
    config["evaluation"]["held_in"] = ["careers"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "statistics", "validation",
         "--configfile", "own.yaml"],
        cwd=tmp_path, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run = tmp_path / "results/demo"
    found = pd.read_parquet(run / "validation.parquet")
    splits = [(name, split) for name in DATASETS for split in ("train", "test")]
    assert sorted(zip(found.dataset, found.split, strict=True)) == sorted(splits)
    assert (found.records == found.instances + found.left_out).all()
    assert (found.bad == 0).all()
    statistics = pd.read_parquet(run / "statistics.parquet").set_index(["dataset", "what"]).ours
    sizes = found.set_index(["dataset", "split"]).instances
    assert all(statistics[key] == sizes[key] for key in splits)
    overlap = pd.read_parquet(run / "overlap.parquet")
    overlap = overlap[overlap.found_in.isna()]
    # film's training set is in the pool alone
    assert sorted(zip(overlap.dataset, overlap.held_out, overlap.use, strict=True)) == [
        (name, held_out, use)
        for name, held_out in (("careers", False), ("film", True))
        for use in ("demonstrations", "training")
    ]
    page = (run / "validation.md").read_text()
    assert re.search(r"\| film \| held out \| \d+ \| demonstrations \| all \|", page)
    assert (run / "statistics.md").read_text() in page


def test_what_a_format_reads_beside_its_files_is_an_input(tmp_path: Path) -> None:
    """CASIE's source texts and SpERT's types, in a dry run; and a model's path with a space."""
    shutil.copy(ROOT / "Snakefile", tmp_path)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    for name in ("workflow", "ruie", "envs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    news = {"annotation/train/1.json", "annotation/test/2.json", "source/1.txt", "source/2.txt"}
    people = {"my_train.json", "my_test.json", "my_types.json"}
    files = {f"d/news/{name}" for name in news} | {f"d/people/{name}" for name in people}
    for name in (*files, "a model/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    common = {"held_out": False, "train": True, "evaluate": True, "repair": False}
    rows = [
        {"name": "news", "task": "EET", "path": "d/news", "format": "casie", **common},
        {"name": "people", "task": "RE", "path": "d/people", "format": "spert", **common},
    ]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"datasets": rows}))
    config = yaml.safe_load((ROOT / "workflow/demo.yaml").read_text())
    config["datasets"] = {"registry": "r.yaml", "root": "."}
    config["evaluation"]["held_in"] = "all"
    config["models"] = {"own": {"path": "a model"}}
    for section in (config["reward"], config["retriever"], config["systems"]["dense"]):
        section["model"] = "own"
    config["scoring"]["llm"], config["evaluation"]["llms"] = "own", ["own"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-p", "evaluation", "--cores", "1",
         "--configfile", "own.yaml"],
        cwd=tmp_path, text=True, capture_output=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = [line.strip() for line in done.stdout.splitlines()]
    inputs = (
        " ".join(line for line in lines if line.startswith("input: ")).replace(",", " ").split()
    )
    assert {name for name in inputs if name.startswith("d/")} == files
    # whatever takes a model: training, scoring, the encoder of `dense`, and the answers
    named = [line for line in lines if "-m ruie." in line and "a model" in line]
    stages = {line.split("-m ruie.")[1].split()[0] for line in named}
    assert stages == {
        "plan", "score", "train_reward", "train_retriever", "encode", "retrieve", "infer",
    }  # fmt: skip
    assert all("--model 'a model'" in line for line in named)
