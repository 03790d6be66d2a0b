"""Training groups: what is a positive, what a negative, and how they are drawn."""

from __future__ import annotations

import itertools
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import groups, parquet, schemas
from ruie.cli import UserError
from ruie.groups import Choices, Ranked


def table(*rows):
    return pa.Table.from_pylist(
        [{"query_id": q, "demonstration_id": d, "score": s} for q, d, s in rows]
    )


def test_ranked_by_falling_score_with_ties_by_id():
    found = groups.Rankings(
        table(("q2", "c", -1.0), ("q1", "b", 0.5), ("q2", "a", -0.5), ("q2", "b", -0.5),
              ("q1", "a", 2.0), ("q2", "d", 3.0)),
        "score",
    )  # fmt: skip
    assert list(found) == [
        Ranked("q2", ["d", "a", "b", "c"], [3.0, -0.5, -0.5, -1.0]),
        Ranked("q1", ["a", "b"], [2.0, 0.5]),
    ]
    assert found[-1] == found[1] == found[1:][0]
    with pytest.raises(IndexError):
        found[2]


def test_the_column_is_the_one_asked_for():
    rows = pa.table({"query_id": ["q", "q"], "demonstration_id": ["a", "b"],
                     "score": [1.0, 2.0], "reward": [5.0, 4.0]})  # fmt: skip
    assert groups.Rankings(rows, "score")[0].demonstrations == ["b", "a"]
    assert groups.Rankings(rows, "reward")[0].demonstrations == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.floats(-5, 5)), max_size=30))
def test_ranking_loses_nothing(rows):
    rows = [(q, f"d{i}", s) for i, (q, s) in enumerate(rows)]
    for r in groups.Rankings(table(*rows), "score") if rows else ():
        assert sorted(r.demonstrations) == sorted(d for q, d, _ in rows if q == r.query_id)
        assert r.scores == sorted(r.scores, reverse=True)
        assert all((r.query_id, d, s) in rows for d, s in zip(r.demonstrations, r.scores,
                                                              strict=True))  # fmt: skip


def ranking(n, query="q/train/000000"):
    """Candidates p/train/0 to n - 1, the best first."""
    return Ranked(query, [f"p/train/{i:06d}" for i in range(n)], [float(-i) for i in range(n)])


@pytest.fixture
def queries(make_example):
    e = make_example("Alice ran.", ("person", "Alice"), id="q/train/000000")
    return {e.id: e}


@pytest.fixture
def pool(make_example):
    found = (
        make_example(f"P{i} ran.", ("person", f"P{i}"), id=f"p/train/{i:06d}") for i in range(20)
    )
    return {e.id: e for e in found}


def numbers(ids):
    return [int(i[-6:]) for i in ids]


@pytest.mark.parametrize(
    ("n", "top", "last", "positives", "negatives"),
    [
        (20, 3, 4, [0, 1, 2], [16, 17, 18, 19]),
        (7, 3, 4, [0, 1, 2], [3, 4, 5, 6]),
        # fewer than top + last: a positive is never a negative
        (5, 3, 4, [0, 1, 2], [3, 4]),
        (4, 3, 16, [0, 1, 2], [3]),
    ],
)
def test_top_and_last(queries, pool, n, top, last, positives, negatives):
    (found,) = groups.choices([ranking(n)], queries, pool, top, last)
    assert found.query_id == "q/train/000000"
    assert numbers(found.positives) == positives
    assert numbers(found.negatives) == negatives


def put(pool, example):
    return {**pool, example.id: example}


def test_a_negative_with_the_querys_own_answer_is_left_out(queries, pool, make_example, caplog):
    caplog.set_level("INFO", "ruie")
    same = make_example("So Alice won.", ("person", "Alice"), id="p/train/000018")
    (found,) = groups.choices([ranking(20)], queries, put(pool, same), 3, 4)
    assert numbers(found.negatives) == [16, 17, 19]
    assert "1 negatives with the query's own answer" in caplog.text
    # the same answer in another task is another answer
    other = make_example("Alice.", ("person", "Alice"), task="EET", id="p/train/000018")
    (found,) = groups.choices([ranking(20)], queries, put(pool, other), 3, 4)
    assert numbers(found.negatives) == [16, 17, 18, 19]


def test_a_positive_may_have_the_querys_own_answer(queries, pool, make_example):
    same = make_example("So Alice won.", ("person", "Alice"), id="p/train/000000")
    (found,) = groups.choices([ranking(20)], queries, put(pool, same), 3, 4)
    assert numbers(found.positives) == [0, 1, 2]


