"""`snakemake chain` on the reduced demo: every link, two learning curves, and answers from them."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from tiny_project import RUN, Project

from ruie import plan

CHANGES = {
    "systems": {
        "oracle": {"retriever": "chain", "ranking": "llm"},
        "picked": {"retriever": "chain", "ranking": "retriever/ruie@q2-c4"},
    },
    "chain": {
        "datasets": "all",
        "queries_per_dataset": 3,
        "candidates": [4, 6],
        "k": [1, 2],
        "curves": [{"queries": 2, "candidates": 4}, {"queries": 4, "candidates": 6}],
    },
    "scoring": {"shards": 1},
    "evaluation": {"systems": ["ruie", "oracle", "picked"], "zero_shot": False},
}

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("chain"))


def test_flags_are_what_each_stage_reads(project: Project) -> None:
    printed = project.snakemake("chain", "-n", "-p", changes=CHANGES)
    found = {}
    for stage, words in re.findall(r"python -m ruie\.(\w+) (.*?)(?: > | &&|\) )", printed):
        parser = importlib.import_module(f"ruie.{stage}").parser()
        found.setdefault(stage, []).append(parser.parse_args(shlex.split(words)))
    (chain,) = found["chain"]
    assert [name for name, _ in chain.retriever] == [
        "retriever/ruie", "retriever/ruie@q2-c4", "retriever/ruie@q4-c6",
    ]  # fmt: skip
    assert {(s.limit, s.sample) for s in found["subset"]} == {(2, 4), (4, 6)}
    # the same draw as in the training's plan, of the most candidates
    assert {(p.sample, p.zero_shot) for p in found["plan"]} == {
        (None, False), (6, False), (None, True),
    }  # fmt: skip
    # a reward model and its curves on the training's pairs and on these
    assert {(Path(r.scores).parts[-2], Path(r.out).parent.name) for r in found["score_reward"]} == {
        ("scores", "rewards"), ("q2-c4", "rewards"), ("q4-c6", "rewards"), ("scores", "q2-c4"),
        ("scores", "q4-c6"),
    }  # fmt: skip
    assert not {"infer", "evaluate"} & set(found)


def test_what_stands_before_the_candidate(project: Project) -> None:
    # of the training's scores and the chain's; those without a demonstration have none before
    for number in (0, 2):
        changes = {**CHANGES, "scoring": {"shards": 1, "context": number}}
        printed = project.snakemake("chain", "-n", "-p", changes=changes)
        found = re.findall(r"python -m ruie\.plan (.*?)(?: > | &&)", printed)
        plans = [plan.parser().parse_args(shlex.split(words)) for words in found]
        assert sorted((p.zero_shot, p.context) for p in plans) == [
            (False, number), (False, number), (True, 0),
        ]  # fmt: skip


@pytest.mark.long
def test_run(project: Project) -> None:
    targets = ["chain", f"{RUN}/tables/heldout.parquet"]
    project.snakemake(*targets, changes=CHANGES)
    rows = pd.read_parquet(project.folder / RUN / "chain.parquet")
    assert set(rows.ranking) == {
        "zero_shot", "llm", "BM25", "untrained", "random", "chance",
        *(f"{name}{size}" for name in ("reward/keywords", "retriever/ruie")
          for size in ("", "@q2-c4", "@q4-c6")),
    }  # fmt: skip
    assert set(zip(rows.held_out, rows.dataset, rows.n, rows.split, strict=True)) == {
        (True, "all", 3, "test"), (True, "film", 3, "test"),
        (False, "all", 3, "test"), (False, "careers", 3, "test"),
    }  # fmt: skip
    # all training queries with all their candidates: the very models of the run
    value = rows.set_index(["ranking", "measure", "k", "candidates", "dataset", "held_out"]).value
    for name in ("reward/keywords", "retriever/ruie"):
        assert value[f"{name}@q4-c6"].equals(value[name])
    # nothing is better than the LLM's own choice
    assert (rows[rows.measure == "regret"].value >= -1e-12).all()
    # the answers were given with the first two of the ranking
    shown = pd.read_parquet(project.folder / RUN / "predictions/oracle/tiny-lm/k2/film.parquet")
    best = pd.read_parquet(project.folder / RUN / "chain/test/scores/tiny-lm.parquet")
    for query, demonstrations in zip(shown.query_id, shown.demonstrations, strict=True):
        mine = best[best.query_id == query].sort_values("score", ascending=False)
        assert list(demonstrations) == list(mine.demonstration_id[:2])[::-1]
    heldout = pd.read_parquet(project.folder / targets[1])
    assert set(heldout.system) == {"ruie", "oracle", "picked"}
    assert "Nothing to be done" in project.snakemake(*targets, "-n", changes=CHANGES)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chain": {"datasets": []}}, r"evaluation\.systems: oracle has no ranking for the test"),
        ({"chain": {"datasets": ["fim"]}}, r"chain\.datasets: 'fim' is no dataset"),
        ({"chain": {"split": "dev"}}, r"oracle has no ranking .* any dataset; set .*split: test"),
        ({"chain": {"queries_per_dataset": 2}}, r"oracle has rankings for chain\.queries_per_data"),
        ({"chain": {"candidates": [1]}}, r"config: chain\.candidates\.0: 1 is less than"),
        ({"evaluation": {"k": [7]}}, r"evaluation\.k: 7 demonstrations of 6 chain\.candidates"),
        ({"chain": {"curves": []}}, r"systems\.picked\.ranking: no such ranking"),
        (
            {"chain": {"curves": [{"queries": 2, "candidates": 3}]}},
            r"chain\.curves: 3 candidates are not between the positives, 3, and the 6",
        ),
        (
            {"chain": {"curves": [{"queries": 5, "candidates": 6}]}},
            r"chain\.curves: 5 queries are more than the 4 of candidates",
        ),
        ({"retriever": {"ranked_by": "reward"}}, r"chain\.curves: retriever\.ranked_by: reward"),
    ],
)
def test_config_faults_are_one_line(project: Project, changes: dict, says: str) -> None:
    changes = {**CHANGES, **{k: {**CHANGES.get(k, {}), **v} for k, v in changes.items()}}
    assert re.search(says, project.snakemake("-n", changes=changes, fails=True))


def test_it_is_off_by_default(project: Project) -> None:
    printed = project.snakemake("chain", "-n", fails=True)
    assert "chain.datasets: names no dataset" in printed
    assert "chain" not in project.planned()
