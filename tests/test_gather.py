"""Shards of a scoring run: how the plan is cut, and how the scores are put together."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import gather, parquet, schemas
from ruie.cli import UserError
from ruie.score import shard

PAIRS = [(f"q{q}", f"d{d}") for q in range(4) for d in range(3)]
#: The plan's order is that of the demonstrations; rows count in that of the queries.
PLANNED = sorted(PAIRS, key=lambda pair: pair[1])


def plan(windows=None, work=None, pairs=PLANNED):
    return pa.Table.from_pylist(
        [
            {"query_id": q, "demonstration_id": d, "row": PAIRS.index((q, d)), "shown": True,
             "window": windows[i] if windows else i // 3, "tokens": 9,
             "work": work[i] if work else 5}
            for i, (q, d) in enumerate(pairs)
        ],
        schema=schemas.PLAN,
    )  # fmt: skip


def scores(table):
    rows = table.select(["query_id", "demonstration_id", "row"]).to_pylist()
    return pa.Table.from_pylist(
        [{"query_id": r["query_id"], "demonstration_id": r["demonstration_id"],
          "score": -r["row"] / 8, "tokens": 3} for r in rows],
        schema=schemas.SCORES,
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 90)), max_size=40), st.integers(1, 9))
def test_shards_are_whole_windows_in_order(sizes, of):
    windows = [n for n, (rows, _) in enumerate(sizes) for _ in range(rows)]
    work = [w for rows, w in sizes for _ in range(rows)]
    table = plan(windows, work, [PAIRS[0]] * len(windows))
    parts = [shard(table, i, of)["window"].to_pylist() for i in range(of)]
    assert [w for part in parts for w in part] == windows
    sets = [set(part) for part in parts]
    assert sum(map(len, sets)) == len(set(windows))  # no window is in two shards


def test_shards_end_together():
    # work 8, 1, 1, 1, 1, 4 = 16: halves of 8, although the first has one window of six
    table = plan(list(range(6)), [8, 1, 1, 1, 1, 4], [PAIRS[0]] * 6)
    assert [shard(table, i, 2)["window"].to_pylist() for i in range(2)] == [[0], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize("of", [1, 3, 7])
def test_shards_make_the_whole_in_the_candidates_order(of):
    table = plan()
    whole = gather.run(table, [scores(shard(table, i, of)) for i in range(of)])
    assert whole.schema == schemas.SCORES
    assert list(zip(*(whole[c].to_pylist() for c in whole.column_names[:2]), strict=True)) == PAIRS
    assert whole["score"].to_pylist() == [-i / 8 for i in range(12)]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.slice(1),
        lambda t: pa.concat_tables([t, t.slice(0, 1)]),
        lambda t: t.take([1, 0, *range(2, 12)]),
        lambda t: pa.concat_tables([t.slice(0, 11), t.slice(0, 1)]),
    ],
    ids=["missing", "twice", "order", "foreign"],
)
def test_shards_that_do_not_fit_are_refused(change):
    table = plan()
    with pytest.raises(UserError, match="do not fit the plan: .* delete the shards"):
        gather.run(table, [change(scores(table))])


def test_command(tmp_path):
    table = plan()
    parquet.write(table, schemas.PLAN, tmp_path / "plan.parquet")
    for i in range(2):
        parquet.write(scores(shard(table, i, 2)), schemas.SCORES, tmp_path / f"{i}.parquet")
    gather.main([
        "--plan", str(tmp_path / "plan.parquet"), "--shards", str(tmp_path / "0.parquet"),
        str(tmp_path / "1.parquet"), "--out", str(tmp_path / "all.parquet"),
    ])  # fmt: skip
    assert parquet.read(tmp_path / "all.parquet", schemas.SCORES).num_rows == 12
