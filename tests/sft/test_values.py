"""JSON as models write it, and what is no JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.sft.values import DEPTH, Fields, Unreadable, find, shown


def plain(value):
    """A value as json.loads would give it, with numbers as they are spelt."""
    if isinstance(value, Fields):
        return {key: plain(member) for key, member in value.pairs}
    return [plain(m) for m in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": ["b", "c"]}', {"a": ["b", "c"]}),
        ("{'a': 'b'}", {"a": "b"}),
        ("[{'relation':'r', 'head':'h', 'tail':'t'}, ]", [{"relation": "r", "head": "h",
                                                          "tail": "t"}]),
        ('{"a": [1984, 1.50, true], "b": null}', {"a": ["1984", "1.50", "true"], "b": None}),
        ("{}", {}), ("[ ]", []),
        (r'{"a": "x\"y\nz\u00e9"}', {"a": 'x"y\nzé'}),
        (r"{'a': 'x\'y \"z\"'}", {"a": "x'y \"z\""}),
        ("{'a': 'O'Brien', 'b': 'it's'}", {"a": "O'Brien", "b": "it's"}),
        ('{"a": "the "big" one"}', {"a": 'the "big" one'}),
        (r'{"a": "C:\dir"}', {"a": r"C:\dir"}),
        ('{"a": "{b: [c]} ; d"}', {"a": "{b: [c]} ; d"}),
        ('{"a": ["😀", "北京"]}', {"a": ["😀", "北京"]}),
    ],
)  # fmt: skip
def test_what_is_read(text, wanted):
    value, rest = find(text)
    assert plain(value) == wanted
    assert rest == ""


def test_keys_may_come_twice():
    assert find('{"a": ["b"], "a": ["c"]}')[0] == Fields([("a", ["b"]), ("a", ["c"])])


@pytest.mark.parametrize("text", ["```json\n[]\n```", "```\n[]```", "json[]", "JSON []"])
def test_a_fence_says_nothing(text):
    assert find(text) == ([], "")


def test_other_text_is_told():
    assert find('Here: {"a": []} and so on') == (Fields([("a", [])]), "Here: and so on")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no entities", "no JSON"), ("", "no JSON"), ('{"a": ["b', "not JSON"), ("[", "cut off"),
        ('{"a" "b"}', "not JSON"), ('{"a": }', "not JSON"), ("[,]", "not JSON"),
        ('["a", b c]', "not JSON"), ("{:1}", "not JSON"), ('["a"}', "not JSON"),
        ("[" * 100, "nested too deep"), ('{"a":' * 100, "nested too deep"),
    ],
)  # fmt: skip
def test_what_is_refused(text, says):
    with pytest.raises(Unreadable, match=says):
        find(text)


def test_depth_that_is_still_read():
    assert find("[" * DEPTH + "]" * DEPTH)[1] == ""


@given(
    st.recursive(
        st.none() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ).filter(lambda v: isinstance(v, list | dict)),
    st.booleans(),
)
def test_all_that_json_writes_is_read(value, ascii_only):
    said = json.dumps(value, ensure_ascii=ascii_only)
    if "```" in said:  # a fence within a text goes too
        return
    found, rest = find(said)
    assert plain(found) == value
    assert rest == ""


@given(st.text() | st.text(alphabet="[]{}\"'\\:, \nab`", max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        value, _ = find(text)
    except Unreadable:
        return
    assert isinstance(shown(value), str)
