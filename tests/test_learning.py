"""What the trainings have learned: the measures by hand, and the stage on tiny models."""

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

from ruie import aside, cli, learning, parquet, prompt, schemas

#: Few values, so that there are ties.
LEVELS = st.sampled_from([-1.0, 0.0, 0.25, 3.0])
SOME = st.lists(LEVELS, min_size=1, max_size=12)


def floats(*values):
    return np.array(values, np.float64)


def test_auc_by_hand():
    # 4 is above 1 and 3; 2 is above 1 alone: 3 of 4 pairs
    assert learning.auc(floats(4, 2), floats(1, 3)) == 0.75
    # 3 ties with 3 (a half) and is above 1
    assert learning.auc(floats(3), floats(1, 3)) == 0.75
    assert learning.auc(floats(0), floats(1, 3)) == 0


@given(SOME, SOME)
def test_auc_is_the_count_of_pairs(best, last):
    points = sum(1 if a > b else 0.5 if a == b else 0 for a in best for b in last)
    found = learning.auc(floats(*best), floats(*last))
    assert found == pytest.approx(points / (len(best) * len(last)))
    assert learning.auc(floats(*last), floats(*best)) == pytest.approx(1 - found)


def test_recall_by_hand():
    reward = floats(9, 8, 7, 1, 2)  # its best 3 are 0, 1, 2
    # the ranker's best 3 are 0, 2 and 4
    assert learning.recall(reward, floats(5, 0, 4, 1, 3), 3) == pytest.approx(2 / 3)
    # 0 is in, four share two places: 1 + 2 x 1/2 of 3
    assert learning.recall(reward, floats(5, 1, 1, 1, 1), 3) == pytest.approx(2 / 3)
    # all alike is chance: 3 places for 5
    assert learning.recall(reward, floats(1, 1, 1, 1, 1), 3) == pytest.approx(3 / 5)
    # of the reward's equals the first ones
    assert learning.recall(floats(1, 1, 0, 1), floats(2, 3, 1, 0), 2) == 1


@given(st.lists(LEVELS, min_size=3, max_size=6), st.permutations(range(6)))
def test_recall_is_the_mean_over_the_orders_of_ties(scores, lots):
    n, k = len(scores), 3
    reward = floats(*lots[:n])
    wanted = set(sorted(range(n), key=lambda i: -lots[i])[:k])
    found = [
        len(wanted.intersection(sorted(range(n), key=lambda i: (-scores[i], order[i]))[:k])) / k
        for order in itertools.permutations(range(n))
    ]
    assert learning.recall(reward, floats(*scores), k) == pytest.approx(sum(found) / len(found))


def test_measures_of_a_query_by_hand():
    # five candidates, the LLM's best first; 2 positives, the last 2
    llm = floats(-1, -2, -3, -4, -5)
    mine = {"BM25": floats(-1, -4, -3, -2, -0), "r": floats(5, 1, 4, 3, 2), "s": floats(*[7] * 5)}
    found = learning.measures(llm, mine, ["r"], 2, 2, 3)
    assert found == {
        ("chance", "llm", "auc"): 0.5,
        # (1 + 1/2 + 1/3 + 1/4 + 1/5) / 5
        ("chance", "llm", "mrr"): pytest.approx(137 / 300),
        # -1 is above -2; -4 above none: 1 of 4 pairs; the best is second to -0
        ("BM25", "llm", "auc"): 0.25,
        ("BM25", "llm", "mrr"): 0.5,
        # 5 is above 3 and 2, 1 above none
        ("r", "llm", "auc"): 0.5,
        ("r", "llm", "mrr"): 1,
        # all alike: the mean rank is 3
        ("s", "llm", "auc"): 0.5,
        ("s", "llm", "mrr"): pytest.approx(1 / 3),
        # ranks 5 4 3 2 1; BM25's 4 1 2 3 5: 1 - 6 (1 + 9 + 1 + 1 + 16) / 120; r's 5 1 4 3 2:
        # 1 - 6 (9 + 1 + 1 + 1) / 120
        ("chance", "llm", "correlation"): 0,
        ("BM25", "llm", "correlation"): pytest.approx(-0.4),
        ("r", "llm", "correlation"): pytest.approx(0.4),
        ("s", "llm", "correlation"): 0,
        # over the mean of -3: BM25 picks the last, r and the LLM itself the first
        ("chance", "llm", "gain"): 0,
        ("BM25", "llm", "gain"): -2,
        ("r", "llm", "gain"): 2,
        ("s", "llm", "gain"): 0,
        ("llm", "llm", "gain"): 2,
        # r's best are 0, 2, 3; BM25's 4, 0, 3
        ("chance", "r", "recall@3"): 3 / 5,
        ("BM25", "r", "recall@3"): pytest.approx(2 / 3),
        ("s", "r", "recall@3"): pytest.approx(3 / 5),
        # 1 - 6 (1 + 4 + 9) / 120
        ("chance", "r", "correlation"): 0,
        ("BM25", "r", "correlation"): pytest.approx(0.3),
        ("s", "r", "correlation"): 0,
    }
    # no question: no more candidates than asked for, or a reward that says nothing
    for rewards, k in ((["r"], 5), (["s"], 3)):
        assert {against for _, against, _ in learning.measures(llm, mine, rewards, 2, 2, k)} == {
            "llm"
        }
    # fewer than positives and last together: the last ones are what is left
    assert learning.measures(llm, mine, [], 2, 16, 3)["r", "llm", "auc"] == 0.5  # 3 of 6 pairs


