"""What a candidate is worth by BM25's rank."""

from __future__ import annotations

import pytest

from ruie import depth, examples, parquet, schemas
from ruie.cli import UserError


def test_ranges_double():
    assert depth.ranges(1) == [(1, 1)]
    assert depth.ranges(8) == [(1, 1), (2, 2), (3, 4), (5, 8)]
    assert depth.ranges(11) == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 11)]


#: Two queries; the means of their scores are -2 and -4.
SCORES = {"q1": {"a": -1.0, "b": -3.0}, "q2": {"a": -2.0, "b": -3.0, "c": -7.0}, "q3": {"a": -9.0}}
RANKS = {"q1": {"a": 0, "b": 3, "z": 9}, "q2": {"a": 0, "b": 2, "c": 1}, "q3": {"a": 0}}
OF = {"q1": ("NER", "film"), "q2": ("RE", "news"), "q3": ("RE", "news")}


def found(**chosen):
    rows = depth.run(SCORES, RANKS, OF, 200, 1)
    return [r for r in rows if all(r[name] == value for name, value in chosen.items())]


def test_scores_over_the_querys_mean_by_rank():
    rows = {(r["first"], r["last"]): r for r in found(dataset="all")}
    # rank 1: 1 of q1, 2 of q2; rank 2: -3 of q2; ranks 3 and 4: -1 of q1, 1 of q2. The first ten
    # were not all scored, and q3 has one score: neither counts
    assert {k: (r["value"], r["n"], r["queries"]) for k, r in rows.items()} == {
        (1, 1): (1.5, 2, 2), (2, 2): (-3.0, 1, 1), (3, 4): (0.0, 2, 2)
    }  # fmt: skip
    assert (rows[1, 1]["low"], rows[1, 1]["high"]) == (1.0, 2.0)
    # resamples without the one candidate are left out, not divided by 0
    assert rows[2, 2]["low"] == rows[2, 2]["high"] == -3.0


def test_each_dataset_has_its_own_rows():
    film = found(dataset="film")
    assert [(r["task"], r["first"], r["value"]) for r in film] == [
        ("NER", 1, 1.0),
        ("NER", 3, -1.0),
    ]
    assert [r["value"] for r in found(task="RE")] == [2.0, -3.0, 1.0]


def test_what_tells_nothing_is_one_line():
    with pytest.raises(UserError, match="no query has two scored candidates; score more of them"):
        depth.run({"q3": SCORES["q3"]}, RANKS, OF, 0, 0)
    ranks = RANKS | {"q2": {"a": 0}}
    with pytest.raises(UserError, match="q2 with b: was scored, but is no candidate; give the"):
        depth.run(SCORES, ranks, OF, 0, 0)


def test_stage(tmp_path, make_example):
    query = make_example("Alice met Bob.", ("person", "Alice"), id="demo/train/000001")
    tables = {
        "queries": (examples.to_table([query]), schemas.EXAMPLES),
        "scores": ([{"query_id": query.id, "demonstration_id": d, "score": s, "tokens": 2}
                    for d, s in (("a", -1.0), ("b", -2.0))], schemas.SCORES),
        "candidates": ([{"query_id": query.id, "demonstration_id": d, "rank": i, "score": 9.0 - i}
                        for i, d in enumerate("ba")], schemas.CANDIDATES),
    }  # fmt: skip
    words = []
    for name, (rows, schema) in tables.items():
        parquet.write(rows, schema, tmp_path / f"{name}.parquet")
        words += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    depth.main([*words, "--resamples", "0", "--out", str(tmp_path / "depth.parquet")])
    rows = parquet.read(tmp_path / "depth.parquet", schemas.DEPTH).to_pylist()
    assert [(r["dataset"], r["first"], r["value"], r["low"]) for r in rows] == [
        ("all", 1, -0.5, None), ("all", 2, 0.5, None),
        ("demo", 1, -0.5, None), ("demo", 2, 0.5, None),
    ]  # fmt: skip
