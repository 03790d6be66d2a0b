"""The pool's vectors: encoded, written, read back and searched."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import tiny

from ruie import encode, encoders, feeding, parquet, prompt, retrieve, schemas, vectors
from ruie.cli import UserError

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
    return vectors.read(out)


def test_the_command_encodes_the_pool_in_its_order(folder, pool, tmp_path):
    ids, found = run(folder, pool, tmp_path / "v.parquet")
    assert ids == ["c", "a", "b"]
    text = (
        "Task: Named Entity Recognition\nInput: Bob lives in Paris.\n"
        "Output: person: Bob; location: Paris.\nSchema: [person, location]"
    )
    want, _ = encoders.BiEncoder(folder, "mean", True, 512).encode([text])
    np.testing.assert_allclose(found[0], want[0], atol=1e-5)
    run(folder, pool, tmp_path / "again.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_keywords_prefix_fields_and_pooling_reach_the_model(folder, pool, tmp_path):
    more = ["--keywords", "--demonstration-prefix", "passage: ", "--demonstration-fields", "input",
            "--pooling", "cls", "--no-normalize", "--batch-tokens", "1"]  # fmt: skip
    _, found = run(folder, pool, tmp_path / "v.parquet", *more)
    text = "passage: Input: Oil prices rose in <Keyword>London</Keyword>."
    want, _ = encoders.BiEncoder(folder, "cls", False, 512).encode([text])
    np.testing.assert_allclose(found[1], want[0], atol=1e-5)


def test_windows_keep_the_order_and_only_their_size_in_memory(folder, tmp_path, monkeypatch):
    """7 samples in windows of 3: tokenised 3, 3 and 1 at a time, written as they come."""
    seen = []
    real = feeding.Feeder.tokens

    def tokens(self, texts):
        if texts[0].startswith("Task:"):  # and not what special tokens are found by
            seen.append(len(texts))
        return real(self, texts)

    monkeypatch.setattr(feeding.Feeder, "tokens", tokens)
    monkeypatch.setattr(encode, "WINDOW", 3)
    members = [tiny.sample(f"s{i}", "Oil prices rose. " * (1 + i * 5 % 7)) for i in range(7)]
    pool = tiny.write_examples(members, tmp_path / "pool.parquet")
    ids, found = run(folder, pool, tmp_path / "v.parquet", "--max-length", "40")
    assert seen == [3, 3, 1]
    assert ids == [f"s{i}" for i in range(7)]
    form = encoders.TextForm(prompt.ENCODED, keywords=False)
    encoder = encoders.BiEncoder(folder, "mean", True, 40)
    for e, vector in zip(members, found, strict=True):
        np.testing.assert_allclose(vector, encoder.encode([form(e)])[0][0], atol=1e-5)


def test_what_was_cut_is_counted_in_every_window(folder):
    encoder = encoders.BiEncoder(folder, "mean", True, 10)
    windows = [["oil " * 50, "oil"], ["oil"], ["oil " * 50, "oil " * 60]]
    found = list(encoder.encode_windows(windows, 5, 8192))
    assert [(len(v), cut) for v, cut in found] == [(2, 1), (1, 0), (2, 2)]


def test_progress_of_all_windows_together(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="ruie")
    encoder = encoders.BiEncoder(folder, "mean", True, 64)
    list(encoder.encode_windows([["oil"] * 2, ["rose"]], 3, 8192))
    assert [r.getMessage().split(",")[0] for r in caplog.records] == ["texts encoded 3/3"]


def test_an_empty_pool(folder, tmp_path):
    pool = tiny.write_examples([], tmp_path / "pool.parquet")
    with pytest.raises(UserError, match="holds no sample to encode"):
        run(folder, pool, tmp_path / "v.parquet")
    assert not (tmp_path / "v.parquet").exists()


KILLED = """
import os, signal, sys
from ruie import encode, encoders
encode.WINDOW = 1
real = encoders.BiEncoder.embed
calls = []
def embed(self, inputs, model=None):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, inputs, model)
encoders.BiEncoder.embed = embed
encode.main(sys.argv[1:])
"""


def test_a_killed_job_leaves_the_table_as_it_was(folder, pool, tmp_path):
    out = tmp_path / "v.parquet"
    out.write_text("as it was")
    done = tiny.python("-c", KILLED, "--pool", pool, "--model", folder, "--out", out)
    assert done.returncode == -signal.SIGKILL
    assert out.read_text() == "as it was"


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
    text = "Task: Named Entity Recognition\nInput: bob  lives in PARIS.\nSchema: [person, location]"
    query, _ = encoder.encode([text])
    ids, found = vectors.read(tmp_path / "v.parquet")
    scores = dict(zip(ids, found @ query[0], strict=True))
    del scores["c"]
    assert [r["demonstration_id"] for r in rows] == sorted(scores, key=lambda i: -scores[i])
    assert [r["score"] for r in rows] == pytest.approx(sorted(scores.values())[::-1], abs=1e-5)
    assert [r["rank"] for r in rows] == [0, 1]