def test_nothing_found_is_the_same_answer_in_the_same_schema_only(pool, make_example):
    query = make_example("Nobody.", id="q/train/000000")
    pool = put(pool, make_example("None.", id="p/train/000018"))
    pool = put(pool, make_example("None.", schema=("gene",), id="p/train/000019"))
    (found,) = groups.choices([ranking(20)], {query.id: query}, pool, 3, 4)
    assert numbers(found.negatives) == [16, 17, 19]


def test_a_query_without_negatives_is_left_out_and_counted(queries, pool, make_example, caplog):
    caplog.set_level("INFO", "ruie")
    lone = make_example("Bob ran.", ("person", "Bob"), id="q/train/000001")
    members = [ranking(20), ranking(3, lone.id)]
    found = groups.choices(members, put(queries, lone), pool, 3, 4)
    assert [c.query_id for c in found] == ["q/train/000000"]
    assert "1 queries to train on" in caplog.text
    assert "1 queries without a negative" in caplog.text


def test_nothing_left_is_an_error(queries, pool):
    with pytest.raises(UserError) as error:
        groups.choices([ranking(3)], queries, pool, 3, 4)
    assert "none has more than 3 candidates" in str(error.value)
    assert "retrieve more candidates" in str(error.value)
    assert "\n" not in str(error.value)


MEMBERS = [
    Choices(f"q{i}", [f"p{i}{j}" for j in range(3)], [f"n{i}{j}" for j in range(4)])
    for i in range(5)
]


def take(n, members=MEMBERS, size=2, negatives=2, seed=0):
    return list(itertools.islice(groups.batches(members, size, negatives, seed), n))


def test_every_batch_is_full_and_every_epoch_complete():
    # 5 queries in batches of 2: 10 batches hold 20 groups, which are 4 epochs
    found = take(10)
    assert all(len(batch) == 2 for batch in found)
    order = [g.query_id for batch in found for g in batch]
    for epoch in range(4):
        assert sorted(order[5 * epoch : 5 * epoch + 5]) == [c.query_id for c in MEMBERS]
    assert len({tuple(order[5 * e : 5 * e + 5]) for e in range(4)}) > 1  # shuffled anew


def test_fewer_queries_than_a_batch():
    found = take(3, MEMBERS[:2], size=5)
    assert all(len(batch) == 5 for batch in found)
    # 15 groups of 2 queries: 7 epochs and a half
    counts = Counter(g.query_id for batch in found for g in batch)
    assert sorted(counts.values()) == [7, 8]


def test_a_group_is_one_positive_and_distinct_negatives():
    for g in itertools.chain.from_iterable(take(100, negatives=3)):
        choice = next(c for c in MEMBERS if c.query_id == g.query_id)
        assert g.demonstrations[0] in choice.positives
        assert len(g.demonstrations) == 4
        assert len(set(g.demonstrations[1:])) == 3
        assert set(g.demonstrations[1:]) <= set(choice.negatives)


def test_negatives_are_repeated_only_when_there_are_fewer():
    for g in itertools.chain.from_iterable(take(50, negatives=6)):
        # 4 negatives for 6 places: each once, then 2 more
        assert len(g.demonstrations) == 7
        assert len(set(g.demonstrations[1:])) == 4


def test_positives_and_negatives_are_drawn_anew_and_evenly():
    drawn = Counter()
    for g in itertools.chain.from_iterable(take(1500, MEMBERS[:1], size=1, negatives=1)):
        drawn.update(g.demonstrations)
    # 1500 draws: 500 of each of 3 positives (deviation 18), 375 of each of 4 negatives (17)
    assert all(abs(drawn[f"p0{j}"] - 500) < 5 * 18.3 for j in range(3))
    assert all(abs(drawn[f"n0{j}"] - 375) < 5 * 16.8 for j in range(4))


def test_the_seed_decides():
    assert take(20, seed=3) == take(20, seed=3)
    assert take(20, seed=3) != take(20, seed=4)


def test_rows_that_say_nothing_or_twice_are_one_line(tmp_path):
    good = [{"query_id": "q", "demonstration_id": d, "score": -1.0, "tokens": 1} for d in "abc"]
    for n, change, says in (
        (1, {"score": float("nan")}, "q with b: its score is not finite"),
        (2, {"score": float("-inf")}, "q with c: its score is not finite"),
        (0, {"score": None}, "a row has no score"),
        (1, {"query_id": None}, "a row has no query_id"),
        (2, {"demonstration_id": "a"}, "q with a: it comes twice"),
    ):
        rows = [dict(r) for r in good]
        rows[n] |= change
        parquet.write(rows, schemas.SCORES, tmp_path / "s.parquet")
        with pytest.raises(UserError, match=rf"s\.parquet: {says}"):
            groups.read(tmp_path / "s.parquet", schemas.SCORES, "score")
