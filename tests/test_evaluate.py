"""Counts of whole prediction files."""

from __future__ import annotations

import json

import pytest

from ruie import evaluate, parquet, schemas
from ruie.cli import UserError


def row(number, prediction, gold, **other):
    return {
        "query_id": f"d/test/{number:06d}",
        "task": "NER",
        "dataset": "d",
        "schema": ["person", "location"],
        "text": "Alice and Bob met in Paris.",
        "query": "Schema: [person, location]\nInput: Alice and Bob met in Paris.\nOutput:",
        "gold": gold,
        "prediction": prediction,
        "system": "bm25",
        "llm": "tiny",
        "k": 8,
        **other,
    }


ROWS = [
    # 2 said, 2 true, 1 in both: TP 1, FP 1, FN 1
    row(0, "person: Alice; person: Carol.", "person: Alice; location: Paris."),
    # 1 said, 2 true: TP 1, FP 0, FN 1
    row(1, "person: Bob.", "person: Alice; person: Bob."),
    row(2, "None", "None"),
]


def test_sums_over_a_dataset():
    (found,) = evaluate.run(ROWS, "strict")
    # TP = 2 of 3 said, 4 true -> P 66.67, R 50, F1 2 * 2 / 7 = 57.14
    assert {k: found[k] for k in ("n", "tp", "fp", "fn")} == {"n": 3, "tp": 2, "fp": 1, "fn": 2}
    assert [round(found[k], 2) for k in ("precision", "recall", "f1")] == [66.67, 50.0, 57.14]
    assert [found[k] for k in (*evaluate.KEYS, "scorer")] == [
        "bm25", "tiny", 8, "NER", "d", "strict",
    ]  # fmt: skip


def test_one_row_for_each_key_in_order():
    rows = [
        *ROWS,
        row(0, "None", "None", k=2),
        row(0, "person: Bob.", "person: Bob.", dataset="c"),
        row(0, "act: met.", "act: met.", task="EET", schema=["act"]),
        row(0, "None", "person: Bob.", system="a"),
        row(0, "None", "None", llm="big"),
    ]
    found = evaluate.run(rows, "strict")
    keys = [tuple(r[k] for k in evaluate.KEYS) for r in found]
    assert keys == [
        ("a", "tiny", 8, "NER", "d"),
        ("bm25", "big", 8, "NER", "d"),
        ("bm25", "tiny", 2, "NER", "d"),
        ("bm25", "tiny", 8, "EET", "d"),
        ("bm25", "tiny", 8, "NER", "c"),
        ("bm25", "tiny", 8, "NER", "d"),
    ]
    assert sum(r["n"] for r in found) == len(rows)
    assert evaluate.run(rows[::-1], "strict") == found


def test_rows_of_others_need_no_system():
    rows = [{k: v for k, v in r.items() if k not in ("system", "llm", "k")} for r in ROWS]
    (found,) = evaluate.run(rows, "strict")
    assert (found["system"], found["llm"], found["k"], found["tp"]) == (None, None, None, 2)
    assert len(evaluate.run([*rows, *ROWS], "strict")) == 2


def test_errors_stop_unless_they_are_allowed():
    rows = [*ROWS, row(3, None, "person: Bob.", error="timeout after 60 s")]
    with pytest.raises(UserError) as error:
        evaluate.run(rows, "strict")
    message = str(error.value)
    assert message.startswith("d/test/000003: has no answer (timeout after 60 s)")
    assert "--allow-errors" in message
    (found,) = evaluate.run(rows, "strict", allow_errors=True)
    # an empty answer: one more to find
    assert (found["n"], found["tp"], found["fp"], found["fn"]) == (4, 2, 1, 3)


def test_an_empty_error_is_none():
    assert evaluate.run([row(0, "None", "None", error="")], "strict")[0]["n"] == 1
    assert evaluate.run([row(0, None, "None", error=None)], "strict")[0]["fp"] == 0


def jsonl(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_json_lines_and_parquet_give_the_same(tmp_path):
    lines = jsonl(tmp_path / "p.jsonl", [*map(json.dumps, ROWS), "", "  "])
    assert evaluate.read(lines) == ROWS
    missing = set(schemas.PREDICTIONS.names) - set(ROWS[0])
    rows = [{**r, **dict.fromkeys(missing)} for r in ROWS]
    parquet.write(rows, schemas.PREDICTIONS, tmp_path / "p.parquet")
    both = [evaluate.run(evaluate.read(tmp_path / f), "strict") for f in ("p.parquet", "p.jsonl")]
    assert both[0] == both[1]


def refused(path, *parts):
    with pytest.raises(UserError) as error:
        evaluate.read(path)
    message = str(error.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


def test_what_cannot_be_read(tmp_path):
    refused(tmp_path / "p.parquet", "no such file", "mend the path")
    (tmp_path / "p.txt").write_text("PREDICTIONS")
    refused(tmp_path / "p.txt", "neither Parquet nor named .jsonl")
    parquet.write([], schemas.REWARDS, tmp_path / "r.parquet")
    refused(tmp_path / "r.parquet", "columns", "'gold'", "'prediction'")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{", "not a JSON object"),
        ("7", "not a JSON object"),
        ("null", "not a JSON object"),
        ("[]", "fields"),
        ('{"task": "NER"}', "'query_id'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, part):
    path = jsonl(tmp_path / "p.jsonl", [json.dumps(ROWS[0]), line])
    refused(path, "p.jsonl#1: ", part)


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_a_json_string_may_hold_any_line_separator(tmp_path, sign):
    odd = {**ROWS[0], "text": f"Alice{sign}and Bob"}
    path = jsonl(tmp_path / "p.jsonl", [json.dumps(odd, ensure_ascii=False)])
    assert evaluate.read(path) == [odd]


@pytest.mark.parametrize(
    ("name", "content"), [("p.parquet", b"PAR1 half a tab"), ("p.jsonl", '{"é'.encode("latin-1"))]
)
def test_a_broken_file_is_an_error_for_users(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)


def test_the_command(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", map(json.dumps, ROWS))
    evaluate.main(["--predictions", str(path), "--out", str(tmp_path / "m.parquet")])
    found = parquet.read(tmp_path / "m.parquet", schemas.METRICS).to_pylist()
    assert found == evaluate.run(ROWS, "strict")


def test_a_jsonl_without_keys_can_be_written(tmp_path):
    rows = [{k: v for k, v in r.items() if k not in ("system", "llm", "k")} for r in ROWS]
    path = jsonl(tmp_path / "p.jsonl", map(json.dumps, rows))
    evaluate.main(["--predictions", str(path), "--out", str(tmp_path / "m.parquet")])
    assert parquet.read(tmp_path / "m.parquet", schemas.METRICS)["system"].to_pylist() == [None]


def test_the_scorer_must_be_known(tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate.parser().parse_args(["--predictions", "p", "--out", "o", "--scorer", "lenient"])
    assert "strict" in capsys.readouterr().err
