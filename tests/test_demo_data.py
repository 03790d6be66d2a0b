"""The embedded demo data: sound, and with the difficulties that real data have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ruie
from ruie import normalize, prompt, readers, scorers
from ruie.examples import TASKS

DEMO = Path(ruie.__file__).resolve().parents[1] / "workflow" / "datasets" / "demo"
FOLDERS = sorted(p for p in DEMO.glob("*/*") if p.is_dir())
SPLITS = ("train", "dev", "test")


def name(folder):
    return f"{folder.parent.name}/{folder.name}"


def records(folder, split):
    return json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))


def read(folder, split):
    """Examples of a split, by the package's reader, with nothing repaired."""
    problems = readers.Problems()
    source = readers.Source(folder, folder.parent.name, folder.name, split)
    found = list(readers.get("ie_instructions")(source, problems))
    assert not problems.counts
    return found


@pytest.fixture(scope="module")
def everything():
    return {(name(f), split): read(f, split) for f in FOLDERS for split in SPLITS}


every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=name)


def test_there_are_enough_datasets_of_every_task():
    assert len(FOLDERS) >= 10
    by_task = {task: [f.name for f in FOLDERS if f.parent.name == task] for task in TASKS}
    assert {f.parent.name for f in FOLDERS} == set(TASKS)
    assert all(len(members) >= 2 for members in by_task.values()), by_task


@every_folder
def test_sizes(folder):
    sizes = {split: len(records(folder, split)) for split in SPLITS}
    assert sizes["train"] >= 60
    assert sizes["test"] >= 20
    assert sizes["dev"] >= 1


@every_folder
@pytest.mark.parametrize("split", SPLITS)
def test_offsets_and_labels_by_hand(folder, split):
    """Without the reader: every span stands at its offsets, every label is declared."""
    task = folder.parent.name
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    for number, record in enumerate(records(folder, split)):
        where, text, spans, used = f"{split}.json#{number}", record["sentence"], [], []
        for entity in record.get("entities", []):
            spans.append((entity["name"], entity["pos"]))
            used.append((entity["type"], labels))
        for relation in record.get("relations", []):
            spans += [(relation[end]["name"], relation[end]["pos"]) for end in ("head", "tail")]
            used.append((relation["type"], labels))
        for event in record.get("events", []):
            spans.append((event["trigger"], event["pos"]))
            used.append((event["type"], labels))
            for argument in event["arguments"]:
                spans.append((argument["name"], argument["pos"]))
                used.append((argument["role"], labels[event["type"]]))
        for span, (start, end) in spans:
            assert 0 <= start < end, where
            assert text[start:end] == span, f"{where}: {span!r} is not at {start}"
            assert span == span.strip(), f"{where}: {span!r} begins or ends in a blank"
        for label, declared in used:
            assert label in declared, f"{where}: {label!r}"
        assert text == text.strip(), where
        assert len(text.splitlines()) == 1, where
        field = {"NER": "entities", "RE": "relations"}.get(task, "events")
        assert field in record, where
        if task == "EEA":
            assert len(record["events"]) == 1, where


@every_folder
def test_the_package_reads_it_without_repair(folder, tmp_path):
    for split in SPLITS:
        source = readers.Source(folder, folder.parent.name, folder.name, split)
        report = normalize.run(source, "ie_instructions", tmp_path / "out.parquet")
        counted = {r["what"]: r["count"] for r in report}
        facts = {"records", "instances", "annotations", "instances without annotation"}
        nothing = {"records left out", "bad records", "duplicates"}
        assert set(counted) == facts | nothing
        assert all(counted[what] == 0 for what in nothing)
        assert counted["records"] == counted["instances"] == len(records(folder, split))


@every_folder
def test_no_sentence_is_in_two_splits(folder, everything):
    seen: dict[str, str] = {}
    for split in SPLITS:
        for e in everything[name(folder), split]:
            assert seen.setdefault(e.text_hash, split) == split, f"{e.id}: {e.text}"


@every_folder
def test_labels_are_declared_once_and_all_of_them_are_used(folder, everything):
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert len(set(labels)) == len(labels) >= 2
    used = {
        (e.event.type if e.event else None, a.label)
        for e in everything[name(folder), "train"]
        for a in e.annotations
    }
    if folder.parent.name == "EEA":
        assert used == {(event, role) for event, roles in labels.items() for role in roles}
    else:
        assert {label for _, label in used} == set(labels)


@every_folder
def test_gold_as_prediction_is_exactly_right(folder, everything):
    tp = fp = fn = 0
    for e in everything[name(folder), "test"]:
        gold = prompt.answer(e)
        items = scorers.parse(gold, e.task, e.schema, e.text)
        counts = scorers.strict(items, items)
        tp, fp, fn = tp + counts.tp, fp + counts.fp, fn + counts.fn
        # and it is read as what was annotated, not as something else
        assert items == [
            (scorers.even(a.label), *(scorers.even(s.text) for s in a.spans)) for a in e.annotations
        ], f"{e.id}: {gold}"
    assert scorers.measures(tp, fp, fn) == (100, 100, 100)


def test_events_and_arguments_are_of_the_same_sentences(everything):
    for folder in FOLDERS:
        if folder.parent.name != "EEA" or not (DEMO / "EET" / folder.name).is_dir():
            continue
        for split in SPLITS:
            texts = {e.text for e in everything[f"EET/{folder.name}", split]}
            assert {e.text for e in everything[name(folder), split]} <= texts


@pytest.fixture(scope="module")
def by_task(everything):
    return {
        task: [e for (n, _), found in everything.items() if n.startswith(f"{task}/") for e in found]
        for task in TASKS
    }


@pytest.mark.parametrize("task", TASKS)
def test_text_beyond_ascii(by_task, task):
    assert any(not e.text.isascii() for e in by_task[task])
    if task != "EET":  # triggers are English verbs and nouns
        assert any(not s.text.isascii() for e in by_task[task] for s in spans(e))


@pytest.mark.parametrize("task", TASKS)
def test_records_with_nothing_to_find(by_task, task):
    empty = [e for e in by_task[task] if not e.annotations]
    assert empty
    # but not so many that saying None is the answer
    assert len(empty) < len(by_task[task]) / 4


def spans(e):
    return [s for a in e.annotations for s in a.spans]


def test_nested_mentions(by_task):
    assert any(
        a.start <= b.start and b.end <= a.end and (a.start, a.end) != (b.start, b.end)
        for e in by_task["NER"]
        for a in spans(e)
        for b in spans(e)
    )


def test_one_string_mentioned_twice(by_task):
    def repeated(e):
        places = {(a.label, s.text, s.start) for a in e.annotations for s in a.spans}
        return len(places) > len({place[:2] for place in places})

    assert any(repeated(e) for e in by_task["NER"])


def test_several_events_in_one_sentence(by_task):
    assert any(len(e.annotations) > 1 for e in by_task["EET"])
    texts = [e.text for e in by_task["EEA"]]
    assert len(set(texts)) < len(texts)


def test_one_span_in_several_relations(by_task):
    assert any(len({s.start for s in spans(e)}) < len(spans(e)) for e in by_task["RE"])


@pytest.mark.parametrize("sign", [";", ":", ",", "$"])
def test_spans_that_hold_signs_of_the_answer(by_task, sign):
    assert any(sign in s.text for members in by_task.values() for e in members for s in spans(e))
