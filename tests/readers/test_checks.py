"""Checks of values of unknown kind."""

from __future__ import annotations

import json

import pytest

from ruie.readers import Fact, Mention, checks


def test_what_is_of_its_kind_is_given_back():
    assert checks.string("Zoë 🙂") == "Zoë 🙂"
    assert checks.listed([1]) == [1]
    assert checks.members({"a": []}, "a") == []
    assert checks.number(-3) == -3
    mention = Mention("a", 0, 1)
    assert checks.fact("x", mention, mention) == Fact("x", (mention, mention))


@pytest.mark.parametrize(
    ("check", "value", "why"),
    [
        (checks.string, 5, "the text is not a string: 5"),
        (checks.listed, {"a": 1}, "the text is not a list: {'a': 1}"),
        (checks.listed, "ab", "the text is not a list: 'ab'"),
        (checks.number, True, "the text is not a whole number: True"),
        (checks.number, 2.0, "the text is not a whole number: 2.0"),
    ],
)
def test_what_is_none_of_its_kind_is_named(check, value, why):
    with pytest.raises(TypeError) as error:
        check(value, "the text")
    assert str(error.value) == why


def test_a_long_value_is_cut():
    with pytest.raises(TypeError) as error:
        checks.string(["a"] * 1000, "label")
    # 60 characters of the value behind the words
    assert len(str(error.value)) == len("label is not a string: ") + 60


def test_a_field_must_be_there_and_a_list():
    with pytest.raises(KeyError):
        checks.members({}, "a")
    with pytest.raises(TypeError, match="'a' is not a list: None"):
        checks.members({"a": None}, "a")


def test_half_a_surrogate_pair_is_no_string():
    half = json.loads('"\\ud83d"')
    with pytest.raises(ValueError, match="surrogates"):
        checks.string(half)
    with pytest.raises(ValueError, match="surrogates"):
        checks.fact(half)