@given(st.lists(st.floats(-9, 0), min_size=1, max_size=7, unique=True))
def test_chance_is_the_mean_over_all_places(scores):
    n = len(scores)
    rows = learning.measures(floats(*sorted(scores, reverse=True)), {}, [], 1, 1, 8)
    assert rows["chance", "llm", "mrr"] == pytest.approx(
        sum(aside.reciprocal_rank([1, *[0] * (n - 1)], np.roll(range(n, 0, -1), i)) for i in
            range(n)) / n
    )  # fmt: skip


def test_ties_in_correlation_and_gain():
    # mean ranks 1.5 1.5 3 against 1 2 3
    assert learning.correlation(floats(0, 0, 1), floats(1, 2, 3)) == pytest.approx(3**0.5 / 2)
    assert learning.gain(floats(-1, -2, -6), floats(4, 4, 0)) == pytest.approx(1.5)


def test_table_has_means_for_all_and_each_task():
    key, other = ("r", "llm", "auc"), ("s", "r", "recall@8")
    found = [("RE", {key: 0.25}), ("NER", {key: 0.5, other: 0.75}), ("RE", {key: 0.75})]
    rows = learning.table(found, [key, other], 200, 1)
    assert [(r["ranker"], r["task"], r["n"], r["value"]) for r in rows] == [
        ("r", "all", 3, 0.5), ("s", "all", 1, 0.75), ("r", "NER", 1, 0.5), ("s", "NER", 1, 0.75),
        ("r", "RE", 2, 0.5),
    ]  # fmt: skip
    # one query gives itself; of two a resample has the first twice in a quarter of the cases
    assert (rows[2]["low"], rows[2]["high"]) == (0.5, 0.5)
    assert (rows[4]["low"], rows[4]["high"]) == (0.25, 0.75)
    assert rows == learning.table(found, [key, other], 200, 1)
    assert {r["low"] for r in learning.table(found, [key], 0, 1)} == {None}


def test_queries_that_say_nothing_are_left_out_and_counted(caplog):
    scores = {
        "a": {"x": -1.0, "y": -3.0, "z": -2.0, "w": -2.0},
        "b": {"x": -1.0, "y": -2.0, "z": -3.0},
        "c": dict.fromkeys("wxyz", -1.5),
    }
    with caplog.at_level("INFO"):
        assert learning.ranked(scores, 3) == {"a": ["x", "w", "z", "y"]}
    said = "1 of 3 queries held aside are measured; left out with 3 candidates or fewer: 1; "
    assert f"{said}left out with equal scores: 1" in caplog.text


