"""The workflow on a reduced demo, from nothing, and what it says of faults before any work."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from tiny_project import ROOT, RUN, TABLES, Project

pytestmark = pytest.mark.workflow


def test_run_ends_with_tables_and_report(project: Project) -> None:
    heldout, heldin = (pd.read_parquet(project.folder / path) for path in TABLES)
    assert list(heldout.columns) == [
        "system", "llm", "k", "task", "dataset", "range", "scorer", "held_out", "n", "precision",
        "recall", "f1", "f1_low", "f1_high",
    ]  # fmt: skip
    labels = heldout.fillna({"range": "-"}).groupby("system")["range"].unique().map(list)
    assert labels.to_dict() == {"zero_shot": ["-"], "bm25": ["mixed"], "ruie": ["mixed"]}
    # film and its task's average, for zero_shot at k = 0 and two systems at k = 2, by two scorers
    keys = zip(heldout.scorer, heldout.system, heldout.k, heldout.dataset, strict=True)
    assert sorted(keys) == sorted(
        (scorer, system, k, dataset)
        for scorer in ("strict", "soft")
        for system, k in (("zero_shot", 0), ("bm25", 2), ("ruie", 2))
        for dataset in ("film", "average")
    )
    assert (heldout.f1_low <= heldout.f1_high).all()
    assert heldout.held_out.all()
    assert not heldin.held_out.any()
    assert set(heldin.dataset) == {"careers", "average"}
    assert (heldout.n == 3).all()
    # 3 answers to each of two datasets, by three systems
    sums = pd.read_parquet(project.folder / RUN / "tables/usage.parquet")
    assert sums.groupby("system").requests.sum().to_dict() == dict.fromkeys(
        ("zero_shot", "bm25", "ruie"), 6
    )
    assert (sums.prompt_tokens > 0).all()
    # the other two against the trained system, zero-shot at its k
    compared = pd.read_parquet(project.folder / RUN / "tables/heldout_comparisons.parquet")
    assert set(zip(compared.system, compared.k, compared.reference, strict=True)) == {
        ("bm25", 2, "ruie"), ("zero_shot", 2, "ruie"),
    }  # fmt: skip
    # a tenth of the 8 queries is none to hold aside
    assert pd.read_parquet(project.folder / RUN / "learning.parquet").empty
    assert (project.folder / RUN / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_every_pair_was_scored_and_no_query_is_its_own_candidate(project: Project) -> None:
    scores = pd.read_parquet(project.folder / RUN / "scores/tiny-lm.parquet")
    # 2 held-in datasets x 4 queries x 6 candidates
    assert len(scores) == 2 * 4 * 6
    assert (scores.query_id != scores.demonstration_id).all()
    assert (scores.score < 0).all()
    assert set(scores.query_id.str.split("/").str[0]) == {"news", "careers"}


def test_held_out_samples_are_in_the_pool_but_training_never_sees_them(project: Project) -> None:
    def datasets(table: str, column: str) -> set[str]:
        ids = pd.read_parquet(project.folder / RUN / f"{table}.parquet")[column]
        return set(ids.str.split("/").str[0])

    assert datasets("pool", "id") == {"news", "careers", "film"}
    assert datasets("training_pool", "id") == {"news", "careers"}
    assert datasets("candidates", "demonstration_id") <= {"news", "careers"}


def test_second_run_does_nothing(project: Project) -> None:
    assert "Nothing to be done" in project.snakemake()


def test_what_changes_the_speed_alone_reruns_nothing(project: Project) -> None:
    for section, values in {
        "scoring": {"batch_tokens": 64, "cache_mb": 99},
        "training": {"save_every": 1},
        "inference": {"engine": "own", "concurrency": 2, "tries": 1},
    }.items():
        assert project.planned(changes={section: values}) == {}, section
    assert project.planned("--cores", "1") == {}


def test_one_dataset_can_be_evaluated_by_name(project: Project) -> None:
    target = f"{RUN}/metrics/ruie/tiny-lm/k1/film.parquet"
    project.snakemake(target)
    row = pd.read_parquet(project.folder / target).iloc[0]
    assert (row.system, row.llm, row.k, row.dataset, row.n) == ("ruie", "tiny-lm", 1, "film", 3)


def test_rendered_flags_are_what_each_stage_reads() -> None:
    """Every command of the demo's plan passes its own stage's parser."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-p", "--forceall", "--cores", "2",
         "--configfile", "workflow/demo.yaml"],
        cwd=ROOT, text=True, capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    commands = re.findall(
        r"^Shell command: (?:python|accelerate launch) .*?-m ruie\.(\w+) (.*?) > ", printed, re.M
    )
    assert {stage for stage, _ in commands} == {
        "models", "normalize", "sample", "bm25", "retrieve", "plan", "score", "gather",
        "train_reward",
        "score_reward", "train_retriever", "learning", "encode", "infer", "evaluate", "tables",
        "compare", "usage",
        "errors", "provenance",
        "report",
    }  # fmt: skip
    for stage, words in commands:
        importlib.import_module(f"ruie.{stage}").parser().parse_args(shlex.split(words))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"scoring": {"shard": 4}},
            r"'shard' was unexpected\) \(is 'shards' meant\?\); see .*schema",
        ),
        ({"seed": 2**32}, r"config: seed: 4294967296 is greater than the maximum of 4294967295"),
        ({"reward": {"steps": 0}}, r"config: reward\.steps: 0 is less than the minimum"),
        ({"datasets": {"root": "nowhere"}}, r"nowhere/NER/news: no such data folder.*root"),
        ({"datasets": {"include": ["fim"]}}, r"datasets\.include: \['fim'\] are not in"),
        (
            {"evaluation": {"held_in": ["film"]}},
            r"held_in: \['film'\] are no held-in datasets .* evaluated; those are \[",
        ),
        ({"evaluation": {"systems": ["rui"]}}, r"evaluation\.systems: 'rui' is not defined"),
        ({"evaluation": {"k": [17]}}, r"evaluation\.k: \[17\] is above evaluation\.depth, 16"),
        (
            {"datasets": {"include": ["film"]}, "evaluation": {"held_in": []}},
            r"there is no held-in dataset with a training set",
        ),
        ({"evaluation": {"scorers": []}}, r"config: evaluation\.scorers: \[\] should be non-empty"),
        ({"evaluation": {"reference": "e5"}}, r"evaluation\.reference: 'e5' is none of"),
        ({"evaluation": {"llms": []}}, r"config: evaluation\.llms: \[\] should be non-empty"),
        ({"evaluation": {"k": [], "zero_shot": False}}, r"evaluation\.k: names no k"),
        ({"candidates": {"k": 3}}, r"candidates\.k: 3 candidates leave no negative"),
        ({"run": ".."}, r"config: run: '\.\.' does not match"),
        ({"models": {"tiny-lm": {"path": "gone"}}}, r"models\.tiny-lm\.path: gone holds no model"),
    ],
)
def test_config_faults_are_one_line(project: Project, changes: dict, says: str) -> None:
    printed = project.snakemake("-n", changes=changes, fails=True)
    assert re.search(says, printed), printed[-3000:]
    assert "Traceback" not in printed


