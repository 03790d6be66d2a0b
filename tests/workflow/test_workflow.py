"""The workflow on a reduced demo: real BM25, tiny language model and encoders made on the fly.

One run from nothing, then dry runs that read which jobs a change would plan.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
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

pytestmark = pytest.mark.workflow


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
        for name in ("workflow", "ruie", "profiles"):
            ignored = shutil.ignore_patterns("__pycache__", "demo") if name == "ruie" else None
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for name in DATASETS:
            source = next((ROOT / "workflow/datasets/demo").glob(f"*/{name}"))
            shutil.copytree(source, folder / "data" / source.parent.name / name)
        causal(folder / "tiny lm", "llama")  # a space, which must not break a command
        encoder(folder / "tiny encoder")

    def snakemake(self, *arguments: str, changes: dict | None = None, fails: bool = False) -> str:
        """Run Snakemake under the overrides and ``changes``; what it printed."""
        config = merged(yaml.safe_load((ROOT / "workflow/demo.yaml").read_text()), OVERRIDES)
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(merged(config, changes or {})))
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *arguments,
             "--configfile", "tiny.yaml"],
            cwd=self.folder, text=True, capture_output=True, timeout=600,
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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"))
    made.printed = made.snakemake()
    return made


def test_run_ends_with_tables_and_report(project: Project) -> None:
    heldout, heldin = (pd.read_parquet(project.folder / path) for path in TABLES)
    assert list(heldout.columns) == [
        "system", "llm", "k", "task", "dataset", "scorer", "held_out", "n", "precision", "recall",
        "f1", "f1_low", "f1_high",
    ]  # fmt: skip
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


def test_changed_test_set_reruns_its_own_evaluation_alone(project: Project) -> None:
    path = project.folder / "data/NER/film/test.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(before)[1:]))
        assert project.planned() == {
            "normalize": 1, "test_queries": 1, "retrieve": 2, "infer_zero_shot": 1, "infer": 2,
            "evaluate": 3, "table": 1,
        }  # fmt: skip
    finally:
        path.write_text(before)
    # the same bytes again, though newer: nothing to do
    assert project.planned() == {}


def test_changed_labels_rerun_what_shows_them(project: Project) -> None:
    path = project.folder / "data/NER/film/labels.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps([*json.loads(before), "studio"]))
        # both splits of film, so the pool; nothing that was trained on
        planned = project.planned()
        assert planned["normalize"] == 2
        assert planned["pool"] == 1
        assert not {"candidates", "score", "train_reward", "train_retriever"} & set(planned)
    finally:
        path.write_text(before)


def test_added_baseline_trains_and_scores_nothing(project: Project) -> None:
    planned = project.planned(changes={"evaluation": {"systems": ["bm25", "ruie", "bm25_task"]}})
    # one index for the new range; 2 datasets, one system more
    assert planned == {"bm25_index": 1, "retrieve": 2, "infer": 2, "evaluate": 2, "table": 2}


def test_changed_k_reruns_inference_alone(project: Project) -> None:
    # 2 systems x 2 datasets; zero-shot stays
    expected = {"infer": 4, "evaluate": 4, "table": 2}
    assert project.planned(changes={"evaluation": {"k": [1]}}) == expected


def test_changed_speed_settings_rerun_nothing(project: Project) -> None:
    assert project.planned(changes={"scoring": {"batch_tokens": 64}}) == {}
    assert project.planned("--cores", "1") == {}


def test_changed_alpha_retrains_the_retriever_alone(project: Project) -> None:
    planned = project.planned(changes={"retriever": {"alpha": 0.5}})
    assert planned == {
        "train_retriever": 1, "encode": 1, "retrieve": 2, "infer": 2, "evaluate": 2, "table": 2,
    }  # fmt: skip


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
        "compare",
        "errors", "provenance",
        "report",
    }  # fmt: skip
    for stage, words in commands:
        importlib.import_module(f"ruie.{stage}").parser().parse_args(shlex.split(words))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scoring": {"shard": 4}}, r"config: scoring: .*'shard' was unexpected.*schema"),
        ({"reward": {"steps": 0}}, r"config: reward\.steps: 0 is less than the minimum"),
        ({"datasets": {"root": "nowhere"}}, r"nowhere/NER/news: no such data folder.*root"),
        ({"datasets": {"include": ["fim"]}}, r"datasets\.include: \['fim'\] are not in"),
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
