"""Counts of whole prediction files."""

from __future__ import annotations

import json
import random

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


def metrics(rows, *names, resamples=0, **options):
    return evaluate.metrics(evaluate.run(rows, names or ("strict",), **options), resamples)


def test_sums_over_a_dataset():
    (found,) = metrics(ROWS)
    # TP = 2 of 3 said, 4 true -> P 66.67, R 50, F1 2 * 2 / 7 = 57.14
    assert {k: found[k] for k in ("n", "tp", "fp", "fn")} == {"n": 3, "tp": 2, "fp": 1, "fn": 2}
    assert [round(found[k], 2) for k in ("precision", "recall", "f1")] == [66.67, 50.0, 57.14]
    assert [found[k] for k in (*evaluate.KEYS, "scorer")] == [
        "bm25", "tiny", 8, "NER", "d", "strict",
    ]  # fmt: skip
    assert (found["f1_low"], found["f1_high"]) == (None, None)


def test_the_interval_is_that_of_its_queries():
    (found,) = metrics(ROWS, resamples=4000)
    # 1 of 27 resamples is query 2 alone, F1 0; 7 more have query 1 without query 0, and the best
    # F1, 2 * 1 / (1 + 2) = 66.67
    assert found["f1_low"] == 0
    assert found["f1_low"] < found["f1"] < found["f1_high"] <= 200 / 3 + 1e-9
    # one query can only be drawn again
    (one,) = metrics(ROWS[:1], resamples=10)
    assert one["f1_low"] == one["f1_high"] == one["f1"] == 50


def test_a_row_for_each_scorer():
    rows = [row(0, "person: Ali ce.", "person: Alice."), row(1, "person: Bob", "person: Bob Dee")]
    found = metrics(rows, "strict", "soft", "official")
    assert [r["scorer"] for r in found] == ["strict", "soft", "official"]
    # soft: 1/2 + 1/2 * (2 * 1 / 3) for the second
    assert [r["tp"] for r in found] == [0, pytest.approx(5 / 6), 0]
    # official: "ali ce" is not in the query, so it is not said
    assert [r["fp"] for r in found] == [2, pytest.approx(7 / 6), 1]
    assert evaluate.run(rows, ["soft"])["bm25", "tiny", 8, "NER", "d"].counts["soft"] == [
        (0, 1, 1), pytest.approx((5 / 6, 1 / 6, 1 / 6)),
    ]  # fmt: skip


def test_items_as_multisets():
    rows = [row(0, "person: Bob; person: Bob.", "person: Bob; person: Bob; person: Bob.")]
    assert [(r["tp"], r["fn"]) for r in metrics(rows)] == [(1, 0)]
    assert [(r["tp"], r["fn"]) for r in metrics(rows, mentions="multiset")] == [(2, 1)]


def test_one_row_for_each_key_in_order():
    rows = [
        *ROWS,
        row(0, "None", "None", k=2),
        row(0, "person: Bob.", "person: Bob.", dataset="c"),
        row(0, "act: met.", "act: met.", task="EET", schema=["act"]),
        row(0, "None", "person: Bob.", system="a"),
        row(0, "None", "None", llm="big"),
    ]
    found = metrics(rows)
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


def test_counts_query_by_query():
    table = evaluate.query_counts(evaluate.run(ROWS[::-1], ["strict", "soft"]))
    assert table.schema == schemas.COUNTS
    found = [(r["query_id"][-1], r["scorer"], r["tp"], r["fp"], r["fn"]) for r in table.to_pylist()]
    assert found[:3] == [("0", "strict", 1, 1, 1), ("1", "strict", 1, 0, 1),
                         ("2", "strict", 0, 0, 0)]  # fmt: skip
    assert [r[:2] for r in found[3:]] == [("0", "soft"), ("1", "soft"), ("2", "soft")]


def test_counts_label_by_label():
    rows = [*ROWS, row(3, "animal: Bob; PERSON: Bob", "None", schema=["person", "city", "Person"])]
    runs = evaluate.run(rows, labels=True)
    found = {r["label"]: (r["tp"], r["fp"], r["fn"]) for r in evaluate.label_rows(runs)}
    # person: Alice, Bob right, Carol and Bob wrong, Alice missed; "animal: Bob" has no label
    assert found == {"": (0, 1, 0), "Person": (2, 2, 1), "city": (0, 0, 0), "location": (0, 0, 1)}
    total = [sum(column) for column in zip(*found.values(), strict=True)]
    (whole,) = evaluate.metrics(runs, 0)
    assert total == [whole["tp"], whole["fp"], whole["fn"]]
    first = next(r for r in evaluate.label_rows(runs) if r["label"] == "Person")
    assert (first["precision"], first["recall"]) == (50, pytest.approx(200 / 3))


def test_labels_are_left_where_nobody_asks_for_them():
    (found,) = evaluate.run(ROWS).values()
    assert not found.labels


