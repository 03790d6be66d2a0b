"""Shards of a scoring run: how the candidates are cut, and how the scores are put together."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import gather, parquet, schemas
from ruie.cli import UserError
from ruie.score import shard


@given(st.integers(0, 300), st.integers(1, 40))
def test_shards_cover_everything_once_and_evenly(n, of):
    parts = [list(range(n))[shard(n, i, of)] for i in range(of)]
    assert [row for part in parts for row in part] == list(range(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_shards_by_hand():
    # 10 rows in 4 shards: bounds 0, 10 // 4 = 2, 20 // 4 = 5, 30 // 4 = 7, 10
    assert [shard(10, i, 4) for i in range(4)] == [
        slice(0, 2), slice(2, 5), slice(5, 7), slice(7, 10),
    ]  # fmt: skip


PAIRS = [(f"q{q}", f"d{d}") for q in range(4) for d in range(3)]


def candidates(pairs=PAIRS):
    return pa.Table.from_pylist(
        [
            {"query_id": q, "demonstration_id": d, "rank": i, "score": 0.0}
            for i, (q, d) in enumerate(pairs)
        ],
        schema=schemas.CANDIDATES,
    )


def scores(pairs):
    return pa.Table.from_pylist(
        [
            {"query_id": q, "demonstration_id": d, "score": -PAIRS.index((q, d)) / 8, "tokens": 3}
            if (q, d) in PAIRS
            else {"query_id": q, "demonstration_id": d, "score": 0.0, "tokens": 1}
            for q, d in pairs
        ],
        schema=schemas.SCORES,
    )


@pytest.mark.parametrize("of", [1, 3, 5, 20])
def test_shards_in_any_order_make_the_whole(of):
    shards = [scores(PAIRS[shard(len(PAIRS), i, of)]) for i in range(of)]
    random.Random(0).shuffle(shards)
    assert gather.run(candidates(), shards).to_pylist() == scores(PAIRS).to_pylist()


@pytest.mark.parametrize(
    ("given_", "what"),
    [
        (PAIRS[:-2], "2 pairs missing, 0 foreign, 0 scored twice"),
        ([*PAIRS, ("q9", "d0")], "0 pairs missing, 1 foreign, 0 scored twice"),
        ([*PAIRS, PAIRS[0]], "0 pairs missing, 0 foreign, 1 scored twice"),
        # 12 rows as wanted, but one pair thrice: two are missing, two are repetitions
        ([*PAIRS[2:], PAIRS[2], PAIRS[2]], "2 pairs missing, 0 foreign, 2 scored twice"),
        ([], "12 pairs missing, 0 foreign, 0 scored twice"),
    ],
)
def test_shards_that_do_not_fit(given_, what):
    with pytest.raises(UserError) as error:
        gather.run(candidates(), [scores(given_[:5]), scores(given_[5:])])
    assert what in str(error.value)
    assert "delete the shards and score again" in str(error.value)
    assert "\n" not in str(error.value)


def test_no_candidates_at_all():
    assert gather.run(candidates([]), [scores([])]).num_rows == 0


def test_the_command(tmp_path):
    parquet.write(candidates(), schemas.CANDIDATES, tmp_path / "c.parquet")
    paths = [str(tmp_path / f"{i}.parquet") for i in range(2)]
    parquet.write(scores(PAIRS[6:]), schemas.SCORES, paths[0])
    parquet.write(scores(PAIRS[:6]), schemas.SCORES, paths[1])
    out = tmp_path / "out.parquet"
    command = ["--candidates", str(tmp_path / "c.parquet"), "--out", str(out), "--shards"]
    with pytest.raises(UserError, match="6 pairs missing"):
        gather.main([*command, paths[0]])
    assert not out.exists()
    gather.main([*command, *paths])
    assert parquet.read(out, schemas.SCORES).equals(scores(PAIRS))
