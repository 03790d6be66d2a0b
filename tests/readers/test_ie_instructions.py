"""The IE_INSTRUCTIONS reader: what it understands, what it mends, what it refuses."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruie import readers
from ruie.cli import UserError
from ruie.examples import TASKS, Annotation, Event, Example, Span

TEXT = "Acme sued Zoë’s Bar; Acme lost."
#: One record of each task and its labels.json; spans hold a non-ASCII letter and a repetition.
LABELS: dict[str, Any] = {
    "NER": ["organization", "bar"],
    "RE": ["sue", "own"],
    "EET": {"lawsuit": ["plaintiff", "defendant"], "loss": ["loser"]},
    "EEA": {"lawsuit": ["plaintiff", "defendant"], "loss": ["loser"]},
}
ARGUMENTS = [
    {"name": "Acme", "role": "plaintiff", "pos": [0, 4]},
    {"name": "Zoë’s Bar", "role": "defendant", "pos": [10, 19]},
]
RECORDS: dict[str, Any] = {
    "NER": {
        "sentence": TEXT,
        "entities": [
            {"name": "Acme", "type": "organization", "pos": [21, 25]},
            {"name": "Zoë’s Bar", "type": "bar", "pos": [10, 19]},
        ],
    },
    "RE": {
        "sentence": TEXT,
        "relations": [
            {
                "type": "sue",
                "head": {"name": "Acme", "type": "organization", "pos": [0, 4]},
                "tail": {"name": "Zoë’s Bar", "type": "bar", "pos": [10, 19]},
            }
        ],
    },
    "EET": {
        "sentence": TEXT,
        "events": [
            {"type": "lawsuit", "trigger": "sued", "pos": [5, 9], "arguments": ARGUMENTS},
            {"type": "loss", "trigger": "lost", "pos": [26, 30], "arguments": []},
        ],
    },
    "EEA": {
        "sentence": TEXT,
        "events": [{"type": "lawsuit", "trigger": "sued", "pos": [5, 9], "arguments": ARGUMENTS}],
    },
}
SUED, LOST = Span("sued", 5, 9), Span("lost", 26, 30)
ACME, AGAIN, BAR = Span("Acme", 0, 4), Span("Acme", 21, 25), Span("Zoë’s Bar", 10, 19)


def put(folder: Path, records: Any, labels: Any) -> Path:
    """Write a dataset's test split; bytes are written as they are."""
    for name, content in (("test", records), ("labels", labels)):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / f"{name}.json").write_bytes(data)
    return folder


def read(folder: Path, task: str, repair: bool = False, split: str = "test"):
    problems = readers.Problems(repair=repair)
    source = readers.Source(folder, task, "acme", split)
    return list(readers.get("ie_instructions")(source, problems)), problems


def attempt(folder: Path, task: str, repair: bool = False):
    """Examples and problems, or None and the message of the UserError; any other exception fails
    the test."""
    try:
        return read(folder, task, repair)
    except UserError as error:
        return None, str(error)


def refused(folder: Path, task: str, *parts: str, repair: bool = False) -> None:
    """The reading ends in a UserError of one line that holds the parts."""
    with pytest.raises(UserError) as error:
        read(folder, task, repair)
    assert len(str(error.value).splitlines()) == 1
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("task", "schema", "annotations", "event"),
    [
        ("NER", ("organization", "bar"), [("organization", AGAIN), ("bar", BAR)], None),
        ("RE", ("sue", "own"), [("sue", ACME, BAR)], None),
        ("EET", ("lawsuit", "loss"), [("lawsuit", SUED), ("loss", LOST)], None),
        (
            "EEA",
            ("plaintiff", "defendant"),  # the roles of the given event only
            [("plaintiff", ACME), ("defendant", BAR)],
            Event("lawsuit", SUED),
        ),
    ],
)
def test_a_record_of_each_task(tmp_path, task, schema, annotations, event):
    folder = put(tmp_path, [RECORDS[task]], LABELS[task])
    for repair in (False, True):
        found, problems = read(folder, task, repair)
        assert found == [
            Example(
                id="acme/test/000000",
                task=task,
                dataset="acme",
                split="test",
                text=TEXT,
                schema=schema,
                annotations=tuple(Annotation(label, tuple(s)) for label, *s in annotations),
                event=event,
                source="test.json#0",
            )
        ]
        assert not problems.counts


def test_order_ids_and_sources_follow_the_file(tmp_path):
    records = [{"sentence": f"Line {i}.", "entities": []} for i in range(3)]
    found, _ = read(put(tmp_path, records, ["x"]), "NER")
    assert [e.text for e in found] == ["Line 0.", "Line 1.", "Line 2."]
    assert [e.id for e in found] == [f"acme/test/00000{i}" for i in range(3)]
    assert [e.source for e in found] == [f"test.json#{i}" for i in range(3)]


