"""What a change reruns: the jobs that a dry run plans after a finished run (docs/reruns.md)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_project import ROOT, RUN, Project

pytestmark = pytest.mark.workflow


@contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    before = path.read_text()
    try:
        path.write_text(text)
        yield
    finally:
        path.write_text(before)


def test_second_run_does_nothing(project: Project) -> None:
    assert "Nothing to be done" in project.snakemake()


def test_changed_test_set_reruns_its_own_evaluation_alone(project: Project) -> None:
    path = project.folder / "data/NER/film/test.json"
    with changed(path, json.dumps(json.loads(path.read_text())[1:])):
        assert project.planned() == {
            "normalize": 1, "test_queries": 1, "retrieve": 2, "infer_zero_shot": 1, "infer": 2,
            "evaluate": 3, "table": 1,
        }  # fmt: skip
    # the same bytes again, though newer: nothing to do
    assert project.planned() == {}


def test_a_touched_input_reruns_nothing(project: Project) -> None:
    for path in ("data/NER/news/train.json", "data/NER/film/labels.json", "ruie/evaluate.py"):
        os.utime(project.folder / path)
    assert project.planned() == {}


def test_changed_labels_rerun_what_shows_them(project: Project) -> None:
    path = project.folder / "data/NER/film/labels.json"
    with changed(path, json.dumps([*json.loads(path.read_text()), "studio"])):
        planned = project.planned()
    # both splits of film, so the pool; nothing that was trained on
    assert planned["normalize"] == 2
    assert planned["pool"] == 1
    assert not {"candidates", "score", "train_reward", "train_retriever"} & set(planned)


def test_added_baseline_trains_and_scores_nothing(project: Project) -> None:
    planned = project.planned(changes={"evaluation": {"systems": ["bm25", "ruie", "bm25_task"]}})
    # one index for the new range; 2 datasets, one system more
    assert planned == {"bm25_index": 1, "retrieve": 2, "infer": 2, "evaluate": 2, "table": 2}


def test_changed_k_reruns_inference_alone(project: Project) -> None:
    # 2 systems x 2 datasets; zero-shot stays
    expected = {"infer": 4, "evaluate": 4, "table": 2}
    assert project.planned(changes={"evaluation": {"k": [1]}}) == expected


def test_what_changes_the_speed_alone_reruns_nothing(project: Project) -> None:
    for section, values in {
        "scoring": {"batch_tokens": 64, "cache_mb": 99},
        "training": {"save_every": 1},
        "inference": {"engine": "own", "concurrency": 2, "tries": 1},
    }.items():
        assert project.planned(changes={section: values}) == {}, section
    assert project.planned("--cores", "1") == {}


def test_changed_alpha_retrains_the_retriever_alone(project: Project) -> None:
    planned = project.planned(changes={"retriever": {"alpha": 0.5}})
    assert planned == {
        "train_retriever": 1, "encode": 1, "retrieve": 2, "infer": 2, "evaluate": 2, "table": 2,
    }  # fmt: skip


#: What follows when the retriever is another one: 2 datasets, one system at one k.
RETRIEVER = {"encode": 1, "retrieve": 2, "infer": 2, "evaluate": 2, "table": 2}
TRAINING = {"train_reward": 1, "score_reward": 1, "train_retriever": 1, **RETRIEVER}


def test_changed_scoring_llm_scores_and_trains_anew(project: Project) -> None:
    with other_model(project) as models:
        planned = project.planned(changes={**models, "scoring": {"llm": "other-lm"}})
    # BM25, its candidates and what does not hang on the training stay
    assert planned == {"plan": 1, "score": 2, "gather": 1, **TRAINING}


@pytest.mark.parametrize("llms", [["other-lm"], ["tiny-lm", "other-lm"]])
def test_another_llm_for_inference_answers_and_no_more(project: Project, llms: list[str]) -> None:
    """Alone or beside the first, whose answers stay: 2 systems and zero-shot x 2 datasets."""
    with other_model(project) as models:
        planned = project.planned(changes={**models, "evaluation": {"llms": llms}})
    assert planned == {"infer_zero_shot": 2, "infer": 4, "evaluate": 6, "table": 2}


@contextmanager
def other_model(project: Project) -> Iterator[dict]:
    folder = project.folder / "other lm"
    shutil.copytree(project.folder / "tiny lm", folder)
    try:
        yield {"models": {"other-lm": {"path": folder.name, "dtype": "float32"}}}
    finally:
        shutil.rmtree(folder)


def test_changed_reward_trains_anew_and_scores_nothing(project: Project) -> None:
    assert project.planned(changes={"reward": {"steps": 3}}) == TRAINING


def test_an_ablation_trains_what_it_lacks(project: Project) -> None:
    """Table 6: a reward of its own without keywords, the LLM's scores or none without a reward."""
    systems = ["bm25", "ruie", "ruie_no_keywords", "ruie_no_reward", "ruie_no_distill"]
    planned = project.planned(changes={"evaluation": {"systems": systems}})
    assert planned == {
        "train_reward": 1, "score_reward": 1, "train_retriever": 3, "encode": 3, "retrieve": 6,
        "infer": 6, "evaluate": 6, "table": 2,
    }  # fmt: skip


def test_another_number_of_shards_computes_no_score(project: Project) -> None:
    """The shards are made again from the store. What follows them is planned in the same run; where
    the scores are asked for first they come out the same, and nothing follows."""
    target, changes = f"{RUN}/scores/tiny-lm.parquet", {"scoring": {"shards": 3}}
    before = (project.folder / target).read_bytes()
    assert project.planned(changes=changes) == {"score": 3, "gather": 1, **TRAINING}
    project.snakemake(target, changes=changes)
    logs = sorted((project.folder / RUN / "logs/score").glob("tiny-lm-*.log"))
    assert len(logs) == 3
    assert all("all in the store" in log.read_text() for log in logs)
    assert (project.folder / target).read_bytes() == before
    assert project.planned(changes=changes) == {}
    project.snakemake(target)


def test_an_added_dataset_is_normalised_and_asked(project: Project) -> None:
    """Held in and trained on like the others: a new pool, so all that retrieves from it."""
    source = next((ROOT / "workflow/datasets/demo").glob("*/history"))
    folder = project.folder / "data" / source.parent.name / source.name
    shutil.copytree(source, folder)
    try:
        include = ["news", "careers", "film", "history"]
        planned = project.planned(changes={"datasets": {"include": include}})
    finally:
        shutil.rmtree(folder)
    print(planned)
    assert planned["normalize"] == 2


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("evaluate", {"evaluate": 6, "table": 2}),
        # expensive stages have a version, which changes when results would
        ("infer", {}),
        ("lm", {}),
        ("trainer", {}),
    ],
)
def test_changed_code_of_a_stage(project: Project, module: str, expected: dict) -> None:
    path = project.folder / f"ruie/{module}.py"
    with changed(path, path.read_text() + "\n# changed\n"):
        assert project.planned() == expected


def test_a_new_version_of_an_expensive_stage_reruns_it(project: Project) -> None:
    path = project.folder / "workflow/rules/inference.smk"
    with changed(path, path.read_text().replace("infer-1", "infer-2")):
        assert project.planned() == {
            "infer_zero_shot": 2, "infer": 4, "evaluate": 6, "table": 2,
        }  # fmt: skip
