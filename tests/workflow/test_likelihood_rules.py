"""`snakemake likelihoods` and `agreement`: what a dry run of the demo plans."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dry_run
import pytest
import yaml

pytestmark = pytest.mark.workflow

COVER = {"retriever": "bm25", "range": "mixed", "choose": {"by": "cover", "first": 20}}
FAR = {"endpoint": "http://127.0.0.1:9", "name": "far", "chat": True}


def planned(folder: Path, target: str, fails: bool = False, **changes: Any) -> str:
    (folder / "changes.yaml").write_text(yaml.safe_dump(changes))
    return dry_run.snakemake(
        target, "--configfile", "workflow/demo.yaml", str(folder / "changes.yaml"), fails=fails
    )


def test_systems_that_retrieve_and_local_models(tmp_path: Path) -> None:
    evaluation = {"systems": ["bm25", "bm25_cover"], "llms": ["gemma-3-270m", "far"], "k": [2, 4]}
    printed = planned(
        tmp_path, "likelihoods", systems={"bm25_cover": COVER}, models={"far": FAR},
        evaluation=evaluation, inference={"max_input": 777}, prompt={"quotes": True},
    )  # fmt: skip
    found = dry_run.commands(printed)
    each = [args for stage, args, _ in found if stage == "likelihood"]
    held_out = ["film", "history", "commodities_ed", "commodities_eae"]
    assert len({str(a.out) for a in each}) == len(each) == 2 * 2 * (len(held_out) + 2)
    assert {a.llm for a in each} == {"gemma-3-270m"}
    assert {(a.system, a.by_score) for a in each} == {("bm25", False), ("bm25_cover", True)}
    assert {(a.max_input, a.quotes, a.chat) for a in each} == {(777, True, False)}
    one = next(a for a in each if str(a.out).endswith("bm25_cover/gemma-3-270m/k2/film.parquet"))
    assert str(one.demonstrations) == "results/demo/demonstrations/bm25_cover/film.parquet"
    assert (one.k, str(one.queries)) == (2, "results/demo/test/film.parquet")
    tables = {
        str(args.out): (args, words) for stage, args, words in found if stage == "likelihoods"
    }
    args, words = tables["results/demo/tables/heldout_likelihood.parquet"]
    assert (args.systems, args.reference, args.held_out) == (["bm25", "bm25_cover"], "bm25", True)
    assert "likelihood/{bm25,bm25_cover}/gemma-3-270m/k{2,4}/" in words
    assert not tables["results/demo/tables/heldin_likelihood.parquet"][0].held_out


def test_nothing_of_it_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert not re.search(r"rule likelihood", planned(tmp_path, "all"))


def test_nothing_to_compare_is_one_line(tmp_path: Path) -> None:
    far = {"systems": ["bm25", "random"], "llms": ["far"]}
    printed = planned(tmp_path, "likelihoods", True, models={"far": FAR}, evaluation=far)
    assert "likelihoods: nothing to compare; give evaluation.systems two" in printed
    assert "Traceback (most recent call last)" not in printed


def test_agreement_of_every_system_that_retrieves(tmp_path: Path) -> None:
    evaluation = {"systems": ["random_task", "bm25"], "k": [2, 4], "zero_shot": False}
    found = dry_run.commands(planned(tmp_path, "agreement", evaluation=evaluation))
    ((args, words),) = [(args, words) for stage, args, words in found if stage == "agreement"]
    assert args.k == [2, 4]
    assert " bm25=results/demo/demonstrations/bm25/{film,science," in words
    assert len(args.queries) == 6
    printed = planned(tmp_path, "agreement", True, evaluation={"systems": ["bm25"], "k": []})
    assert "agreement: nothing is shown; give evaluation.systems one" in printed
