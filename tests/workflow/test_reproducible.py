"""The same bytes from scratch: from an undisturbed run and from one that is always killed."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import runs
from tiny_project import RUN, TABLES, Project

from ruie import stamp

pytestmark = pytest.mark.workflow

#: Each stage, by a log that it writes while it runs.
STAGES = {
    "normalize": "normalize/film-test.log",
    "bm25_index": "bm25_index/training_pool-mixed.log",
    "candidates": "candidates.log",
    "score": "score/tiny-lm-0-of-2.log",
    "train_reward": "train_reward/keywords.log",
    "score_reward": "score_reward/keywords.log",
    "train_retriever": "train_retriever/ruie.log",
    "encode": "encode/ruie.log",
    "retrieve": "retrieve/ruie/film.log",
    "infer": "infer/ruie/tiny-lm/k2/film.log",
    "evaluate": "evaluate/ruie/tiny-lm/k2/film.log",
    "table": "table/heldout.log",
}


def test_every_table_of_a_run_carries_what_made_it(project: Project) -> None:
    for path in project.folder.glob(f"{RUN}/**/*.parquet"):
        said = stamp.read(pq.read_metadata(path).metadata)
        assert said["versions"]["ruie"], path
    table = stamp.read(pq.read_metadata(project.folder / TABLES[0]).metadata)
    # what answered, what was retrieved with, and what taught that
    assert set(table["models"]) == {
        "tiny lm",
        "tiny encoder",
        f"{RUN}/retriever/ruie/model",
        f"{RUN}/reward/keywords/model",
    }
    config = (project.folder / RUN / "config.json").read_bytes()
    assert table["config"] == hashlib.sha256(config).hexdigest()


def killed_in(project: Project, log: Path, draw: random.Random) -> bool:
    """Kill Snakemake and all its jobs up to 2 s after a stage has begun; False where the run ended
    before."""
    with runs.started(project, *TABLES) as running:
        began = time.monotonic()
        while not log.exists():
            if running.poll() is not None:
                return False
            assert time.monotonic() - began < 300, f"{log} is never written"
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 2))
    return True


@pytest.mark.long
def test_killed_in_every_stage_the_run_ends_the_same(project: Project, tmp_path: Path) -> None:
    disturbed = Project(tmp_path)
    draw = random.Random(0)
    for stage, log in STAGES.items():
        assert killed_in(disturbed, tmp_path / RUN / "logs" / log, draw), stage
        disturbed.snakemake("--unlock")
    disturbed.snakemake()
    assert runs.differing(runs.tables(project.folder), runs.tables(tmp_path)) == []
