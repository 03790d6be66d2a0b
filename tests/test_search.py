"""Exact search: what is found, its scores and the order of ties, whatever the pieces."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ruie import search, vectors
from ruie.cli import UserError


def oracle(numbers, wanted, ranks, queries, keep):
    """Every pair in float64, rounded once, and one sort by score and rank."""
    rows = np.flatnonzero(wanted)
    out = []
    for q in queries.astype(np.float64):
        scores = (numbers[rows].astype(np.float64) * q).sum(1).astype(np.float32)
        order = sorted(range(len(rows)), key=lambda i: (-scores[i], ranks[rows[i]]))[:keep]
        out.append([(int(rows[i]), float(scores[i])) for i in order])
    return out


def pairs(found):
    return [list(zip(r.tolist(), s.tolist(), strict=True)) for r, s in zip(*found, strict=True)]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a number of rows, of vectors of 4 numbers and for as many queries at a time."""

    def rows(n):
        real = vectors.blocks
        monkeypatch.setattr(vectors, "blocks", lambda path, wanted, _: real(path, wanted, n))

    return rows


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), keep=st.integers(1, 25), scale=st.sampled_from([1, 1e-3, 1e6]))
def test_agrees_with_sorting_everything(tmp_path_factory, seed, keep, scale):
    """Whole numbers from -2 to 2 make many ties; a scale makes them numbers that round."""
    lots = np.random.default_rng(seed)
    numbers = (lots.integers(-2, 3, (20, 4)) * scale).astype(np.float32)
    queries = (lots.integers(-2, 3, (5, 4)) * scale).astype(np.float32)
    wanted, ranks = lots.random(20) < 0.8, lots.permutation(20)
    path = tiny.write_vectors(tmp_path_factory.getbasetemp() / "s.parquet", numbers)
    want = oracle(numbers, wanted, ranks, queries, keep)
    assert pairs(search.best(path, wanted, ranks, queries, keep)) == want
    real = vectors.blocks
    for size in (1, 3, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vectors, "blocks", lambda p, w, _, n=size: real(p, w, n))
            patch.setattr(search, "HITS_AT_ONCE", size * keep)
            assert pairs(search.best(path, wanted, ranks, queries, keep)) == want


def test_scores_that_float32_cannot_tell_apart(tmp_path):
    """8,192 + 2^-11 - 8,192 is 2^-11 and not the 0 that float32 makes of it: a number of 24 bits
    ends at 2^-10 there. Only exact scores put the rows in this order."""
    tail = [3, 1, 4, 1, 5, 9, 2, 6]
    numbers = np.array([[8192, t * 2.0**-11, -8192] for t in tail], np.float32)
    path = tiny.write_vectors(tmp_path / "v.parquet", numbers)
    rows, scores = search.best(
        path, np.ones(8, bool), np.arange(8)[::-1], np.ones((1, 3), np.float32), 8
    )
    # the two ones are a tie, which goes to row 3: ranks fall with the rows
    assert rows[0].tolist() == [5, 7, 4, 2, 0, 6, 3, 1]
    assert (scores[0] * 2**11).tolist() == [9, 6, 5, 4, 3, 2, 1, 1]


def near_and_equal(lots):
    """Vectors of which many are equal and many as near to each other as float32 can tell."""
    base = lots.normal(size=(40, 24)).astype(np.float32)
    numbers = base[lots.integers(0, 40, 600)]
    nudged = lots.random(600) < 0.5
    numbers[nudged, 0] = np.nextafter(numbers[nudged, 0], np.float32(9))
    return numbers


def test_the_same_bytes_whatever_the_blocks_the_batch_and_the_threads(tmp_path, small_blocks):
    import torch

    lots = np.random.default_rng(3)
    numbers, queries = near_and_equal(lots), lots.normal(size=(33, 24)).astype(np.float32)
    ranks, wanted = lots.permutation(600), np.ones(600, bool)
    path = tiny.write_vectors(tmp_path / "v.parquet", numbers, at_once=100)
    first = search.best(path, wanted, ranks, queries, 50)
    assert pairs(first) == oracle(numbers, wanted, ranks, queries, 50)
    for size in (1, 7, 128, 599):
        small_blocks(size)
        again = search.best(path, wanted, ranks, queries, 50)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
    alone = [search.best(path, wanted, ranks, q[None], 50) for q in queries[:5]]
    for whole, parts in zip(first, zip(*alone, strict=True), strict=True):
        assert whole[:5].tobytes() == np.concatenate(parts).tobytes()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        again = search.best(path, wanted, ranks, queries, 50)
    finally:
        torch.set_num_threads(threads)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))


