"""Where the gain is lost: the measures by hand, and the stage on tiny models."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from trainings import PEOPLE, PLACES

from ruie import chain, cli, parquet, plan, ranking, schemas

#: Few values, so that there are ties.
LEVELS = st.sampled_from([-1.0, 0.0, 0.25, 3.0])


def floats(*values):
    return np.array(values, np.float64)


def test_measures_of_a_query_by_hand():
    llm = floats(-3, -1, -2, -4)
    mine = {"BM25": floats(4, 3, 2, 1), "r": floats(0, 5, 5, 1)}
    found = chain.measures(llm, mine, -5.0, [1, 2])

    def of(ranking):
        return {key[1:]: value for key, value in found.items() if key[0] == ranking}

    # the mean of all is -2.5
    assert of("zero_shot") == {("score", 0): -5, ("over_chance", 0): -2.5}
    assert of("llm") == {
        ("correlation", None): pytest.approx(1),
        ("score", 1): -1, ("regret", 1): 0, ("over_zero_shot", 1): 4, ("over_chance", 1): 1.5,
        ("over_BM25", 1): 2,
        ("score", 2): -1.5, ("regret", 2): 0, ("over_zero_shot", 2): 3.5, ("over_chance", 2): 1,
        ("over_BM25", 2): 0.5,
    }  # fmt: skip
    # ranks 2 4 3 1 against 4 3 2 1: 1 - 6 (4 + 1 + 1) / 60; its first is -3, its first two -3, -1
    assert of("BM25") == {
        ("correlation", None): pytest.approx(0.4),
        ("score", 1): -3, ("regret", 1): 2, ("over_zero_shot", 1): 2, ("over_chance", 1): -0.5,
        ("over_BM25", 1): 0,
        ("score", 2): -2, ("regret", 2): 0.5, ("over_zero_shot", 2): 3, ("over_chance", 2): 0.5,
        ("over_BM25", 2): 0,
    }  # fmt: skip
    # two share the first place, -1 and -2; ranks 1 3.5 3.5 2 against 2 4 3 1: deviations
    # (-1.5 1 1 -0.5) and (-0.5 1.5 0.5 -1.5) give 3.5 / sqrt(4.5 x 5)
    assert of("r")["correlation", None] == pytest.approx(3.5 / 22.5**0.5)
    assert of("r")["score", 1] == of("r")["score", 2] == -1.5
    assert (of("r")["regret", 1], of("r")["regret", 2]) == (0.5, 0)
    # any order: the mean of all, and no correlation
    assert of("chance")["score", 1] == of("chance")["score", 2] == -2.5
    assert of("chance")["correlation", None] == of("chance")["over_chance", 2] == 0


def test_equal_scores_have_no_correlation_and_more_than_all_is_all():
    found = chain.measures(floats(-2, -2), {"BM25": floats(1, 0)}, -2.0, [8])
    assert {measure for _, measure, _ in found} == {
        "score", "regret", "over_zero_shot", "over_chance", "over_BM25",
    }  # fmt: skip
    assert {value for (_, measure, _), value in found.items() if measure != "score"} == {0}
    assert found["BM25", "score", 8] == -2


@given(st.lists(LEVELS, min_size=1, max_size=5), st.integers(1, 6))
def test_the_first_ones_are_the_mean_over_the_orders_of_ties(scores, k):
    llm = floats(*(n * n for n in range(len(scores))))
    means = [
        np.mean([llm[i] for i in sorted(order, key=lambda i: -scores[i])[:k]])
        for order in itertools.permutations(range(len(scores)))
    ]
    assert chain.top(llm, floats(*scores), k) == pytest.approx(np.mean(means))


def test_table_has_sides_and_datasets():
    key, other = ("r", "score", 1), ("r", "correlation", None)
    a, b, c = (
        tiny.sample("q", "Oil", dataset=name, task=task)
        for name, task in (("a", "RE"), ("b", "NER"), ("c", "NER"))
    )
    found = [(a, {key: -1.0, other: 0.5}), (b, {key: -2.0}), (a, {key: -3.0}), (c, {key: -5.0})]
    rows = chain.table(found, ["b", "c"], 4, 200, 1)
    assert [(r["held_out"], r["task"], r["dataset"], r["measure"], r["n"], r["value"])
            for r in rows] == [
        (True, "all", "all", "score", 2, -3.5),
        (True, "NER", "b", "score", 1, -2), (True, "NER", "c", "score", 1, -5),
        (False, "all", "all", "score", 2, -2), (False, "all", "all", "correlation", 1, 0.5),
        (False, "RE", "a", "score", 2, -2), (False, "RE", "a", "correlation", 1, 0.5),
    ]  # fmt: skip
    # one query gives itself; of two a resample has one of them twice in half of the cases
    assert (rows[1]["low"], rows[1]["high"]) == (-2, -2)
    assert (rows[0]["low"], rows[0]["high"]) == (-5, -2)
    assert {(r["candidates"], r["k"]) for r in rows} == {(4, 1), (4, None)}
    assert {r["low"] for r in chain.table(found, [], 4, 0, 1)} == {None}


def test_fewer_candidates_are_those_that_scoring_would_draw():
    scores = {q: {f"d{n}": 0.0 for n in range(9)} for q in ("q1", "q2")}
    pairs = [(q, d) for q in scores for d in reversed(scores[q])]
    some = plan.sampled([q for q, _ in pairs], [d for _, d in pairs], 3, 7)
    assert {(q, d) for q, kept in chain.drawn(scores, 3, 7).items() for d in kept} == {
        pairs[i] for i in some
    }
    less = chain.drawn(scores, 2, 7)
    assert all(set(less[q]) < set(kept) for q, kept in chain.drawn(scores, 3, 7).items())
    # another draw than the order at random
    order = chain.drawn(scores, 9, 7)
    lots = chain.at_random(order, 7)
    picked = {q: {order[q][i] for i in np.argsort(lots[q])[:3]} for q in order}
    assert picked != {q: set(kept) for q, kept in chain.drawn(scores, 3, 7).items()}
    assert not np.array_equal(lots["q1"], chain.at_random(order, 8)["q1"])


@pytest.fixture(scope="module")
def scored(data, trained, tmp_path_factory):
    """Six queries of two datasets, five of them with ten of 30 samples as scored candidates; the
    last one is too long to be scored."""
    folder, lots = tmp_path_factory.mktemp("chain"), random.Random(5)
    every = [
        tiny.sample(f"e{n}", f"{PEOPLE[n % 8]} in {PLACES[n // 8]}.", ("person", PEOPLE[n % 8]),
                    dataset="seen" if n % 2 else "new")
        for n in range(36)
    ]  # fmt: skip
    queries, pool = every[:6], every[6:]
    rows = [
        {"query_id": q.id, "demonstration_id": d.id, "rank": rank, "tokens": 4,
         "score": -lots.random(), "reward": lots.random()}
        for q in queries
        for rank, d in enumerate(lots.sample(pool, 10))
    ]  # fmt: skip
    tiny.write_examples(queries, folder / "queries.parquet")
    tiny.write_examples(pool, folder / "pool.parquet")
    kept = [r for r in rows if r["query_id"] != "e5"]
    alone = {r["query_id"]: {**r, "score": -2.0 - int(r["query_id"][1])} for r in kept}
    for name, some, schema in (
        ("scores", kept, schemas.SCORES), ("rewards", kept, schemas.REWARDS),
        ("candidates", rows, schemas.CANDIDATES), ("alone", alone.values(), schemas.SCORES),
    ):  # fmt: skip
        columns = [{c: r[c] for c in schema.names} for r in some]
        parquet.write(columns, schema, folder / f"{name}.parquet")
    words = [
        "--scores", folder / "scores.parquet", "--zero-shot", folder / "alone.parquet",
        "--candidates", folder / "candidates.parquet", "--queries", folder / "queries.parquet",
        "--pool", folder / "pool.parquet", "--held-out", "new", "--per-query", "4", "10",
        "--reward", f"reward/keywords={folder / 'rewards.parquet'}", "--base", data / "bert",
        "--retriever", f"retriever/ruie={trained[0] / 'retriever'}", "--k", "1", "3",
        "--resamples", "50", "--seed", "2",
    ]  # fmt: skip
    return folder, kept, rows, [str(w) for w in words]


def stage(words, folder, *more):
    chain.main([*words, *map(str, more), "--out", str(folder / "chain.parquet")])
    return parquet.read(folder / "chain.parquet", schemas.CHAIN).to_pylist()


def test_stage_measures_every_ranking(scored, tmp_path, caplog):
    _, kept, rows, words = scored
    order = tmp_path / "reward"
    with caplog.at_level("INFO"):
        found = stage(words, tmp_path, "--rankings", f"reward/keywords={order}")
    assert "5 of 6 queries are measured" in caplog.text
    assert {r["ranking"] for r in found} == {
        "zero_shot", "llm", "BM25", "untrained", "reward/keywords", "retriever/ruie", "random",
        "chance",
    }  # fmt: skip
    assert {(r["held_out"], r["dataset"], r["n"], r["split"]) for r in found} == {
        (True, "all", 3, "train"), (True, "new", 3, "train"),
        (False, "all", 2, "train"), (False, "seen", 2, "train"),
    }  # fmt: skip
    assert {r["candidates"] for r in found} == {4, 10}
    assert all(r["low"] <= r["value"] <= r["high"] for r in found)
    value = {
        (r["ranking"], r["measure"], r["k"]): r["value"]
        for r in found
        if r["dataset"] == "new" and r["candidates"] == 10
    }
    mine = [[r for r in kept if r["query_id"] == f"e{n}"] for n in (0, 2, 4)]
    # the LLM's scores in the order of the reward model
    picked = [[r["score"] for r in sorted(some, key=lambda r: -r["reward"])] for some in mine]
    mean, first = np.mean(picked), np.mean([p[0] for p in picked])
    assert value["reward/keywords", "score", 1] == pytest.approx(first)
    assert value["reward/keywords", "score", 3] == pytest.approx(np.mean([p[:3] for p in picked]))
    assert value["reward/keywords", "over_chance", 1] == pytest.approx(first - mean)
    # without a demonstration -2, -4 and -6
    assert value["reward/keywords", "over_zero_shot", 1] == pytest.approx(first + 4)
    assert value["reward/keywords", "over_BM25", 1] == pytest.approx(
        first - np.mean([some[0]["score"] for some in mine])
    )
    assert value["reward/keywords", "regret", 1] == pytest.approx(
        np.mean([max(p) for p in picked]) - first
    )
    assert value["reward/keywords", "correlation", None] == pytest.approx(
        np.mean([spearmanr([r["score"] for r in s], [r["reward"] for r in s])[0] for s in mine])
    )
    assert value["zero_shot", "score", 0] == pytest.approx(-4)
    # the ranking as inference reads it; the query that is too long has BM25's
    ranked = ranking.ranked([order / "new.parquet", order / "seen.parquet"])
    by_reward = sorted(rows, key=lambda r: -r["reward"])
    assert ranked == {
        f"e{n}": [r["demonstration_id"] for r in (by_reward if n < 5 else rows)
                  if r["query_id"] == f"e{n}"]
        for n in range(6)
    }  # fmt: skip


def test_the_seed_draws_and_the_rest_may_lack(scored, tmp_path):
    words = scored[3]
    found = stage(words, tmp_path)
    assert found == stage(words, tmp_path)
    other = stage(words, tmp_path, "--seed", "3", "--resamples", "0")
    changed = {
        a["ranking"]
        for a, b in zip(found, other, strict=True)
        if a["candidates"] == 10 and a["value"] != pytest.approx(b["value"])
    }
    assert changed == {"random"}
    # no model, and all candidates at once
    less = [*words[:10], "--k", "2", "--resamples", "0"]
    assert {(r["ranking"], r["candidates"], r["held_out"]) for r in stage(less, tmp_path)} == {
        (name, 10, False) for name in ("zero_shot", "llm", "BM25", "random", "chance")
    }


def altered(scored, folder, name, change):
    """The words of the stage with one table whose rows ``change`` has been at."""
    source, *_, words = scored
    schema = {"queries": schemas.EXAMPLES, "alone": schemas.SCORES}.get(
        name
    ) or getattr(schemas, name.upper())  # fmt: skip
    rows = parquet.read(source / f"{name}.parquet", schema).to_pylist()
    parquet.write(change(rows), schema, folder / f"{name}.parquet")
    return [w.replace(str(source / f"{name}.parquet"), str(folder / f"{name}.parquet"))
            for w in words]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("scores", lambda rows: [{**r, "score": math.nan} for r in rows], "score is nan"),
        ("scores", lambda rows: [], "no score of any query of"),
        ("alone", lambda rows: rows[1:], "0 scores of e0 and not one; score the queries again"),
        ("alone", lambda rows: rows * 2, "comes twice"),
        ("rewards", lambda rows: rows[:1], "is missing; make it of the pairs"),
        ("candidates", lambda rows: rows[:1], "is missing; make it of the pairs"),
        ("queries", lambda rows: [], "no score of any query of"),
    ],
)
def test_bad_tables_are_one_line(scored, tmp_path, name, change, says):
    with pytest.raises(cli.UserError, match=says):
        stage(altered(scored, tmp_path, name, change), tmp_path)
    assert not (tmp_path / "chain.parquet").exists()


def test_unknown_rankings_and_taken_names_are_refused(scored, tmp_path):
    with pytest.raises(cli.UserError, match="--rankings e5: no such ranking; one of"):
        stage(scored[3], tmp_path, "--rankings", f"llm={tmp_path / 'llm'}", f"e5={tmp_path}")
    assert not (tmp_path / "llm").exists()  # before anything is measured or written
    for name in ("random", "zero_shot", "llm", "chance"):
        with pytest.raises(SystemExit):
            stage(scored[3], tmp_path, "--retriever", f"{name}=x")
