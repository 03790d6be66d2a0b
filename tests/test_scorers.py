"""The strict scorer, with the arithmetic of every count."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruie.scorers import Counts, Item, measures, mentioned, parse, soft, strict

TEXT = "Alice and Bob met in Paris, then Alice flew to New York."
SCHEMA = ("person", "location")


def count(scorer, prediction, gold, task="NER", schema=SCHEMA, text=TEXT, mentions="set"):
    both = (mentioned(parse(a, task, schema, text), mentions) for a in (prediction, gold))
    return scorer(*both)


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
    assert count(strict, prediction, gold) == (tp, fp, fn)


def test_direction_of_a_relation_counts():
    found = count(
        strict, "work for: Acme, Anna.", "work for: Anna, Acme.", "RE", ["work for"],
        "Anna left Acme.",
    )  # fmt: skip
    assert found == Counts(0, 1, 1)


@pytest.mark.parametrize(
    ("prediction", "gold", "tp", "fp", "fn"),
    [
        # said three times, true twice: the third is wrong
        ("person: Alice; person: Alice; person: Alice.", "person: Alice; person: Alice.", 2, 1, 0),
        ("person: Alice.", "person: Alice; person: Alice.", 1, 0, 1),
        ("Bob; Bob; person: Alice.", "person: Alice.", 1, 2, 0),
    ],
)
def test_items_as_multisets(prediction, gold, tp, fp, fn):
    assert count(strict, prediction, gold, mentions="multiset") == (tp, fp, fn)


NEWS = "The New York Times hired Ann Lee, of Oslo, in New York."


@pytest.mark.parametrize(
    ("prediction", "gold", "tp"),
    [
        ("person: Ann Lee", "person: Ann Lee.", 1.0),
        # one of 1 and 2 words in common, Dice 2 * 1 / 3: 1/2 + 1/2 * 2/3
        ("person: Ann", "person: Ann Lee.", 5 / 6),
        # 3 and 4 words, 3 in common: 1/2 + 1/2 * 6/7
        ("firm: New York Times", "firm: The New York Times.", 13 / 14),
        # the words without the label: half
        ("firm: Ann Lee", "person: Ann Lee.", 0.5),
        ("firm: Ann", "person: Ann Lee.", 1 / 3),
        # the label without a word
        ("person: Oslo", "person: Ann Lee.", 0.0),
        # a mark counts like a word: 2 of 3 and 2 are common, 1/2 + 1/2 * 4/5
        ("person: Ann Lee,", "person: Ann Lee.", 0.9),
        # "New York" is one of two gold items: the better pair is taken, 1/2 + 1/2 * 4/5 for the
        # other with "York Times" (2 of 2 and 3 words)
        ("place: New York; place: York Times", "place: New York; place: New York Times.", 1.9),
        # one answer cannot be right twice
        ("place: New York", "place: New York; place: New York Times.", 1.0),
        # paired so that the sum is greatest: 5/6 + 5/6, and not 1 + 0
        ("person: Ann Lee; person: Lee", "person: Ann; person: Ann Lee.", 5 / 3),
        # no label of the schema, no credit
        ("animal: Ann Lee", "person: Ann Lee.", 0.0),
        ("None", "person: Ann Lee.", 0.0),
        ("None", "None", 0.0),
    ],
)
def test_soft(prediction, gold, tp):
    schema = ("person", "firm", "place")
    said, true = (len(parse(a, "NER", schema, NEWS)) for a in (prediction, gold))
    found = count(soft, prediction, gold, schema=schema, text=NEWS)
    assert found == pytest.approx((tp, said - tp, true - tp), abs=1e-8)


@pytest.mark.parametrize(
    ("pair", "tp"),
    [
        # head exact, tail with one of 1 and 2 words: 1/2 + 1/2 * (1 + 2/3) / 2
        ("Ann Lee, York", 11 / 12),
        # the tail shares no word
        ("Ann Lee, Times", 0.0),
        # head with head and tail with tail
        ("New York, Ann Lee", 0.0),
    ],
)
def test_soft_relations(pair, tp):
    found = count(
        soft, f"lives in: {pair}", "lives in: Ann Lee, New York.", "RE", ["lives in"], NEWS
    )
    assert found == pytest.approx((tp, 1 - tp, 1 - tp), abs=1e-8)


_spans = st.lists(st.sampled_from("abcd,"), max_size=4).map(" ".join)
_items = st.lists(st.tuples(st.sampled_from(["x", "y", ""]), _spans), max_size=6)


def best(said: list[Item], true: list[Item]) -> float:
    """The greatest sum of credits, by trying every matching."""
    if not said:
        return 0.0
    rest = [best(said[1:], true)]
    for j, item in enumerate(true):
        credit = soft([said[0]], [item]).tp
        rest.append(credit + best(said[1:], true[:j] + true[j + 1 :]))
    return max(rest)


@settings(max_examples=300)
@given(_items, _items, st.sampled_from(["set", "multiset"]))
def test_soft_against_strict(a, b, mentions):
    said, true = mentioned(a, mentions), mentioned(b, mentions)
    exact, parts = strict(said, true), soft(said, true)
    assert parts.tp >= exact.tp
    assert 0 <= parts.tp <= min(len(said), len(true))
    assert (parts.tp + parts.fp, parts.tp + parts.fn) == pytest.approx((len(said), len(true)))
    assert measures(*parts)[2] >= measures(*exact)[2] - 1e-9
    # neither side's order matters, and neither side is the better one
    assert soft(said[::-1], true[::-1]) == parts
    assert soft(true, said) == (parts.tp, parts.fn, parts.fp)


@given(_items.map(lambda found: found[:4]), _items.map(lambda found: found[:4]))
def test_soft_is_the_best_matching(a, b):
    assert math.isclose(soft(a, b).tp, best(a, b), abs_tol=1e-7)


def test_soft_is_strict_where_items_are_equal_or_share_no_word():
    # 2 equal, 1 said and 2 true without a common word
    said = [("x", "a b"), ("y", "c"), ("x", "d")]
    true = [("y", "c"), ("x", "a b"), ("x", "e"), ("y", "f g")]
    assert soft(said, true) == strict(said, true) == (2, 1, 2)


@settings(max_examples=200)
@given(_items, _items)
def test_counts_are_those_of_two_sets(a, b):
    said, true = mentioned(a), mentioned(b)
    hits = len(set(a) & set(b))
    assert strict(said, true) == (hits, len(set(a)) - hits, len(set(b)) - hits)


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


def test_the_examples_of_the_documentation():
    page = (Path(__file__).parents[1] / "docs/scorers.md").read_text(encoding="utf-8")
    # | `answer` | items | why |, a piece without label as (–, piece)
    text = "Ann Lee of Acme, Inc. ate at Salt; Pepper & Lime in Paris, Texas."
    schema = ("person", "place", "part: whole")
    read = re.findall(r"^\| `(.*?)` \| (\(.*\)|) ?\| (?!\d)", page, re.M)
    assert len(read) == 7
    assert text in page
    for answer, items in read:
        found = [f"({item[0] or '–'}, {item[1]})" for item in parse(answer, "NER", schema, text)]
        assert ", ".join(found) == items
    # | `answer` | strict tp, fp, fn | soft tp, fp, fn | credit |
    scored = re.findall(r"^\| `(.*?)` \| ([\d., ]+) \| ([\d., ]+) \|", page, re.M)
    assert len(scored) == 5
    gold = "person: Ann Lee; place: Paris"
    assert f"`{gold}`" in page
    for answer, exact, parts in scored:
        for scorer, numbers in ((strict, exact), (soft, parts)):
            expected = [float(n) for n in numbers.split(",")]
            assert list(count(scorer, answer, gold, "NER", schema, text)) == pytest.approx(
                expected, abs=5e-4
            )


def test_soft_tells_signs_apart():
    # c and two signs against c and one: "+" is there twice, but counts once, so {c, +} and {c, #}
    for said, true in (("C++", "C#"), ("$5", "€5")):
        counts = soft([("x", said)], [("x", true)])
        assert counts.tp == 0.75  # 1/2 + 1/2 * (2 * 1) / (2 + 2)
    assert soft([("x", "a, b")], [("x", "c, d")]).tp == 0  # a mark alone is no common word
