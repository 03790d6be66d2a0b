"""Demonstrations at random and by dot product; neither needs an index."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ruie import encode, examples, parquet, retrieve, schemas, search, vectors
from ruie.cli import UserError
from ruie.ranking import RANGES, Pool


@pytest.fixture(scope="module")
def members(make_example):
    """Datasets a and b of NER with 6 each, c of EET with 4."""
    tasks = {"a": "NER", "b": "NER", "c": "EET"}
    return [
        make_example(f"Text {i} of {name}.", task=task, id=f"{name}/train/{i:06d}")
        for name, task in tasks.items()
        for i in range(4 if name == "c" else 6)
    ]


@pytest.fixture(scope="module")
def pool(members):
    return Pool.of(members)


@pytest.fixture(scope="module")
def queries(make_example):
    return [
        make_example("Who?", id="a/test/000000"),
        make_example("TEXT 3  of a.", id="a/test/000001"),  # the same sentence as a/train/000003
        make_example("What?", task="EET", id="c/test/000000"),
    ]


def dense(queries, pool, within, depth, query_vectors, pool_vectors, *more, ids=None, **named):
    """``retrieve.dense`` with the vectors of the pool in a file."""
    with tempfile.TemporaryDirectory() as tmp:
        path = Path(tmp, "v.parquet")
        with vectors.writing(path, pool_vectors.shape[1]) as add:
            add(pool.ids.to_pylist() if ids is None else ids, np.float32(pool_vectors))
        return retrieve.dense(
            queries, pool, within, depth, np.float32(query_vectors), path, *more, **named
        )


def by_query(rows):
    found: dict[str, list[str]] = {}
    for r in rows:
        assert r["rank"] == len(found.setdefault(r["query_id"], []))
        found[r["query_id"]].append(r["demonstration_id"])
    return found


@given(st.integers(0, 60), st.integers(0, 1000))
def test_shuffled_is_a_permutation(n, seed):
    assert sorted(retrieve._shuffled(Random(seed), n)) == list(range(n))


def test_shuffled_is_fair():
    counts = Counter(tuple(retrieve._shuffled(Random(seed), 3)) for seed in range(6000))
    # 6000 draws of 3! = 6 orders: mean 1000, deviation (6000 * 1/6 * 5/6) ** .5 = 28.9
    assert len(counts) == 6
    assert all(abs(n - 1000) < 5 * 28.9 for n in counts.values())


def test_random_has_the_depth_and_no_repetition(queries, pool):
    found = by_query(retrieve.at_random(queries, pool, "mixed", 5, 0))
    assert list(found) == [q.id for q in queries]
    assert all(len(ids) == len(set(ids)) == 5 for ids in found.values())


def test_random_takes_the_whole_range_but_the_query_itself(queries, pool):
    found = by_query(retrieve.at_random(queries, pool, "mixed", 99, 0))
    assert [len(ids) for ids in found.values()] == [16, 15, 16]
    assert "a/train/000003" not in found["a/test/000001"]


@pytest.mark.parametrize(
    ("within", "parts"),
    [("mixed", ["abc", "abc", "abc"]), ("task", ["ab", "ab", "c"]), ("dataset", ["a", "a", "c"])],
)
def test_random_stays_within_the_range(queries, pool, within, parts):
    found = by_query(retrieve.at_random(queries, pool, within, 99, 0))
    assert ["".join(sorted({i[0] for i in ids})) for ids in found.values()] == parts


def test_random_of_one_query_does_not_depend_on_the_others(queries, pool):
    together = by_query(retrieve.at_random(queries, pool, "mixed", 5, 1))
    for q in queries:
        assert by_query(retrieve.at_random([q], pool, "mixed", 5, 1)) == {q.id: together[q.id]}


def test_random_by_seed_query_and_depth(queries, pool):
    draws = [by_query(retrieve.at_random(queries, pool, "mixed", 5, s)) for s in (0, 0, 1)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert len({tuple(ids) for ids in draws[0].values()}) == 3
    deeper = by_query(retrieve.at_random(queries, pool, "mixed", 9, 0))
    assert all(deeper[q][:5] == ids for q, ids in draws[0].items())


def test_an_empty_range_is_an_error(make_example, pool):
    lonely = make_example("Who?", task="RE", id="z/test/000000")
    for within in ("task", "dataset"):
        with pytest.raises(UserError, match="z/test/000000: no demonstration was found"):
            retrieve.at_random([lonely], pool, within, 5, 0)
        with pytest.raises(UserError, match="z/test/000000: no demonstration was found"):
            dense([lonely], pool, within, 5, np.zeros((1, 2)), np.zeros((16, 2)))


def test_a_pool_of_the_query_alone_is_an_error(make_example):
    e = make_example("Who?", id="a/train/000000")
    with pytest.raises(UserError, match="nothing but the query itself"):
        retrieve.at_random([e], Pool.of([e]), "mixed", 5, 0)


@pytest.fixture(scope="module")
def small(make_example):
    return Pool.of(
        [
            make_example(f"Text {i}.", task="EET" if i == 3 else "NER", id=f"p/train/{i:06d}")
            for i in range(4)
        ]
    )


VECTORS = np.array([[1, 0], [0, 1], [3, 4], [2, 2]], dtype=np.float32)


def test_dense_by_hand(make_example, small):
    query = make_example("Who?", id="q/test/000000")
    found = dense([query], small, "mixed", 3, [[2, 1]], VECTORS)
    # (2, 1) . (1, 0) = 2, . (0, 1) = 1, . (3, 4) = 10, . (2, 2) = 6
    assert [(r["demonstration_id"][-1], r["rank"], r["score"]) for r in found] == [
        ("2", 0, 10.0), ("3", 1, 6.0), ("0", 2, 2.0),
    ]  # fmt: skip


def test_dense_breaks_ties_by_id_in_any_order_of_the_pool(make_example):
    query = make_example("Who?", id="q/test/000000")
    vectors = np.array([[1, 1], [2, 0], [0, 2], [5, 5]])
    for seed in range(5):
        order = Random(seed).sample(range(4), 4)
        members = [make_example(f"Text {i}.", id=f"p/train/{i:06d}") for i in order]
        found = dense([query], Pool.of(members), "mixed", 9, np.ones((1, 2)), vectors[order])
        # 10 for the last, 2 for the three others
        assert [r["demonstration_id"][-1] for r in found] == ["3", "0", "1", "2"]


def test_dense_keeps_queries_apart_and_leaves_the_query_itself_out(make_example, small):
    members = [
        make_example("text 2.", id="q/test/000000"),
        make_example("What?", task="EET", id="q/test/000001"),
    ]
    asked = [[2, 1], [0, -1]]
    found = by_query(dense(members, small, "mixed", 9, asked, VECTORS))
    # the best of the first query is its own sentence; the second: 0, -1, -4, -2
    assert {q: [i[-1] for i in ids] for q, ids in found.items()} == {
        "q/test/000000": ["3", "0", "1"],
        "q/test/000001": ["0", "1", "3", "2"],
    }
    found = by_query(dense(members, small, "task", 9, asked, VECTORS))
    assert {q: [i[-1] for i in ids] for q, ids in found.items()} == {
        "q/test/000000": ["0", "1"],
        "q/test/000001": ["3"],
    }


@pytest.mark.parametrize(
    ("depth", "plain", "own_first"),
    # 10 for p2, 6 for q3, 2 for q0, 1 for p1; q1 falls short of a depth of 3, however deep q lies
    [(4, ["2", "3", "0", "1"], ["3", "0", "2", "1"]), (3, ["2", "3", "0"], ["3", "0", "2"]),
     (1, ["2"], ["2"])],
)  # fmt: skip
def test_own_dataset_first_among_the_best(make_example, depth, plain, own_first):
    members = [make_example(f"Text {i}.", id=f"{d}/train/{i:06d}") for i, d in enumerate("qppq")]
    query = make_example("Who?", id="q/test/000000")
    found = [
        dense([query], Pool.of(members), "mixed", depth, [[2, 1]], VECTORS, own)
        for own in (False, True)
    ]
    assert [[r["demonstration_id"][-1] for r in rows] for rows in found] == [plain, own_first]
    # the same demonstrations with the same scores, in another order
    assert [r["rank"] for r in found[1]] == list(range(depth))
    pairs = [{(r["demonstration_id"], r["score"]) for r in rows} for rows in found]
    assert pairs[0] == pairs[1]


def test_among_what_another_retriever_found(make_example):
    members = [make_example(f"Text {i}.", id=f"{d}/train/{i:06d}") for i, d in enumerate("qppq")]
    queries = [
        make_example("Who?", id="q/test/000000"),
        make_example("Text 3.", id="q/test/000001"),
    ]
    # of 0, 1, 2, 3: the first query, (2, 1), has 2, 1, 10, 6; the second, (0, -1), 0, -1, -4, -2
    asked, ids = [[2, 1], [0, -1]], [m.id for m in members]
    among = {"q/test/000000": dict.fromkeys((ids[1], ids[0], ids[3]), 0.0),
             "q/test/000001": dict.fromkeys(ids[:0:-1], 0.0)}  # fmt: skip
    given = (queries, Pool.of(members), "mixed")
    found = dense(*given, 2, asked, VECTORS, among=among)
    # the best of all, 2, is not among the first's; 3 is the second query itself
    assert [(r["rank"], r["demonstration_id"][-1], r["score"]) for r in found] == [
        (0, "3", 6.0), (1, "0", 2.0), (0, "1", -1.0), (1, "2", -4.0),
    ]  # fmt: skip
    assert [r["query_id"][-1] for r in found] == ["0", "0", "1", "1"]
    own = dense(*given, 9, asked, VECTORS, True, among=among)
    assert [r["demonstration_id"][-1] for r in own] == ["3", "0", "1", "1", "2"]
    # of everything it finds what the search does
    everything = {q.id: dict.fromkeys(ids, 0.0) for q in queries}
    assert dense(*given, 9, asked, VECTORS, among=everything) == dense(*given, 9, asked, VECTORS)
    with pytest.raises(UserError, match="q/test/000001: --among holds nothing for it; make that"):
        dense(*given, 2, asked, VECTORS, among={"q/test/000000": everything["q/test/000000"]})
    strange = {"q/test/000000": {"x/train/000000": 0.0}}
    with pytest.raises(UserError, match="x/train/000000: found, but not in the pool"):
        dense(*given, 2, asked, VECTORS, among=everything | strange)


def test_the_scores_of_another_retriever_count(make_example):
    members = [make_example(f"Text {i}.", id=f"q/train/{i:06d}") for i in range(4)]
    query, ids = make_example("Who?", id="q/test/000000"), [m.id for m in members]

    def found(weight, among):
        given = ([query], Pool.of(members), "mixed", 9, [[2, 1]], VECTORS)
        rows = dense(*given, among={query.id: among}, among_weight=weight)
        return [(r["demonstration_id"][-1], r["score"]) for r in rows]

    # 0 has 2 and 3 has 6, brought to -1 and 1; 9 and 1 to 1 and -1
    other = {ids[3]: 1.0, ids[0]: 9.0}
    assert found(0.0, other) == [("3", 6.0), ("0", 2.0)]
    assert found(0.5, other) == [("3", 0.5), ("0", -0.5)]
    assert found(1.0, other) == [("0", 0.0), ("3", 0.0)]  # alike: by id
    assert found(2.0, other) == [("0", 1.0), ("3", -1.0)]
    # equal ones say nothing, and one alone is 0
    assert found(2.0, dict.fromkeys(other, 7.0)) == [("3", 1.0), ("0", -1.0)]
    assert found(2.0, {ids[3]: 5.0}) == [("3", 0.0)]
    # 0, 1, 3: 2, 1, 6 less 3, by the root of 14 / 3; 1, 4, 1 less 2, by the root of 2
    three = found(1.0, {ids[0]: 1.0, ids[1]: 4.0, ids[3]: 1.0})
    assert [d for d, _ in three] == ["3", "1", "0"]
    a, b = (14 / 3) ** 0.5, 2**0.5
    assert [s for _, s in three] == pytest.approx([3 / a - 1 / b, -2 / a + 2 / b, -1 / a - 1 / b])


@pytest.mark.parametrize("change", ["fewer", "other", "order"])
def test_vectors_of_another_pool(make_example, small, change):
    ids = small.ids.to_pylist()
    ids = {"fewer": ids[:3], "other": [*ids[:3], "x/train/000000"], "order": ids[::-1]}[change]
    with pytest.raises(UserError, match="another pool; encode this pool again"):
        dense([make_example("Who?")], small, "mixed", 9, np.ones((1, 2)), VECTORS[: len(ids)],
              ids=ids)  # fmt: skip


@given(st.integers(0, 10**6), st.sampled_from(RANGES))
def test_dense_agrees_with_sorting_everything(queries, pool, seed, within):
    lots = np.random.default_rng(seed)
    members, asked = lots.integers(-3, 4, (16, 4)), lots.integers(-3, 4, (3, 4))  # many ties
    found = by_query(dense(queries, pool, within, 4, asked, members))
    tasks = {"a": "NER", "b": "NER", "c": "EET"}
    for q, vector in zip(queries, asked, strict=True):
        left = [(-int(v @ vector), i) for i, v in zip(pool.ids.to_pylist(), members, strict=True)
                if i != ("a/train/000003" if q.id == "a/test/000001" else None)
                and (within != "task" or tasks[i[0]] == q.task)
                and (within != "dataset" or i[0] == q.dataset)]  # fmt: skip
        assert found[q.id] == [i for _, i in sorted(left)[:4]]


def test_repetitions_that_outnumber_a_search(make_example, monkeypatch):
    """100 equal samples and the query itself 50 times come before 3 others; a search for a depth
    of 2 asks for 2 * 2 + 8 = 12, then for 48, 192 of the 153."""
    asked, best = [], search.best

    def counted(path, wanted, ranks, queries, keep, block_mb):
        asked.append((len(queries), keep))
        return best(path, wanted, ranks, queries, keep, block_mb)

    monkeypatch.setattr(search, "best", counted)
    texts = ["Who?"] * 50 + ["Same."] * 100 + ["One.", "Two.", "Three."]
    members = [make_example(t, id=f"p/train/{i:06d}") for i, t in enumerate(texts)]
    scores = np.array([[3, 0]] * 50 + [[2, 0]] * 100 + [[1, 0], [1, 5], [0, 9]])
    queries = [make_example("Who?", id="q/test/000000"), make_example("What?", id="q/test/000001")]
    # the second query's best are 9, 5 and then 0, for a member of each
    found = dense(queries, Pool.of(members), "mixed", 2, [[1, 0], [0, 1]], scores)
    assert [(r["demonstration_id"][-3:], r["score"]) for r in found] == [
        ("050", 2.0), ("150", 1.0), ("152", 9.0), ("151", 5.0),
    ]  # fmt: skip
    assert asked == [(2, 12), (1, 48), (1, 192)]
    # a depth that the pool does not reach: all that counts, and no search for ever
    asked.clear()
    found = dense(queries[:1], Pool.of(members), "mixed", 20, [[1, 0]], scores)
    assert [r["demonstration_id"][-3:] for r in found] == ["050", "150", "151", "152"]
    assert asked == [(1, 48), (1, 192)]


def test_the_command(queries, pool, members, tmp_path):
    for name, some in (("q", queries), ("p", members)):
        parquet.write(examples.to_table(some), schemas.EXAMPLES, tmp_path / f"{name}.parquet")
    for within in RANGES:
        out = tmp_path / f"{within}.parquet"
        retrieve.main(
            ["--retriever", "random", "--queries", str(tmp_path / "q.parquet"), "--pool",
             str(tmp_path / "p.parquet"), "--range", within, "--depth", "3", "--seed", "5",
             "--out", str(out)]
        )  # fmt: skip
        found = parquet.read(out, schemas.CANDIDATES).to_pylist()
        assert found == retrieve.at_random(queries, pool, within, 3, 5)


def test_any_number_of_queries_at_once_gives_the_same_bytes(
    queries, members, tmp_path, monkeypatch
):
    for name, some in (("q", queries), ("p", members)):
        parquet.write(examples.to_table(some), schemas.EXAMPLES, tmp_path / name)
    written = set()
    for at_once in (1, 2, 1000):
        monkeypatch.setattr(retrieve, "AT_ONCE", at_once)
        retrieve.main(["--retriever", "random", "--queries", str(tmp_path / "q"), "--pool",
                       str(tmp_path / "p"), "--out", str(tmp_path / "o")])  # fmt: skip
        written.add((tmp_path / "o").read_bytes())
    assert len(queries) > 2
    assert len(written) == 1


def test_the_command_among_what_bm25_found(make_example, tmp_path, capsys):
    model = tiny.encoder(tmp_path / "model")
    members = [make_example(t, id=f"p/train/{i:06d}") for i, t in enumerate(("Oil.", "Gold fell.",
               "Alice ran to Paris.", "Nothing new."))]  # fmt: skip
    queries = [make_example("Oil rose.", id="q/test/000000")]
    paths = {name: str(tiny.write_examples(some, tmp_path / name))
             for name, some in (("pool", members), ("queries", queries))}  # fmt: skip
    encode.main(["--pool", paths["pool"], "--model", str(model), "--out", str(tmp_path / "v")])
    # ranks a step apart, scores not
    found = [
        {"query_id": queries[0].id, "demonstration_id": members[i].id, "rank": rank, "score": score}
        for rank, (i, score) in enumerate(((2, 9.0), (0, 8.0), (1, 1.0)))
    ]
    parquet.write(found, schemas.CANDIDATES, tmp_path / "among")
    flags = ["--queries", paths["queries"], "--pool", paths["pool"], "--model", str(model),
             "--vectors", str(tmp_path / "v"), "--out", str(tmp_path / "o")]  # fmt: skip

    def scores(*more: str) -> dict[str, float]:
        retrieve.main(["--retriever", "dense", *flags, *more])
        rows = parquet.read(tmp_path / "o", schemas.CANDIDATES).to_pylist()
        assert [r["score"] for r in rows] == sorted((r["score"] for r in rows), reverse=True)
        return {r["demonstration_id"]: r["score"] for r in rows}

    among = ("--among", str(tmp_path / "among"))
    plain = scores(*among)
    assert set(plain) == {members[i].id for i in range(3)}
    cosine = np.array([plain[r["demonstration_id"]] for r in found])
    # 9, 8, 1 have the mean 6 and the variance (9 + 4 + 25) / 3
    bm25 = np.array([3, 2, -5]) / (38 / 3) ** 0.5
    both = scores(*among, "--among-weight", "2")
    assert [both[r["demonstration_id"]] for r in found] == pytest.approx(
        (cosine - cosine.mean()) / cosine.std() + 2 * bm25, abs=1e-4
    )
    for words in (["--retriever", "dense"], ["--retriever", "random", *among]):
        with pytest.raises(SystemExit):
            retrieve.main([*words, *flags, "--among-weight", "1"])
        assert "--among-weight needs --retriever dense and --among" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("retriever", "flags"), [("bm25", "--index"), ("dense", "--model and --vectors")]
)
def test_what_a_retriever_needs(queries, tmp_path, capsys, retriever, flags):
    path = str(tmp_path / "q.parquet")
    parquet.write(examples.to_table(queries), schemas.EXAMPLES, path)
    command = ["--queries", path, "--pool", path, "--out", str(tmp_path / "o"), "--retriever"]
    with pytest.raises(SystemExit):
        retrieve.main([*command, retriever])
    assert f"--retriever {retriever} needs {flags}" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