@pytest.fixture(scope="module")
def measured(data, trained, tmp_path_factory):
    """40 queries of two tasks, of which 4 are held aside; each with 12 of them as candidates."""
    folder, lots = tmp_path_factory.mktemp("learning"), random.Random(3)
    # all of them different to the tiny tokenizer, so no two have the same vector
    queries = [
        tiny.sample(f"e{n}", f"{PEOPLE[n % 8]} in {PLACES[n // 8]}.", ("person", PEOPLE[n % 8]),
                    task="NER" if n % 3 else "EET")
        for n in range(40)
    ]  # fmt: skip
    rows = []
    for q in queries:
        for rank, d in enumerate(lots.sample([e for e in queries if e.id != q.id], 12)):
            rows.append({"query_id": q.id, "demonstration_id": d.id, "rank": rank, "tokens": 4,
                         "score": -lots.random(), "reward": lots.random()})  # fmt: skip
    tiny.write_examples(queries, folder / "queries.parquet")
    for name in ("scores", "candidates", "rewards"):
        schema = getattr(schemas, name.upper())
        some = [{c: r[c] for c in schema.names} for r in rows]
        parquet.write(some, schema, folder / f"{name}.parquet")
    words = [
        "--scores", folder / "scores.parquet", "--candidates", folder / "candidates.parquet",
        "--queries", folder / "queries.parquet", "--pool", folder / "queries.parquet",
        "--reward", f"reward/keywords={folder / 'rewards.parquet'}",
        "--retriever", f"ruie={trained[0] / 'retriever'}", "--base", data / "bert",
        "--resamples", "50", "--seed", "2", "--query-prefix", "query: ",
    ]  # fmt: skip
    return folder, {e.id: e for e in queries}, rows, [str(w) for w in words]


def stage(words, folder, *more):
    learning.main([*words, *map(str, more), "--out", str(folder / "learning.parquet")])
    return parquet.read(folder / "learning.parquet", schemas.LEARNING).to_pylist()


