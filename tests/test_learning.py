"""What the trainings have learned: the measures by hand, the command with tiny models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainings import retriever, reward

from ruie import aside, examples, groups, learning, parquet, schemas, score_reward
from ruie.cli import UserError

LLM = np.array([-1.0, -2.0, -3.0, -4.0, -5.0])


def test_auc_by_hand():
    # positives at 0 and 1, negatives at 3 and 4: 0.9 > 0.5, 0.9 > 0.1, 0.3 < 0.5, 0.3 > 0.1
    scores = np.array([0.9, 0.3, 0.0, 0.5, 0.1])
    assert learning.auc(LLM, scores, 2, 2) == 3 / 4
    assert learning.auc(LLM, LLM, 2, 2) == 1
    assert learning.auc(LLM, -LLM, 2, 2) == 0
    assert learning.auc(LLM, np.zeros(5), 2, 2) == 0.5
    # a positive is no negative, though both ends of five are asked for
    assert learning.auc(LLM, scores, 3, 16) == sum(
        (p > n) for p in scores[:3] for n in scores[3:]
    ) / 6  # fmt: skip


@given(st.lists(st.tuples(st.integers(-9, 0), st.integers(0, 3)), min_size=2, max_size=20),
       st.integers(1, 5), st.integers(1, 5))  # fmt: skip
def test_auc_counts_every_pair(rows, top, last):
    preference, scores = (np.array(c, float) for c in zip(*rows, strict=True))
    order = sorted(range(len(rows)), key=lambda i: -preference[i])
    best, worst = order[:top], order[max(top, len(rows) - last) :]
    if not worst:
        return
    won = [(scores[a] > scores[b]) + 0.5 * (scores[a] == scores[b]) for a in best for b in worst]
    assert learning.auc(preference, scores, top, last) == pytest.approx(sum(won) / len(won))


def test_recall_by_hand():
    other = np.array([5.0, 1, 2, 4, 3])  # its best two are 0 and 3, the LLM's 0 and 1
    assert learning.recall(LLM, other, 2) == 1 / 2
    assert learning.recall(LLM, other, 5) == 1


def test_chance_is_what_random_orders_reach():
    lots = np.random.default_rng(1)
    n = 12
    preference = -np.arange(n, dtype=float)
    found = [lots.permutation(n).astype(float) for _ in range(4000)]
    expected = learning.chance(n)
    # 1 + 1/2 + ... + 1/12 = 3.1032, over 12
    assert expected == {"auc": 0.5, "mrr": pytest.approx(3.1032 / 12, abs=1e-4), "recall@8": 8 / 12}
    for name, of in {"auc": lambda s: learning.auc(preference, s, 3, 16),
                     "mrr": lambda s: aside.reciprocal_rank(preference.tolist(), s.tolist()),
                     "recall@8": lambda s: learning.recall(preference, s)}.items():  # fmt: skip
        values = np.array([of(s) for s in found])
        assert abs(values.mean() - expected[name]) < 5 * values.std() / len(values) ** 0.5


def test_rows_by_task_with_intervals(make_example):
    names = [f"d/train/{i:06d}" for i in range(4)]
    queries = {
        name: make_example("A.", task=("NER", "RE")[i % 2], id=name) for i, name in enumerate(names)
    }
    llm = dict.fromkeys(queries, LLM)
    scores = [LLM, -LLM, LLM, -LLM]  # right for NER, wrong for RE
    ranker = dict(zip(queries, scores, strict=True))
    rows = learning.measured(queries, llm, {}, {"bm25": ranker}, 2, 2, 200, 1)
    value = {(r["ranker"], r["measure"], r["task"]): r["value"] for r in rows}
    assert value["bm25", "auc", "all"] == 0.5
    assert (value["bm25", "auc", "NER"], value["bm25", "auc", "RE"]) == (1, 0)
    # the best is first of 5, or last
    assert value["bm25", "mrr", "all"] == pytest.approx((1 + 1 / 5) / 2)
    assert value["chance", "mrr", "RE"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5)
    ends = {(r["task"], r["low"], r["high"]) for r in rows
            if (r["ranker"], r["measure"]) == ("bm25", "auc")}  # fmt: skip
    assert {("NER", 1, 1), ("RE", 0, 0)} < ends
    assert ("all", 0, 1) in ends  # 2 of 4 queries: 1 in 16 resamples is all of one kind
    assert rows == learning.measured(queries, llm, {}, {"bm25": ranker}, 2, 2, 200, 1)
    assert {r["low"] for r in learning.measured(queries, llm, {}, {"bm25": ranker}, 2, 2, 0, 1)} \
        == {None}  # fmt: skip


def test_queries_that_say_nothing_are_left_out(caplog):
    caplog.set_level("INFO")
    table = [("few", "a", -1.0), ("alike", "a", -1.0), ("alike", "b", -1.0), ("alike", "c", -1.0),
             ("good", "a", -1.0), ("good", "b", -2.0), ("good", "c", -2.0),
             ("seen", "a", -1.0), ("seen", "b", -2.0), ("seen", "c", -2.0)]  # fmt: skip
    import pyarrow as pa

    columns = dict(zip(("query_id", "demonstration_id", "score"), zip(*table, strict=True),
                       strict=True))  # fmt: skip
    llm = groups.Rankings(pa.table({k: list(v) for k, v in columns.items()}), "score")
    assert list(learning.usable(llm, {"few", "alike", "good"}, 2)) == ["good"]
    assert "3 queries held aside, 2 left out" in caplog.text


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    """Models trained with a query held aside, and what the command reads besides."""
    folder = tmp_path_factory.mktemp("learning")
    reward(data, folder / "reward", "--watch", 5, steps=30)
    retriever(data, folder / "retriever", "--watch", 5, steps=30)
    score_reward.main([
        "--scores", str(data / "scores.parquet"), "--queries", str(data / "queries.parquet"),
        "--pool", str(data / "pool.parquet"), "--model", str(folder / "reward"),
        "--out", str(folder / "rewards.parquet"),
    ])  # fmt: skip
    rows = parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
    parquet.write(
        [{"query_id": r["query_id"], "demonstration_id": r["demonstration_id"], "rank": i % 14,
          "score": -float(i % 14)} for i, r in enumerate(rows)],
        schemas.CANDIDATES, folder / "candidates.parquet",
    )  # fmt: skip
    return folder


def run(data, folder, *more):
    words = ["--scores", data / "scores.parquet", "--candidates", folder / "candidates.parquet",
             "--queries", data / "queries.parquet", "--pool", data / "pool.parquet",
             "--rewards", f"keywords={folder / 'rewards.parquet'}",
             "--retrievers", f"ruie={folder / 'retriever'}", "--model", data / "bert",
             "--watch", "5", "--split-seed", "5", "--out", folder / "out.parquet",
             *more]  # fmt: skip
    learning.main([str(w) for w in words])
    return parquet.read(folder / "out.parquet", schemas.LEARNING).to_pylist()


def test_the_command(data, folder):
    rows = run(data, folder)
    value = {(r["ranker"], r["against"], r["measure"]): r["value"] for r in rows
             if r["task"] == "all"}  # fmt: skip
    assert value.keys() == {
        *((r, "llm", m) for r in ("chance", "bm25", "untrained", "ruie", "keywords")
          for m in ("auc", "mrr")),
        *((r, "keywords", "recall@8") for r in ("chance", "bm25", "untrained", "ruie")),
    }  # fmt: skip
    # what the data was made for: the LLM prefers a query's own kind, which words tell
    assert value["keywords", "llm", "auc"] > 0.7  # of one query
    assert value["ruie", "llm", "auc"] > 0.7
    # BM25 by hand: one query is held aside, its candidates' ranks are the rows' order
    asked = {q.id for q in examples.read(data / "queries.parquet")}
    (query,) = aside.held_aside(asked, 5, 5)
    mine = [r["score"] for r in parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
            if r["query_id"] == query]  # fmt: skip
    assert value["bm25", "llm", "mrr"] == pytest.approx(1 / (1 + int(np.argmax(mine))))
    assert value["chance", "keywords", "recall@8"] == 8 / 14


def test_no_query_held_aside_is_an_empty_table(data, folder, caplog):
    assert run(data, folder, "--watch", "0") == []
    assert "no query held aside says anything" in caplog.text


def test_pairs_that_lack_are_named(data, folder, tmp_path):
    rows = parquet.read(folder / "rewards.parquet", schemas.REWARDS).to_pylist()
    asked = {q.id for q in examples.read(data / "queries.parquet")}
    (query,) = aside.held_aside(asked, 5, 5)
    for name, keep in (("pair", 1), ("query", 99)):
        gone = [r for r in rows if r["query_id"] == query][:keep]
        parquet.write([r for r in rows if r not in gone], schemas.REWARDS,
                      tmp_path / f"{name}.parquet")  # fmt: skip
        with pytest.raises(UserError, match="is not in every table; run the stages before again"):
            run(data, folder, "--rewards", f"keywords={tmp_path / name}.parquet")
