"""Token ids put together from parts, against the tokenizer's own of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ruie import feeding
from ruie.cli import UserError

# never empty: a tokenizer takes an empty second text for none
WORDS = st.lists(st.sampled_from(["Alice", "Oil", "in", "Paris", "Corp", "Ünit", "<", "."]),
                 min_size=1, max_size=30).map(" ".join)  # fmt: skip
TOKENIZER = tiny._encoder_tokenizer()
TOKENIZER.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]


@given(WORDS, st.integers(5, 40))
def test_one_text_is_what_the_tokenizer_makes_of_it(text, limit):
    feeder = feeding.Feeder(TOKENIZER, limit)
    found = feeder.one(feeder.tokens([text])[0])
    expected = TOKENIZER(text, truncation=True, max_length=limit)["input_ids"]
    assert found.ids.tolist() == expected
    assert found.second == len(expected)
    assert feeder.cut == (len(TOKENIZER(text)["input_ids"]) > limit)


@given(WORDS, WORDS, st.integers(5, 40))
def test_a_pair_is_cut_as_longest_first_does(left, right, limit):
    feeder = feeding.Feeder(TOKENIZER, limit)
    found = feeder.two(*feeder.tokens([left, right]))
    whole = TOKENIZER(left, right, truncation="longest_first", max_length=limit)
    assert found.ids.tolist() == whole["input_ids"]
    assert found.second == whole["token_type_ids"].index(1)
    assert feeder.cut == (len(TOKENIZER(left, right)["input_ids"]) > limit)


def test_a_batch_is_padded_as_the_tokenizer_does():
    left, right = ["Alice", "Oil in Paris"], ["Corp in Paris", "."]
    feeder = feeding.Feeder(TOKENIZER, 64)
    pairs = [feeder.two(*feeder.tokens([a, b])) for a, b in zip(left, right, strict=True)]
    whole = TOKENIZER(left, right, padding=True, return_tensors="pt")
    found = feeder.tensors(pairs)
    assert found.keys() == whole.keys()
    for name, tensor in found.items():
        assert tensor.tolist() == whole[name].tolist(), name


def test_texts_keep_their_names():
    feeder = feeding.Feeder(TOKENIZER, 64)
    found = feeder.texts({"b": "Oil", "a": "Alice in Paris"})
    assert list(found) == ["b", "a"]
    for name, text in (("b", "Oil"), ("a", "Alice in Paris")):
        assert found[name].tolist() == TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert feeder.texts({}) == {}


def test_a_limit_without_room_is_refused():
    # [CLS] a [SEP] b [SEP]: three special tokens, and one for each text
    feeding.Feeder(TOKENIZER, 5)
    with pytest.raises(UserError, match="--max-length 4: leaves no room"):
        feeding.Feeder(TOKENIZER, 4)


def test_tokenizers_that_do_more_are_refused():
    tokenizer = tiny._causal_tokenizer(bos=True)
    tokenizer.pad_token = None
    with pytest.raises(UserError, match="has no padding token"):
        feeding.Feeder(tokenizer, 64)

    class Odd:
        """Reads the second text first."""

        pad_token_id, name_or_path = 0, "odd"

        def __call__(self, *texts, **options):
            if isinstance(texts[0], list):
                return TOKENIZER(*texts, **options)
            return TOKENIZER(*texts[::-1], **options)

    with pytest.raises(UserError, match="odd: its tokens of a pair are not those"):
        feeding.Feeder(Odd(), 64)


def test_parts_longest_first_within_the_budget():
    lengths = [3, 10, 5, 5, 1, 8]
    # longest first, ties by position; 10 fills 16 by more than a quarter and 8 is under 9 tenths
    # of it; with 8, 5 would do (2 x 8 = 16 <= 16) but is under 7.2; 5, 5 | 3 | 1
    assert list(feeding.parts(lengths, 16)) == [[1], [5], [2, 3], [0, 4]]
    # a quarter of 64 is not full with 10 + 8 of 10, then 5 is under 9
    assert list(feeding.parts(lengths, 64)) == [[1, 5], [2, 3, 0, 4]]
    # a text over the budget still gets a part of its own
    assert list(feeding.parts(lengths, 1)) == [[1], [5], [2], [3], [0], [4]]
    assert list(feeding.parts([], 16)) == []
    assert list(feeding.parts([0, 0], 4)) == [[0, 1]]


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 200))
def test_parts_hold_each_once_under_the_budget_and_little_padding(lengths, budget):
    found = list(feeding.parts(lengths, budget))
    assert sorted(i for part in found for i in part) == list(range(len(lengths)))
    for part in found:
        longest = max(1, max(lengths[i] for i in part))
        assert len(part) == 1 or len(part) * longest <= budget
        full = longest * np.arange(1, len(part) + 1) > budget // 4
        short = [lengths[i] < feeding.LEAST_FILLED * longest for i in part]
        assert not any(s and full[n - 1] for n, s in enumerate(short) if n)