@pytest.mark.parametrize("kind", ["metrics", "likelihood"])
def test_a_target_asks_for_no_more_than_was_retrieved(project: Project, kind: str) -> None:
    target = f"{RUN}/{kind}/bm25/tiny-lm/k17/film.parquet"
    printed = project.snakemake("-n", target, fails=True)
    assert "k17: above evaluation.depth, 16 demonstrations retrieved" in printed
    project.snakemake("-n", target.replace("k17", "k16"))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("bm26/tiny-lm/k2/film", "no system 'bm26' in this configuration; it has ['bge', 'bm25', "),
        ("bm25/tiny/k2/film", "no LLM 'tiny' in this configuration; it has ['"),
        ("bm25/tiny-lm/k2/movie", "no dataset 'movie' in this configuration; it has ['careers', "),
    ],
)
def test_a_target_names_what_the_run_has(project: Project, target: str, says: str) -> None:
    target = f"{RUN}/metrics/{target}.parquet"
    printed = project.snakemake("-n", target, fails=True)
    assert f"{target}: {says}" in printed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "RE", "format": "bio"}, r"dataset film: \S+ this format holds no RE"),
        ({"options": {"tagg": "2"}}, r"dataset film: \S+ no option 'tagg'"),
        ({"files": {"test": ["test.json"]}}, r"no file of split 'train'"),
        (
            {"files": {"train": ["t*.json"], "test": ["test.json"]}},
            r"dataset film: \S*test\.json: is training and test file",
        ),
        ({"repair": "no"}, r"odd\.yaml:\d+: datasets\.3\.repair: 'no' is not of type 'boolean'"),
        ({"files": {"train": ["/etc/passwd"], "test": ["test.json"]}}, r"must be a name or glob"),
    ],
)
def test_registry_faults_are_one_line_before_the_plan(
    project: Project, change: dict, says: str
) -> None:
    rows = yaml.safe_load((project.folder / "workflow/datasets/demo.yaml").read_text())
    for row in rows["datasets"]:
        if row["name"] == "film":
            row |= change
    (project.folder / "odd.yaml").write_text(yaml.safe_dump(rows))
    printed = project.snakemake("-n", changes={"datasets": {"registry": "odd.yaml"}}, fails=True)
    assert re.search(says, printed), printed[-3000:]
    assert "Traceback" not in printed


def test_bad_record_stops_before_any_long_work(project: Project) -> None:
    path = project.folder / "data/NER/film/test.json"
    before = path.read_text()
    try:
        records = json.loads(before)
        records[2]["entities"] = [{"name": "Nobody", "type": "actor", "pos": [0, 6]}]
        path.write_text(json.dumps(records))
        printed = project.snakemake(changes={"run": "broken", "candidates": {"k": 5}}, fails=True)
        assert re.search(r"error: \S*film/test\.json#2: span not in text: .*correct", printed)
        done = {p.parent.name for p in (project.folder / "results/broken/logs").rglob("*.log")}
        assert not done & {"score", "train_reward", "train_retriever", "infer", "logs"}
    finally:
        path.write_text(before)
