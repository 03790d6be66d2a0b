"""Nested parts of the scored pairs."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ruie import examples, parquet, plan, sample, schemas, subset
from ruie.cli import UserError


@pytest.fixture
def tables(make_example):
    """Datasets a (6 queries) and b (2), each query with 8 candidates; and the queries."""
    queries = examples.to_table(
        [make_example(f"Sentence {i}.", id=f"{name}/train/{i:06d}")
         for name, n in (("a", 6), ("b", 2)) for i in range(n)]
    )  # fmt: skip
    rows = [
        {"query_id": q, "demonstration_id": f"d{d}", "score": -d, "tokens": 1}
        for q in queries["id"].to_pylist()
        for d in (3, 1, 4, 0, 5, 2, 6, 7)
    ]
    return pa.Table.from_pylist(rows, schema=schemas.SCORES), queries


def pairs(table):
    return list(zip(table["query_id"].to_pylist(), table["demonstration_id"].to_pylist(),
                    strict=True))  # fmt: skip


def test_parts_are_nested_and_what_a_smaller_run_would_have_scored(tables):
    scores, queries = tables
    small, large = subset.run(*tables, 2, 3, 9), subset.run(*tables, 4, 5, 9)
    # 2 of a and both of b, 3 each; 4 of a and both of b, 5 each
    assert (len(small), len(large)) == (4 * 3, 6 * 5)
    assert set(pairs(small)) < set(pairs(large)) < set(pairs(scores))
    assert [p for p in pairs(scores) if p in set(pairs(small))] == pairs(small)
    chosen = sample.run([queries], 2, 9)["id"].to_pylist()
    every = [p for p in pairs(scores) if p[0] in chosen]
    drawn = plan.sampled([q for q, _ in every], [d for _, d in every], 3, 9)
    assert pairs(small) == [every[i] for i in drawn]
    assert pairs(subset.run(*tables, 2, 3, 8)) != pairs(small)
    assert subset.run(*tables, None, None, 9).equals(scores)


def test_queries_that_were_not_scored_are_no_part(tables):
    scores, queries = tables
    assert len(subset.run(scores.slice(8), queries, None, 2, 0)) == 7 * 2
    with pytest.raises(UserError, match="no scored pair is left"):
        subset.run(scores.slice(0, 0), queries, None, None, 0)


def test_stage(tables, tmp_path):
    names = {"scores": schemas.SCORES, "queries": schemas.EXAMPLES}
    for (name, schema), table in zip(names.items(), tables, strict=True):
        parquet.write(table, schema, tmp_path / f"{name}.parquet")
    words = [w for name in names for w in (f"--{name}", str(tmp_path / f"{name}.parquet"))]
    subset.main([*words, "--limit", "1", "--sample", "4", "--out", str(tmp_path / "part.parquet")])
    assert parquet.read(tmp_path / "part.parquet", schemas.SCORES).equals(
        subset.run(*tables, 1, 4, 0)
    )
