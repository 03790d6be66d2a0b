"""What a candidate is worth by BM25's rank."""

from __future__ import annotations

import pytest

from ruie import depth, examples, parquet, schemas
from ruie.cli import UserError


def test_ranges_double():
    assert depth.ranges(1) == [(1, 1)]
    assert depth.ranges(8) == [(1, 1), (2, 2), (3, 4), (5, 8)]
    assert depth.ranges(11) == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 11)]


#: Less the mean of the others: q1's 2 and -2; q2's 3 (-2 + 5), 1.5 (-3 + 4.5) and -4.5 (-7 + 2.5).
SCORES = {"q1": {"a": -1.0, "b": -3.0}, "q2": {"a": -2.0, "b": -3.0, "c": -7.0}, "q3": {"a": -9.0}}
RANKS = {"q1": {"a": 0, "b": 3, "z": 9}, "q2": {"a": 0, "b": 2, "c": 1}, "q3": {"a": 0}}
OF = {"q1": ("NER", "film"), "q2": ("RE", "news"), "q3": ("RE", "news")}


def found(**chosen):
    rows = depth.run(SCORES, RANKS, OF, 200, 1)
    return [r for r in rows if all(r[name] == value for name, value in chosen.items())]


def test_scores_over_the_querys_mean_by_rank():
    rows = {(r["first"], r["last"]): r for r in found(dataset="all")}
    # rank 1: 2 of q1, 3 of q2; rank 2: -4.5 of q2; ranks 3 and 4: -2 of q1, 1.5 of q2. The first
    # ten were not all scored, and q3 has one score: neither counts
    assert {k: (r["value"], r["n"], r["queries"], r["best"]) for k, r in rows.items()} == {
        (1, 1): (2.5, 2, 2, 2), (2, 2): (-4.5, 1, 1, 0), (3, 4): (-0.25, 2, 2, 0)
    }  # fmt: skip
    # too few queries for an interval
    assert {r["low"] for r in rows.values()} == {None}


def test_intervals_are_over_queries():
    """Five queries like q1 and five the other way round: 2 and -2 at rank 1, 0 in the mean."""
    names = [f"q{i}" for i in range(10)]
    scores = {q: {"a": -1.0 - 2 * (i % 2), "b": -3.0 + 2 * (i % 2)} for i, q in enumerate(names)}
    ranks, of = dict.fromkeys(names, {"a": 0, "b": 9}), dict.fromkeys(names, ("NER", "film"))
    first = depth.run(scores, ranks, of, 500, 1)[0]
    assert (first["last"], first["value"], first["best"]) == (1, 0.0, 5)
    # the mean of ten draws of 2 or -2 has a standard deviation of 2 / sqrt(10) = 0.63
    assert -1.7 < first["low"] < -0.8
    assert 0.8 < first["high"] < 1.7


def test_a_resample_without_any_is_not_divided_by_nothing():
    """One resample in 185 (185 = (60 / 55) ** 60) holds none of the five queries with the rank."""
    names = [f"q{i}" for i in range(60)]
    scores = {q: {"a": -1.0, "b": -3.0} for q in names}
    ranks = {q: {"a": 0, "b": 1 if i < 5 else 3} for i, q in enumerate(names)}
    rows = depth.run(scores, ranks, dict.fromkeys(names, ("NER", "film")), 2000, 1)
    second = next(r for r in rows if r["last"] == 2)
    assert (second["n"], second["low"], second["high"]) == (5, -2.0, -2.0)


def test_each_dataset_has_its_own_rows():
    film = found(dataset="film")
    assert [(r["task"], r["first"], r["value"]) for r in film] == [
        ("NER", 1, 2.0),
        ("NER", 3, -2.0),
    ]
    assert [r["value"] for r in found(task="RE")] == [3.0, -4.5, 1.5]


def test_the_order_of_the_queries_changes_no_digit():
    names = [f"q{i}" for i in range(40)]
    scores = {q: {"a": -0.1 * i, "b": -0.7, "c": -0.3} for i, q in enumerate(names)}
    rest = dict.fromkeys(names, {"a": 0, "b": 1, "c": 2}), dict.fromkeys(names, ("NER", "film"))
    turned = {q: scores[q] for q in reversed(names)}
    assert depth.run(turned, *rest, 50, 1) == depth.run(scores, *rest, 50, 1)


def test_what_tells_nothing_is_one_line():
    with pytest.raises(UserError, match="no query has two scored candidates; score more of them"):
        depth.run({"q3": SCORES["q3"]}, RANKS, OF, 0, 0)
    ranks = RANKS | {"q2": {"a": 0}}
    with pytest.raises(UserError, match="q2 with b: was scored, but is no candidate; give the"):
        depth.run(SCORES, ranks, OF, 0, 0)
    with pytest.raises(UserError, match="q2 with a: was scored, but is no candidate; give the"):
        depth.run(SCORES, {"q1": RANKS["q1"]}, OF, 0, 0)
    with pytest.raises(UserError, match="q3: was scored, but is no query; give the queries of the"):
        depth.run(SCORES, RANKS, {q: OF[q] for q in ("q1", "q2")}, 0, 0)
    for odd in ({"a": 0, "b": 0}, {"a": -1, "b": 0}):
        with pytest.raises(
            UserError, match="q1: its candidates' ranks are not those of a list; re"
        ):
            depth.run(SCORES, RANKS | {"q1": odd}, OF, 0, 0)


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
        ("all", 1, -1.0, None), ("all", 2, 1.0, None),
        ("demo", 1, -1.0, None), ("demo", 2, 1.0, None),
    ]  # fmt: skip
