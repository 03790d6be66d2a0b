"""What is kept, whatever became of the file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import journal, replies
from ruie.cli import UserError
from ruie.journal import Journal
from ruie.replies import Reply

REPLY = {"text": "a\n\u2028é", "finish_reason": "stop", "prompt_tokens": 7,
         "completion_tokens": None, "cached": 0, "error": None}  # fmt: skip


def test_what_was_added_is_there_again_without_closing(tmp_path):
    first = Journal(tmp_path / "new" / "j")
    first.add("a", REPLY)
    first.add("b", {**REPLY, "text": "b"})
    first.add("a", {**REPLY, "text": "later"})
    again = Journal(tmp_path / "new" / "j")
    assert again.kept == {"a": {**REPLY, "text": "later"}, "b": {**REPLY, "text": "b"}}
    assert (again.odd, first.kept) == (0, {})
    assert replies.restored(again.kept["b"]) == Reply("b", "stop", 7, None)


def test_the_disk_is_forced_sparsely(tmp_path, monkeypatch):
    now, synced = [0.0], []
    monkeypatch.setattr(os, "fsync", synced.append)
    kept = Journal(tmp_path / "j", lambda: now[0])
    for _ in range(journal.LINES):
        assert synced == []
        kept.add("a", REPLY)
    assert len(synced) == 1
    now[0] = journal.SECONDS - 0.1
    kept.add("a", REPLY)
    assert len(synced) == 1
    now[0] = journal.SECONDS
    kept.add("a", REPLY)
    assert len(synced) == 2
    kept.close()
    assert len(synced) == 3


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/j: cannot be written or read"):
        Journal(tmp_path / "file" / "j")
    with pytest.raises(UserError, match="cannot be written or read: Is a directory"):
        Journal(tmp_path)


def test_a_full_disk_is_one_line(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    kept = Journal(tmp_path / "j")
    kept.file.close()
    kept.file = open("/dev/full", "ab")  # noqa: SIM115
    with pytest.raises(UserError, match="j: cannot be written or read: No space left"):
        kept.add("a", REPLY)


def test_another_setting_is_another_key():
    body = {"model": "m", "prompt": "é", "stop": ["\n"], "seed": 1}
    assert journal.key(body) == journal.key(dict(reversed(body.items())))
    others = [{**body, "seed": 2}, {**body, "prompt": "e"}, {**body, "stop": []}]
    assert len({journal.key(b) for b in [body, *others]}) == 4
    assert journal.key({**body, "prompt": "\ud800"})  # no UTF-8, and no crash


@given(st.data())
def test_a_damaged_file_loses_no_more_than_the_damage(data):
    """Cut anywhere, with bytes overwritten: what is read was written, or is told to be odd."""
    names = [f"k{i}" for i in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j")
        kept = Journal(path)
        for name in names:
            kept.add(name, {**REPLY, "text": name})
        kept.close()
        whole = path.read_bytes()
        length = len(whole) // 4  # lines are of equal length
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        again = Journal(path)
        # a line without its line break is a whole one
        assert list(again.kept) == names[: (cut + 1) // length]
        assert again.odd == (0 < cut % length < length - 1)
        again.add("new", REPLY)
        again.close()
        assert Journal(path).kept == {**again.kept, "new": REPLY}
        broken = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 5))):
            broken[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(broken)
        for reply in Journal(path).kept.values():
            replies.restored(reply)  # a reply, or None


@pytest.mark.parametrize(
    "kept",
    [None, 3, [], {}, {**REPLY, "more": 1}, {k: REPLY[k] for k in ("text", "finish_reason")}]
    + [{**REPLY, name: value} for name, value in [
        ("text", None), ("text", "\ud800"), ("finish_reason", 3), ("finish_reason", "\ud800"),
        ("prompt_tokens", -1),
        ("prompt_tokens", 2**31), ("completion_tokens", "3"), ("cached", None), ("cached", 1.5),
        ("error", "no answer"),
    ]],
)  # fmt: skip
def test_what_is_no_reply_is_asked_again(kept):
    assert replies.restored(kept) is None
