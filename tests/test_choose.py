"""Which demonstrations are chosen among the first, by hand and for any scores."""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ruie import choose, parquet, retrieve, schemas, vectors
from ruie.cli import UserError
from ruie.ranking import Pool

#: Similarity of four demonstrations to each other.
ALIKE = np.array([[1, 0.9, 0.2, 0], [0.9, 1, 0.1, 0], [0.2, 0.1, 1, 0.5], [0, 0, 0.5, 1]])


def matrix(alike):
    return lambda at: alike[at]


@pytest.mark.parametrize(
    ("scores", "expected"),
    # (s - 1) / (5 - 1); all equal; one
    [([5, 4, 3, 1], [1, 0.75, 0.5, 0]), ([2, 2], [1, 1]), ([-3], [1]), ([], [])],
)
def test_relevance_is_from_0_to_1(scores, expected):
    assert choose.normalised(scores).tolist() == expected


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        # first: 0, for 1 is the greatest relevance. Then, times 1/2:
        #   1: 0.75 - 0.9 = -0.15; 2: 0.5 - 0.2 = 0.3; 3: 0 - 0 = 0, so 2; then
        #   1: 0.75 - max(0.9, 0.1) = -0.15; 3: 0 - max(0, 0.5) = -0.5, so 1
        (0.5, [0, 2, 1, 3]),
        # all equal at first, so the first place; then 3 is like it by 0, 2 by 0.2, 1 by 0.9; then
        # 2: max(0.2, 0.5), and 1: max(0.9, 0)
        (0.0, [0, 3, 2, 1]),
        # 1: 0.9 * 0.75 - 0.1 * 0.9 = 0.585; 2: 0.9 * 0.5 - 0.1 * 0.2 = 0.43
        (0.9, [0, 1, 2, 3]),
        (1.0, [0, 1, 2, 3]),
    ],
)
def test_mmr_by_hand(weight, expected):
    relevance = choose.normalised([5, 4, 3, 1])
    assert choose.mmr(relevance, matrix(ALIKE), weight, 9) == expected
    assert choose.mmr(relevance, matrix(ALIKE), weight, 2) == expected[:2]


@given(st.data())
def test_mmr_takes_k_once_each_and_one_k_begins_the_next(data):
    n = data.draw(st.integers(0, 8))
    numbers = st.floats(0, 1, allow_subnormal=False)
    relevance = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))
    flat = data.draw(st.lists(numbers, min_size=n * n, max_size=n * n))
    alike, weight = np.array(flat).reshape(n, n), data.draw(numbers)
    whole = choose.mmr(relevance, matrix(alike), weight, n)
    assert sorted(whole) == list(range(n))
    for k in range(n + 2):
        assert choose.mmr(relevance, matrix(alike), weight, k) == whole[:k]


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=9), st.integers(1, 9), st.integers(0, 99))
def test_mmr_with_lambda_1_is_plain_rank(scores, k, seed):
    falling = sorted(scores, reverse=True)
    alike = np.random.default_rng(seed).random((len(scores), len(scores)))
    found = choose.mmr(choose.normalised(falling), matrix(alike), 1.0, k)
    assert found == list(range(min(k, len(scores))))


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        # 2 brings the person, 4 the place; 3 has nothing new, 1 nothing that is asked for
        ([[], ["org"], ["PERSON"], ["person"], ["Place", "Person"], []], [2, 4, 0, 1, 3, 5]),
        # one that holds both leaves none to cover
        ([["org"], ["place", "person"], ["person"], ["place"]], [1, 0, 2, 3]),
        # by rank, not by how many labels are new
        ([["person"], ["person", "place"]], [0, 1]),
        # no label matches: plain rank
        ([["org"], [], ["time"]], [0, 1, 2]),
        ([], []),
    ],
)
def test_cover_by_hand(held, expected):
    assert choose.cover(("Person", "place"), held, 9) == expected
    assert choose.cover(("Person", "place"), held, 2) == expected[:2]
    assert choose.cover((), held, 9) == list(range(len(held)))


LABELS = st.sampled_from(["a", "A", "b", "c", "ẞ", "ss", "d"])


@given(st.sets(LABELS), st.lists(st.lists(LABELS, max_size=3), max_size=8))
def test_cover_leaves_no_label_to_a_later_place(schema, held):
    whole = choose.cover(schema, held, len(held))
    assert sorted(whole) == list(range(len(held)))
    wanted = {label.casefold() for label in schema}
    there = [wanted & {label.casefold() for label in mine} for mine in held]
    # as many as are needed cover all that can be covered, each with a label of its own
    needed, covered = 0, set()
    for place in whole:
        if not there[place] - covered:
            break
        covered |= there[place]
        needed += 1
    assert covered == set().union(*there)
    assert whole[needed:] == sorted(whole[needed:])
    assert whole[:needed] == sorted(whole[:needed])


def test_words_in_any_case_and_without_marks(make_example):
    texts = ["A cat sat.", "a CAT ran", "Élan, élan!", "...", "?"]
    found = {str(i): make_example(t) for i, t in enumerate(texts)}
    similar = choose.of_words(found)(list(found))
    # {a, cat, sat} and {a, cat, ran}: 2 of 4
    assert similar(0).tolist() == [1, 0.5, 0, 0, 0]
    assert similar(2).tolist() == [0, 0, 1, 0, 0]
    assert similar(3).tolist() == [0, 0, 0, 0, 0]  # no words at all


def write_vectors(path, ids, rows):
    with vectors.writing(path, len(rows[0])) as add:
        add(ids, np.array(rows, np.float32))


