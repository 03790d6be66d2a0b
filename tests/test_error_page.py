"""The page of errors: what stands where, and in which order."""

from __future__ import annotations

import re

from ruie import error_page, errors
from ruie.error_kinds import MISSED, WRONG

TEXT = "Alice Smith and Bob met in Paris."


def row(number, prediction, gold, **other):
    return {
        "query_id": f"{other.get('dataset', 'd')}/test/{number}",
        "task": "NER",
        "dataset": "d",
        "schema": ["person", "location", "guest"],
        "text": TEXT,
        "gold": gold,
        "prediction": prediction,
        "system": "bm25",
        "llm": "tiny",
        "k": 2,
        "demonstrations": [],
        "finish_reason": "stop",
        **other,
    }


def page(rows, pool=None):
    return error_page.render(errors.run(rows, pool))


def lines(text, heading):
    """The cells of the first table below a heading."""
    part = text.split(heading)[1].split("\n#")[0]
    return [ln.strip("| ").split(" | ") for ln in part.splitlines() if ln.startswith("|")][2:]


def test_kinds_by_dataset():
    rows = [
        row(0, "person: Paris; person: Bob; person: Eve", "person: Bob; location: Paris"),
        row(0, "knows: Bob, Alice Smith", "knows: Alice Smith, Bob", task="RE", dataset="e",
            schema=["knows"]),
    ]  # fmt: skip
    text = page(rows, {})
    assert "\n## bm25, tiny, k = 2\n" in text
    assert "| Kind | NER d | RE e |\n" in text
    found = {name: cells for name, *cells in lines(text, "## bm25")}
    assert found["queries"] == ["1", "1"]
    assert found["expected"] == ["2", "1"]
    assert found["wrong label"] == found["missed: wrong label"] == ["1", "0"]
    assert found["not in the text"] == ["1", "0"]
    assert found["swapped head and tail"] == ["–", "1"]  # no pair in NER
    assert found["all wrong"] == ["2", "1"]
    assert found["all missed"] == ["1", "1"]
    assert found["no answer (queries)"] == ["0 (0)", "0 (0)"]
    order = list(found)
    assert order.index("all wrong") == order.index(WRONG[-1]) + 1
    assert order.index("all missed") == order.index(MISSED[-1]) + 1
    assert "cannot be told" not in text


def test_what_cannot_be_told_is_said():
    bare = {"demonstrations": None, "finish_reason": None}
    text = page([row(0, "None", "None", **bare)], {})
    assert "truncated cannot be told for every dataset: the predictions have no `finish_r" in text
    assert "copied from a demonstration cannot be told for every dataset" in text
    assert "| truncated |" not in text
    text = page([row(0, "None", "None"), row(0, "None", "None", dataset="e", **bare)], {})
    assert "truncated cannot be told for NER e: " in text


def test_patterns():
    many = "@a #b Bob and she"
    rows = [
        # d misses 1 of 4, e 2 of 3 (one of them "she"), f expects nothing
        row(0, "guest: Bob; location: Alice", "person: Bob; person: Alice; person: Smith"),
        row(1, "guest: Bob", "person: Bob"),
        row(0, "None", "person: Bob; person: she", dataset="e", text=many),
        row(1, "location: Paris; guest: Alice; guest: Smith; guest: Bob", "location: Paris",
            dataset="e"),
        row(2, "person: Bob; guest: she", "person: Bob; person: she", dataset="e", text=many),
        row(0, "None", "None", dataset="f"),
    ]  # fmt: skip
    text = page(rows)
    assert lines(text, "### 1. ") == [
        ["NER e", "5", "2", "40.0 %", "person 2"], ["NER d", "4", "1", "25.0 %", "person 1"],
    ]  # fmt: skip
    assert lines(text, "### 2. ") == [
        ["NER d", "person -> guest", "2"], ["NER d", "person -> location", "1"],
        ["NER e", "person -> guest", "1"],
    ]  # fmt: skip
    # there Bob of Bob and she is right, elsewhere Paris of four
    assert lines(text, "### 3. ") == [["NER e", "2", "50.0 %", "25.0 %"]]
    assert lines(text, "### 4. ") == [["NER e", "2", "1", "50.0 %", "she 1"]]


def test_empty_patterns_and_names():
    text = page([row(0, "None", "None", system=None, llm=None, k=None)])
    assert "\n## any k\n" in text
    assert text.count("Nothing.\n") == 5  # four patterns and no sample


def test_samples_stay_in_their_cells():
    wild = "a|b `c` <d> " * 30
    text = page([row(0, wild + "\nperson: Eve", "person: Bob")])
    rows = [ln for ln in text.split("### Samples")[1].splitlines() if ln.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", ln)) for ln in rows} == {6}
    assert lines(text, "### Samples")[-1][:3] == ["missed", "NER d", "d/test/0"]
    assert all(len(cell) < 2 * error_page.WIDTH for ln in rows for cell in ln.split(" | "))
    assert "…" in text


def test_each_system_and_k_has_its_part():
    rows = [row(0, "None", "None", k=k, system=s) for k in (8, 0) for s in ("ruie", "bm25")]
    parts = re.findall(r"^## (.+)$", page(rows), re.M)
    assert parts == [f"{s}, tiny, k = {k}" for s in ("bm25", "ruie") for k in (0, 8)]
