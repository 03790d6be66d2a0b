"""The retriever against hand arithmetic, its folder, its ablations."""

from __future__ import annotations

import itertools
import logging
import math

import numpy as np
import pyarrow as pa
import pytest
import tiny
from trainings import (
    differ,
    first_batch,
    people,
    places,
    retriever,
    retriever_words,
    reward,
)

from ruie import (
    encoders,
    examples,
    groups,
    parquet,
    prompt,
    schemas,
    train_retriever,
)


@pytest.mark.parametrize(
    ("rewards", "temperature"), [(True, 1), (False, 1), (True, 2.5), (True, "llm")]
)
def test_first_retriever_losses_by_hand(data, tmp_path, rewards, temperature):
    """Equations 3 and 4 over the first batch in NumPy."""
    batch, queries, pool = first_batch(data)
    flags = ["--no-keywords", *["--teacher-temperature", str(temperature)] * (temperature != 1)]
    log = retriever(data, tmp_path / "r", *flags, steps=1, rewards=rewards)
    name, column = ("rewards", "reward") if rewards else ("scores", "score")
    schema = schemas.REWARDS if rewards else schemas.SCORES
    rows = parquet.read(data / f"{name}.parquet", schema).to_pylist()
    taught = {(r["query_id"], r["demonstration_id"]): r[column] for r in rows}
    ranking = parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
    told = {(r["query_id"], r["demonstration_id"]): r["score"] for r in ranking}

    if temperature == "llm":  # all of a query's pairs are in both tables
        both = {g.query_id: [(taught[k], told[k]) for k in taught if k[0] == g.query_id]
                for g in batch}  # fmt: skip
        at = {k: np.divide(*np.std(v, 0)) for k, v in both.items()}
        assert np.allclose([*at.values()], 2)  # the rewards of these tests are twice the scores
    else:
        at = dict.fromkeys((g.query_id for g in batch), temperature)

    def plain(e):  # the query side is the sample without its answer
        return prompt.render(e, ("task", "input", "schema"))

    encoder = encoders.BiEncoder(data / "bert", "mean", True, 512)
    q, _ = encoder.encode([plain(queries[g.query_id]) for g in batch])
    passages = [d for g in batch for d in g.demonstrations]
    p, _ = encoder.encode([prompt.render(pool[d], prompt.ENCODED) for d in passages])
    scores = q.astype(np.float64) @ p.T / 0.1
    distill, contrastive, masked = [], [], 0
    for i, g in enumerate(batch):
        own = slice(4 * i, 4 * i + 4)
        teacher = np.exp([taught[g.query_id, d] / at[g.query_id] for d in g.demonstrations])
        teacher /= teacher.sum()
        student = np.exp(scores[i, own])
        student /= student.sum()
        distill.append((teacher * np.log(teacher / student)).sum())
        # all passages of the batch but the LLM's own top 3 (and the query itself): positives too
        best = sorted((-told[k], k[1]) for k in told if k[0] == g.query_id)[:3]
        no_negatives = {g.query_id, *(d for _, d in best)}
        kept = [j for j, d in enumerate(passages) if j == 4 * i or d not in no_negatives]
        masked += len(passages) - len(kept)
        e = np.exp(scores[i, kept])
        contrastive.append(-np.log(np.exp(scores[i, 4 * i]) / e.sum()))
    assert masked  # this batch holds other positives
    assert log[0]["distill"] == pytest.approx(np.mean(distill), abs=1e-4)
    assert log[0]["contrastive"] == pytest.approx(np.mean(contrastive), abs=1e-4)


def test_rewards_at_the_spread_of_the_llm():
    def rankings(*rows):
        names = ("query_id", "demonstration_id", "score")
        return groups.Rankings(
            pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), "score"
        )

    llm = rankings(("a", "1", -1.0), ("a", "2", -3.0), ("b", "1", -2.0), ("b", "2", -2.0),
                   ("c", "1", 0.0), ("c", "2", -1.0), ("c", "3", -1.0))  # fmt: skip
    teacher = rankings(("a", "1", 4.0), ("a", "2", 9.0), ("a", "3", 99.0), ("b", "1", 1.0),
                       ("b", "2", 0.0), ("c", "1", 0.1), ("c", "2", 0.1), ("c", "3", 0.1),
                       ("d", "1", 7.0))  # fmt: skip
    # a: 2.5 over 1, the third is not scored by the LLM; b: the LLM sees no difference, so the
    # teacher's are taken away; c: the teacher sees none; d: nothing to go by
    found = train_retriever.spreads(teacher, llm)
    assert found == {"a": 2.5, "b": math.inf, "c": 1, "d": 1}
    some = [groups.Choices("a", ["2"], ["1"]), groups.Choices("b", ["1"], ["2"])]
    assert train_retriever.taught(teacher, some, found) == {
        "a": {"2": 3.6, "1": 1.6}, "b": {"1": 0, "2": 0}
    }  # fmt: skip


