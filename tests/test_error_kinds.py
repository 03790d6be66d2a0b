"""The kind of each wrong and each missed item."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.error_kinds import (
    KINDS,
    MISSED,
    RE_ONLY,
    WRONG,
    form,
    has_symbols,
    judge,
    places,
    pronoun,
    repeated,
)

TEXT = "Alice Smith and Bob met the Bank of York in New York City."


def kinds(said, true, **other):
    """(kind, detail) of all that is wrong."""
    return [e[:2] for e in judge(said, true, other.pop("text", TEXT), **other)]


@pytest.mark.parametrize(
    ("said", "true", "wrong", "missed"),
    [
        # the right span under another label
        (("person", "new york city"), ("location", "new york city"),
         ("wrong label", "location -> person"), ("missed: wrong label", "location -> person")),
        (("person", "alice"), ("person", "alice smith"),
         ("wrong boundary", "too short"), ("missed: wrong boundary", "too short")),
        (("person", "alice smith and bob"), ("person", "alice smith"),
         ("wrong boundary", "too long"), ("missed: wrong boundary", "too long")),
        (("location", "york city"), ("location", "new york"),
         ("wrong boundary", "shifted"), ("missed: wrong boundary", "shifted")),
        # "york" alone stands at two places, one of them within the gold span
        (("location", "york"), ("location", "new york city"),
         ("wrong boundary", "too short"), ("missed: wrong boundary", "too short")),
        (("person", "york"), ("bank", "bank of york"),
         ("wrong label and boundary", "bank -> person"),
         ("missed: wrong label and boundary", "bank -> person")),
        # the same word at another place of the text is no overlap
        (("location", "bank of"), ("location", "new york city"),
         ("spurious", "location"), ("missed", "location")),
        (("person", "carol"), ("person", "bob"), ("not in the text", "carol"),
         ("missed", "person")),
        # a part of a word counts as the word where it stands nowhere else
        (("person", "smit"), ("person", "alice smith"),
         ("wrong boundary", "too short"), ("missed: wrong boundary", "too short")),
        (("", "i do not know"), ("person", "bob"), ("unparsable", "i do not know"),
         ("missed", "person")),
        (("", "animal: bob"), ("person", "bob"), ("unknown label", "animal"),
         ("missed", "person")),
        (("", "animal:"), ("person", "bob"), ("unparsable", "animal:"), ("missed", "person")),
        (("person", ""), ("person", "bob"), ("unparsable", "person: "), ("missed", "person")),
    ],
)  # fmt: skip
def test_one_item_against_one(said, true, wrong, missed):
    assert kinds([said], [true]) == [wrong, missed]


@pytest.mark.parametrize(
    ("said", "wrong", "missed"),
    [
        (("likes", "alice smith", "bob"), ("wrong label", "knows -> likes"), "wrong label"),
        (("knows", "bob", "alice smith"), ("swapped head and tail", "knows"),
         "swapped head and tail"),
        (("knows", "alice", "bob"), ("wrong boundary", "head too short"), "wrong boundary"),
        (("knows", "alice", "bob met"), ("wrong boundary", "head too short, tail too long"),
         "wrong boundary"),
        (("likes", "alice", "bob"), ("wrong label and boundary", "knows -> likes"),
         "wrong label and boundary"),
        (("knows", "alice smith", "york"), ("wrong head or tail", "wrong tail"),
         "wrong head or tail"),
        (("knows", "york", "bob met"), ("wrong head or tail", "wrong head"), "wrong head or tail"),
        (("likes", "alice smith", "york"), ("spurious", "likes"), None),
        (("likes", "bob", "alice smith"), ("spurious", "likes"), None),
        (("knows", "alice smith", ""), ("unparsable", "knows: alice smith, "), None),
    ],
)  # fmt: skip
def test_pairs(said, wrong, missed):
    gold = ("knows", "alice smith", "bob")
    found = kinds([said], [gold])
    assert found[0] == wrong
    assert found[1][0] == (f"missed: {missed}" if missed else "missed")


def test_the_closest_gold_item_counts_and_a_missed_one_before_a_found_one():
    # bob is found as a person and missed as a guest: "host: bob" is the missed one's
    said, true = [("person", "bob"), ("host", "bob")], [("person", "bob"), ("guest", "bob")]
    assert kinds(said, true) == [
        ("wrong label", "guest -> host"),
        ("missed: wrong label", "guest -> host"),
    ]
    # only the found one is left: still its label, and nothing is missed
    assert kinds(said, true[:1]) == [("wrong label", "person -> host")]
    # under its own label the found one is said again in part
    said = [("person", "alice smith"), ("person", "smith")]
    assert kinds(said, said[:1]) == [("wrong boundary", "too short")]
    # a missed item is set against wrong ones alone: a right one has its own
    assert kinds(said[:1], said) == [("missed", "person")]
    # same span under another label comes before another boundary under the same label
    true = [("person", "alice smith"), ("guest", "alice")]
    assert kinds([("person", "alice")], true) == [
        ("wrong label", "guest -> person"),
        ("missed: wrong label", "guest -> person"),
        ("missed: wrong boundary", "too short"),
    ]


def test_a_gold_span_that_the_text_lacks_is_not_invented_by_the_answer():
    assert kinds([("person", "dave")], [("guest", "dave")])[0] == ("wrong label", "guest -> person")
    pair = [("knows", "dave", "bob")], [("knows", "dave", "alice smith")]
    assert kinds(*pair)[0] == ("wrong head or tail", "wrong tail")


def test_copied_from_a_demonstration():
    shown = ["carol met dave\nperson: carol; person: dave", "no one"]
    said = [("person", s) for s in ("bob", "carol", "dav", "erin")]
    assert kinds(said, said[:1], shown=shown) == [
        ("copied from a demonstration", "carol"),
        ("not in the text", "dav"),  # only in the middle of a word
        ("not in the text", "erin"),
    ]
    # what the text holds is not copied; of a pair the span that was is named
    pair = [("knows", "erin", "carol"), ("knows", "bob", "erin")]
    assert kinds(pair, [], shown=shown) == [
        ("not in the text", "erin"),
        ("copied from a demonstration", "carol"),
    ]


def test_truncated_is_the_item_that_was_cut_if_it_is_wrong_and_new():
    right, half = ("person", "bob"), ("location", "new yo")
    gold = [right, ("location", "new york city")]
    assert kinds([right, half], gold, cut=half) == [
        ("truncated", "location: new yo"),
        ("missed: wrong boundary", "too short"),
    ]
    assert kinds([right, half], gold)[0] == ("wrong boundary", "too short")
    assert kinds([half, right, half], gold, cut=half)[0] == ("wrong boundary", "too short")
    assert kinds([half, right], gold, cut=right)[0] == ("wrong boundary", "too short")


def test_repeated_items():
    a, b, piece = ("person", "alice"), ("person", "bob"), ("", "and so on")
    assert repeated([a, b, a, piece, a, piece]) == {a: 2, piece: 1}
    assert repeated([a, b]) == {}
    # repeated or not, the sums are of sets
    assert kinds([a, a, b, b], [b]) == [("spurious", "person")]


def test_places_are_whole_words_where_there_are_any():
    assert places("he", "the man, he") == {9, 10}
    assert places("he", "the man") == {1, 2}
    assert places("aa", "aaa") == {0, 1, 2}
    assert places("京大", "北京大学") == {1, 2}
    assert places("", "text") == set()


@pytest.mark.parametrize(
    ("text", "many"),
    [
        ("Traffic at @mayor and #i45!", True),
        ("a 5 % rise to $ 3", True),
        ("great 😀😀", True),
        ("a 5 % rise", False),
        ("“Well,” he said (twice) – it's -- done; etc. [sic]", False),
        ("", False),
    ],
)
def test_special_symbols(text, many):
    assert has_symbols(text) is many


def test_pronouns():
    assert pronoun(("person", "he"), "person: He.") == "he"
    assert pronoun(("knows", "bob", "she"), "knows: Bob, she.") == "she"
    assert pronoun(("person", "i"), "person: I.") == "i"
    assert pronoun(("person", "bob"), "person: Bob.") is None
    assert pronoun(("country", "us"), "country: US.") is None  # a name in capitals


def test_kinds_are_named_once_and_only_pairs_have_heads():
    assert len(set(KINDS)) == len(KINDS)
    assert sorted(RE_ONLY) == [
        "missed: swapped head and tail", "missed: wrong head or tail", "swapped head and tail",
        "wrong head or tail",
    ]  # fmt: skip
    assert [form(i) for i in (("a", "b"), ("a", "b", "c"), ("", "x: y"), ())] == [
        "a: b", "a: b, c", "x: y", "",
    ]  # fmt: skip


WORDS = st.sampled_from(["", "a", "b", "a b", "b c", "a b c", "d", "ab"])
LABELS = st.sampled_from(["", "x", "y"])
ITEMS = {
    "NER": st.lists(st.tuples(LABELS, WORDS), max_size=8),
    "RE": st.lists(
        st.one_of(
            st.tuples(st.sampled_from("xy"), WORDS, WORDS), st.tuples(st.just(""), WORDS)
        ),
        max_size=8,
    ),
}  # fmt: skip


@given(st.data(), st.sampled_from(["NER", "RE"]), st.lists(WORDS, max_size=2))
def test_every_wrong_and_every_missed_item_has_one_kind(data, task, shown):
    said, true = data.draw(ITEMS[task]), data.draw(ITEMS[task])
    cut = data.draw(st.sampled_from([None, *said]))
    found = judge(said, true, "a b c a", cut, shown)
    assert sorted(e.said for e in found if e.kind in WRONG) == sorted(set(said) - set(true))
    assert sorted(e.gold for e in found if e.kind in MISSED) == sorted(set(true) - set(said))
    assert {e.kind for e in found} <= {*WRONG, *MISSED} - set(RE_ONLY if task == "NER" else ())
