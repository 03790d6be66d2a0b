"""What the layout's writer writes, its reader reads."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import layout, readers
from ruie.examples import TASKS, Annotation, Event, Example, Span


def back(folder, task, split):
    problems = readers.Problems()
    source = readers.Source(folder, task, "own", split)
    found = list(readers.get("ie_instructions")(source, problems))
    assert set(problems.counts) <= {"annotation repeated in its record"}
    return found


def test_the_files_of_each_task(tmp_path, make_example):
    ner = make_example("Ana left Zoë.", ("person", "Zoë"), id="own/test/000000")
    layout.write([ner, ner._replace(split="train", annotations=())], tmp_path / "ner")
    records = json.loads((tmp_path / "ner" / "test.json").read_text(encoding="utf-8"))
    assert records == [
        {
            "sentence": "Ana left Zoë.",
            "entities": [{"name": "Zoë", "pos": [9, 12], "type": "person"}],
        }
    ]
    assert json.loads((tmp_path / "ner" / "labels.json").read_text()) == ["person", "location"]
    assert sorted(p.name for p in (tmp_path / "ner").iterdir()) == [
        "labels.json", "test.json", "train.json",
    ]  # fmt: skip
    eet = make_example("Ana left.", ("exit", "left"), task="EET", schema=("exit", "entry"))
    layout.write([eet], tmp_path / "eet")
    assert json.loads((tmp_path / "eet" / "labels.json").read_text()) == {"exit": [], "entry": []}


def test_a_split_of_before_is_removed(tmp_path, ner):
    layout.write([ner, ner._replace(split="dev")], tmp_path)
    layout.write([ner], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.json", "train.json"]


_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)
_labels = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5).filter(lambda s: s != "NA")
_schemas = st.lists(_labels, min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def _spans(draw, text):
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    return Span(text[start:end], start, end)


@st.composite
def _examples(draw, task):
    """Examples of one dataset, split by split: the schema is the dataset's, or (EEA) the type's."""
    schema = draw(_schemas)
    types = draw(st.dictionaries(_labels, _schemas, min_size=1, max_size=3))
    found = []
    for split in ("train", "test"):
        for number in range(draw(st.integers(1, 3))):
            text, event = draw(_texts), None
            if task == "EEA":
                kind = draw(st.sampled_from(sorted(types)))
                event, schema = Event(kind, draw(_spans(text))), types[kind]
            ends = 2 if task == "RE" else 1
            annotation = st.builds(
                Annotation, st.sampled_from(schema), st.tuples(*[_spans(text)] * ends)
            )
            annotations = tuple(draw(st.lists(annotation, max_size=3)))
            found.append(
                Example(f"own/{split}/{number:06d}", task, "own", split, text, schema, annotations,
                        event, f"{split}.json#{number}")
            )  # fmt: skip
    return found


@pytest.mark.parametrize("task", TASKS)
@given(data=st.data())
def test_round_trip(task, data):
    found = data.draw(_examples(task))
    with tempfile.TemporaryDirectory() as folder:
        layout.write(found, Path(folder))
        assert back(Path(folder), task, "train") + back(Path(folder), task, "test") == found


def test_round_trip_of_real_data(shared, tmp_path):
    for place in ("NER/Broad Tweet Corpus", "RE/semval-RE", "EET/RAMS", "EEA/PHEE"):
        task = place[: place.index("/")]
        found = back(shared / "data" / "ie" / place, task, "test")
        layout.write(found, tmp_path / place)
        again = back(tmp_path / place, task, "test")
        if task == "EEA":  # event types that the split never asks about are not in its labels.json
            assert {e.event.type for e in found} == set(
                json.loads((tmp_path / place / "labels.json").read_text())
            )
        assert again == found
        assert len(found) == 300
