"""Answers that a model gave elsewhere: a file must hold exactly the prompts that were asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ruie.cli import UserError
from ruie.examples import Example
from ruie.sft import by_hand

ASKED = [["first part", "second part"]]


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(ner: Example, part: int, text: str | None = "a", **more: Any) -> dict[str, Any]:
    return {"query_id": ner.id, "part": part, "text": text, **more}


def test_answers_come_in_the_prompts_order(ner: Example, tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", row(ner, 1, " b "), row(ner, 0, None, prompt="x"))
    [[first, second]] = by_hand.read_texts(path, [ner], ASKED)
    assert (first.text, first.finish_reason, first.error) == ("", "error", "the model gave no text")
    assert (second.text, second.finish_reason, second.error) == ("b", "stop", None)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"query_id": "x", "part": 0, "text": "a"}], "#0: no prompt 0 of query 'x' was asked"),
        (["both", "again"], "#2: query .* has prompt 0 twice"),
        (["first"], "lacks prompt 1 of query .*, and 0 more"),
        ([[1]], "#0: not an object"),
        ([{"query_id": 3, "part": 0, "text": "a"}], "#0: needs query_id"),
        ([{"query_id": "x", "part": True, "text": "a"}], "#0: needs query_id"),
    ],
)
def test_another_file_is_refused_by_its_line(
    ner: Example, tmp_path: Path, rows: list[Any], said: str
) -> None:
    named = {"first": [row(ner, 0)], "both": [row(ner, 0), row(ner, 1)], "again": [row(ner, 0)]}
    whole = [r for item in rows for r in (named[item] if isinstance(item, str) else [item])]
    with pytest.raises(UserError, match=said):
        by_hand.read_texts(write(tmp_path / "t.jsonl", *whole), [ner], ASKED)


def test_what_is_no_json_or_not_there_is_refused(ner: Example, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(UserError, match="t.jsonl#0: not a line of JSON in UTF-8"):
        by_hand.read_texts(tmp_path / "t.jsonl", [ner], ASKED)
    with pytest.raises(UserError, match="u.jsonl: cannot be read"):
        by_hand.read_texts(tmp_path / "u.jsonl", [ner], ASKED)
