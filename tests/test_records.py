"""Reading predictions of this project and of others."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import parquet, schemas
from ruie.cli import UserError
from ruie.records import read

ROW = {
    "query_id": "d/test/000000", "task": "NER", "dataset": "d", "schema": ["person"],
    "text": "Alice met Bob.", "query": "Schema: [person]\nOutput:", "gold": "person: Alice.",
    "prediction": "person: Bob.", "system": "bm25", "llm": "tiny", "k": 8,
}  # fmt: skip


def jsonl(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def refused(path, *parts):
    with pytest.raises(UserError) as error:
        list(read(path))
    message = str(error.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


def test_json_lines_and_parquet_give_the_same(tmp_path):
    rows = [{**ROW, "query_id": str(i), "k": k} for i, k in enumerate((8, None))]
    lines = jsonl(tmp_path / "p.jsonl", [*map(json.dumps, rows), "", "  "])
    assert list(read(lines)) == rows
    missing = set(schemas.PREDICTIONS.names) - set(ROW)
    parquet.write(
        [{**r, **dict.fromkeys(missing)} for r in rows], schemas.PREDICTIONS, tmp_path / "p.parquet"
    )
    assert list(read(tmp_path / "p.parquet")) == [{**r, "error": None} for r in rows]


def test_what_else_a_record_holds_is_left(tmp_path):
    assert list(read(jsonl(tmp_path / "p.jsonl", [json.dumps({**ROW, "mine": 1})]))) == [ROW]


def test_what_cannot_be_read(tmp_path):
    refused(tmp_path / "p.parquet", "no such file", "mend the path")
    refused(tmp_path / "p.jsonl", "no such file")
    (tmp_path / "p.txt").write_text("PREDICTIONS")
    refused(tmp_path / "p.txt", "neither Parquet nor named .jsonl")
    parquet.write([], schemas.REWARDS, tmp_path / "r.parquet")
    refused(tmp_path / "r.parquet", "columns", "'gold'", "'prediction'")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{", "not a JSON object"),
        ("7", "not a JSON object but 7"),
        ("null", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('{"task": "NER"}', "'query_id'"),
        ("[" * 100_000, "not a JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, part):
    path = jsonl(tmp_path / "p.jsonl", [json.dumps(ROW), line])
    refused(path, "p.jsonl#1: ", part)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"query_id": 7}, "query_id is 7, not text"),
        ({"gold": None}, "gold is None, not text"),
        ({"text": ["a"]}, "text is ['a'], not text"),
        ({"prediction": 1.5}, "prediction is 1.5, not text"),
        ({"prediction": float("nan")}, "prediction is nan, not text"),
        ({"schema": "[person]"}, "schema is '[person]', not a list of text"),
        ({"schema": ["a", None]}, "schema is ['a', None], not a list of text"),
        ({"schema": None}, "schema is None"),
        ({"k": "8"}, "k is '8', not a whole number"),
        ({"k": True}, "k is True, not a whole number"),
        ({"k": 2**40}, "not a whole number"),
        ({"k": -1}, "k is -1, not a whole number"),
        ({"error": 3}, "error is 3, not text"),
        ({"system": {"a": 1}}, "system is {'a': 1}, not text"),
        ({"dataset": "a\ud800"}, "half a character"),
        ({"schema": ["\udfff"]}, "half a character"),
    ],
)
def test_a_wrong_type_is_named_with_its_record(tmp_path, change, part):
    path = jsonl(tmp_path / "p.jsonl", [json.dumps(ROW), json.dumps({**ROW, **change})])
    refused(path, "p.jsonl#1: ", part)


def test_a_column_of_another_type_is_named(tmp_path):
    table = pa.Table.from_pylist([{**ROW, "query_id": 7}])
    pq.write_table(table, tmp_path / "p.parquet")
    refused(tmp_path / "p.parquet", "p.parquet#0: query_id is 7, not text")


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_a_json_string_may_hold_any_line_separator(tmp_path, sign):
    odd = {**ROW, "text": f"Alice{sign}and Bob"}
    path = jsonl(tmp_path / "p.jsonl", [json.dumps(odd, ensure_ascii=False)])
    assert list(read(path)) == [odd]


def test_not_utf8(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'\n{"\xe9')
    refused(tmp_path / "p.jsonl", "p.jsonl#1: not UTF-8 text (byte 2 of the line)")


@given(st.data())
def test_a_damaged_file_gives_records_or_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("p")
    name = data.draw(st.sampled_from(["p.parquet", "p.jsonl"]))
    if name == "p.parquet":
        pq.write_table(pa.Table.from_pylist([ROW] * 3), folder / name)
    else:
        jsonl(folder / name, [json.dumps(ROW)] * 3)
    content = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    said = ""
    try:
        assert all(row.keys() >= {"query_id", "gold"} for row in read(folder / name))
    except UserError as error:
        said = str(error)
    assert "\n" not in said
