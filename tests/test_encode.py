"""The pool's vectors: encoded, written, read back and searched."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny

from ruie import encode, encoders, parquet, retrieve, schemas
from ruie.cli import UserError
from ruie.ranking import Pool

POOL = [
    tiny.sample("c", "Bob lives in Paris.", ("person", "Bob"), ("location", "Paris")),
    tiny.sample("a", "Oil prices rose in London.", ("location", "London")),
    tiny.sample("b", "Bob works for BP.", ("works for", "Bob", "BP"), task="RE", dataset="rel"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.encoder(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return tiny.write_examples(POOL, tmp_path_factory.mktemp("pool") / "pool.parquet")


def run(folder, pool, out, *more):
    encode.main(["--pool", str(pool), "--model", str(folder), *more, "--out", str(out)])
    return encode.read_vectors(out)


def test_write_and_read_back(tmp_path):
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2) / 7
    encode.write_vectors(["x", "y", "z"], vectors, tmp_path / "v.parquet")
    ids, read = encode.read_vectors(tmp_path / "v.parquet")
    assert ids == ["x", "y", "z"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, vectors)


def test_more_than_one_chunk_is_read_whole(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    encode.write_vectors([str(i) for i in range(50)], vectors, tmp_path / "v.parquet")
    table = pq.read_table(tmp_path / "v.parquet")
    pq.write_table(table, tmp_path / "w.parquet", row_group_size=7)
    np.testing.assert_array_equal(encode.read_vectors(tmp_path / "w.parquet")[1], vectors)


def test_the_command_encodes_the_pool_in_its_order(folder, pool, tmp_path):
    ids, vectors = run(folder, pool, tmp_path / "v.parquet")
    assert ids == ["c", "a", "b"]
    text = (
        "Task: Named Entity Recognition\nSchema: [person, location]\n"
        "Input: Bob lives in Paris.\nOutput: person: Bob; location: Paris."
    )
    want, _ = encoders.BiEncoder(folder, "mean", True, 512).encode([text])
    np.testing.assert_allclose(vectors[0], want[0], atol=1e-5)
    run(folder, pool, tmp_path / "again.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_keywords_prefix_fields_and_pooling_reach_the_model(folder, pool, tmp_path):
    more = ["--keywords", "--demonstration-prefix", "passage: ", "--demonstration-fields", "input",
            "--pooling", "cls", "--no-normalize", "--batch-tokens", "1"]  # fmt: skip
    _, vectors = run(folder, pool, tmp_path / "v.parquet", *more)
    text = "passage: Input: Oil prices rose in <Keyword>London</Keyword>."
    want, _ = encoders.BiEncoder(folder, "cls", False, 512).encode([text])
    np.testing.assert_allclose(vectors[1], want[0], atol=1e-5)


def dense(vectors, query, within="mixed", depth=3, ids=("c", "a", "b")):
    q = tiny.sample("q", "Something else.")
    found = retrieve.dense([q], Pool(POOL), within, depth, np.float32([query]), list(ids),
                           np.float32(vectors))  # fmt: skip
    return [(r["demonstration_id"], r["rank"], round(r["score"], 5)) for r in found]


def test_dense_search_is_exact_and_breaks_ties_by_id():
    # dot products with (1, 2): c 1 + 4 = 5, a 3 + 2 = 5, b 0 + 6 = 6
    vectors = [[1, 2], [3, 1], [0, 3]]
    assert dense(vectors, [1, 2]) == [("b", 0, 6.0), ("a", 1, 5.0), ("c", 2, 5.0)]
    assert dense(vectors, [1, 2], depth=1) == [("b", 0, 6.0)]
    # b is of another task
    assert dense(vectors, [1, 2], within="task") == [("a", 0, 5.0), ("c", 1, 5.0)]
    # the vectors may stand in any order
    assert dense(vectors[::-1], [1, 2], ids="bac") == dense(vectors, [1, 2])


def test_vectors_of_another_pool_are_refused():
    with pytest.raises(UserError, match="another pool"):
        dense([[1, 2], [3, 1], [0, 3]], [1, 2], ids=("c", "a", "x"))


def test_dense_command_never_shows_the_query_itself(folder, pool, tmp_path):
    # the query is pool member c in other letters and spacing, so c is its nearest neighbour
    queries = tiny.write_examples(
        [tiny.sample("q", "bob  lives in PARIS.")], tmp_path / "q.parquet"
    )
    run(folder, pool, tmp_path / "v.parquet")
    retrieve.main([
        "--retriever", "dense", "--queries", str(queries), "--pool", str(pool), "--depth", "5",
        "--model", str(folder), "--vectors", str(tmp_path / "v.parquet"),
        "--out", str(tmp_path / "out.parquet"),
    ])  # fmt: skip
    rows = parquet.read(tmp_path / "out.parquet", schemas.CANDIDATES).to_pylist()
    encoder = encoders.BiEncoder(folder, "mean", True, 512)
    text = "Task: Named Entity Recognition\nSchema: [person, location]\nInput: bob  lives in PARIS."
    query, _ = encoder.encode([text])
    ids, vectors = encode.read_vectors(tmp_path / "v.parquet")
    scores = dict(zip(ids, vectors @ query[0], strict=True))
    del scores["c"]
    assert [r["demonstration_id"] for r in rows] == sorted(scores, key=lambda i: -scores[i])
    assert [r["score"] for r in rows] == pytest.approx(sorted(scores.values())[::-1], abs=1e-5)
    assert [r["rank"] for r in rows] == [0, 1]
