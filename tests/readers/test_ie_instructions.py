"""The IE_INSTRUCTIONS reader: what it reads, what it refuses, what it repairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruie.cli import UserError
from ruie.examples import Example
from ruie.readers import Problems, Source, get

GOOD = {"sentence": "Ana met Ana.", "entities": [{"name": "Ana", "type": "person", "pos": [8, 11]}]}
EVENT = {
    "sentence": "Bo fled Faro.",
    "events": [
        {"type": "flight", "trigger": "fled", "pos": [3, 7],
         "arguments": [{"name": "Bo", "role": "who", "pos": [0, 2]}]}
    ],
}  # fmt: skip


def read(
    folder: Path, records: Any, task: str = "NER", repair: bool = False, labels: Any = None
) -> tuple[list[Example], Problems]:
    if labels is None:
        labels = {"flight": ["who", "from"]} if task in ("EET", "EEA") else ["person", "place"]
    (folder / "labels.json").write_text(json.dumps(labels))
    text = records if isinstance(records, str) else json.dumps(records)
    (folder / "test.json").write_text(text)
    problems = Problems(repair=repair)
    source = Source(folder, task, "toy", "test")
    return list(get("ie_instructions")(source, problems)), problems


def test_reads_each_task(tmp_path: Path) -> None:
    (e,), _ = read(tmp_path, [GOOD])
    assert (e.id, e.source, e.schema) == ("toy/test/000000", "test.json#0", ("person", "place"))
    assert e.annotations[0].spans[0].start == 8
    head = {"name": "Bo", "pos": [0, 2]}
    relation = {"type": "person", "head": head, "tail": {"name": "Faro", "pos": [8, 12]}}
    (e,), _ = read(tmp_path, [{"sentence": "Bo fled Faro.", "relations": [relation]}], "RE")
    assert [s.text for s in e.annotations[0].spans] == ["Bo", "Faro"]
    (e,), _ = read(tmp_path, [EVENT], "EET")
    assert (e.annotations[0].label, e.schema, e.event) == ("flight", ("flight",), None)
    (e,), _ = read(tmp_path, [EVENT], "EEA")
    assert e.schema == ("who", "from")
    assert e.event is not None
    assert (e.event.type, e.event.trigger.text) == ("flight", "fled")


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ('[{"sentence": ', r"test\.json: malformed JSON.*correct"),
        ("{}", r"test\.json: must hold a list"),
        ([GOOD, {"sentence": "x"}], r"test\.json#1: field 'entities' is missing"),
        ([{**GOOD, "sentence": 7}], r"#0: the sentence is not a string"),
        ([{**GOOD, "entities": [{"name": "Ana", "type": "person", "pos": [0, 4]}]}],
         r"#0: wrong offsets: span 'Ana' does not stand at \[0, 4\].*repair"),
        ([{**GOOD, "entities": [{"name": "Eva", "type": "person", "pos": []}]}],
         r"#0: span not in text: span 'Eva'.*repair"),
        ([{**GOOD, "entities": [{"name": "Ana", "type": "wizard", "pos": [0, 3]}]}],
         r"#0: unknown label: label 'wizard' is not in labels\.json.*repair"),
    ],
)  # fmt: skip
def test_faults_name_file_record_and_remedy(tmp_path: Path, records: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        read(tmp_path, records)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_labels(tmp_path: Path) -> None:
    reader = get("ie_instructions")
    with pytest.raises(UserError, match="no such data folder"):
        list(reader(Source(tmp_path / "gone", "NER", "toy", "test"), Problems()))
    with pytest.raises(UserError, match=r"labels\.json: no such file"):
        list(reader(Source(tmp_path, "NER", "toy", "test"), Problems()))
    with pytest.raises(UserError, match=r"labels\.json: must be a list of labels"):
        read(tmp_path, [GOOD], labels={"person": []})


def test_argument_record_holds_one_event(tmp_path: Path) -> None:
    two = {**EVENT, "events": EVENT["events"] * 2}
    with pytest.raises(UserError, match=r"#0: an EEA record holds exactly one event, this one 2"):
        read(tmp_path, [two], "EEA")


def test_repair_takes_the_first_free_occurrence_and_counts(tmp_path: Path) -> None:
    entities = [{"name": "Ana", "type": "person", "pos": p} for p in ([0, 3], [], [])]
    entities += [{"name": "Eva", "type": "person"}, {"name": "Ana", "type": "NA", "pos": []}]
    (e,), problems = read(tmp_path, [{**GOOD, "entities": entities}], repair=True)
    # 0 is taken, 8 is free; the third finds none free and takes the first again
    assert [a.spans[0].start for a in e.annotations] == [0, 8, 0]
    assert problems.counts == {
        "wrong offsets (found by literal search)": 2,
        "span not in text (annotation left out)": 1,
        "type 'NA' skipped": 1,
    }
    assert "test.json#0" in problems.first["span not in text (annotation left out)"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["sentence", "entities", "relations", "events", "name", "type", "pos",
                         "trigger", "arguments", "role", "head", "tail"]), inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(
    st.lists(json_values, max_size=3), st.sampled_from(["NER", "RE", "EET", "EEA"]), st.booleans()
)
def test_any_json_is_read_or_refused(
    tmp_path: Path, records: list[Any], task: str, repair: bool
) -> None:
    try:
        found, _ = read(tmp_path, records, task, repair)
    except UserError as error:
        assert str(tmp_path) in str(error)
    else:
        for e in found:
            for a in e.annotations:
                assert all(e.text[s.start : s.end] == s.text for s in a.spans)
