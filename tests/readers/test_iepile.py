"""IEPile: instructions of one text put together, and the raw form."""

from __future__ import annotations

import json

import pytest
from breaking import attempt, broken, torn
from hypothesis import given
from hypothesis import strategies as st
from reading import lines, read, said

from ruie.cli import UserError
from ruie.readers import iepile

TEXT = "Ana met Zoë in Rome; Ana left."


def row(task, schema, output, text=TEXT, source="small", **more):
    instruction = {"instruction": "Extract.", "schema": schema, "input": text}
    made = {"task": task, "source": source, "instruction": json.dumps(instruction), **more}
    return made if output is None else made | {"output": json.dumps(output)}


PEOPLE = row("NER", ["person", "group"], {"person": ["Ana", "Zoë"], "group": []})
PLACES = row("NER", ["place", "time"], {"place": ["Rome"], "time": []})
RELATION = row("RE", ["met", "owns"], {"met": [{"subject": "Ana", "object": "Zoë"}], "owns": []})
ROLES = {"meeting": ["guest", "place"], "departure": ["who", "time"]}
EVENTS = {
    "meeting": [{"trigger": "met ", "arguments": {"guest": ["Ana", "Zoë"], "place": "Rome"}}],
    "departure": [{"trigger": "left", "arguments": {"who": "Ana", "time": "NAN"}}],
}
EVENT = row(
    "EE",
    [{"event_type": t, "trigger": True, "arguments": roles} for t, roles in ROLES.items()],
    EVENTS,
)
RAW = {
    "text": TEXT,
    "entity": [{"entity": "Rome", "entity_type": "place"}],
    "relation": [{"head": "Zoë", "head_type": "person", "relation": "met", "tail": "Ana"}],
    "event": [
        {
            "event_trigger": "met",
            "event_type": "meeting",
            "arguments": [
                {"argument": "Zoë", "role": "guest"},
                {"argument": "Rome", "role": "place"},
            ],
        },
        {"event_trigger": "left", "event_type": "departure", "arguments": []},
    ],
}
# where the words stand: Ana 0..3, 21..24; met 4..7; Zoë 8..11; Rome 15..19; left 25..29
SCHEMA_JSON = b'["group", "place"]\n["guest", "place", "who"]\n' + json.dumps(ROLES).encode()


def put(folder, *records, name="test.json"):
    path = folder / name
    path.write_bytes(lines(*records))
    return path


def test_instructions_of_one_text_are_put_together(tmp_path):
    other = row("NER", ["place"], {"place": ["Rome"]}, source="other")
    path = put(tmp_path, PEOPLE, row("NER", ["place"], {"place": []}, "Nobody."), PLACES, other)
    found, problems = read("iepile", path, "NER")
    assert said(found) == [
        (TEXT, [("person", 0, 3), ("person", 8, 11), ("place", 15, 19)]),
        ("Nobody.", []),
        (TEXT, [("place", 15, 19)]),
    ]
    assert found[0].schema == ("group", "person", "place", "time")  # all that is asked for
    assert problems.counts == {iepile.TOGETHER: 1, "offsets found by literal search": 4}
    found, problems = read("iepile", path, "NER", source="other")
    assert said(found) == [(TEXT, [("place", 15, 19)])]
    assert found[0].schema == ("place",)
    assert problems.counts["row of another source"] == 3


def test_a_repeated_row_says_nothing_new(tmp_path):
    twice = row("NER", ["person"], {"person": ["Ana", "Ana", "Zoë"]})
    found, _ = read("iepile", put(tmp_path, PEOPLE, twice), "NER")
    # the second row names Ana twice, but the first row's Ana is the same fact
    assert said(found) == [(TEXT, [("person", 0, 3), ("person", 8, 11)])]
    found, _ = read("iepile", put(tmp_path, twice), "NER")
    assert said(found) == [(TEXT, [("person", 0, 3), ("person", 21, 24), ("person", 8, 11)])]