def test_rows_of_others_need_no_system():
    rows = [{k: v for k, v in r.items() if k not in ("system", "llm", "k")} for r in ROWS]
    (found,) = metrics(rows)
    assert (found["system"], found["llm"], found["k"], found["tp"]) == (None, None, None, 2)
    assert len(metrics([*rows, *ROWS])) == 2


def test_errors_stop_unless_they_are_allowed():
    rows = [*ROWS, row(3, None, "person: Bob.", error="timeout after 60 s")]
    with pytest.raises(UserError) as error:
        metrics(rows)
    message = str(error.value)
    assert message.startswith("d/test/000003: has no answer (timeout after 60 s)")
    assert "--allow-errors" in message
    (found,) = metrics(rows, allow_errors=True)
    # an empty answer: one more to find
    assert (found["n"], found["tp"], found["fp"], found["fn"]) == (4, 2, 1, 3)


def test_what_was_said_before_an_error_does_not_count():
    rows = [row(0, "person: Ann", "person: Ann.", error="timeout")]
    (found,) = metrics(rows, "strict", allow_errors=True)
    assert (found["tp"], found["fp"], found["fn"]) == (0, 0, 1)


def test_an_empty_error_is_none():
    assert metrics([row(0, "None", "None", error="")])[0]["n"] == 1


@pytest.mark.parametrize("scorer", evaluate.SCORERS)
@pytest.mark.parametrize("prediction", [None, "", "None"])
def test_no_prediction_is_an_empty_answer(scorer, prediction):
    (found,) = metrics([row(0, prediction, "person: Bob", error=None)], scorer)
    assert (found["tp"], found["fp"], found["fn"]) == (0, 0, 1)


def test_a_query_comes_once():
    with pytest.raises(UserError, match=r"d/test/000001: comes twice under .*'bm25'"):
        metrics([*ROWS, ROWS[1]])
    assert len(metrics([*ROWS, {**ROWS[1], "system": "other"}])) == 2


def test_nothing_to_score_and_unknown_tasks():
    with pytest.raises(UserError, match="no prediction to score"):
        metrics([])
    with pytest.raises(UserError, match=r"d/test/000000: task 'ner' is none of"):
        metrics([row(0, "", "", task="ner")])


def jsonl(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return str(path)


def test_the_command(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", ROWS)
    evaluate.main(["--predictions", path, "--out", str(tmp_path / "m.parquet")])
    found = parquet.read(tmp_path / "m.parquet", schemas.METRICS).to_pylist()
    assert found == metrics(ROWS, resamples=1000)


def test_the_order_of_rows_changes_no_byte(tmp_path):
    rng = random.Random(5)
    answers = ["None", "person: Ali; location: Paris", "person: Alice and; x", "location: in Paris"]
    rows = [
        row(i, rng.choice(answers), rng.choice(answers), system=system, task=task)
        for i in range(30)
        for system in ("a", "b", None)
        for task in ("NER", "EET")
    ]
    written = []
    for n in range(2):
        path = jsonl(tmp_path / f"{n}.jsonl", rows)
        outs = [tmp_path / f"{name}{n}.parquet" for name in ("m", "c", "l")]
        evaluate.main(
            ["--predictions", path, "--scorer", "strict", "soft", "official", "--seed", "3",
             "--out", str(outs[0]), "--counts", str(outs[1]), "--labels", str(outs[2])]
        )  # fmt: skip
        written.append([out.read_bytes() for out in outs])
        rng.shuffle(rows)
    assert written[0] == written[1]
    assert parquet.read(outs[0], schemas.METRICS).num_rows == 3 * 2 * 3
    assert parquet.read(outs[1], schemas.COUNTS).num_rows == 3 * len(rows)


def test_a_jsonl_without_keys_can_be_written(tmp_path):
    rows = [{k: v for k, v in r.items() if k not in ("system", "llm", "k")} for r in ROWS]
    outs = [str(tmp_path / f"{name}.parquet") for name in "mcl"]
    evaluate.main(
        ["--predictions", jsonl(tmp_path / "p.jsonl", rows), "--out", outs[0], "--counts", outs[1],
         "--labels", outs[2]]
    )  # fmt: skip
    for out, schema in zip(outs, (schemas.METRICS, schemas.COUNTS, schemas.LABELS), strict=True):
        assert set(parquet.read(out, schema)["system"].to_pylist()) == {None}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--scorer", "lenient"], "strict"),
        (["--resamples", "-1"], "-1 is less than 0"),
        (["--mentions", "list"], "multiset"),
    ],
)
def test_options_must_be_known(flags, said, capsys):
    with pytest.raises(SystemExit):
        evaluate.parser().parse_args(["--predictions", "p", "--out", "o", *flags])
    assert said in capsys.readouterr().err
