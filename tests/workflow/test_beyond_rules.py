"""Options beyond the paper (docs/beyond.md): what dry runs of the demo plan with and without them,
and a run on tiny models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dry_run
import pandas as pd
import pytest
import yaml
from dry_run import ROOT
from tiny_project import Project

from ruie import registry
from ruie.cli import UserError

RUIE = {"retriever": "trained", "range": "mixed", "keywords": True, "reward": True, "distill": True}
MMR = {"by": "mmr", "first": 20, "lambda": 0.5}
SYSTEMS: dict[str, dict[str, Any]] = {
    "bm25_schema": {"retriever": "bm25", "range": "mixed", "schema_text": "both"},
    "bm25_cover": {"retriever": "bm25", "range": "mixed", "choose": {"by": "cover", "first": 20}},
    "a_ruie_first": {**RUIE, "bm25_first": 30},
    "a_ruie_bm25": {**RUIE, "bm25_first": 30, "bm25_weight": 0.5},
    "a_ruie_mmr": {**RUIE, "range": "task", "choose": MMR},
    "a_ruie_constrained": {**RUIE, "constrained": True},
    "ruie_schema": {**RUIE, "schema_text": "query", "demonstration_fields": ["input", "output"]},
    "ruie2": {**RUIE, "candidates": "ruie"},
    "ruie3": {**RUIE, "candidates": "ruie2", "reward": False},
    "ruie_seed": {**RUIE, "seed": 7},
    "ruie_soft": {**RUIE, "bm25_first": 30, "teacher_temperature": 2.5},
    "ruie_spread": {**RUIE, "teacher_temperature": "llm"},
    "ruie_soft_bm25": {**RUIE, "bm25_first": 30, "bm25_weight": 0.5, "teacher_temperature": 2.5},
}

pytestmark = pytest.mark.workflow


def snakemake(changes: dict[str, Any], folder: Path, fails: bool = False) -> str:
    (folder / "changes.yaml").write_text(yaml.safe_dump(changes))
    demo = ("--configfile", "workflow/demo.yaml", str(folder / "changes.yaml"))
    return dry_run.snakemake(*demo, fails=fails)


def commands(printed: str) -> dict[str, Any]:
    """What each command writes, below the run's folder -> the command."""
    found = dry_run.commands(printed)
    return {str(getattr(args, "out", words)).removeprefix("results/demo/"): args
            for _, args, words in found}  # fmt: skip


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> str:
    return snakemake({}, tmp_path_factory.mktemp("without"))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    evaluated = ["bm25", "ruie", *SYSTEMS]
    changes = {"systems": SYSTEMS, "evaluation": {"systems": evaluated}}
    return commands(snakemake(changes, tmp_path_factory.mktemp("planned")))


def test_nothing_of_it_without_an_option(without: str, planned: dict[str, Any]) -> None:
    rules = set(re.findall(r"^ *(?:local)?rule (\w+):", without, re.M))
    assert "train_retriever" in rules
    assert not rules & {"bm25_first", "bm25_index_labels", "encode_round", "candidates_round"}
    for word in (
        "rounds/", "--among", "labels task", "--fields", "--choose", "--first", "--by-score",
        "--constrained",
    ):  # fmt: skip
        assert word not in "".join(re.findall("^Shell command: .*", without, re.M))
    # what both runs make is made by the same command: the options of some are nothing to others
    before = commands(without)
    same = [name for name in before if name.endswith(".parquet") and name in planned]
    shared = [n for n in same if "table" not in n and n != "learning.parquet"]
    assert {"candidates.parquet", "vectors/ruie.parquet", "rewards/keywords.parquet"} <= {*shared}
    assert all(vars(before[name]) == vars(planned[name]) for name in shared)
    model = "retriever/ruie/model"
    assert vars(before[model]) == vars(planned[model])


