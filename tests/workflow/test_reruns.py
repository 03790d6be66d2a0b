"""What a change reruns: a finished run is made up (every output an empty file, taken as it is by
``--touch``), and a dry run says what it would do after the change. No stage is computed."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RUN = "results/tiny"
TABLES = [f"{RUN}/tables/heldout.parquet", f"{RUN}/tables/heldin.parquet"]
#: careers and film are evaluated, film is held out; the last two are there to be added.
DATASETS = ["news", "careers", "film", "history", "drug_effects"]
CONFIG: dict[str, Any] = {
    "run": "tiny",
    "datasets": {"root": "data", "include": ["news", "careers", "film"]},
    "models": {
        **{name: {"path": f"lms/{name}"} for name in ("scorer", "answerer", "other")},
        "encoder": {"path": "lms/encoder"},
    },
    "scoring": {"llm": "scorer", "shards": 2},
    "reward": {"model": "encoder"},
    "retriever": {"model": "encoder"},
    "evaluation": {
        "held_in": ["careers"],
        "systems": ["bm25", "ruie"],
        "llms": ["answerer"],
        "k": [2],
    },
}
#: What follows new demonstrations, and what follows new preferences.
ANSWERED = {"retrieve", "infer", "evaluate", "table"}
TRAINED = {"train_reward", "score_reward", "train_retriever", "encode"}
SCORED = {"score_plan", "score", "gather"}

pytestmark = pytest.mark.workflow


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if nested else value
    return out


class Project:
    """A copy of the workflow, of its data and of a made-up run, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("workflow", "ruie", "envs", "profiles"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in DATASETS:
            source = next((ROOT / "workflow/datasets/demo").glob(f"*/{name}"))
            shutil.copytree(source, folder / "data" / source.parent.name / name)
        for entry in CONFIG["models"].values():
            (folder / entry["path"]).mkdir(parents=True)
            (folder / entry["path"] / "config.json").write_text("{}")
        for path, _ in self.summary():
            made = folder / path
            if made.suffix:
                made.parent.mkdir(parents=True, exist_ok=True)
                made.touch()
            else:
                made.mkdir(parents=True, exist_ok=True)
        self.snakemake("--touch", "--forceall")

    def snakemake(self, *words: str, changes: dict[str, Any] | None = None) -> str:
        demo = yaml.safe_load((self.folder / "workflow/demo.yaml").read_text())
        config = merged(merged(demo, CONFIG), changes or {})
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(config))
        cores = [] if "--cores" in words else ["--cores", "2"]
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *TABLES, *cores, *words,
             "--configfile", "tiny.yaml"],
            cwd=self.folder, text=True, capture_output=True, timeout=1800,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    def summary(self, *words: str, changes: dict[str, Any] | None = None) -> list[tuple[str, str]]:
        """(output, its rule) of each job that would run."""
        lines = self.snakemake("--summary", *words, changes=changes).splitlines()
        rows = [line.split("\t") for line in lines if line.count("\t") == 5]
        assert rows[0][0] == "output_file", rows[:3]
        return [(row[0], row[2]) for row in rows[1:] if row[5] != "no update"]

    def rerun(self, *words: str, **changes: Any) -> set[str]:
        """The rules of which a job would run."""
        return {rule for _, rule in self.summary(*words, changes=changes)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def edit(project: Project) -> Iterator[Callable[[str, Callable[[str], str]], None]]:
    """Changes a file of the project until the test is over."""
    before: dict[Path, str] = {}

    def change(name: str, how: Callable[[str], str]) -> None:
        path = project.folder / name
        before.setdefault(path, path.read_text())
        path.write_text(how(path.read_text()))

    yield change
    for path, text in before.items():
        path.write_text(text)


def test_a_finished_run_is_finished(project: Project) -> None:
    assert project.rerun() == set()


def test_a_touched_but_unchanged_input_reruns_nothing(project: Project) -> None:
    for split in ("train", "test"):
        (project.folder / f"data/NER/film/{split}.json").touch()
    assert project.rerun() == set()


def test_a_run_that_moves_with_its_folder_reruns_nothing(project: Project, tmp_path: Path) -> None:
    moved = copy.copy(project)
    moved.folder = tmp_path / "elsewhere"
    shutil.copytree(project.folder, moved.folder)  # with all times, as `cp -a`
    assert moved.rerun() == set()


def test_one_test_set_reruns_its_own_evaluation(project: Project, edit: Any) -> None:
    edit("data/NER/film/test.json", lambda text: text + "\n")
    planned = project.summary()
    assert {rule for _, rule in planned} == {
        "normalize", "test_queries", "retrieve", "infer_zero_shot", "infer", "evaluate", "table",
    }  # fmt: skip
    assert all("film" in path for path, rule in planned if rule != "table")
    assert [path for path, rule in planned if rule == "table"] == TABLES[:1]


def test_an_added_held_in_dataset_trains_anew(project: Project) -> None:
    include = [*CONFIG["datasets"]["include"], "drug_effects"]
    planned = project.summary(changes={"datasets": {"include": include}})
    assert {rule for _, rule in planned} == {
        "normalize", "pool", "training_queries", "bm25_index", "candidates", *SCORED, *TRAINED,
        *ANSWERED,
    }  # fmt: skip
    assert {path for path, rule in planned if rule == "normalize"} == {
        f"{RUN}/data/drug_effects/train.parquet",
        f"{RUN}/data/drug_effects/train.report.parquet",
    }


def test_an_added_held_out_dataset_trains_nothing(project: Project) -> None:
    """Its training set is in the pool of demonstrations, so every system searches anew."""
    include = [*CONFIG["datasets"]["include"], "history"]
    planned = project.summary(changes={"datasets": {"include": include}})
    assert {rule for _, rule in planned} == {
        "normalize", "pool", "bm25_index", "encode", "test_queries", "infer_zero_shot", *ANSWERED,
    }  # fmt: skip
    alone = {"normalize", "test_queries", "infer_zero_shot"}
    assert all("history" in path for path, rule in planned if rule in alone)
    assert {path for path, rule in planned if rule in ("pool", "bm25_index")} == {
        f"{RUN}/pool.parquet", f"{RUN}/bm25/pool/mixed",
    }  # fmt: skip


def test_k_reruns_answers(project: Project) -> None:
    planned = project.summary(changes={"evaluation": {"k": [1]}})
    assert {rule for _, rule in planned} == {"infer", "evaluate", "table"}
    assert all("/k1/" in path for path, rule in planned if rule != "table")


def test_a_further_k_leaves_the_others(project: Project) -> None:
    planned = project.summary(changes={"evaluation": {"k": [2, 4]}})
    assert {rule for _, rule in planned} == {"infer", "evaluate", "table"}
    assert all("/k4/" in path for path, rule in planned if rule != "table")


def test_alpha_reruns_the_retriever_and_what_follows(project: Project) -> None:
    planned = project.summary(changes={"retriever": {"alpha": 0.5}})
    assert {rule for _, rule in planned} == {"train_retriever", "encode", *ANSWERED}
    assert all("/ruie" in path for path, rule in planned if rule != "table")


def test_the_scoring_llm_reruns_scoring_and_training(project: Project) -> None:
    planned = project.summary(changes={"scoring": {"llm": "other"}})
    assert {rule for _, rule in planned} == {*SCORED, *TRAINED, *ANSWERED}
    assert all("/ruie/" in path for path, rule in planned if rule in ANSWERED - {"table"})


def test_the_inference_llm_reruns_answers(project: Project) -> None:
    planned = project.summary(changes={"evaluation": {"llms": ["other"]}})
    assert {rule for _, rule in planned} == {"infer_zero_shot", "infer", "evaluate", "table"}
    assert all("/other/" in path for path, rule in planned if rule != "table")


def test_an_ablation_trains_itself_alone(project: Project) -> None:
    systems = ["bm25", "ruie", "ruie_no_distill"]
    planned = project.summary(changes={"evaluation": {"systems": systems}})
    assert {rule for _, rule in planned} == {"train_retriever", "encode", *ANSWERED}
    assert all("ruie_no_distill" in path for path, rule in planned if rule != "table")


def test_an_ablation_with_a_teacher_of_its_own_trains_that_too(project: Project) -> None:
    systems = ["bm25", "ruie", "ruie_no_keywords"]
    planned = project.summary(changes={"evaluation": {"systems": systems}})
    assert {rule for _, rule in planned} == {*TRAINED, *ANSWERED}
    assert all(
        "ruie_no_keywords" in path or "/plain" in path for path, rule in planned if rule != "table"
    )


def test_the_number_of_shards_reruns_nothing(project: Project) -> None:
    assert project.rerun(scoring={"shards": 5}) == set()


def test_the_number_of_shards_counts_where_nothing_was_scored(project: Project) -> None:
    planned = project.summary(changes={"scoring": {"llm": "other", "shards": 5}})
    assert sum(rule == "score" for _, rule in planned) == 5


def test_batch_sizes_and_caches_rerun_nothing(project: Project) -> None:
    assert (
        project.rerun(
            scoring={"batch_tokens": 64, "cache_mb": 64},
            training={"batch_tokens": 64, "accumulate": True, "save_every": 7, "keep": 1},
            inference={"concurrency": 3, "deadline": 7, "tries": 2},
        )
        == set()
    )


def test_cores_rerun_nothing(project: Project) -> None:
    assert project.rerun("--cores", "1") == set()


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("bm25", {"bm25_index", "candidates", *SCORED, *TRAINED, *ANSWERED}),
        ("search", ANSWERED),
        ("plan", {*SCORED, *TRAINED, *ANSWERED}),
        ("evaluate", {"evaluate", "table"}),
        ("tables", {"table"}),
        # scores, weights and answers are kept until the stage's version is raised by hand
        ("score", set()),
        ("trainer", set()),
        ("infer", set()),
    ],
)
def test_a_changed_stage(project: Project, edit: Any, module: str, rules: set[str]) -> None:
    edit(f"ruie/{module}.py", lambda text: text + "\nNEW = 1\n")
    assert project.rerun() == rules


def test_a_raised_version_reruns_the_stage(project: Project, edit: Any) -> None:
    edit("workflow/rules/helpers/scoring.smk", lambda text: text.replace('"score-2"', '"score-3"'))
    assert project.rerun() == {"score", "gather", *TRAINED, *ANSWERED}


def test_a_comment_trains_nothing(project: Project, edit: Any) -> None:
    for module in ("normalize", "readers/__init__", "sample", "bm25", "plan", "gather", "retrieve"):
        edit(f"ruie/{module}.py", lambda text: text + "\n# a word\n")
    assert project.rerun() == set()


def test_another_format_reader_reruns_nothing(project: Project, edit: Any) -> None:
    """The datasets here are all of one format."""
    edit("ruie/readers/bio.py", lambda text: text + "\nNEW = 1\n")
    assert project.rerun() == set()
    edit("ruie/readers/ie_instructions.py", lambda text: text + "\nNEW = 1\n")
    planned = project.summary()
    assert {rule for _, rule in planned} >= {"normalize", "score_plan", "train_reward"}
