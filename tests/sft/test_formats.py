"""What holds for all families: tasks, gold answers that come back, and any text that is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sft_samples import EEA, SAMPLES, TEXT, answered, items

from ruie.answers import even, parse
from ruie.cli import UserError
from ruie.prompt import answer as gold_answer
from ruie.scorers import mentioned, strict
from ruie.sft import reading
from ruie.sft.formats import FORMATS, check

PAIRS = [(name, task) for name, f in FORMATS.items() for task in f.tasks]


def told(name, example):
    """The gold answer as a family's models would give it."""
    o, c, s = (f"<extra_id_{n}>" for n in (0, 1, 5))
    pairs = [(a.label, [span.text for span in a.spans]) for a in example.annotations]
    if name == "instructuie":
        turned = [f"{spans[0]}: {label}" for label, spans in pairs]
        return "; ".join(turned) if example.task == "EEA" else gold_answer(example)[:-1]
    if name == "uie":
        inner = " ".join(f"{o} {label} {s} {spans[0]} {c}" for label, spans in pairs)
        if example.event:
            inner = f"{o} {example.event.type} {s} {example.event.trigger.text} {inner} {c}"
        return f"{o} {inner} {c}"
    if name == "yayi" and example.task == "RE":
        return json.dumps([{"relation": r, "head": h, "tail": t} for r, (h, t) in pairs])
    if example.task == "RE":
        return json.dumps({r: [{"subject": h, "object": t}] for r, (h, t) in pairs})
    found = {label: [span for la, (span,) in pairs if la == label] for label, _ in pairs}
    return json.dumps({example.event.type: [found]} if example.event and name != "yayi" else found)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_model_that_says_the_gold_answer_is_right(name, task):
    example = SAMPLES[task]
    true = parse(gold_answer(example), task, example.schema, example.text)
    said = items(name, example, told(name, example))
    # RE and EET have one item, NER and EEA two
    assert strict(mentioned(said), mentioned(true)) == (len(example.annotations), 0, 0)


@pytest.mark.parametrize(
    ("name", "task", "says"),
    [
        ("uie", "RE", "dataset toy: format uie has no prompt for relation extraction, but for NER"),
        ("yayi", "EET", "format yayi has no prompt for event detection, but for NER, RE, EEA"),
    ],
)
def test_a_task_without_a_prompt_is_refused(name, task, says):
    with pytest.raises(UserError, match=says):
        check(name, task, "toy")
    assert len(FORMATS) * 4 - 2 == len(PAIRS)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_nothing_said_is_nothing(name, task):
    for text in ("", "None", " none. "):
        assert items(name, SAMPLES[task], text) == []


MARKS = ["<extra_id_0>", "<extra_id_1>", "<extra_id_5>", "<extra_id_6>", "<unk>", "person", "Bob",
         "Start Job", "hired", "works for", "subject", "relation", "head", ";", ":", ",", "\n", '"',
         "'", "{", "}", "[", "]", "\\", " ", "None", "NAN", "é😀", "Alice Smith; of"]  # fmt: skip


@pytest.mark.parametrize(("name", "task"), PAIRS)
@given(text=st.text() | st.lists(st.sampled_from(MARKS), max_size=30).map("".join))
@settings(max_examples=60)
def test_any_text_is_an_answer_and_every_fault_counts(name, task, text):
    example = SAMPLES[task]
    found = FORMATS[name].read([text], example)
    said = reading.answer(found, example)
    got = parse(said, task, example.schema, example.text)
    # each different piece that could not be read is one wrong item of its own
    pieces = {even(reading.MARK + reading._part(piece)) for piece in found.unread}
    assert pieces <= {span for label, span in (item[:2] for item in got) if not label}
    if found.written is None:
        assert len(got) == len(found.unread) + len(found.items)
    assert "\n" not in said or found.written is not None


@given(
    label=st.sampled_from([*EEA.schema, "owner", "place: x", "a;b", ""]),
    span=st.text(max_size=20) | st.sampled_from(["Alice Smith; of", "x; place: Bob", "\n;;"]),
)
def test_an_item_stays_one_item(label, span):
    """Unless the input holds it, no sign in a span begins another item."""
    found = reading.Reading(items=[(label, span), ("person", "Bob")])
    said = reading.answer(found, EEA)
    got = parse(said, "EEA", EEA.schema, TEXT)
    assert len(got) == 2
    assert got.count(("person", "bob")) >= 1
    assert bool(got[0][0]) == (label in EEA.schema)


def test_an_unreadable_piece_is_found_in_the_answer():
    assert answered("iepile", EEA, "so; what:\nnow") == (
        "[unreadable] so, what: now.",
        {"no JSON": 1},
    )
