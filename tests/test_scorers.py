"""The strict scorer, with the arithmetic of every count."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruie import prompt, readers
from ruie.examples import TASKS
from ruie.scorers import Counts, even, measures, parse, strict

TEXT = "Alice and Bob met in Paris, then Alice flew to New York."
SCHEMA = ("person", "location")


@pytest.mark.parametrize(
    ("prediction", "gold", "tp", "fp", "fn"),
    [
        # all three, in another order
        ("location: Paris; person: Bob; person: Alice.",
         "person: Alice; person: Bob; location: Paris.", 3, 0, 0),
        # 3 said, 4 true, 2 in both
        ("person: Alice; location: Paris; location: Bob.",
         "person: Alice; person: Bob; location: Paris; location: New York.", 2, 1, 2),
        # the right span with the wrong label is wrong twice
        ("location: Alice.", "person: Alice.", 0, 1, 1),
        # a part of the span is not the span
        ("location: York.", "location: New York.", 0, 1, 1),
        # items are sets: said three times is said once
        ("person: Alice; person: Alice; person: Alice.", "person: Alice.", 1, 0, 0),
        ("person: Alice.", "person: Alice; person: Alice.", 1, 0, 0),
        # nothing said, nothing true
        ("None", "None", 0, 0, 0),
        ("none.", "None", 0, 0, 0),
        ("", "None", 0, 0, 0),
        ("  \n", "None", 0, 0, 0),
        ("None", "person: Alice; person: Bob.", 0, 0, 2),
        ("person: Alice; person: Bob.", "None", 0, 2, 0),
        # case, runs of whitespace and the last full stop make no difference
        ("PERSON:alice;\n location :  new\tYORK", "person: Alice; location: New York.", 2, 0, 0),
        # items on lines of their own
        ("person: Alice\nlocation: Paris\n", "person: Alice; location: Paris.", 2, 0, 0),
        # a label that the schema does not know: one wrong item
        ("animal: Bob; person: Alice.", "person: Alice.", 1, 1, 0),
        # chatter before the first item: one wrong item; after the last one: another
        ("Sure, here you are:\nperson: Alice\nHope this helps!", "person: Alice.", 1, 2, 0),
        ("I do not know", "person: Alice.", 0, 1, 1),
        # labels without a span
        ("person: ; location: Paris.", "location: Paris.", 1, 1, 0),
        # what is not in the text can be said, and is wrong
        ("person: Carol.", "person: Alice.", 0, 1, 1),
    ],
)  # fmt: skip
def test_strict(prediction, gold, tp, fp, fn):
    assert strict(prediction, gold, "NER", SCHEMA, TEXT) == Counts(tp, fp, fn)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ("Salt; Pepper & Lime", "We ate at Salt; Pepper & Lime on Friday."),
        ("a; b; c", "Of a; b; c only."),
        ("Faust: A Tragedy", "Goethe wrote Faust: A Tragedy here."),
        ("person: unknown", "The file says person: unknown here."),
        ("Paris, Texas", "It is Paris, Texas we love."),
        ("$5, no more", "For $5, no more."),
        ("U.S.", "He left the U.S. yesterday."),
        ("e.g. this", "Take e.g. this one."),
        ("C++ (17)", "Written in C++ (17) mostly."),
        ("None", "His name is None indeed."),
        ("東京", "彼は東京に住む。"),
        ("İzmir", "They met in İzmir."),
        ("new\nYORK", "In new\nYORK again."),
    ],
)
@pytest.mark.parametrize("task", ["NER", "EET", "EEA"])
def test_spans_that_hold_separators(task, span, text, make_example):
    schema = ("place", "person")
    e = make_example(text, ("place", span), task=task, schema=schema)
    assert parse(prompt.answer(e), task, schema, text) == {("place", even(span))}
    # between two others it is still one of three items
    three = f"person: x; place: {prompt.one_line(span)}; person: y."
    assert parse(three, task, schema, text) == {
        ("person", "x"), ("place", even(span)), ("person", "y"),
    }  # fmt: skip


@pytest.mark.parametrize("span", ["a;;b", "a; ;b", ";b"])
def test_spans_that_hold_nothing_between_separators(span, make_example):
    e = make_example(f"See {span} here.", ("sign", span), schema=("sign",))
    assert parse(prompt.answer(e), "NER", e.schema, e.text) == {("sign", span)}


def test_a_semicolon_ends_the_span_where_the_text_has_none():
    # "Alice" is in the text, "Alice; Bob" is not: one item and one piece that is none
    assert parse("person: Alice; Bob.", "NER", SCHEMA, TEXT) == {("person", "alice"), ("", "bob")}
    # gold holds two: TP = 1 of 2 said, 2 true
    gold = "person: Alice; person: Bob."
    assert strict("person: Alice; Bob.", gold, "NER", SCHEMA, TEXT) == Counts(1, 1, 1)


def test_the_longest_beginning_that_the_text_holds():
    text = "Salt; Pepper; Lime are three."
    assert parse("dish: Salt; Pepper; Soup.", "NER", ["dish"], text) == {
        ("dish", "salt; pepper"), ("", "soup"),
    }  # fmt: skip


def test_the_answer_none_beside_items_is_no_item():
    assert parse("person: Alice; None", "NER", SCHEMA, TEXT) == {("person", "alice")}


@pytest.mark.parametrize(
    "labels",
    [
        ("part: whole", "part", "whole"),
        ("date (year)", "date", "(year)"),
        ("C++", "C", "+"),
        ("city, state", "city", "state"),
        ("Treatment.Drug", "Treatment", "Drug"),
        ("a|b", "a", "b"),
        ("[x]", "x", "\\d"),
        ("work for", "work", "for"),
        ("größe", "GROSS", "né"),
    ],
)
@pytest.mark.parametrize("task", TASKS)
def test_labels_that_hold_signs(task, labels):
    said, true = ("Alice, Bob", ("alice", "bob")) if task == "RE" else ("Alice", ("alice",))
    answer = "; ".join(f"{label}: {said}" for label in labels) + "."
    items = {(even(label), *true) for label in labels}
    assert parse(answer, task, labels, TEXT) == items
    assert parse(answer, task, labels[::-1], TEXT) == items  # in whatever order they are declared
    assert strict(answer, answer, task, labels, TEXT) == Counts(3, 0, 0)
    # the first label alone: TP = 1 of 1 said, 3 true
    assert strict(f"{labels[0]}: {said}", answer, task, labels, TEXT) == Counts(1, 0, 2)


def test_a_label_may_be_broken_over_spaces_but_not_hidden_in_a_word():
    assert parse("work   for: Bob", "EEA", ["work for"], TEXT) == {("work for", "bob")}
    assert parse("homework for: Bob", "EEA", ["work for"], TEXT) == {("", "homework for: bob")}


@pytest.mark.parametrize(
    ("content", "text", "pair"),
    [
        ("Anna, Acme", "Anna left Acme.", ("anna", "acme")),
        # the first comma leaves "Paris" and "Texas, Anna", which the text does not hold
        ("Paris, Texas, Anna", "Anna in Paris, Texas.", ("paris, texas", "anna")),
        ("Anna, Paris, Texas", "Anna in Paris, Texas.", ("anna", "paris, texas")),
        ("Dr. Li, Acme, Inc.", "Dr. Li left Acme, Inc. in May.", ("dr. li", "acme, inc")),
        ("$1,000, Anna", "Anna got $1,000 then.", ("$1,000", "anna")),
        ("Salt; Lime, Faust: A Tragedy", "Faust: A Tragedy at Salt; Lime.",
         ("salt; lime", "faust: a tragedy")),
        # no cut leaves two spans of the text: the first comma
        ("Carol, Umbrella, Inc", "Anna left Acme.", ("carol", "umbrella, inc")),
        # no comma at all: no tail
        ("Anna", "Anna left Acme.", ("anna", "")),
        ("Anna,", "Anna left Acme.", ("anna", "")),
    ],
)  # fmt: skip
def test_head_and_tail(content, text, pair):
    assert parse(f"r: {content}.", "RE", ["r"], text) == {("r", *pair)}


def test_direction_of_a_relation_counts():
    gold = "work for: Anna, Acme."
    assert strict("work for: Acme, Anna.", gold, "RE", ["work for"], "Anna left Acme.") == Counts(
        0, 1, 1
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("  New\t YORK. ", "new york"),
        ("U.S.", "u.s"),
        ("...", ""),
        ("Straße", "strasse"),
        ("a . b", "a . b"),
        ("end .", "end"),
    ],
)
def test_even(text, result):
    assert even(text) == result


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # TP = 2 of 3 said, 4 true: P 2/3, R 2/4, F1 2 * 2 / (3 + 4)
        ((2, 1, 2), (200 / 3, 50.0, 400 / 7)),
        ((5, 0, 0), (100.0, 100.0, 100.0)),
        ((0, 3, 4), (0.0, 0.0, 0.0)),
        ((0, 0, 4), (0.0, 0.0, 0.0)),
        ((0, 3, 0), (0.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((1, 3, 0), (25.0, 100.0, 40.0)),  # 2 * 25 * 100 / 125
    ],
)
def test_measures(counts, expected):
    assert measures(*counts) == pytest.approx(expected, abs=1e-9)


@given(*[st.integers(0, 10**6)] * 3)
def test_f1_is_the_harmonic_mean_in_range(tp, fp, fn):
    precision, recall, f1 = measures(tp, fp, fn)
    assert 0 <= f1 <= 100
    assert f1 == pytest.approx(200 * tp / (2 * tp + fp + fn) if tp else 0)
    assert min(precision, recall) - 1e-9 <= f1 <= max(precision, recall) + 1e-9


# answers made of the pieces that matter to the parser, or of anything
_pieces = st.sampled_from(
    ["person", "location", ":", ";", ",", ".", "\n", " ", "None", "Alice", "New York", "(", "\\",
     "person: Alice", "; location: Paris", "e\u0301", "İ"]
)  # fmt: skip
_answers = st.lists(_pieces, max_size=14).map("".join) | st.text(max_size=40)
_schemas = st.lists(st.sampled_from(SCHEMA) | st.text(max_size=6), max_size=4)
_texts = st.just(TEXT) | st.text(max_size=40)


@settings(max_examples=300)
@given(_answers, st.sampled_from(TASKS), _schemas, _texts)
def test_parse_never_fails(answer, task, schema, text):
    known = {even(label) for label in schema} | {""}
    for item in parse(answer, task, schema, text):
        assert item[0] in known
        assert len(item) == (2 if task != "RE" or not item[0] else 3)


@settings(max_examples=200)
@given(_answers, _answers, st.sampled_from(TASKS), _texts)
def test_counts_are_those_of_two_sets(a, b, task, text):
    here, there = strict(a, b, task, SCHEMA, text), strict(b, a, task, SCHEMA, text)
    assert (here.tp, here.fp, here.fn) == (there.tp, there.fn, there.fp)
    assert here.tp + here.fp == len(parse(a, task, SCHEMA, text))
    assert here.tp + here.fn == len(parse(b, task, SCHEMA, text))
    assert strict(a, a, task, SCHEMA, text) == Counts(here.tp + here.fp, 0, 0)


LABELS = ("person", "part: whole", "date (year)", "C++", "city, state", "N.A. firm")
_words = st.sampled_from(["Alice", "Bob", "Inc.", "Zoë’s", "$5", "of", "C,", "D;", "E:", "x.", "&"])


@st.composite
def _examples(draw, make_example):
    """An example whose spans are stretches of its text; RE spans hold no comma, since two readings
    of one answer can both be true then, and no span begins or ends in a separator."""
    task = draw(st.sampled_from(TASKS))
    words = draw(st.lists(_words, min_size=1, max_size=12))
    text = " ".join(words)
    annotations = []
    for _ in range(draw(st.integers(0, 5))):
        spans = []
        for _ in range(2 if task == "RE" else 1):
            a = draw(st.integers(0, len(words) - 1))
            b = draw(st.integers(a + 1, min(a + 4, len(words))))
            spans.append(" ".join(words[a:b]))
        if all(s[-1] not in ";:," and even(s) and not (task == "RE" and "," in s) for s in spans):
            annotations.append((draw(st.sampled_from(LABELS)), *spans))
    return make_example(text, *annotations, task=task, schema=LABELS)


@settings(max_examples=300)
@given(st.data())
def test_gold_is_read_as_exactly_its_annotations(make_example, data):
    e = data.draw(_examples(make_example))
    gold = prompt.answer(e)
    assert parse(gold, e.task, e.schema, e.text) == {
        (even(a.label), *(even(s.text) for s in a.spans)) for a in e.annotations
    }
    counts = strict(gold, gold, e.task, e.schema, e.text)
    assert (counts.fp, counts.fn) == (0, 0)


def test_gold_of_the_real_data_is_exactly_right(shared):
    seen = 0
    for folder in sorted((shared / "data" / "ie").glob("*/*")):
        task = folder.parent.name
        source = readers.Source(folder, task, folder.name, "test")
        tp = fp = fn = 0
        for e in readers.get("ie_instructions")(source, readers.Problems()):
            gold = prompt.answer(e)
            counts = strict(gold, gold, task, e.schema, e.text)
            tp, fp, fn = tp + counts.tp, fp + counts.fp, fn + counts.fn
            # as many items as the annotations have when written evenly, each with a label
            assert counts.tp == len(
                {(even(a.label), *(even(s.text) for s in a.spans)) for a in e.annotations}
            ), f"{e.id}: {gold}"
        assert measures(tp, fp, fn) == (100, 100, 100), folder
        seen += 1
    assert seen >= 20