def test_stage_measures_every_ranker(measured, data, trained, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    _, known, rows, words = measured
    found = stage(words, tmp_path)
    hidden = aside.held_aside(known, 64, 2)
    assert len(hidden) == 4
    base = SentenceTransformer(modules=[Transformer(str(data / "bert")), Pooling(32, "mean")])
    models = {"untrained": (base, False),
              "ruie": (SentenceTransformer(str(trained[0] / "retriever")), True)}  # fmt: skip
    # every number again, from what the texts and the tables say
    want: dict[tuple[str, str], list[float]] = {}
    for name in hidden:
        mine = sorted((r for r in rows if r["query_id"] == name), key=lambda r: -r["score"])
        shown = [known[r["demonstration_id"]] for r in mine]
        given = {"BM25": [-r["rank"] for r in mine], "reward/keywords": [r["reward"] for r in mine]}
        for ranker, (model, tagged) in models.items():
            texts = ["query: " + prompt.render(known[name], ("task", "input", "schema"))]
            texts += [prompt.render(d, prompt.ENCODED, keywords=tagged) for d in shown]
            one, *others = model.encode(texts, normalize_embeddings=True)
            given[ranker] = [float(one @ other) for other in others]
        top = {r: set(np.argsort(-floats(*scores))[:8]) for r, scores in given.items()}
        for ranker, scores in given.items():
            # 12 candidates: 3 positives, and the 9 others of the last 16
            pairs = [scores[i] > scores[j] for i in range(3) for j in range(3, 12)]
            want.setdefault((ranker, "auc"), []).append(np.mean(pairs))
            rank = sorted(scores, reverse=True).index(scores[0]) + 1
            want.setdefault((ranker, "mrr"), []).append(1 / rank)
            llm = [r["score"] for r in mine]
            rho = spearmanr(llm, scores)[0]
            want.setdefault((ranker, "correlation"), []).append(rho)
            won = llm[int(np.argmax(scores))] - np.mean(llm)
            want.setdefault((ranker, "gain"), []).append(won)
            if ranker != "reward/keywords":
                own = spearmanr(given["reward/keywords"], scores)[0]
                want.setdefault((ranker, "reward/keywords"), []).append(own)
                both = top[ranker] & top["reward/keywords"]
                want.setdefault((ranker, "recall@8"), []).append(len(both) / 8)
    want["chance", "auc"], want["chance", "recall@8"] = [0.5] * 4, [8 / 12] * 4
    want["chance", "mrr"] = [sum(1 / r for r in range(1, 13)) / 12] * 4
    for name in ("correlation", "gain", "reward/keywords"):
        want["chance", name] = [0.0] * 4
    scores = {q: [r["score"] for r in rows if r["query_id"] == q] for q in hidden}
    want["llm", "gain"] = [max(s) - np.mean(s) for s in scores.values()]

    def name(row):  # the correlation with the reward model by its name
        by_reward = row["against"] != "llm" and row["measure"] == "correlation"
        return row["against" if by_reward else "measure"]

    every = {(r["ranker"], name(r)): r for r in found if r["task"] == "all"}
    assert every.keys() == want.keys()
    for key, row in every.items():
        assert row["value"] == pytest.approx(np.mean(want[key])), key
        assert row["n"] == 4
        assert row["low"] <= row["high"]
        by_reward = key[1] in ("recall@8", "reward/keywords")
        assert row["against"] == ("reward/keywords" if by_reward else "llm")
    sizes = {r["task"]: r["n"] for r in found}
    tasks = [known[q].task for q in hidden]
    assert sizes == {"all": 4, **{t: tasks.count(t) for t in tasks}}


def test_the_seed_draws_the_queries_and_the_tags_are_read(measured, tmp_path):
    words = measured[3]
    found = stage(words, tmp_path)
    assert found == stage(words, tmp_path)
    assert found != stage(words, tmp_path, "--seed", "3")
    plain = stage(words, tmp_path, "--plain", "ruie", "--no-normalize")
    changed = {r["ranker"] for r, p in zip(found, plain, strict=True) if r != p}
    assert "ruie" in changed
    assert changed <= {"ruie", "untrained"}
    # without any retriever, and by no reward
    less = [w for w in words if not w.startswith(("reward/", "ruie="))]
    at = less.index("--base")
    some = stage([*less[:at], *less[at + 2 :]], tmp_path)
    assert {(r["ranker"], r["measure"]) for r in some} == {
        *((ranker, measure) for ranker in ("chance", "BM25")
          for measure in ("auc", "mrr", "correlation", "gain")),
        ("llm", "gain"),
    }  # fmt: skip
    assert [r for r in found if r["ranker"] == "BM25" and r["against"] == "llm"] == [
        r for r in some if r["ranker"] == "BM25"
    ]


def test_no_query_held_aside_is_an_empty_table(measured, tmp_path, caplog):
    assert stage(measured[3], tmp_path, "--watch", "0") == []
    assert "no query held aside can be measured" in caplog.text


def altered(measured, folder, name, change):
    """The words of the stage with one table whose rows ``change`` has been at."""
    source, *_, words = measured
    schema = schemas.EXAMPLES if name == "queries" else getattr(schemas, name.upper())
    rows = parquet.read(source / f"{name}.parquet", schema).to_pylist()
    parquet.write(change(rows), schema, folder / f"{name}.parquet")
    return [w.replace(str(source / f"{name}.parquet"), str(folder / f"{name}.parquet"))
            for w in words]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("scores", lambda rows: [{**r, "score": math.nan} for r in rows], "score is nan"),
        ("scores", lambda rows: [{**r, "query_id": None} for r in rows], "a row has no query"),
        ("scores", lambda rows: rows * 2, "comes twice"),
        ("scores", lambda rows: [{**r, "score": None} for r in rows], "score is None"),
        ("rewards", lambda rows: rows[:1], "is missing; make it of the pairs"),
        ("rewards", lambda rows: [{**r, "reward": math.inf} for r in rows], "reward is inf"),
        ("candidates", lambda rows: [], "is missing; make it of the pairs"),
        ("queries", lambda rows: [], "no sample e"),
    ],
)
def test_bad_tables_are_one_line(measured, tmp_path, name, change, says):
    words = altered(measured, tmp_path, name, change)
    with pytest.raises(cli.UserError, match=says):
        stage(words, tmp_path)
    assert not (tmp_path / "learning.parquet").exists()


@pytest.mark.parametrize(
    "more",
    [
        ("--retriever", "BM25=x"),
        ("--retriever", "a=x", "a=y"),
        ("--plain", "nobody"),
        ("--reward", "path-alone"),
    ],
)
def test_bad_names_are_refused(measured, tmp_path, more):
    with pytest.raises(SystemExit):
        stage(measured[3], tmp_path, *more)
