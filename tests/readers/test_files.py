"""Text and JSON of files: streamed lists equal a plain reading, whatever the chunks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.cli import UserError
from ruie.readers import files

_text = st.text(st.characters(codec="utf-8"))
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files") / "file.json"


@given(st.lists(_values, max_size=6), st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_a_list_is_read_member_by_member(file, members, chunk, ascii_only, indent):
    file.write_text(
        json.dumps(members, ensure_ascii=ascii_only, indent=indent), "utf-8", "surrogatepass"
    )
    try:
        file.read_text("utf-8")
    except UnicodeDecodeError:
        return  # half a surrogate pair cannot stand in a file
    whole = files.chunks
    try:
        files.chunks = lambda path: whole(path, chunk)
        assert list(files.array(file)) == members
    finally:
        files.chunks = whole


def test_members_come_before_a_later_fault(file):
    file.write_text('[1, {"a": 2}, oops]')
    members = files.array(file)
    assert [next(members), next(members)] == [1, {"a": 2}]
    with pytest.raises(UserError, match=r"file\.json#2: malformed JSON: Expecting value"):
        next(members)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)))
def test_lines_end_at_line_feeds_alone(file, content):
    for end in ("\n", "\r\n"):
        file.write_bytes("".join(line + end for line in content).encode())
        assert [line for _, line in files.lines(file)] == content
        assert [number for number, _ in files.lines(file)] == list(range(1, len(content) + 1))


def test_a_byte_order_mark_is_no_text(file):
    file.write_bytes(b"\xef\xbb\xbf[1]")
    assert files.document(file) == [1]


@pytest.mark.parametrize("content", ["", "[", "NaN", '{"a": 1, "a": 1}', "1 2", "[" * 100_000])
def test_faults_of_a_document(file, content):
    file.write_text(content)
    with pytest.raises(UserError, match=r"file\.json: malformed JSON: .*; correct the file$"):
        files.document(file)


def test_lines_that_end_in_carriage_returns_alone_are_refused(tmp_path):
    path = tmp_path / "mac.txt"
    path.write_bytes(b"one\rtwo\r")
    with pytest.raises(UserError, match=r"mac.txt: its lines end in carriage returns alone"):
        list(files.lines(path))
    path.write_bytes(b"one\r\ntwo\r\n")
    assert list(files.lines(path)) == [(1, "one"), (2, "two")]
