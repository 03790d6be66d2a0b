"""Scoring a table of candidates: order, length limit, shards, numbers that are none."""

from __future__ import annotations

import math

import pytest
import tiny

from ruie import parquet, prompt, schemas, score
from ruie.cli import UserError
from ruie.lm import LanguageModel

LONG = "Rebels attacked the harbour near Aden. " * 40
POOL = [
    tiny.sample("p1", "Bob lives in Paris.", ("person", "Bob"), ("location", "Paris")),
    tiny.sample("p2", "Oil prices rose."),
    tiny.sample("p3", LONG, ("location", "Aden")),
    tiny.sample("p4", "Bob works for BP.", ("works for", "Bob", "BP"), task="RE"),
]
QUERIES = [
    tiny.sample("q1", "Alice visited Berlin on Monday.", ("person", "Alice")),
    tiny.sample("q2", "Alice works for Acme.", ("works for", "Alice", "Acme"), task="RE"),
    tiny.sample("q3", "Shell rose.", ("location", "Shell")),
]
POOL_BY_ID = {e.id: e for e in POOL}
QUERIES_BY_ID = {e.id: e for e in QUERIES}
# tasks interleaved, so that scoring task by task must put the rows back
PAIRS = [("q1", "p2"), ("q2", "p4"), ("q1", "p1"), ("q3", "p4"), ("q2", "p1"), ("q1", "p3")]
CANDIDATES = [
    {"query_id": q, "demonstration_id": d, "rank": i, "score": 0.0}
    for i, (q, d) in enumerate(PAIRS)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.causal(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def model(folder):
    return LanguageModel(folder, "float32")


def expected(folder, model, q, demonstrations):
    """Equation 1 from the text up: the prompt of section 3.2 written out."""
    query = QUERIES_BY_ID[q]
    shown = [prompt.render(POOL_BY_ID[d]) + "\n\n" for d in demonstrations]
    head = prompt.INSTRUCTIONS[query.task] + "\n\n" + "".join(shown) + prompt.query(query)
    pair = model.pairs([head], [" " + prompt.answer(query)])
    return tiny.log_likelihoods(folder, pair)[0], len(pair[0].ids) - pair[0].start


def run(model, candidates=CANDIDATES, max_length=4000, batch_tokens=700):
    return score.run(candidates, QUERIES_BY_ID, POOL_BY_ID, model, max_length, batch_tokens)


def test_rows_keep_the_candidates_order_and_hold_equation_1(folder, model):
    rows = run(model)
    assert [(r["query_id"], r["demonstration_id"]) for r in rows] == PAIRS
    for row, (q, d) in zip(rows, PAIRS, strict=True):
        mean, tokens = expected(folder, model, q, [d])
        assert row["score"] == pytest.approx(mean, abs=1e-4)
        assert row["tokens"] == tokens > 0
    assert len({round(r["score"], 6) for r in rows}) == len(rows)


def test_a_demonstration_over_the_limit_is_dropped_and_the_query_scored_bare(folder, model):
    rows = run(model, max_length=450)
    bare, tokens = expected(folder, model, "q1", [])
    long, _ = expected(folder, model, "q1", ["p3"])
    assert rows[5]["score"] == pytest.approx(bare, abs=1e-4)
    assert rows[5]["tokens"] == tokens
    assert abs(bare - long) > 1e-3  # the two differ, so the line above says something
    assert rows[2]["score"] == pytest.approx(expected(folder, model, "q1", ["p1"])[0], abs=1e-4)


def test_the_limit_counts_prompt_and_answer_and_is_inclusive(folder, model):
    one = CANDIDATES[2:3]
    with_p1, bare = (expected(folder, model, "q1", d)[0] for d in (["p1"], []))
    whole = model.pairs(
        [prompt.build(prompt.INSTRUCTIONS["NER"], [prompt.render(POOL[0])],
                      prompt.query(QUERIES[0]))],
        [" " + prompt.answer(QUERIES[0])],
    )[0]  # fmt: skip
    n = len(whole.ids)
    assert run(model, one, max_length=n)[0]["score"] == pytest.approx(with_p1, abs=1e-4)
    assert run(model, one, max_length=n - 1)[0]["score"] == pytest.approx(bare, abs=1e-4)


def test_a_query_over_the_limit_is_a_user_error(model):
    with pytest.raises(UserError, match=r"q1 \(toy.json#q1\).*over --max-length 50"):
        run(model, max_length=50)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_score_that_is_not_finite_is_an_error(folder, model, value):
    class Overflowing:
        tokenizer, pairs = model.tokenizer, model.pairs

        def score(self, pairs, budget):
            yield list(range(len(pairs))), [value] * len(pairs)

    with pytest.raises(UserError, match="q1 with p2: the score is .*--dtype"):
        run(Overflowing())


def test_shards_cover_every_row_once_in_order():
    for n in (0, 1, 5, 16, 17, 100):
        for of in (1, 2, 3, 7, 20):
            parts = [list(range(n))[score.shard(n, i, of)] for i in range(of)]
            assert [x for part in parts for x in part] == list(range(n))
            sizes = [len(part) for part in parts]
            assert max(sizes) - min(sizes) <= 1


def test_shards_of_the_command_make_up_the_whole(folder, tmp_path):
    parquet.write(CANDIDATES, schemas.CANDIDATES, tmp_path / "c.parquet")
    tiny.write_examples(QUERIES, tmp_path / "q.parquet")
    tiny.write_examples(POOL, tmp_path / "p.parquet")

    def command(out, *more):
        score.main([
            "--candidates", str(tmp_path / "c.parquet"), "--queries", str(tmp_path / "q.parquet"),
            "--pool", str(tmp_path / "p.parquet"), "--model", str(folder), "--dtype", "float32",
            "--max-length", "2000", *more, "--out", str(tmp_path / out),
        ])  # fmt: skip
        return parquet.read(tmp_path / out, schemas.SCORES).to_pylist()

    whole = command("whole.parquet")
    # 6 rows in 8 shards: two shards are empty, and write an empty table
    parts = [command(f"{i}.parquet", "--shard", str(i), "--shards", "8") for i in range(8)]
    assert sorted(map(len, parts)) == [0, 0, 1, 1, 1, 1, 1, 1]
    joined = [row for part in parts for row in part]
    assert [(r["query_id"], r["demonstration_id"], r["tokens"]) for r in joined] == [
        (r["query_id"], r["demonstration_id"], r["tokens"]) for r in whole
    ]
    assert [r["score"] for r in joined] == pytest.approx([r["score"] for r in whole], abs=1e-5)
    with pytest.raises(UserError, match="--shard 8 is not one of 8"):
        command("x.parquet", "--shard", "8", "--shards", "8")
