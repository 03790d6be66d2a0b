"""The candidate pool, its ranges, and which hits count."""

from __future__ import annotations

import pytest

from ruie import ranking
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


def names(hits):
    return [d for d, _ in hits]


def test_parts(members):
    pool = Pool(members)
    assert pool.parts("mixed") == {"mixed": members}
    assert pool.parts("task") == {"task-NER": members[:6] + members[7:], "task-EET": [members[6]]}
    assert {name: len(m) for name, m in pool.parts("dataset").items()} == {
        "dataset-a": 3, "dataset-b": 3, "dataset-c": 1, "dataset-d": 1,
    }  # fmt: skip
    for within in ranking.RANGES:
        assert all(e in pool.parts(within)[pool.part(e, within)] for e in members)
    assert list(pool.by_id) == [e.id for e in members]


def test_the_query_itself_is_left_out_by_its_text(members, make_example):
    query = make_example("  ALICE ran.", id="z/test/000000")
    hits = [(e.id, float(-i)) for i, e in enumerate(members[:2])]
    assert Pool(members).distinct(query, hits, 5) == [("a/train/000001", -1.0)]
    # the same sentence under every task and answer is the query itself
    query = make_example("bob ran.", id="z/test/000001")
    assert names(Pool(members).distinct(query, [(e.id, 0.0) for e in members], 9)) == [
        "a/train/000000"
    ]


def test_repetitions_are_left_out_but_not_other_answers_tasks_or_schemas(members, make_example):
    query = make_example("Carol ran.", id="z/test/000000")
    hits = [(e.id, 0.0) for e in members]
    # b/...1 alone repeats an earlier hit in text, task, schema and answer
    assert names(Pool(members).distinct(query, hits, 99)) == [
        e.id for e in members if e.id != "b/train/000001"
    ]
    # the first of the two stays, whichever it is
    assert "a/train/000001" not in names(Pool(members).distinct(query, hits[::-1], 99))


def test_the_first_k_that_count(members, make_example):
    query = make_example("Alice ran.", id="z/test/000000")
    asked = []

    def hits():
        for e in members:
            asked.append(e.id)
            yield e.id, 0.0

    assert len(Pool(members).distinct(query, hits(), 2)) == 2
    # the query itself, two that count, and the one at which it is seen that two are enough
    assert asked == [e.id for e in members[:4]]
    assert Pool(members).distinct(query, hits(), 0) == []


def test_rows_carry_rank_and_score(make_example):
    query = make_example("Who?", id="z/test/000000")
    assert ranking.rows(query, [("b", 2.5), ("a", 1.0)]) == [
        {"query_id": query.id, "demonstration_id": "b", "rank": 0, "score": 2.5},
        {"query_id": query.id, "demonstration_id": "a", "rank": 1, "score": 1.0},
    ]


def test_nothing_found_is_an_error_that_names_the_query(make_example):
    with pytest.raises(UserError) as error:
        ranking.rows(make_example("Who?", id="z/test/000000"), [])
    message = str(error.value)
    assert message.startswith("z/test/000000: no demonstration was found")
    assert "widen the range" in message
    assert "\n" not in message
