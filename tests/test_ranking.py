"""The candidate pool, its ranges, which hits count, and how what was found is read."""

from __future__ import annotations

import tracemalloc

import pyarrow as pa
import pytest

from ruie import examples, parquet, ranking, schemas
from ruie.cli import UserError
from ruie.ranking import Pool


@pytest.fixture
def members(make_example):
    return [
        make_example("Alice ran.", ("person", "Alice"), id="a/train/000000"),
        make_example("Bob ran.", ("person", "Bob"), id="a/train/000001"),
        make_example("BOB  ran.", ("person", "BOB"), id="a/train/000002"),  # answer BOB, not Bob
        make_example("bob\nran.", ("person", "bob"), id="b/train/000000"),
        make_example("Bob ran.", ("person", "Bob"), id="b/train/000001"),  # repeats a/...1
        make_example("Bob ran.", id="b/train/000002"),  # the same sentence, nothing found
        make_example("Bob ran.", ("act", "ran"), task="EET", schema=("act",), id="c/train/000000"),
        make_example("Bob ran.", ("person", "Bob"), schema=("person",), id="d/train/000000"),
    ]


def left(pool, query, rows, k=99):
    """The rows that count."""
    return [row for row, _ in pool.distinct(query, ((row, 0.0) for row in rows), k)]


def test_parts(members):
    pool = Pool.of(members)
    rows = {within: {n: r.tolist() for n, r in pool.parts(within).items()}
            for within in ranking.RANGES}  # fmt: skip
    assert rows == {
        "mixed": {"mixed": [0, 1, 2, 3, 4, 5, 6, 7]},
        "task": {"task-NER": [0, 1, 2, 3, 4, 5, 7], "task-EET": [6]},
        "dataset": {"dataset-a": [0, 1, 2], "dataset-b": [3, 4, 5], "dataset-c": [6],
                    "dataset-d": [7]},
    }  # fmt: skip
    for within, parts in rows.items():
        assert all(n in parts[ranking.part(e, within)] for n, e in enumerate(members))
    assert [pool.dataset(n) for n in range(8)] == [e.dataset for e in members]
    assert pool.ids.to_pylist() == [e.id for e in members]


def test_the_query_itself_is_left_out_by_its_text(members, make_example):
    query = make_example("  ALICE ran.", id="z/test/000000")
    assert Pool.of(members).distinct(query, [(0, 0.0), (1, -1.0)], 5) == [(1, -1.0)]
    # the same sentence under every task and answer is the query itself
    query = make_example("bob ran.", id="z/test/000001")
    assert left(Pool.of(members), query, range(8)) == [0]


def test_repetitions_are_left_out_but_not_other_answers_tasks_or_schemas(members, make_example):
    query = make_example("Carol ran.", id="z/test/000000")
    # 4 alone repeats an earlier hit in text, task, schema and answer
    assert left(Pool.of(members), query, range(8)) == [0, 1, 2, 3, 5, 6, 7]
    # the first of the two stays, whichever it is
    assert left(Pool.of(members), query, [4, 1, 0]) == [4, 0]


def test_another_given_event_is_another_sample(make_example):
    def asked(n, type, trigger, *roles):
        return make_example("Bob ran and ran off.", task="EEA", schema=roles, event=(type, trigger),
                            id=f"e/train/{n:06d}")  # fmt: skip

    members = [asked(0, "move", "ran", "who"), asked(1, "move", "ran off", "who"),
               asked(2, "flee", "ran", "who"), asked(3, "move", "ran", "where"),
               asked(4, "move", "ran", "who")]  # fmt: skip
    query = make_example("Carol ran.", id="z/test/000000")
    assert left(Pool.of(members), query, range(5)) == [0, 1, 2, 3]


def test_the_first_k_that_count(members, make_example):
    query = make_example("Alice ran.", id="z/test/000000")
    asked = []

    def hits():
        for row in range(8):
            asked.append(row)
            yield row, 0.0

    assert len(Pool.of(members).distinct(query, hits(), 2)) == 2
    # the query itself, two that count, and the one at which it is seen that two are enough
    assert asked == [0, 1, 2, 3]
    assert Pool.of(members).distinct(query, hits(), 0) == []


def test_read_in_pieces_of_a_file(members, make_example, tmp_path):
    table = examples.to_table(members)
    whole, pieces = Pool.of(members), Pool(table.slice(n, 3) for n in (0, 3, 6))
    parquet.write(table, schemas.EXAMPLES, tmp_path / "pool.parquet")
    query = make_example("Carol ran.", id="z/test/000000")
    for pool in (pieces, Pool.read(tmp_path / "pool.parquet")):
        assert pool.ids.equals(whole.ids)
        assert len(pool) == 8
        assert left(pool, query, range(8)) == left(whole, query, range(8))
        for within in ranking.RANGES:
            assert {n: r.tolist() for n, r in pool.parts(within).items()} == {
                n: r.tolist() for n, r in whole.parts(within).items()
            }
    nothing = Pool([])
    assert (len(nothing), nothing.parts("mixed"), nothing.parts("task")) == (0, {}, {})