def test_a_record_left_out_moves_no_id(tmp_path):
    records = [{"sentence": t, "entities": []} for t in ("a", " \t", "b")]
    found, problems = read(put(tmp_path, records, ["x"]), "NER", repair=True)
    assert [e.id for e in found] == ["acme/test/000000", "acme/test/000002"]
    assert problems.counts == {"empty sentence (record left out)": 1}


def test_nothing_to_find(tmp_path):
    for task, field in (("NER", "entities"), ("RE", "relations"), ("EET", "events")):
        record = {"sentence": "Nothing.", field: []}
        found, problems = read(put(tmp_path, [record], LABELS[task]), task)
        assert found[0].annotations == ()
        assert not problems.counts


def test_types_that_mean_nothing_are_skipped_and_counted(tmp_path):
    record = copy.deepcopy(RECORDS["NER"])
    record["entities"] += [{"name": "Acme", "type": t, "pos": [0, 4]} for t in ("NA", "", "NA")]
    found, problems = read(put(tmp_path, [record], LABELS["NER"]), "NER")
    assert len(found[0].annotations) == 2
    assert problems.counts == {"type 'NA' skipped": 2, "type '' skipped": 1}
    assert problems.first["type 'NA' skipped"].startswith(f"{tmp_path / 'test.json'}#0: ")


# what a fault looks like: task, change of the record, kind, repair's annotations
def _shift(record):
    record["entities"][0]["pos"] = [20, 24]


def _absent(record):
    record["entities"][0] = {"name": "Umbrella", "type": "organization", "pos": [0, 8]}


def _unknown(record):
    record["entities"][0]["type"] = "firm"


