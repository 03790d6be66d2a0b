"""The shown pairs, cut out for the stages that score them."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_inputs import prediction
from tiny import sample, write_examples

from ruie import cli, examples, explain, parquet, schemas


def flags(tmp_path: Path, pool: int = 3) -> list[str]:
    ids = [f"film/train/{i:06d}" for i in range(3)]
    answers = [
        prediction(i, system, demonstrations=demonstrations)
        for i in range(8)
        for system, demonstrations in (("bm25", ids[:2]), ("ruie", ids[1:]), ("none", []))
    ]
    parquet.write(answers, schemas.PREDICTIONS, tmp_path / "p.parquet")
    queries = [sample(f"film/test/{i:06d}", "Ada met Bo in Rome.") for i in range(8)]
    write_examples(queries, tmp_path / "q.parquet")
    write_examples([sample(i, "Cy ran.") for i in ids[:pool]], tmp_path / "pool.parquet")
    words = ["--predictions", "p", "--queries", "q", "--pool", "pool", "--out", "out/c"]
    words += ["--out-queries", "out/q", "--out-pool", "out/pool"]
    return [w if w.startswith("--") else str(tmp_path / f"{w}.parquet") for w in words]


def test_the_pairs_of_all_systems_with_their_examples(tmp_path: Path) -> None:
    explain.main([*flags(tmp_path), "--samples", "2", "--seed", "5"])
    out = parquet.read(tmp_path / "out/c.parquet", schemas.CANDIDATES).to_pylist()
    queries = examples.by_id(examples.read(tmp_path / "out/q.parquet"))
    pool = examples.by_id(examples.read(tmp_path / "out/pool.parquet"))
    # two queries; bm25's and ruie's demonstrations are three together
    assert len(queries) == 2
    assert [r["rank"] for r in out] == [0, 1, 2] * 2
    assert {r["query_id"] for r in out} == set(queries)
    assert {r["demonstration_id"] for r in out} == set(pool)
    before = (tmp_path / "out/c.parquet").read_bytes()
    explain.main([*flags(tmp_path), "--samples", "2", "--seed", "5"])
    assert (tmp_path / "out/c.parquet").read_bytes() == before


def test_an_example_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(cli.UserError, match="film/train/000002 is not there"):
        explain.main(flags(tmp_path, pool=2))
    assert not (tmp_path / "out/c.parquet").exists()
