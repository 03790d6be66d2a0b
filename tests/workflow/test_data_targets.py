"""The targets `statistics` and `validation` on two demo datasets; no model takes part."""

from __future__ import annotations

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
    for name in ("workflow", "ruie", "profiles"):
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
    overlap = pd.read_parquet(run / "overlap.parquet").set_index("dataset")
    assert overlap.held_out.to_dict() == {"careers": False, "film": True}
    page = (run / "validation.md").read_text()
    assert (run / "statistics.md").read_text() in page