FAULTS = {
    "shifted": (_shift, "wrong offsets", [("organization", ACME), ("bar", BAR)]),
    "not in text": (_absent, "span not in text", [("bar", BAR)]),
    "undeclared": (_unknown, "unknown label 'firm'", [("bar", BAR)]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_stops_the_reading_and_says_what_to_do(tmp_path, fault):
    change, kind, _ = FAULTS[fault]
    record = copy.deepcopy(RECORDS["NER"])
    change(record)
    folder = put(tmp_path, [RECORDS["NER"], record], LABELS["NER"])
    where = f"{tmp_path / 'test.json'}#1: {kind}: "
    refused(folder, "NER", where, "correct the record", "repair: true", "--repair")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_and_counted(tmp_path, fault):
    change, kind, mended = FAULTS[fault]
    record = copy.deepcopy(RECORDS["NER"])
    change(record)
    folder = put(tmp_path, [RECORDS["NER"], record, record], LABELS["NER"])
    found, problems = read(folder, "NER", repair=True)
    assert [(a.label, *a.spans) for a in found[1].annotations] == mended
    ((what, count),) = problems.counts.items()
    assert what.startswith(f"{kind} (")
    assert count == 2
    assert problems.first[what].startswith(f"{tmp_path / 'test.json'}#1: ")


def test_repair_gives_each_mention_an_occurrence_of_its_own(tmp_path):
    wrong = {"name": "Acme", "type": "organization", "pos": [1, 2]}
    record = {"sentence": TEXT, "entities": [wrong, wrong, wrong]}
    found, _ = read(put(tmp_path, [record], LABELS["NER"]), "NER", repair=True)
    # Acme stands at 0 and 21; a third mention has no place left and takes the first again
    assert [a.spans[0].start for a in found[0].annotations] == [0, 21, 0]


@pytest.mark.parametrize(
    "pos",
    [[0], [0, 4, 5], [4, 0], [0, 0], [-31, -27], [0.0, 4.0], ["0", "4"], [False, 4], {}, 0],
)
def test_offsets_must_be_two_whole_numbers(tmp_path, pos):
    record = {"sentence": TEXT, "entities": [{"name": "Acme", "type": "bar", "pos": pos}]}
    folder = put(tmp_path, [record], LABELS["NER"])
    refused(folder, "NER", "#0: wrong offsets", "correct the record")
    found, _ = read(folder, "NER", repair=True)
    assert found[0].annotations[0].spans == (ACME,)


@pytest.mark.parametrize("pos", [{}, {"pos": []}, {"pos": None}])
def test_missing_offsets_are_no_fault_but_counted(tmp_path, pos):
    entities = [{"name": "Acme", "type": "organization", **pos}] * 2
    record = {"sentence": TEXT, "entities": entities}
    found, problems = read(put(tmp_path, [record], LABELS["NER"]), "NER")
    assert [a.spans[0].start for a in found[0].annotations] == [0, 21]
    assert problems.counts == {"offsets found by literal search": 2}


def test_a_relation_loses_neither_end_alone(tmp_path):
    record = copy.deepcopy(RECORDS["RE"])
    record["relations"][0]["tail"]["name"] = "Umbrella"
    found, problems = read(put(tmp_path, [record], LABELS["RE"]), "RE", repair=True)
    assert found[0].annotations == ()
    assert problems.counts == {"span not in text (annotation left out)": 1}


def left_out(folder: Path, task: str, *parts: str) -> None:
    """The one record is refused, or, repaired, left out and counted."""
    refused(folder, task, *parts)
    found, problems = read(folder, task, repair=True)
    assert found == []
    ((what, count),) = problems.counts.items()
    assert what.endswith("(record left out)")
    assert count == 1


@pytest.mark.parametrize("count", [0, 2])
def test_an_eea_record_holds_one_event(tmp_path, count):
    record = {"sentence": TEXT, "events": RECORDS["EEA"]["events"] * count}
    folder = put(tmp_path, [record], LABELS["EEA"])
    left_out(folder, "EEA", "test.json#0", "exactly one event", str(count))


def test_an_eea_event_must_be_declared_and_its_trigger_found(tmp_path):
    for field, value in (("type", "murder"), ("trigger", "shot")):
        record = copy.deepcopy(RECORDS["EEA"])
        record["events"][0][field] = value
        left_out(put(tmp_path, [record], LABELS["EEA"]), "EEA", "test.json#0", f"'{value}'")


def test_a_role_of_another_event_is_unknown(tmp_path):
    record = copy.deepcopy(RECORDS["EEA"])
    record["events"][0]["arguments"][0]["role"] = "loser"
    refused(put(tmp_path, [record], LABELS["EEA"]), "EEA", "#0: unknown label 'loser'")


@pytest.mark.parametrize("task", TASKS)
def test_a_missing_field_is_named(tmp_path, task):
    folder = put(tmp_path, [RECORDS[task], {}], LABELS[task])
    refused(folder, task, "test.json#1", "'sentence' is missing", f"expected a {task} record")
    folder = put(tmp_path, [{"sentence": "Hi."}], LABELS[task])
    field = {"NER": "entities", "RE": "relations"}.get(task, "events")
    refused(folder, task, "test.json#0", f"'{field}' is missing")


EMPTY = b'{"sentence": "a", "entities": []}'


@pytest.mark.parametrize(
    ("records", "parts"),
    [
        (b"[{", ("#0: malformed JSON", "correct the file")),
        (b"[%s, %s" % (EMPTY, EMPTY), ("#2: malformed JSON", "no end")),
        (b"[%s %s]" % (EMPTY, EMPTY), ("#1: malformed JSON", "expected ','")),
        (b"[%s,]" % EMPTY, ("#1: malformed JSON",)),
        (b"[] 7", ("something follows",)),
        (b'[{"a": NaN}]', ("malformed JSON", "NaN")),
        (b'[{"a": 1, "a": 2}]', ("malformed JSON", "'a' stands twice")),
        (b"[" * 200_000, ("malformed JSON", "correct the file")),
        (b'["caf\xe9"]', ("not UTF-8", "convert the file")),
        (b"", ("must hold a list of records",)),
        ({}, ("must hold a list of records",)),
        (None, ("must hold a list of records",)),
    ],
)
def test_malformed_files(tmp_path, records, parts):
    folder = put(tmp_path, records, LABELS["NER"])
    for repair in (False, True):
        refused(folder, "NER", str(tmp_path / "test.json"), *parts, repair=repair)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ([], "expected a NER record"),
        (7, "expected a NER record"),
        ({"sentence": 5, "entities": []}, "the sentence is not a string"),
        ({"sentence": "a", "entities": [{"name": 1, "type": "bar"}]}, "span name 1"),
        ({"sentence": "a", "entities": [{"name": "a", "type": 1}]}, "label 1"),
    ],
)
def test_malformed_records(tmp_path, record, why):
    left_out(put(tmp_path, [record], LABELS["NER"]), "NER", "test.json#0", why)


@pytest.mark.parametrize(
    ("task", "labels"),
    [("NER", []), ("NER", {}), ("RE", "sue"), ("EET", ["lawsuit"]), ("EEA", {}), ("EEA", None)],
)
def test_malformed_labels(tmp_path, task, labels):
    folder = put(tmp_path, [RECORDS[task]], labels)
    refused(folder, task, str(tmp_path / "labels.json"), "must be", "not empty")


def test_missing_folder_and_files(tmp_path):
    refused(tmp_path / "nowhere", "NER", "nowhere: no such data folder", "registry")
    refused(tmp_path, "NER", f"{tmp_path}: no file of split 'test'", "registry", "--files")
    (tmp_path / "test.json").write_text("[]")
    refused(tmp_path, "NER", "labels.json: no such file", "registry")