def test_rows_of_other_tasks_are_skipped_and_counted(tmp_path):
    path = put(tmp_path, RELATION, PEOPLE, EVENT, row("SPO", ["x"], {}))
    found, problems = read("iepile", path, "RE")
    assert said(found) == [(TEXT, [("met", 0, 3, 8, 11)])]
    assert found[0].schema == ("met", "owns")
    skipped = {f"row of the task {task!r}": 1 for task in ("NER", "EE", "SPO")}
    assert problems.counts == skipped | {"offsets found by literal search": 2}
    assert problems.first["row of the task 'EE'"] == f"{path}#2: "


MEETING = ("meeting", 4, 7), [("guest", 0, 3), ("guest", 8, 11), ("place", 15, 19)]
LEAVING = ("departure", 25, 29), [("who", 0, 3)]


def test_events_serve_triggers_and_arguments(tmp_path):
    path = put(tmp_path, EVENT)
    found, problems = read("iepile", path, "EET")
    assert said(found) == [(TEXT, [("meeting", 4, 7), ("departure", 25, 29)])]
    assert found[0].schema == ("departure", "meeting")
    assert problems.counts[iepile.STRIPPED] == 1  # "met "
    found, _ = read("iepile", path, "EEA")
    assert said(found) == [(TEXT, *MEETING), (TEXT, *LEAVING)]
    assert [e.schema for e in found] == [("guest", "place"), ("time", "who")]
    listed = [
        {"event_type": t, "trigger": e["trigger"].strip(), "arguments": e["arguments"]}
        for t, [e] in EVENTS.items()
    ]
    path = put(tmp_path, {**EVENT, "output": json.dumps(listed)})
    found, _ = read("iepile", path, "EEA")
    assert said(found) == [(TEXT, *MEETING), (TEXT, *LEAVING)]


def test_triggers_alone(tmp_path):
    path = put(tmp_path, row("EET", list(ROLES), {"meeting": ["met"], "departure": ["NAN"]}))
    found, problems = read("iepile", path, "EET")
    assert said(found) == [(TEXT, [("meeting", 4, 7)])]
    assert problems.counts == {"offsets found by literal search": 1}


def test_arguments_of_events_whose_trigger_the_schema_names(tmp_path):
    def asked(kind, triggers):
        return {"event_type": kind, "trigger": triggers, "arguments": ROLES[kind]}

    one = row("EEA", [asked("meeting", ["met"]), asked("departure", ["left"])],
              {"meeting": [EVENTS["meeting"][0]["arguments"]], "departure": []})  # fmt: skip
    found, problems = read("iepile", put(tmp_path, one), "EEA")
    assert said(found) == [(TEXT, *MEETING), (TEXT, ("departure", 25, 29), [])]
    assert iepile.NO_TRIGGER not in problems.counts
    _, problems = read(
        "iepile", put(tmp_path, {"text": TEXT, "event": [NO_TRIGGER]}), "EET", labels={"x": "x"}
    )
    assert problems.outcomes == {iepile.NO_TRIGGER: "annotation left out"}
    # of two triggers none is known to belong to the arguments
    two = row("EEA", [asked("meeting", ["met", "left"])], {"meeting": [{"guest": "Ana"}]})
    found, problems = read("iepile", put(tmp_path, two), "EEA")
    assert found == []
    assert problems.counts == {iepile.NO_TRIGGER: 1}


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("NER", [(TEXT, [("place", 15, 19)])]),
        ("RE", [(TEXT, [("met", 8, 11, 0, 3)])]),
        ("EET", [(TEXT, [("meeting", 4, 7), ("departure", 25, 29)])]),
        (
            "EEA",
            [
                (TEXT, ("meeting", 4, 7), [("guest", 8, 11), ("place", 15, 19)]),
                (TEXT, ("departure", 25, 29), []),
            ],
        ),
    ],
)
def test_raw_records_and_labels_of_tests(tmp_path, task, expected):
    found, _ = read("iepile", put(tmp_path, RAW, {"text": "Nobody."}), task)
    assert said(found) == expected
    asked = row(task, [], None, label=json.dumps(RAW[iepile.RAW[task]]))
    found, problems = read("iepile", put(tmp_path, asked, asked), task)
    assert said(found) == expected
    assert problems.counts[iepile.TOGETHER] == 1