def test_ranks_are_places_in_the_order_of_ids(make_example):
    names = ["b/x/000002", "é/x/000001", "b/x/000001", "B/x/000001", "\U0001f600/x/000001"]
    pool = Pool.of([make_example("Text.", id=i) for i in names])
    assert pool.ranks.tolist() == [sorted(names).index(i) for i in names]


def test_rows_of_ids(members):
    pool = Pool.of(members)
    assert pool.rows(["b/train/000000", "a/train/000001", "b/train/000000"]) == {
        "b/train/000000": 3, "a/train/000001": 1,
    }  # fmt: skip
    assert pool.rows([]) == {}
    with pytest.raises(UserError, match="x/train/000000: found, but not in the pool; make the ind"):
        pool.rows(["a/train/000001", "x/train/000000"])


def test_bad_pools_are_refused_in_one_line(members, tmp_path):
    with pytest.raises(UserError, match="id a/train/000001 stands there twice"):
        Pool.of([*members, members[1]])
    rows = examples.to_table(members).to_pylist()
    for column in ("id", "task", "dataset", "text", "schema", "answer"):
        odd = [*rows[:2], {**rows[2], column: None}]
        parquet.write(odd, schemas.EXAMPLES, tmp_path / "pool.parquet")
        with pytest.raises(UserError, match=f"pool.parquet: a row from 0 on has no {column}"):
            Pool.read(tmp_path / "pool.parquet")
    text = pa.array([b"\xff"] * len(members), pa.binary()).cast(pa.string(), safe=False)
    table = examples.to_table(members)
    with pytest.raises(UserError, match="text that is not UTF-8"):
        Pool([table.set_column(table.column_names.index("text"), "text", text)])


def test_a_member_takes_little_memory():
    """Of 20,000 members with texts of 2,000 characters, 40 MB, less than 200 bytes each stay."""
    n, event = 20_000, schemas.EXAMPLES.field("event").type
    texts = ({"id": pa.array([f"d/train/{i:06d}" for i in range(low, low + 1000)]),
              "task": ["NER"] * 1000, "dataset": ["d"] * 1000, "schema": [["a"]] * 1000,
              "text": [f"{i} " + "x" * 2000 for i in range(low, low + 1000)],
              "event": pa.nulls(1000, event), "answer": ["None"] * 1000}
             for low in range(0, n, 1000))  # fmt: skip
    arrow, _ = pa.total_allocated_bytes(), tracemalloc.start()
    pool = Pool(map(pa.table, texts))
    python, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pool) == n
    assert python + pa.total_allocated_bytes() - arrow < 200 * n


def test_rows_carry_rank_and_score(members, make_example):
    query = make_example("Who?", id="z/test/000000")
    assert Pool.of(members).candidates(query, [(4, 2.5), (0, 1.0)]) == [
        {"query_id": query.id, "demonstration_id": "b/train/000001", "rank": 0, "score": 2.5},
        {"query_id": query.id, "demonstration_id": "a/train/000000", "rank": 1, "score": 1.0},
    ]


def test_nothing_found_is_an_error_that_names_the_query(make_example):
    with pytest.raises(UserError) as error:
        Pool([]).candidates(make_example("Who?", id="z/test/000000"), [])
    message = str(error.value)
    assert message.startswith("z/test/000000: no demonstration was found")
    assert "widen the range" in message
    assert "\n" not in message


def test_chosen_demonstrations_stand_by_score(tmp_path):
    rows = [
        {"query_id": "q1", "demonstration_id": d, "rank": i, "score": s}
        for i, (d, s) in enumerate([("d1", 1.0), ("d2", 3.0), ("d3", 3.0), ("d4", 9.0)])
    ]
    parquet.write(rows, schemas.CANDIDATES, tmp_path / "c.parquet")
    paths = [tmp_path / "c.parquet"]
    assert ranking.ranked(paths) == {"q1": ["d1", "d2", "d3", "d4"]}
    # of the first three by rank; d2 before d3, which is as good and was chosen later
    assert ranking.ranked(paths, 3) == {"q1": ["d2", "d3", "d1"]}
    rows[3]["score"] = None
    parquet.write(rows, schemas.CANDIDATES, tmp_path / "c.parquet")
    with pytest.raises(UserError, match="a demonstration has no score; run retrieve again"):
        ranking.ranked(paths, 3)
