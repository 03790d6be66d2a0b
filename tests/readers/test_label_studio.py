"""Label Studio's JSON and JSON-MIN: the forms, several annotators, what offsets count."""

from __future__ import annotations

import copy
import json

import pytest
from breaking import attempt, broken, torn
from hypothesis import given
from hypothesis import strategies as st
from reading import read, said

from ruie.cli import UserError
from ruie.readers import label_studio

TEXT = "Ana met Zoë."


def region(id, start, end, text, *labels):
    value = {"start": start, "end": end, "text": text, "labels": list(labels)}
    return {"id": id, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def relation(head, tail, *labels, direction="right"):
    return {"from_id": head, "to_id": tail, "type": "relation", "direction": direction,
            "labels": list(labels)}  # fmt: skip


def task(*results, text=TEXT, **more):
    return {
        "id": 1,
        "data": {"text": text},
        "annotations": [{"id": 9, "result": [*results]}],
        **more,
    }


ANA, ZOE = region("a", 0, 3, "Ana", "person"), region("z", 8, 11, "Zoë", "person")
SMALL = {
    "text": TEXT,
    "id": 4,
    "label": [ANA["value"], ZOE["value"]],
    "annotator": 1,
    "annotation_id": 2,
    "lead_time": 3.5,
}


def put(folder, *tasks):
    path = folder / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def test_regions(tmp_path):
    both = region("b", 0, 3, "Ana", "person", "guest")
    found, problems = read("label_studio", put(tmp_path, task(ZOE, both), task()), "NER")
    facts = [("person", 8, 11), ("person", 0, 3), ("guest", 0, 3)]
    assert said(found) == [(TEXT, facts), (TEXT, [])]
    assert not problems.counts


@pytest.mark.parametrize(
    ("direction", "facts"),
    [
        ("right", [("met", 0, 3, 8, 11)]),
        (None, [("met", 0, 3, 8, 11)]),
        ("left", [("met", 8, 11, 0, 3)]),
        ("bi", [("met", 0, 3, 8, 11), ("met", 8, 11, 0, 3)]),
    ],
)
def test_relations_and_their_direction(tmp_path, direction, facts):
    # a relation may stand before its regions
    made = task(relation("a", "z", "met", direction=direction), ANA, ZOE)
    found, problems = read("label_studio", put(tmp_path, made), "RE")
    assert said(found) == [(TEXT, facts)]
    assert sum(problems.counts.values()) == (direction == "bi")


def test_what_cannot_be_kept_is_noted(tmp_path):
    made = task(
        ANA, ZOE, relation("a", "z"), region("n", 4, 7, "met"),
        {"id": "c", "type": "choices", "value": {"choices": ["good"]}},
    )  # fmt: skip
    for kind in ("NER", "RE"):
        names = {"person": "person"}
        found, problems = read("label_studio", put(tmp_path, made), kind, labels=names)
        assert len(found[0].annotations) == (2 if kind == "NER" else 0)
        notes = {"region without a label left out": 1, "result of type 'choices' left out": 1}
        unlabelled = {"relation without a label left out": 1} if kind == "RE" else {}
        assert problems.counts == notes | unlabelled
        # a region is an annotation of NER alone
        lost = {what for what, outcome in problems.outcomes.items() if outcome != "noted"}
        assert lost == (set(unlabelled) or {"region without a label left out"})


def test_the_first_annotation_that_was_not_cancelled(tmp_path):
    several = task()
    several["annotations"] = [
        {"was_cancelled": True, "result": [ANA, ZOE]},
        {"was_cancelled": False, "result": [ZOE]},
        {"result": [ANA]},
    ]
    cancelled = task(ANA)
    cancelled["annotations"][0]["was_cancelled"] = True
    old = {"data": {"text": TEXT}, "completions": [{"skipped": True, "result": []}]}
    found, problems = read("label_studio", put(tmp_path, several, cancelled, old), "NER")
    assert said(found) == [(TEXT, [("person", 8, 11)])]
    assert problems.counts == {
        label_studio.SEVERAL: 1,
        "task without an annotation that was not cancelled": 2,
    }


def test_json_min(tmp_path):
    again = {**SMALL, "label": []}
    nothing = {"text": "Nobody.", "id": 5, "annotator": 1}
    found, problems = read("label_studio", put(tmp_path, SMALL, again, nothing), "NER")
    assert said(found) == [(TEXT, [("person", 0, 3), ("person", 8, 11)]), ("Nobody.", [])]
    assert problems.counts == {label_studio.SEVERAL: 1}
    with pytest.raises(UserError, match="JSON-MIN holds no relations: export as JSON"):
        read("label_studio", put(tmp_path, SMALL), "RE")


def test_the_field_of_the_text(tmp_path):
    made = task(ANA)
    made["data"] = {"body": TEXT, "title": "x", "size": 3}
    with pytest.raises(UserError, match=r"no text in field 'text'.* option field= \(body, title\)"):
        read("label_studio", put(tmp_path, made), "NER")
    found, _ = read("label_studio", put(tmp_path, made), "NER", field="body")
    assert said(found) == [(TEXT, [("person", 0, 3)])]


# "😀 Ana": Ana at characters 2..5, at UTF-16 units 3..6
@pytest.mark.parametrize(
    ("offsets", "text", "notes"),
    [
        ((2, 5), "Ana", []),
        ((3, 6), "Ana", [label_studio.UTF16]),
        ((2, 5), "Ana ", [label_studio.SPACING]),
        ((3, 6), " Ana", [label_studio.SPACING]),
        ((2, 5), None, [label_studio.UNTOLD]),
    ],
)
def test_what_offsets_count(tmp_path, offsets, text, notes):
    made = task(region("a", *offsets, text, "person"), text="😀 Ana")
    if text is None:
        del made["annotations"][0]["result"][0]["value"]["text"]
    found, problems = read("label_studio", put(tmp_path, made), "NER")
    assert said(found) == [("😀 Ana", [("person", 2, 5)])]
    assert list(problems.counts) == notes


def test_offsets_that_fit_in_no_way(tmp_path):
    made = task(region("a", 1, 4, "Ana", "person"), text="😀 Ana")
    with pytest.raises(UserError, match=r"wrong offsets: span 'Ana' does not stand at \[1, 4\]"):
        read("label_studio", put(tmp_path, made), "NER")
    found, _ = read("label_studio", put(tmp_path, made), "NER", repair=True)
    assert said(found) == [("😀 Ana", [("person", 2, 5)])]


def _changed(**value):
    made = copy.deepcopy(task(ANA))
    made["annotations"][0]["result"][0]["value"] |= value
    return made


@pytest.mark.parametrize(
    ("kind", "made", "why"),
    [
        ("NER", {"annotations": []} | {"data": 1, "annotations": [{}]}, "not iterable"),
        ("NER", {"annotations": [{"result": []}]}, "field 'data' is missing"),
        ("NER", {"data": {"text": TEXT}, "annotations": {}}, "'annotations' is not a list"),
        ("NER", {"data": {"text": TEXT}, "annotations": [{}]}, "field 'result' is missing"),
        ("NER", {"id": 3}, "no text in field 'text'"),
        ("NER", 7, "expected a NER task of Label Studio"),
        ("NER", _changed(start="/div[1]/text()[1]"), "an offset is not a whole number"),
        ("NER", _changed(labels="person"), "'labels' is not a list"),
        ("NER", _changed(labels=[1]), "label is not a string: 1"),
        ("NER", _changed(text=5), "text of a region is not a string: 5"),
        ("RE", task(ANA, relation("a", "z", "met")), "names the region 'z', which has no label"),
        ("RE", task(ANA, relation("a", "a", "met", direction="up")), "direction 'up' is neither"),
    ],
)
def test_a_bad_task_is_named_or_left_out(tmp_path, kind, made, why):
    path = put(tmp_path, task(ANA), made)
    with pytest.raises(UserError, match=r"export\.json#1: unreadable record") as error:
        read("label_studio", path, kind, labels={"person": "person"})
    assert why in str(error.value)
    found, problems = read("label_studio", path, kind, repair=True, labels={"person": "person"})
    assert len(found) == 1
    assert problems.counts["unreadable record (record left out)"] == 1


NAMES = {"person": "person", "met": "met"}
FULL = task(ANA, ZOE, relation("a", "z", "met", direction="bi"))


@given(st.sampled_from(["NER", "RE"]), broken([FULL, SMALL]), st.booleans())
def test_broken_tasks(kind, tasks, repair):
    content = json.dumps(tasks).encode()
    found = attempt(content, "export.json", "label_studio", kind, repair, labels=NAMES)
    assert found is not None or not repair


@given(torn(json.dumps([FULL, SMALL], ensure_ascii=False).encode()), st.booleans())
def test_damaged_files(content, repair):
    attempt(content, "export.json", "label_studio", "NER", repair=repair)