def test_texts_are_the_same_in_training_and_test(planned: dict[str, Any]) -> None:
    trained, encoded = (planned[n] for n in ("retriever/ruie_schema/model",
                                             "vectors/ruie_schema.parquet"))  # fmt: skip
    asked = planned["demonstrations/ruie_schema/film.parquet"]
    assert trained.query_fields == asked.query_fields == ["labels", "task", "input", "schema"]
    assert trained.demonstration_fields == encoded.demonstration_fields == ["input", "output"]
    bm25 = planned["demonstrations/bm25_schema/film.parquet"]
    assert bm25.query_fields == ["labels", "task", "schema", "input"]
    assert planned[str(bm25.index).removeprefix("results/demo/")].fields == [
        "labels", "task", "schema", "input", "output",
    ]  # fmt: skip
    plain = planned["demonstrations/bm25/film.parquet"]
    assert plain.index == Path("results/demo/bm25/pool/mixed")


def test_a_choice_takes_the_model_that_is_there(planned: dict[str, Any]) -> None:
    mmr = planned["demonstrations/a_ruie_mmr/film.parquet"]
    assert (mmr.choose, mmr.first, mmr.weight, mmr.range) == ("mmr", 20, 0.5, "task")
    assert mmr.model == "results/demo/retriever/ruie/model"
    assert mmr.vectors == Path("results/demo/vectors/ruie.parquet")
    assert "retriever/a_ruie_mmr/model" not in planned
    cover = planned["demonstrations/bm25_cover/film.parquet"]
    assert (cover.choose, cover.first, cover.weight) == ("cover", 20, None)
    by_score = {name.split("/")[1] for name, c in planned.items()
                if name.startswith("predictions/") and c.by_score}  # fmt: skip
    assert by_score == {"a_ruie_mmr", "bm25_cover"}


def test_one_system_can_be_constrained(planned: dict[str, Any]) -> None:
    held = {name.split("/")[1] for name, c in planned.items()
            if name.startswith("predictions/") and c.constrained}  # fmt: skip
    assert held == {"a_ruie_constrained"}
    found = planned["demonstrations/a_ruie_constrained/film.parquet"]
    assert found.model == "results/demo/retriever/ruie/model"
    assert "retriever/a_ruie_constrained/model" not in planned


def test_a_run_that_is_constrained_and_a_system_that_is_not(tmp_path: Path) -> None:
    changes = {
        "inference": {"constrained": True},
        "systems": {"bm25": {"constrained": False}},
        "evaluation": {"systems": ["random", "bm25"]},
    }
    for name, c in commands(snakemake(changes, tmp_path)).items():
        if name.startswith("predictions/"):
            assert c.constrained == (c.system != "bm25")
    far = {"endpoint": "http://127.0.0.1:9", "name": "far", "chat": True}
    changes = {"models": {"far": far}, "systems": {"bm25": {"constrained": True}},
               "evaluation": {"systems": ["bm25"], "llms": ["far"]}}  # fmt: skip
    printed = snakemake(changes, tmp_path, fails=True)
    assert "'far' of evaluation.llms is an endpoint, whose answers cannot be con" in printed


def test_what_bm25_finds_first(planned: dict[str, Any]) -> None:
    found = planned["demonstrations/a_ruie_first/film.parquet"]
    among = "bm25_first/mixed-30/film.parquet"
    assert found.among == Path(f"results/demo/{among}")
    assert (found.retriever, found.depth) == ("dense", 16)
    assert found.vectors == Path("results/demo/vectors/ruie.parquet")
    assert "retriever/a_ruie_first/model" not in planned
    plain = planned["demonstrations/bm25/film.parquet"]
    first = planned[among]
    assert (first.retriever, first.depth, first.range) == ("bm25", 30, "mixed")
    assert (first.index, first.k1, first.b) == (plain.index, plain.k1, plain.b)
    assert planned["demonstrations/ruie/film.parquet"].among is None
    both = planned["demonstrations/a_ruie_bm25/film.parquet"]
    assert (both.among, both.among_weight) == (found.among, 0.5)
    assert {k for k, v in vars(both).items() if vars(found)[k] != v} == {"among_weight", "out"}


