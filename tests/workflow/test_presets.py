"""The preset `official`: what a dry run of the demo under it asks of each stage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dry_run
import pytest
import yaml
from dry_run import ROOT, snakemake

PRESET = "workflow/presets/official.yaml"

pytestmark = pytest.mark.workflow


def commands(printed: str) -> dict[str, list[Any]]:
    """Stage -> its commands."""
    found: dict[str, list[Any]] = {}
    for stage, args, _ in dry_run.commands(printed):
        found.setdefault(stage, []).append(args)
    return found


@pytest.fixture(scope="module")
def official() -> dict[str, list[Any]]:
    targets = ["all", "results/official/paper/speed/vllm.parquet"]
    return commands(snakemake(*targets, "--configfile", "workflow/demo.yaml", PRESET))


@pytest.fixture(scope="module")
def demo() -> dict[str, list[Any]]:
    return commands(snakemake("--configfile", "workflow/demo.yaml"))


def test_prompts_are_quoted_in_every_request(official, demo) -> None:
    assert all(c.quotes for c in official["infer"] + official["speed"])
    assert not any(c.quotes for c in demo["infer"])
    assert {tuple(c.stop) for c in official["infer"]} == {("\\n\\n",)}


def test_scoring_takes_a_sample_of_tagged_text(official, demo) -> None:
    (under,), (plain,) = official["plan"], demo["plan"]
    assert (under.sample, under.max_length) == (32, 1024)
    assert (plain.sample, plain.max_length) == (None, 1792)
    # plan and score read the same texts; there are no quotes round tagged ones
    assert {(c.keywords, c.quotes) for c in [under, *official["score"]]} == {(True, False)}
    assert {(c.keywords, c.quotes) for c in [plain, *demo["score"]]} == {(False, False)}


def test_quotes_alone_are_in_scoring_and_inference(tmp_path: Path) -> None:
    (tmp_path / "quotes.yaml").write_text("prompt: {quotes: true}\n")
    words = ["--configfile", "workflow/demo.yaml", str(tmp_path / "quotes.yaml")]
    found = commands(snakemake(*words))
    for stage in ("plan", "score", "infer"):
        assert {c.quotes for c in found[stage]} == {True}


def test_trainings_have_the_groups_and_batches_of_the_scripts(official, demo) -> None:
    (reward,), (retriever,) = official["train_reward"], official["train_retriever"]
    for c in (reward, retriever):
        assert (c.batch_size, c.warmup_steps, c.positives, c.last) == (64, 400, 3, 16)
        assert c.other_datasets == -100
    assert demo["train_reward"][0].other_datasets is None
    assert (reward.negatives, retriever.negatives) == (7, 3)
    assert retriever.ranked_by == "reward"
    assert demo["train_retriever"][0].ranked_by == "llm"


def test_a_reward_that_ranks_scores_all_candidates(official, demo) -> None:
    (under,), (plain,) = official["score_reward"], demo["score_reward"]
    assert under.scores is None
    assert under.candidates == Path("results/official/candidates.parquet")
    assert plain.candidates is None
    assert plain.scores == Path("results/demo/scores/gemma-3-270m.parquet")


def test_without_distillation_rewards_are_asked_for_where_they_rank(tmp_path: Path) -> None:
    alone = tmp_path / "alone.yaml"
    alone.write_text("evaluation: {systems: [ruie_no_distill], held_in: []}\n")
    words = ["--configfile", "workflow/demo.yaml"]
    found = commands(snakemake(*words, str(alone)))
    assert found["train_retriever"][0].rewards is None
    assert not {"train_reward", "score_reward"} & set(found)
    found = commands(snakemake(*words, PRESET, str(alone)))
    assert found["train_retriever"][0].rewards
    assert {"train_reward", "score_reward"} < set(found)


def test_retrieval_is_cut_deep_and_turned_to_the_own_dataset(official, demo) -> None:
    def under(run: dict[str, list[Any]], system: str) -> list[Any]:
        return [c for c in run["retrieve"] if c.out.parent.name == system]

    for c in under(official, "ruie"):
        assert (c.own_dataset_first, c.max_length, c.depth, c.range) == (True, 256, 40, "mixed")
    assert {c.max_length for c in official["encode"] if c.out.stem == "ruie"} == {256}
    # of an input that is too long the end is cut: the answer there, the schema here
    for run, last in ((official, "output"), (demo, "schema")):
        ruie = [c for c in run["encode"] if c.out.stem == "ruie"]
        assert {c.demonstration_fields[-1] for c in ruie} == {last}
    # the training's length is not the retrieval's
    assert official["train_retriever"][0].max_length == demo["train_retriever"][0].max_length
    for c in under(demo, "ruie"):
        assert (c.own_dataset_first, c.max_length, c.depth) == (False, 192, 16)
    for system in ("random_task", "bm25_task"):
        assert {c.range for c in under(official, system)} == {"dataset"}
        assert {c.range for c in under(demo, system)} == {"task"}
    # and the result tables say so
    baselines = {"random_task": "same-dataset", "bm25_task": "same-dataset"}
    for c in official["tables"]:
        others = {"bm25": "mixed", "dense": "mixed", "ruie": "official"}
        assert dict(c.ranges) == {**baselines, **others}
    for c in demo["tables"]:
        assert set(dict(c.ranges).values()) == {"mixed", "same-task"}


def test_the_published_scorer_comes_first(official) -> None:
    assert {tuple(c.scorer) for c in official["evaluate"]} == {("official", "strict")}


def test_every_setting_has_its_row_in_the_docs() -> None:
    rows = (ROOT / "docs/departures.md").read_text(encoding="utf-8")
    subjects = set(re.findall(r"^\| ([^|]+?) \|", rows, re.M))
    text = (ROOT / PRESET).read_text(encoding="utf-8")
    named = set(re.findall(r"# \[([^\]]+)\]|; \[([^\]]+)\]", text))
    assert named
    assert {a or b for a, b in named} <= subjects


def test_preset_changes_nothing_that_config_does_not_know() -> None:
    """The schema lets a system or a model be new; a misspelt one would be, and do nothing."""
    config, preset = (
        yaml.safe_load((ROOT / p).read_text(encoding="utf-8")) for p in ("config.yaml", PRESET)
    )
    for section in ("systems", "models"):
        assert set(preset[section]) <= set(config[section])


def test_a_sample_without_negatives_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text("scoring: {sample: 3}\n")
    words = ["--configfile", "workflow/demo.yaml", str(tmp_path / "few.yaml")]
    printed = snakemake(*words, fails=True)
    assert re.search(r"scoring\.sample: 3 scored candidates leave no negative", printed)
    assert "Traceback" not in printed