def test_the_size_of_blocks_is_what_the_flag_says(tmp_path, monkeypatch):
    """1 MiB holds 256 rows of 1,024 float32, and 1,024 queries' scores of 256 rows."""
    seen, products = [], []
    real, contenders = vectors.blocks, search._contenders

    def blocks(path, wanted, rows):
        for here, block in real(path, wanted, rows):
            seen.append(len(block))
            yield here, block

    def counted(scores, *rest):
        products.append(tuple(scores.shape))
        return contenders(scores, *rest)

    monkeypatch.setattr(vectors, "blocks", blocks)
    monkeypatch.setattr(search, "_contenders", counted)
    lots = np.random.default_rng(0)
    numbers, queries = (lots.random((n, 1024), np.float32) for n in (600, 1500))
    path = tiny.write_vectors(tmp_path / "v.parquet", numbers, at_once=600)
    search.best(path, np.ones(600, bool), np.arange(600), queries, 2, block_mb=1)
    assert seen == [256, 256, 88]
    # 88 rows leave room for 1 MiB / (4 * 88) = 2,978 queries
    assert products == [(1024, 256), (476, 256), (1024, 256), (476, 256), (1500, 88)]


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False), st.integers(0, 2**32 - 1))))
def test_keys_sort_by_falling_score_and_then_by_rank(hits):
    scores = np.array([s for s, _ in hits], np.float32)
    ranks = np.array([r for _, r in hits], np.int64)
    keys = search._packed(scores, ranks)
    assert all(keys != search.NONE)
    back = search._unpacked(np.sort(keys))
    want = sorted(((s, r) for s, r in hits), key=lambda hit: (-hit[0], hit[1]))
    assert list(zip(*(a.tolist() for a in back), strict=True)) == want


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), block=st.integers(1, 25), scale=st.sampled_from([1, 1e-3, 1e6]))
def test_among_is_the_search_of_each_querys_own_rows(tmp_path_factory, seed, block, scale):
    lots = np.random.default_rng(seed)
    numbers = (lots.integers(-2, 3, (20, 4)) * scale).astype(np.float32)
    queries = (lots.integers(-2, 3, (5, 4)) * scale).astype(np.float32)
    ranks = lots.permutation(20)
    rows = [lots.permutation(20)[: lots.integers(0, 21)] for _ in queries]
    path = tiny.write_vectors(tmp_path_factory.getbasetemp() / "a.parquet", numbers)
    want = []
    for q, mine in zip(queries, rows, strict=True):
        wanted = np.zeros(20, bool)
        wanted[mine] = True
        want += oracle(numbers, wanted, ranks, q[None], 20)
    real = vectors.blocks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "blocks", lambda path, wanted, _: real(path, wanted, block))
        found = search.among(path, rows, ranks, queries)
    assert [list(zip(r.tolist(), s.tolist(), strict=True)) for r, s in found] == want


def test_nothing_wanted_and_no_query(tmp_path):
    path = tiny.write_vectors(tmp_path / "v.parquet", np.ones((3, 2), np.float32))
    ranks, one = np.arange(3), np.ones((1, 2), np.float32)
    rows, scores = search.best(path, np.zeros(3, bool), ranks, one, 5)
    assert rows.shape == scores.shape == (1, 0)
    assert search.best(path, np.ones(3, bool), ranks, one[:0], 5)[0].shape == (0, 3)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e30])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path, odd):
    numbers = np.ones((9, 4), np.float32)
    numbers[7, 2] = odd
    path = tiny.write_vectors(tmp_path / "v.parquet", numbers)
    call = (np.ones(9, bool), np.arange(9))
    with pytest.raises(UserError, match="d/train/000007 holds numbers .* encode the pool") as error:
        search.best(path, *call, np.ones((1, 4), np.float32), 2)
    assert "\n" not in str(error.value)
    wanted = np.arange(9) != 7  # what is not asked for does no harm
    assert search.best(path, wanted, np.arange(9), np.ones((1, 4), np.float32), 9)[0].shape[1] == 8
    queries = np.array([[1] * 4, [odd] * 4], np.float32)
    with pytest.raises(UserError, match=r"query 1 \(from 0\) holds numbers"):
        search.best(path, *call, queries, 2)
    rows = [np.arange(6), np.arange(6)]
    with pytest.raises(UserError, match=r"query 1 \(from 0\) holds numbers"):
        search.among(path, rows, np.arange(9), queries)
    with pytest.raises(UserError, match="d/train/000007 holds numbers .* encode the pool"):
        search.among(path, [np.arange(9)], np.arange(9), queries[:1])
    assert len(search.among(path, rows[:1], np.arange(9), queries[:1])[0][0]) == 6


def test_vectors_of_another_width(tmp_path):
    path = tiny.write_vectors(tmp_path / "v.parquet", np.ones((3, 2), np.float32))
    with pytest.raises(UserError, match="2 numbers, and of 3 for queries; encode the pool"):
        search.best(path, np.ones(3, bool), np.arange(3), np.ones((1, 3), np.float32), 2)
    with pytest.raises(UserError, match="2 numbers, and of 3 for queries; encode the pool"):
        search.among(path, [np.arange(3)], np.arange(3), np.ones((1, 3), np.float32))


def test_products_are_never_in_tensorfloat(tmp_path):
    import torch

    path = tiny.write_vectors(tmp_path / "v.parquet", np.ones((3, 2), np.float32))
    torch.set_float32_matmul_precision("high")
    search.best(path, np.ones(3, bool), np.arange(3), np.ones((1, 2), np.float32), 2)
    assert torch.get_float32_matmul_precision() == "highest"


MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from ruie import search
n, width = 200_000, 256
q = np.ones((8, width), np.float32)
(torch.ones(8, width) @ torch.ones(width, 8)).topk(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
search.best(Path(sys.argv[1]), np.ones(n, bool), np.arange(n), q, 208, block_mb=8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_pool(tmp_path):
    """200,000 vectors of 256 float32 take 200,000 KiB; blocks, their scores and what Arrow holds
    must do with a third of that."""
    lots = np.random.default_rng(0)
    with vectors.writing(tmp_path / "v.parquet", 256) as add:
        for low in range(0, 200_000, 20_000):
            ids = [str(i) for i in range(low, low + 20_000)]
            add(ids, lots.random((20_000, 256), np.float32))
    done = tiny.python("-c", MEMORY, tmp_path / "v.parquet")
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 200_000 / 3