def test_rounds_are_a_chain(planned: dict[str, Any]) -> None:
    for place, finder in (("rounds/ruie", "ruie"), ("rounds/ruie2", "ruie2")):
        found, plan = (planned[f"{place}/{name}.parquet"]
                       for name in ("candidates", "scores/gemma-3-270m/plan"))  # fmt: skip
        assert found.model == f"results/demo/retriever/{finder}/model"
        assert (found.depth, found.range) == (7, "mixed")
        assert found.pool.name == "training_pool.parquet"
        assert plan.candidates == Path(f"results/demo/{place}/candidates.parquet")
        assert planned[f"{place}/vectors.parquet"].model == found.model
    second, third = (planned[f"retriever/{name}/model"] for name in ("ruie2", "ruie3"))
    assert second.rewards == Path("results/demo/rounds/ruie/rewards/keywords.parquet")
    scores = Path("results/demo/rounds/ruie/scores/gemma-3-270m.parquet")
    assert second.scores == planned["rounds/ruie/reward/keywords/model"].scores == scores
    # from the base model, and from the same queries
    first = planned["retriever/ruie/model"]
    assert (second.model, second.queries) == (first.model, first.queries)
    assert third.scores == Path("results/demo/rounds/ruie2/scores/gemma-3-270m.parquet")
    assert third.rewards is None
    assert "rounds/ruie2/reward/keywords/model" not in planned
    # measured on the first round's scores, with its reward model; another text is left out
    learning = planned["learning.parquet"]
    assert [name for name, _ in learning.reward] == ["reward/keywords", "reward/keywords-seed7"]
    found = [f"retriever/ruie{n}" for n in ("", "2", "3", "_seed", "_soft", "_spread")]
    assert [name for name, _ in learning.retriever] == found


def test_a_seed_of_its_own_trains_both_models_anew(planned: dict[str, Any]) -> None:
    first, other = (planned[f"reward/keywords{n}/model"] for n in ("", "-seed7"))
    assert (first.seed, first.watch_seed) == (42, None)
    assert (other.seed, other.watch_seed, other.no_keywords) == (7, 42, False)
    assert planned["rewards/keywords-seed7.parquet"].model == str(other.out)
    first, other = (planned[f"retriever/{n}/model"] for n in ("ruie", "ruie_seed"))
    assert other.rewards == Path("results/demo/rewards/keywords-seed7.parquet")
    changed = {k for k, v in vars(first).items() if vars(other)[k] != v}
    own = {"rewards", "out", "log", "pace"}
    assert changed == {*own, "seed", "watch_seed"}


def test_a_softer_teacher_trains_the_retriever_alone_anew(planned: dict[str, Any]) -> None:
    first, other = (planned[f"retriever/{n}/model"] for n in ("ruie", "ruie_soft"))
    changed = {k for k, v in vars(first).items() if vars(other)[k] != v}
    assert changed == {"teacher_temperature", "out", "log", "pace"}
    assert (first.teacher_temperature, other.teacher_temperature) == (1.0, 2.5)
    assert planned["retriever/ruie_spread/model"].teacher_temperature == "llm"
    # one model for those that differ in their search alone
    assert "retriever/ruie_soft_bm25/model" not in planned