def test_unknown_format():
    with pytest.raises(UserError, match="'conll' is not known; use one of: ie_instructions"):
        readers.get("conll")


def test_a_number_of_too_many_digits_is_malformed(tmp_path):
    folder = put(tmp_path, b"[" + b"1" * 5000 + b"]", LABELS["NER"])
    refused(folder, "NER", "test.json")


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / "test.json").write_text("[]")
    (tmp_path / "labels.json").mkdir()
    refused(tmp_path, "NER", "labels.json")


@pytest.mark.parametrize(
    ("task", "labels"),
    [("NER", [1, "bar"]), ("EEA", {"lawsuit": "plaintiff, defendant"})],
    ids=["label is a number", "roles are a string"],
)
def test_labels_must_be_lists_of_strings(tmp_path, task, labels):
    record = copy.deepcopy(RECORDS[task])
    if task == "NER":
        record["entities"] = []
    refused(put(tmp_path, [record], labels), task, "labels.json")


@pytest.mark.parametrize("value", ["", {}])
def test_annotations_must_be_a_list(tmp_path, value):
    folder = put(tmp_path, [{"sentence": "Hi.", "entities": value}], LABELS["NER"])
    refused(folder, "NER", "test.json#0")


def test_half_a_surrogate_pair_is_no_text(tmp_path):
    record = b'[{"sentence": "a \\ud800 b", "entities": []}]'
    refused(put(tmp_path, record, LABELS["NER"]), "NER", "test.json#0")


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.floats() | st.text(max_size=6)
    | st.sampled_from(["Acme", "lawsuit", "plaintiff", "bar", "NA", "", "name", "pos"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "type", "pos", "events", "sentence"]), inner),
    max_leaves=6,
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    out = [path] if path else []
    for key, item in inner if isinstance(value, dict | list) else ():
        out += _places(item, (*path, key)) if isinstance(item, dict | list) else [(*path, key)]
    return out


@st.composite
def _corrupted(draw):
    """A task and its records with one to three values replaced or deleted."""
    task = draw(st.sampled_from(TASKS))
    records = [copy.deepcopy(RECORDS[task]) for _ in range(2)]
    for _ in range(draw(st.integers(1, 3))):
        places = _places(records)
        if not places:
            break
        *path, last = draw(st.sampled_from(places))
        holder = records
        for key in path:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(_json)
        else:
            del holder[last]
    return task, records


def sound(examples, task):
    """What holds of every example that a reader yields."""
    for e in examples:
        assert e.text.strip()
        assert (e.event is not None) == (task == "EEA")
        spans = [s for a in e.annotations for s in a.spans] + ([e.event.trigger] if e.event else [])
        assert all(s.text and e.text[s.start : s.end] == s.text for s in spans)
        assert all(a.label in e.schema for a in e.annotations)
        assert all(len(a.spans) == (2 if task == "RE" else 1) for a in e.annotations)


@settings(max_examples=400)
@given(_corrupted(), st.booleans())
def test_corrupted_records_are_refused_or_counted(case, repair):
    task, records = case
    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), records, LABELS[task])
        found, problems = attempt(Path(folder), task, repair)
    if found is None:
        assert len(problems.splitlines()) == 1
        assert "test.json" in problems
        return
    sound(found, task)
    skipped = {"type 'NA' skipped", "type '' skipped", "offsets found by literal search"}
    assert repair or set(problems.counts) <= skipped
    assert set(problems.first) == set(problems.counts)
    if problems.counts:
        return
    # nothing vanishes without being counted
    fields = {"NER": "entities", "RE": "relations", "EET": "events"}
    said = sum(
        len(r["events"][0]["arguments"] if task == "EEA" else r[fields[task]]) for r in records
    )
    assert said == sum(len(e.annotations) for e in found)


@settings(max_examples=150)
@given(st.sampled_from(TASKS), _json, _json, st.booleans())
def test_any_json_in_the_place_of_the_files(task, records, labels, repair):
    with tempfile.TemporaryDirectory() as folder:
        for pair in ((records, LABELS[task]), ([RECORDS[task]], labels)):
            put(Path(folder), *pair)
            found, problems = attempt(Path(folder), task, repair)
            if found is None:
                assert folder in problems
            else:
                sound(found, task)


@settings(max_examples=100)
@given(st.binary(max_size=30))
def test_any_bytes_in_the_place_of_the_file(content):
    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), content, ["a"])
        found, problems = attempt(Path(folder), "NER")
        # "[]" and what amounts to it is the one content that can be read
        assert found == [] if content.split() == [b"[]"] else "test.json" in problems
