"""Joining EXAMPLES tables and cutting datasets to a limit."""

from __future__ import annotations

import itertools

import pytest

from ruie import examples, parquet, sample, schemas
from ruie.cli import UserError


@pytest.fixture
def tables(make_example):
    """Datasets a (10), b (3) and c (5)."""
    return [
        examples.to_table(
            [make_example(f"Sentence {i} of {name}.", id=f"{name}/train/{i:06d}") for i in range(n)]
        )
        for name, n in (("a", 10), ("b", 3), ("c", 5))
    ]


def ids(table):
    return table["id"].to_pylist()


def counts(table):
    found = table["dataset"].to_pylist()
    return {name: found.count(name) for name in dict.fromkeys(found)}


def test_without_limit_everything_in_order(tables):
    assert ids(sample.run(tables, None, 0)) == [i for t in tables for i in ids(t)]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1, [1, 1, 1]), (4, [4, 3, 4]), (5, [5, 3, 5]), (100, [10, 3, 5])],
)
def test_each_dataset_is_cut_by_itself(tables, limit, expected):
    found = sample.run(tables, limit, 0)
    assert list(counts(found).values()) == expected
    whole = [i for t in tables for i in ids(t)]
    assert ids(found) == [i for i in whole if i in set(ids(found))]  # in the old order
    assert found.schema.equals(schemas.EXAMPLES)


def test_rows_stay_whole(tables):
    rows = {r["id"]: r for t in tables for r in t.to_pylist()}
    assert all(rows[r["id"]] == r for r in sample.run(tables, 2, 0).to_pylist())


def test_a_smaller_limit_takes_a_subset(tables):
    taken = [set(ids(sample.run(tables, limit, 7))) for limit in range(1, 11)]
    # dataset b is used up at 3, c at 5, a grows to 10
    assert all(small < large for small, large in itertools.pairwise(taken))


def test_another_dataset_changes_nothing(tables):
    alone = set(ids(sample.run(tables[:1], 4, 0)))
    together = set(ids(sample.run(tables[::-1], 4, 0)))
    assert alone == {i for i in together if i.startswith("a/")}


def test_the_seed_decides(tables):
    draws = {tuple(ids(sample.run(tables[:1], 3, seed))) for seed in range(20)}
    assert len(draws) > 10  # of C(10, 3) = 120 subsets
    assert sample.run(tables, 3, 5).equals(sample.run(tables, 3, 5))


def test_every_member_has_the_same_chance(tables):
    hits = dict.fromkeys(ids(tables[0]), 0)
    for seed in range(1000):
        for i in ids(sample.run(tables[:1], 3, seed)):
            hits[i] += 1
    # 1000 draws of 3 from 10: mean 300, standard deviation (1000 * .3 * .7) ** .5 = 14.5
    assert all(abs(n - 300) < 5 * 14.5 for n in hits.values())


def test_an_id_that_occurs_twice(tables):
    for limit in (None, 1):
        with pytest.raises(UserError, match="id 'b/train/000000' occurs twice; give every dataset"):
            sample.run([*tables, tables[1]], limit, 0)


def test_no_instances_at_all():
    assert sample.run([schemas.EXAMPLES.empty_table()], 5, 0).num_rows == 0


def test_the_command(tables, tmp_path):
    paths = [str(tmp_path / f"{i}.parquet") for i in range(3)]
    for table, path in zip(tables, paths, strict=True):
        parquet.write(table, schemas.EXAMPLES, path)
    out = tmp_path / "pool.parquet"
    sample.main(["--input", *paths, "--limit", "4", "--seed", "3", "--out", str(out)])
    assert parquet.read(out, schemas.EXAMPLES).equals(sample.run(tables, 4, 3))
