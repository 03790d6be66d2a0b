"""The embedded data is what it says it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ruie.examples import Example
from ruie.readers import Problems, Source, get

ROOT = Path(__file__).parents[1]
DATA = ROOT / "workflow/datasets/demo"
ROWS = yaml.safe_load((ROOT / "workflow/datasets/demo.yaml").read_text())["datasets"]


def split(row: dict, name: str) -> list[Example]:
    # the reader refuses spans that are not at their offsets, and undeclared labels
    source = Source(DATA / row["path"], row["task"], row["name"], name)
    return list(get(row["format"])(source, Problems()))


EVERY = {row["name"]: {s: split(row, s) for s in ("train", "dev", "test")} for row in ROWS}


def test_enough_datasets_of_each_task_on_both_sides() -> None:
    held_out = [row["held_out"] for row in ROWS]
    assert held_out.count(False) >= 6
    assert held_out.count(True) >= 4
    for task in ("NER", "RE", "EET", "EEA"):
        assert {row["held_out"] for row in ROWS if row["task"] == task} == {True, False}


@pytest.mark.parametrize("name", EVERY)
def test_sizes_and_splits(name: str) -> None:
    splits = EVERY[name]
    assert len(splits["train"]) >= 60
    assert len(splits["test"]) >= 20
    texts = {s: {e.text for e in members} for s, members in splits.items()}
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & (texts["train"] | texts["test"])


@pytest.mark.parametrize("name", EVERY)
def test_every_label_is_used_in_training(name: str) -> None:
    members = EVERY[name]["train"]
    declared = {label for e in members for label in e.schema}
    assert {a.label for e in members for a in e.annotations} == declared


@pytest.mark.parametrize("which", ["train", "test"])
def test_awkward_cases_occur(which: str) -> None:
    members = [e for splits in EVERY.values() for e in splits[which]]
    spans = [s for e in members for a in e.annotations for s in a.spans]
    assert sum(not e.annotations for e in members) >= 20
    assert sum(not e.text.isascii() for e in members) >= 30
    for character in ";:,$":
        assert any(character in s.text for s in spans), character
    nested = repeated = 0
    for e in members:
        places = sorted({(s.start, -s.end) for a in e.annotations for s in a.spans})
        nested += any(b[0] < -a[1] for a, b in zip(places, places[1:], strict=False))
        names = [s.text for a in e.annotations for s in a.spans if e.task == "NER"]
        repeated += len(names) > len(set(names))
    assert nested >= 5
    assert repeated >= 2