def test_vectors_of_any_length(make_example, tmp_path):
    pool = Pool.of([make_example(f"Text {i}.", id=f"p/train/{i:06d}") for i in range(4)])
    ids = pool.ids.to_pylist()
    write_vectors(tmp_path / "v", ids, [[2, 0], [3, 4], [0, 0], [-1, 0]])
    similar = choose.of_vectors(tmp_path / "v", pool, ids)(ids[::-1])
    # (2, 0) . (-1, 0) / (2 * 1) = -1; . (3, 4) / (2 * 5) = 0.6
    assert similar(3).tolist() == pytest.approx([-1, 0, 0.6, 1])
    assert similar(1).tolist() == [0, 0, 0, 0]
    with pytest.raises(UserError, match="not in the pool"):
        choose.of_vectors(tmp_path / "v", pool, ["x"])


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_the_pools_order_does_not_matter(tmp_path_factory, seed, weight):
    """Whole numbers in the vectors: many scores are equal, and these are ranked by id."""
    lots = np.random.default_rng(seed)
    rows, asked = lots.integers(-2, 3, (12, 3)), lots.integers(-2, 3, (1, 3))
    query = tiny.sample("q", "Who?")
    path = tmp_path_factory.mktemp("v") / "v.parquet"
    args = argparse.Namespace(
        choose="mmr", retriever="dense", vectors=path, weight=weight, depth=5, pool=None
    )
    chosen = []
    for order in (list(range(12)), Random(seed).sample(range(12), 12)):
        pool = Pool.of([tiny.sample(f"p{i:02}", f"Text {i}.") for i in order])
        write_vectors(path, pool.ids.to_pylist(), rows[order])
        found = retrieve.dense([query], pool, "mixed", 8, np.float32(asked), path)
        chosen.append(choose.run(found, [query], pool, args))
    assert chosen[0] == chosen[1]
    assert [r["rank"] for r in chosen[0]] == list(range(5))
    assert len({r["demonstration_id"] for r in chosen[0]}) == 5
    if weight == 1:
        assert chosen[0] == found[:5]
    scores = {r["demonstration_id"]: r["score"] for r in found}
    assert all(r["score"] == scores[r["demonstration_id"]] for r in chosen[0])


@pytest.fixture
def folder(tmp_path):
    """A query for persons and places, and six samples that a random system draws from."""
    texts = ["A cat sat.", "A cat sat!", "A dog ran.", "Rain fell.", "A cat sat?", "Snow fell."]
    found = {1: "place", 4: "Person"}
    pool = [
        tiny.sample(f"d{i}", text, *([(found[i], text[0])] if i in found else []), schema=("x",))
        for i, text in enumerate(texts)
    ]
    queries = [tiny.sample("q1", "Who?", schema=("person", "place")), tiny.sample("q2", "Where?")]
    tiny.write_examples(pool, tmp_path / "p.parquet")
    tiny.write_examples(queries, tmp_path / "q.parquet")
    return tmp_path


def run(folder: Path, *more: str) -> dict[str, list[str]]:
    retrieve.main(
        ["--retriever", "random", "--queries", str(folder / "q.parquet"), "--pool",
         str(folder / "p.parquet"), "--seed", "5", *more, "--out", str(folder / "o.parquet")]
    )  # fmt: skip
    found: dict[str, list[str]] = {}
    for r in parquet.read(folder / "o.parquet", schemas.CANDIDATES).to_pylist():
        assert r["rank"] == len(found.setdefault(r["query_id"], []))
        found[r["query_id"]].append(r["demonstration_id"])
    return found


def test_the_command(folder):
    drawn = run(folder, "--depth", "6")
    assert {len(ids) for ids in drawn.values()} == {6}
    few = [q[:3] for q in run(folder, "--depth", "3").values()]
    assert few == [q[:3] for q in drawn.values()]
    # lambda 1: the draw; its relevances are equal, and ties go to the place
    same = run(folder, "--depth", "3", "--first", "6", "--choose", "mmr", "--lambda", "1")
    assert list(same.values()) == few
    # else the first of the draw, and then what shares least words: d0, d1 and d4 share all, with
    # d2 a word of five (1/5), with d3 and d5 none; d3 and d5 share one of three
    for query, ids in run(folder, "--depth", "3", "--first", "6", "--choose", "mmr", "--lambda",
                          "0.5").items():  # fmt: skip
        assert ids[0] == drawn[query][0]
        assert len({"cat" if i in ("d0", "d1", "d4") else i for i in ids}) == 3
    covered = run(folder, "--depth", "6", "--first", "6", "--choose", "cover")
    for query, ids in drawn.items():
        # d1 holds a place, d4 a person; q2 asks for person and location
        first = [i for i in ids if i in (("d1", "d4") if query == "q1" else ("d4",))]
        assert covered[query] == first + [i for i in ids if i not in first]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--choose cover", "--choose and --first need each other"),
        ("--first 9", "--choose and --first need each other"),
        ("--choose mmr --first 9", "--choose mmr and --lambda need each other"),
        ("--choose cover --first 9 --lambda 1", "--choose mmr and --lambda need each other"),
        ("--choose cover --first 2", "--first 2: is below --depth 3; raise it"),
        ("--choose mmr --first 9 --lambda nan", "--lambda nan: is not from 0 to 1"),
        ("--choose mmr --first 9 --lambda 1.1", "--lambda 1.1: is not from 0 to 1"),
        ("--choose cover --first 9 --own-dataset-first", "not with --own-dataset-first"),
    ],
)
def test_flags_that_do_not_go_together(folder, capsys, flags, says):
    with pytest.raises(SystemExit):
        run(folder, "--depth", "3", *flags.split())
    assert says in capsys.readouterr().err
    assert not (folder / "o.parquet").exists()