def test_the_reward_can_rank(data, tmp_path):
    """Rewards turned round, of pairs that the language model has not all scored: their ranking
    gives the groups, as the published code has it."""
    rewards = parquet.read(data / "rewards.parquet", schemas.REWARDS).to_pylist()
    for r in rewards:
        r["reward"] = -r["reward"]
    parquet.write(rewards, schemas.REWARDS, tmp_path / "rewards.parquet")
    rows = parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
    # 4 of each query's 14 candidates: with 3 positives, the LLM leaves one negative at most
    kept = [r for i, r in enumerate(rows) if i % 14 < 4]
    assert len(kept) * 14 == len(rows) * 4
    parquet.write(kept, schemas.SCORES, tmp_path / "scores.parquet")
    words = ["--rewards", tmp_path / "rewards.parquet", "--ranked-by", "reward", "--no-keywords"]
    one, other = (
        retriever(data, tmp_path / name, *words, "--scores", scores, steps=2, rewards=False)
        for name, scores in (("one", tmp_path / "scores.parquet"),
                             ("other", data / "scores.parquet"))
    )  # fmt: skip
    # the language model's scores take no part
    assert not differ(tmp_path / "one", tmp_path / "other")
    assert one == other
    by_llm = retriever(data, tmp_path / "llm", *words[:2], "--no-keywords", steps=1, rewards=False)
    assert by_llm[0]["contrastive"] != one[0]["contrastive"]


def test_queries_without_an_answer_can_be_left_out(data, tmp_path, caplog):
    """They train as if the table of scores did not name them."""
    queries = examples.read(data / "queries.parquet")
    bare = {q.id for q in queries[::3]}  # 4 of the 12
    changed = [q._replace(annotations=()) if q.id in bare else q for q in queries]
    tiny.write_examples(changed, tmp_path / "queries.parquet")
    rows = parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
    kept = [r for r in rows if r["query_id"] not in bare]
    parquet.write(kept, schemas.SCORES, tmp_path / "scores.parquet")
    words = ["--queries", tmp_path / "queries.parquet"]
    with caplog.at_level(logging.INFO):
        left = retriever(data, tmp_path / "left", *words, "--answered-only", steps=2)
    assert "4 queries have no answer and are left out" in caplog.text
    without = retriever(
        data, tmp_path / "without", *words, "--scores", tmp_path / "scores.parquet", steps=2
    )
    assert left == without
    assert not differ(tmp_path / "left", tmp_path / "without")
    everyone = retriever(data, tmp_path / "all", *words, steps=2)
    assert everyone != left


def test_ranking_by_the_reward_needs_rewards(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        retriever(data, tmp_path / "r", "--ranked-by", "reward", rewards=False)
    assert "--ranked-by reward needs --rewards" in capsys.readouterr().err


def test_retriever_folder_loads_everywhere(data, trained):
    from sentence_transformers import SentenceTransformer

    folder = trained[0] / "retriever"
    e = people(1)
    texts = [prompt.render(e), prompt.render(e, keywords=True), prompt.query(places(2)), "Oil"]
    ours, _ = encoders.BiEncoder(folder, "mean", True, 512).encode(texts)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    before, _ = encoders.BiEncoder(data / "bert", "mean", True, 512).encode(texts)
    assert abs(ours - before).max() > 1e-3
    tokenizer = encoders.BiEncoder(folder, "mean", True, 512).tokenizer
    assert len(tokenizer.tokenize("<Keyword>")) == len(tokenizer.tokenize("</Keyword>")) == 1


@pytest.mark.parametrize("more", [("--pooling", "cls"), ("--no-normalize",),
                                  ("--max-length", "12")])  # fmt: skip
def test_the_folder_says_how_it_was_trained(data, tmp_path, more):
    from sentence_transformers import SentenceTransformer

    retriever(data, tmp_path / "r", *more, steps=2)
    texts = [prompt.render(people(1)), "Oil prices rose."]
    pooling = "cls" if "cls" in more else "mean"
    limit = 12 if "12" in more else 512
    ours, cut = encoders.BiEncoder(
        tmp_path / "r", pooling, "--no-normalize" not in more, limit
    ).encode(texts)
    assert cut == ("12" in more)
    theirs = SentenceTransformer(str(tmp_path / "r"), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_ablations_run_and_differ(data, trained, tmp_path):
    folder = trained[0]
    reward(data, tmp_path / "reward", "--no-keywords")
    assert differ(tmp_path / "reward", folder / "reward")
    logs = {
        "keywords": retriever(data, tmp_path / "keywords", "--no-keywords"),
        "rewards": retriever(data, tmp_path / "rewards", rewards=False),
        "distill": retriever(data, tmp_path / "distill", "--no-distill"),
    }
    for a, b in itertools.combinations([folder / "retriever", *(tmp_path / n for n in logs)], 2):
        assert differ(a, b)
    for r in logs["distill"]:  # the contrastive term alone is trained, the other still reported
        assert r["loss"] == pytest.approx(0.2 * r["contrastive"], abs=1e-6)
        assert r["distill"] > 0
    # same seed, same tags, same batch: the teacher alone differs
    full = trained[2][0]
    assert logs["rewards"][0]["contrastive"] == full["contrastive"]
    assert logs["rewards"][0]["distill"] != full["distill"]


def test_the_query_s_side_is_never_tagged(data, tmp_path):
    words = [str(w) for w in retriever_words(data, tmp_path / "r")]
    run, _, encoder = train_retriever.prepare(train_retriever.parser().parse_args(words))
    tags = set(encoder.tokenizer.convert_tokens_to_ids(["<Keyword>", "</Keyword>"]))
    assert all(not tags & set(t.ids.tolist()) for t in run.task.queries.values())
    assert all(tags & set(t.ids.tolist()) for t in run.task.pool.values())
