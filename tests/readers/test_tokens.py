"""Tokens and tags: offsets, and spans under every scheme."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.readers import Mention, tokens

WORDS = st.lists(st.text(st.characters(codec="utf-8"), max_size=4), min_size=1, max_size=8)


def test_offsets_count_characters():
    text = tokens.Tokens(["Zoë", "🙂🙂", "Bar"])
    assert text.text == "Zoë 🙂🙂 Bar"
    # Zoë 0-3, the two emoji 4-6, Bar 7-10
    assert text.mention(1, 3) == Mention("🙂🙂 Bar", 4, 10)
    assert tokens.Tokens(["東", "京", "へ"], "").mention(0, 2) == Mention("東京", 0, 2)


@given(WORDS, st.sampled_from(["", " ", "  ", "_é"]), st.data())
def test_a_mention_is_its_tokens(words, join, data):
    text = tokens.Tokens(words, join)
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    mention = text.mention(start, end)
    assert mention.text == join.join(words[start:end]) == text.text[mention.start : mention.end]
    # what stands before it is the tokens before it
    assert text.text[: mention.start] == "".join(word + join for word in words[:start])


@pytest.mark.parametrize("ends", [(0, 0), (1, 0), (0, 3), (-1, 1), (2, 3)])
def test_token_numbers_outside_the_sentence(ends):
    with pytest.raises(ValueError, match=r"of 2: there are none"):
        tokens.Tokens(["a", "b"]).mention(*ends)


@pytest.mark.parametrize("ends", [(0.0, 1), ("0", 1), (False, True), (None, 1)])
def test_token_numbers_of_wrong_type(ends):
    with pytest.raises(TypeError, match="a token number is not a whole number"):
        tokens.Tokens(["a", "b"]).mention(*ends)


@pytest.mark.parametrize("words", ["ab", None, ["a", 1], {"a": 1}])
def test_tokens_are_a_list_of_strings(words):
    with pytest.raises(TypeError, match="not a list of strings"):
        tokens.Tokens(words)


def test_half_a_surrogate_pair_is_no_text():
    with pytest.raises(ValueError, match="surrogates"):
        tokens.Tokens(["a", "\ud800"])


def encoded(spans, length, scheme):
    """Tags of the spans (label, start, end), sorted and without overlap."""
    tags = ["O"] * length
    before = ("", 0)  # label and end of the span before
    for label, start, end in spans:
        inside = ["I"] * (end - start)
        if scheme == "iob2" or (scheme == "iob1" and before == (label, start)):
            inside[0] = "B"
        if scheme in ("bilou", "bioes"):
            inside[0], inside[-1] = "B", scheme[3 if scheme == "bioes" else 2].upper()
            if len(inside) == 1:
                inside = ["U" if scheme == "bilou" else "S"]
        tags[start:end] = [f"{letter}-{label}" for letter in inside]
        before = (label, end)
    return tags


@st.composite
def sentences(draw):
    at, spans = 0, []
    for label in draw(st.lists(st.sampled_from(["a", "b-c"]), max_size=4)):
        start = at + draw(st.integers(0, 2))
        at = start + draw(st.integers(1, 3))
        spans.append((label, start, at))
    return spans, at + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bilou", "bioes"])
@given(sentences())
def test_every_scheme_is_read_as_it_was_written(scheme, sentence):
    spans, length = sentence
    tags = encoded(spans, length, scheme)
    assert tokens.spans(tags, "iob1" if scheme == "iob1" else "") == (spans, [])
    assert tokens.spans(tags)[0] == spans


@pytest.mark.parametrize(
    ("tags", "spans", "notes"),
    [
        ("I-a I-a O I-a", [("a", 0, 2), ("a", 3, 4)], [tokens.NO_START] * 2),
        ("B-a I-b O", [("a", 0, 1), ("b", 1, 2)], [tokens.NO_START]),
        ("B-a B-a I-a", [("a", 0, 1), ("a", 1, 3)], []),
        ("B-a I-a O U-b", [("a", 0, 2), ("b", 3, 4)], [tokens.NO_END]),
        ("B-a O L-a", [("a", 0, 1), ("a", 2, 3)], [tokens.NO_END, tokens.NO_START]),
        ("B-a E-b", [("a", 0, 1), ("b", 1, 2)], [tokens.NO_END, tokens.NO_START]),
        ("B-a L-a I-a", [("a", 0, 2), ("a", 2, 3)], [tokens.NO_START, tokens.NO_END]),
        ("B-a M-a E-a S-b", [("a", 0, 3), ("b", 3, 4)], []),
    ],
)
def test_broken_sequences_are_read_and_noted(tags, spans, notes):
    assert tokens.spans(tags.split()) == (spans, notes)


def test_labels_without_letters():
    assert tokens.spans(["art-film", "art-film", "O", "person"], "io") == (
        [("art-film", 0, 2), ("person", 3, 4)],
        [],
    )


def test_letters_without_labels():
    assert tokens.spans(["B", "I", "O", "B"], bare="gene") == ([("gene", 0, 2), ("gene", 3, 4)], [])
    with pytest.raises(ValueError, match="'B' has no label; give one with the option label="):
        tokens.spans(["B"])


@pytest.mark.parametrize("tag", ["", "B-", "b-a", "X-a", "person", "0", "B_a"])
def test_what_is_no_tag(tag):
    with pytest.raises(ValueError, match="neither O nor"):
        tokens.spans(["O", tag])


@given(st.lists(st.sampled_from("OBIELSUM").map(lambda c: c if c == "O" else c + "-a"), max_size=9))
def test_spans_never_overlap_and_cover_every_tag_but_o(tags):
    spans, _ = tokens.spans(tags)
    covered = [at for _, start, end in spans for at in range(start, end)]
    assert covered == [at for at, tag in enumerate(tags) if tag != "O"]