@pytest.mark.parametrize(
    ("system", "says"),
    [
        ({**RUIE, "candidates": "x"}, r"systems\.x\.candidates: goes round in a circle, x <- x"),
        ({**RUIE, "candidates": "bm25"}, r"systems\.x\.candidates: 'bm25' is no trained system; "),
        ({**RUIE, "choose": {**MMR, "first": 15}}, r"choose\.first: 15 is below .*depth, 16"),
        ({**RUIE, "choose": {"by": "mmr", "first": 20}}, r"x\.choose: mmr takes a lambda from 0"),
        ({**RUIE, "choose": {**MMR, "by": "cover"}}, r"x\.choose: mmr takes a lambda .* cover ta"),
        ({**RUIE, "choose": MMR, "own_dataset_first": True}, r"not with own_dataset_first"),
        ({**RUIE, "bm25_first": 15}, r"x\.bm25_first: 15 is below the 16 .*depth.*; raise it"),
        ({**RUIE, "bm25_weight": 1}, r"x\.bm25_weight: weighs the .* first; give bm25_first too"),
        ({**RUIE, "distill": False, "teacher_temperature": 2}, r"x\.teacher_temperature: with"),
        ({**RUIE, "bm25_first": 19, "choose": MMR}, r"first: 19 is below the 20 .*choose\.fir"),
    ],
)
def test_config_faults_are_one_line(system: dict[str, Any], says: str, tmp_path: Path) -> None:
    changes = {"systems": {"x": system}, "evaluation": {"systems": ["x"]}}
    printed = snakemake(changes, tmp_path, fails=True)
    assert re.search(says, printed), printed[-3000:]
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("system", "says"),
    [
        ({**RUIE, "choose": {**MMR, "lambda": 2}}, r"choose\.lambda: 2 is greater than .* 1"),
        ({**RUIE, "choose": {**MMR, "by": "rank"}}, r"by: 'rank' is not one of \['mmr', 'cover'\]"),
        ({**RUIE, "choose": {"by": "cover"}}, r"x\.choose: 'first' is a required property"),
        ({**RUIE, "choose": "mmr"}, r"x\.choose: 'mmr' is not of type 'object'"),
        ({**RUIE, "schema_text": "pool"}, r"'pool' is not one of \['none', 'query', 'both'\]"),
        ({**RUIE, "bm25_first": "all"}, r"x\.bm25_first: 'all' is not of type 'integer'"),
        ({**RUIE, "bm25_first": 30, "bm25_weight": 0}, r"0 is less than or equal to the minimum"),
        ({**RUIE, "teacher_temperature": 0}, r"x\.teacher_temperature: 0 is less than or equal to"),
        ({**RUIE, "candidates": ["ruie"]}, r"x\.candidates: \['ruie'\] is not of type 'string'"),
        ({"retriever": "random", "range": "mixed", "schema_text": "query"}, r"'schema_text' was u"),
        ({"retriever": "bm52", "range": "mixed"}, r"x\.retriever: 'bm52' is not one of \['random'"),
    ],
)
def test_the_schema_says_what_is_wrong(system: dict[str, Any], says: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["systems"]["x"] = system
    with pytest.raises(UserError, match=says):
        registry.check(config, ROOT / "workflow/schemas/config.schema.json", "config")


@pytest.mark.long
def test_a_run_of_two_rounds_and_a_choice(tmp_path: Path) -> None:
    """From the samples to the second round's demonstrations, and to answers with a choice."""
    project = Project(tmp_path)
    mine = {name: SYSTEMS[name] for name in ("a_ruie_mmr", "ruie2")}
    systems = ["ruie", *mine]
    run = Path("results/tiny")
    targets = [f"{run}/demonstrations/{s}/film.parquet" for s in systems]
    targets.append(f"{run}/predictions/a_ruie_mmr/tiny-lm/k2/film.parquet")
    changes = {"systems": mine, "evaluation": {"systems": systems}}
    project.snakemake(*targets, changes=changes)
    read = lambda name: pd.read_parquet(tmp_path / run / f"{name}.parquet")  # noqa: E731
    # 2 held-in datasets x 4 queries x 6 candidates, none of them the query itself
    second = read("rounds/ruie/candidates")
    assert second.groupby("query_id").size().tolist() == [6] * 8
    assert (second.query_id != second.demonstration_id).all()
    assert not second.duplicated(["query_id", "demonstration_id"]).any()
    pairs = [
        set(zip(t.query_id, t.demonstration_id, strict=True))
        for t in (read("candidates"), second, read("rounds/ruie/scores/tiny-lm"))
    ]
    assert pairs[0] != pairs[1] == pairs[2]
    # what both rounds scored has one score, from the store
    keys = ["query_id", "demonstration_id"]
    both = read("scores/tiny-lm").merge(read("rounds/ruie/scores/tiny-lm"), on=keys)
    assert len(both) == len(pairs[0] & pairs[1])
    assert (both.score_x == both.score_y).all()
    for name in systems:
        assert read(f"demonstrations/{name}/film").groupby("query_id").size().tolist() == [16] * 3
    # the prompt's demonstrations: the two chosen first, the better score last
    chosen = read("demonstrations/a_ruie_mmr/film").set_index(["query_id", "demonstration_id"])
    for row in read("predictions/a_ruie_mmr/tiny-lm/k2/film").itertuples():
        shown = chosen.loc[[(row.query_id, d) for d in row.demonstrations]]
        assert sorted(shown["rank"]) == [0, 1]
        assert shown["score"].is_monotonic_increasing