def test_raw_records_without_the_task_are_counted(tmp_path):
    found, problems = read("iepile", put(tmp_path, RAW, {"text": "Nobody."}), "NER")
    assert len(found) == 1
    assert problems.counts["record without 'entity'"] == 1


NO_TRIGGER = {"event_type": "meeting", "event_trigger": "", "arguments": []}


def test_schema_json_beside_the_data(tmp_path):
    put(tmp_path, RAW)
    (tmp_path / "schema.json").write_bytes(SCHEMA_JSON)
    assert read("iepile", tmp_path, "NER")[0][0].schema == ("group", "place")
    found, _ = read("iepile", tmp_path, "EEA")
    assert [e.schema for e in found] == [("guest", "place"), ("who", "time")]
    for content in (b"[]\n[]\n", b"[1]\n[]\n{}", b"{}\n[]\n[]", b'[]\n[]\n{"a": 1}'):
        (tmp_path / "schema.json").write_bytes(content)
        with pytest.raises(UserError, match=r"schema\.json: "):
            read("iepile", tmp_path, "NER")


@pytest.mark.parametrize(
    ("task", "record", "why"),
    [
        ("NER", {"task": "NER"}, "field 'text' is missing; expected a NER record of IEPile"),
        ("NER", {**PEOPLE, "instruction": "{"}, "malformed JSON"),
        ("NER", {**PEOPLE, "instruction": "{}"}, "field 'input' is missing"),
        ("NER", {**PEOPLE, "output": "7"}, "the output is not an object"),
        ("NER", {**PEOPLE, "output": '{"person": "Ana"}'}, "'person' is not a list"),
        ("NER", {**PEOPLE, "output": '{"person": [5]}'}, "span is not a string: 5"),
        ("RE", {**RELATION, "output": '{"met": [{"subject": "Ana"}]}'}, "'object' is missing"),
        ("EEA", row("EE", [], {"meeting": [{"trigger": "met", "arguments": 1}]}), "neither a list"),
        ("NER", [], "expected a NER record"),
    ],
)
def test_a_bad_record_is_named_or_left_out(tmp_path, task, record, why):
    path = put(tmp_path, ROWS[task], record)
    with pytest.raises(UserError, match=r"test\.json#1: unreadable record") as error:
        read("iepile", path, task)
    assert why in str(error.value)
    _, problems = read("iepile", path, task, repair=True)
    assert problems.counts["unreadable record (record left out)"] == 1


def test_a_string_that_is_not_in_the_text(tmp_path):
    path = put(tmp_path, row("NER", ["person"], {"person": ["Bob"]}))
    with pytest.raises(UserError, match="span not in text: span 'Bob'"):
        read("iepile", path, "NER")


ROWS = {"NER": PEOPLE, "RE": RELATION, "EET": EVENT, "EEA": EVENT}


@given(st.sampled_from(list(ROWS)), st.data(), st.booleans())
def test_broken_records(task, data, repair):
    opened = {k: json.loads(ROWS[task][k]) for k in ("instruction", "output")}
    records = data.draw(broken([{**ROWS[task], **opened}, RAW]))
    for record in records:
        if isinstance(record, dict) and data.draw(st.booleans()):
            record |= {k: json.dumps(record[k]) for k in opened if k in record}
    found = attempt(lines(RAW, *records), "test.json", "iepile", task, repair=repair)
    assert found is not None or not repair


@given(torn(lines(EVENT, RAW)), st.booleans())
def test_damaged_files(content, repair):
    attempt(content, "test.json", "iepile", "EEA", repair=repair)
