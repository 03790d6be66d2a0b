"""Reading answers: what is an item, and which."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruie import prompt, readers
from ruie.answers import even, even_label, parse
from ruie.examples import TASKS
from ruie.scorers import MENTIONS, Counts, measures, mentioned, soft, strict

TEXT = "Alice and Bob met in Paris, then Alice flew to New York."
SCHEMA = ("person", "location")


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
    assert parse(prompt.answer(e), task, schema, text) == [("place", even(span))]
    # between two others it is still one of three items
    three = f"person: x; place: {prompt.one_line(span)}; person: y."
    assert parse(three, task, schema, text) == [
        ("person", "x"), ("place", even(span)), ("person", "y"),
    ]  # fmt: skip


@pytest.mark.parametrize("span", ["a;;b", "a; ;b", ";b"])
def test_spans_that_hold_nothing_between_separators(span, make_example):
    e = make_example(f"See {span} here.", ("sign", span), schema=("sign",))
    assert parse(prompt.answer(e), "NER", e.schema, e.text) == [("sign", span)]


def test_a_semicolon_ends_the_span_where_the_text_has_none():
    # "Alice" is in the text, "Alice; Bob" is not: one item and one piece that is none
    assert parse("person: Alice; Bob.", "NER", SCHEMA, TEXT) == [("person", "alice"), ("", "bob")]
    assert parse("person: Alice; person: Bob.", "NER", SCHEMA, TEXT) == [
        ("person", "alice"), ("person", "bob"),
    ]  # fmt: skip


def test_the_longest_beginning_that_the_text_holds():
    text = "Salt; Pepper; Lime are three."
    assert parse("dish: Salt; Pepper; Soup.", "NER", ["dish"], text) == [
        ("dish", "salt; pepper"), ("", "soup"),
    ]  # fmt: skip


def test_the_answer_none_beside_items_is_no_item():
    assert parse("person: Alice; None", "NER", SCHEMA, TEXT) == [("person", "alice")]


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
    items = [(even(label), *true) for label in labels]
    assert parse(answer, task, labels, TEXT) == items
    assert parse(answer, task, labels[::-1], TEXT) == items  # in whatever order they are declared
    assert parse(f"{labels[0]}: {said}", task, labels, TEXT) == items[:1]


def test_a_label_may_be_broken_over_spaces_but_not_hidden_in_a_word():
    assert parse("work   for: Bob", "EEA", ["work for"], TEXT) == [("work for", "bob")]
    assert parse("homework for: Bob", "EEA", ["work for"], TEXT) == [("", "homework for: bob")]


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
    assert parse(f"r: {content}.", "RE", ["r"], text) == [("r", *pair)]


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
    known = {even_label(label) for label in schema} | {""}
    for item in parse(answer, task, schema, text):
        assert item[0] in known
        assert len(item) == (2 if task != "RE" or not item[0] else 3)


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
    assert parse(prompt.answer(e), e.task, e.schema, e.text) == [
        (even(a.label), *(even(s.text) for s in a.spans)) for a in e.annotations
    ]


_nasty = st.text(alphabet="aB1 :;,.()+[]{}|\\*?^$'\"-_/&\n\t\u2028\u00a0İßſ東e\u0301🙂", max_size=9)


@st.composite
def _nasty_examples(draw, make_example):
    """An example whose labels and spans may hold anything, as long as there is a label."""
    task = draw(st.sampled_from(TASKS))
    schema = tuple(draw(st.lists(_nasty.filter(str.strip), min_size=1, max_size=4)))
    text = draw(_nasty) + draw(_nasty)
    spans = []
    for _ in range(draw(st.integers(0, 4)) * (2 if task == "RE" else 1)):
        a, b = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        spans.append(text[a:b])
    each = zip(*[iter(spans)] * 2, strict=True) if task == "RE" else [(s,) for s in spans]
    annotations = [(draw(st.sampled_from(schema)), *group) for group in each]
    return make_example(text, *annotations, task=task, schema=schema)


@pytest.mark.parametrize("mentions", MENTIONS)
@settings(max_examples=300)
@given(data=st.data())
def test_gold_is_exactly_right_whatever_it_holds(make_example, mentions, data):
    e = data.draw(_nasty_examples(make_example))
    gold = prompt.answer(e)
    items = mentioned(parse(gold, e.task, e.schema, e.text), mentions)
    for count in (strict, soft):
        counts = count(items, items)
        assert counts == Counts(len(items), 0, 0)
        if e.annotations:
            assert measures(*counts) == (100, 100, 100)
    assert bool(items) == bool(e.annotations)


def test_gold_of_the_real_data_is_exactly_right(shared):
    seen = set()
    for path in sorted((shared / "data" / "ie").glob("*/*/*.json")):
        folder, split = path.parent, path.stem
        if split not in ("train", "dev", "test"):
            continue
        task = folder.parent.name
        source = readers.Source(folder, task, folder.name, split)
        sums = {name: [0.0, 0.0, 0.0] for name in MENTIONS}
        for e in readers.get("ie_instructions")(source, readers.Problems()):
            gold = prompt.answer(e)
            items = parse(gold, task, e.schema, e.text)
            # read as what was annotated, and not as something else
            assert items == [
                (even(a.label), *(even(s.text) for s in a.spans)) for a in e.annotations
            ], f"{e.id}: {gold}"
            for name, sum_ in sums.items():
                found = mentioned(items, name)
                sum_[:] = map(sum, zip(sum_, strict(found, found), strict=True))
        for name in MENTIONS:
            assert measures(*sums[name]) == (100, 100, 100), (path, name)
        seen.add(folder)
    assert len(seen) >= 20


LINES = "The IBM; Inc report by Ann Lee, Bob; and Carl of New\nYork."


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        # empty pieces do not make a span that ends in a separator
        ("person: Bob;;person: Ann Lee", [("person", "bob"), ("person", "ann lee")]),
        ("org: IBM;;", [("org", "ibm")]),
        ("person: Bob\n\nand", [("person", "bob"), ("", "and")]),
        ("person: Bob; ; ", [("person", "bob")]),
        # a span goes on in whole words: the text goes on with "and", and with "Inc"
        ("person: Bob; a", [("person", "bob"), ("", "a")]),
        ("org: IBM; I", [("org", "ibm"), ("", "i")]),
        ("org: IBM; Inc", [("org", "ibm; inc")]),
        # over a line break too
        ("place: New\nYork", [("place", "new york")]),
        ("place:\nNew York", [("place", "new york")]),
    ],
)
def test_where_a_span_ends(answer, items):
    assert parse(answer, "NER", ("person", "org", "place"), LINES) == items


def test_composed_and_decomposed_letters_are_the_same():
    assert parse("place: Cafe\u0301", "NER", ("place",), "Caf\u00e9") == [("place", "caf\u00e9")]


@pytest.mark.parametrize("piece", ["foo, bar; ", "foo, bar, baz\n", "\n", ";", "foo; ", "a, "])
def test_long_repetitions_are_read(piece):
    # took minutes when every beginning of them was tried
    for task in ("NER", "RE"):
        assert parse("person: " + piece * 20_000, task, ("person",), "foo, bar; a, b")
