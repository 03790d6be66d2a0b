"""Exact search by dot product in more vectors than fit in memory.

The vectors are read block by block. Products in float32 say which of a block can be among the best:
the bound on their rounding errors holds for any order of summation. Only these are computed again,
in float64 and pair by pair. So what is found, the scores to the last bit and the order of ties
depend on the two vectors and the ids alone, not on the size of blocks, on the other queries, on
threads or on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ruie import cli, devices, vectors
from ruie.vectors import Floats

if TYPE_CHECKING:
    import torch

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
#: MiB of a block of vectors, and of its scores.
BLOCK_MB = 64
NOTHING = np.empty(0, np.int64)
#: Queries times hits that one reading of the vectors is for (8 bytes each, twice to sort them).
HITS_AT_ONCE = 1 << 24
#: Pairs computed at once in float64: they stay in the processor's cache.
PAIRS_AT_ONCE = 64
#: Products of two longer vectors could pass what float32 holds.
LONGEST = 1e18
#: The key of no hit, after those of all hits.
NONE = np.uint64(2**64 - 1)


def best(
    path: Path,
    wanted: npt.NDArray[np.bool_],
    ranks: Ints,
    queries: Floats,
    keep: int,
    block_mb: int = BLOCK_MB,
) -> tuple[Ints, Floats]:
    """The ``keep`` best of the ``wanted`` rows for each query, fewer where fewer are wanted: row
    numbers and scores [queries, hits], by falling score and then by rank.

    ``wanted`` and ``ranks`` (a permutation) have an entry for each row of the vectors at ``path``;
    ``queries`` [queries, width]. ``UserError`` for vectors of another width, and for numbers that
    are not finite.
    """
    import torch

    torch.set_float32_matmul_precision("highest")  # the bound on errors supposes float32
    _width(path, queries)
    keep = min(keep, int(wanted.sum()))
    by_rank = np.empty(len(ranks), np.int64)
    by_rank[ranks] = np.arange(len(ranks))
    at_once = max(1, HITS_AT_ONCE // max(1, keep))
    found = [np.empty((0, keep), np.uint64)]
    for low in range(0, len(queries), at_once):
        asked = np.ascontiguousarray(queries[low : low + at_once], np.float32)
        found.append(_sweep(path, wanted, ranks, asked, keep, block_mb << 20))
    scores, kept = _unpacked(np.concatenate(found))
    return by_rank[kept], scores


def among(
    path: Path, rows: Sequence[Ints], ranks: Ints, queries: Floats, block_mb: int = BLOCK_MB
) -> list[tuple[Ints, Floats]]:
    """Each query's own ``rows`` (none twice), all of them, with the scores and in the order that
    ``best`` gives. The vectors are read once, without the row groups that nobody asks for."""
    width = _width(path, queries)
    asked = np.ascontiguousarray(queries, np.float32)
    _check_queries(_lengths(asked))
    sizes = [len(r) for r in rows]
    of, taken = np.repeat(np.arange(len(rows)), sizes), np.concatenate([NOTHING, *rows])
    wanted = np.zeros(len(ranks), bool)
    wanted[taken] = True
    by_row = np.argsort(taken, kind="stable")
    in_order, scores = taken[by_row], np.empty(len(taken), np.float32)
    for numbers, block in vectors.blocks(path, wanted, max(1, (block_mb << 20) // (4 * width))):
        _check_block(path, numbers, _lengths(block))
        low, high = np.searchsorted(in_order, [numbers[0], numbers[-1] + 1])
        here = by_row[low:high]
        scores[here] = _exact(asked, block, of[here], np.searchsorted(numbers, taken[here]))
    out = []
    for mine, own in zip(rows, np.split(scores, np.cumsum(sizes)[:-1]), strict=True):
        order = np.lexsort((ranks[mine], -own))
        out.append((mine[order], own[order]))
    return out


def _sweep(
    path: Path, wanted: npt.NDArray[np.bool_], ranks: Ints, queries: Floats, keep: int, size: int
) -> Keys:
    """Keys of the best of each query, in order, from one reading of the vectors."""
    import torch

    n, width = queries.shape
    found = np.full((n, keep), NONE)
    if not keep:
        return found
    asked = torch.from_numpy(queries).to(devices.device())
    lengths = torch.linalg.vector_norm(asked, dim=1)
    _check_queries(lengths.cpu().numpy())
    # n products and sums, each rounded, are off by n * 2^-24 times the lengths at most, whatever
    # their order; 2 for the roundings of the sum's float32 and of this bound; twice to be safe
    unit = lengths * (2 * (width + 2) * 2.0**-24)
    worst = torch.full_like(lengths, -torch.inf)
    rows_at_once = max(1, size // (4 * width))
    for rows, block in vectors.blocks(path, wanted, rows_at_once):
        there = torch.from_numpy(block).to(asked.device)
        long = torch.linalg.vector_norm(there, dim=1)
        _check_block(path, rows, long.cpu().numpy())
        slack = unit * long.max() + torch.finfo(torch.float32).tiny * width
        step = max(1, size // (4 * len(rows)))
        for low in range(0, n, step):
            part = slice(low, low + step)
            scores = asked[part] @ there.T
            q, r = _contenders(scores, worst[part], slack[part], keep)
            if len(q):
                exact = _exact(queries[part], block, q, r)
                _merge(found[part], q, _packed(exact, ranks[rows[r]]))
                least, _ = _unpacked(found[part, -1])
                worst[part] = torch.from_numpy(np.where(np.isnan(least), -np.inf, least))
    return found


def _width(path: Path, queries: Floats) -> int:
    """Numbers of a vector, which must be as many as a query has."""
    width = vectors.width(path)
    if queries.shape[1] != width:
        raise cli.UserError(f"{path}: vectors of {width} numbers, and of {queries.shape[1]} for "
                            "queries; encode the pool with the queries' model")  # fmt: skip
    return width


def _lengths(of: Floats) -> Floats:
    with np.errstate(over="ignore"):  # infinite, which is refused
        lengths: Floats = np.linalg.norm(of, axis=1)
    return lengths


def _check_queries(lengths: Floats) -> None:
    if len(odd := np.flatnonzero(~(lengths <= LONGEST))):
        raise cli.UserError(f"the vector of query {odd[0]} (from 0) holds numbers that are not "
                            "finite or far too large; mend the model")  # fmt: skip


def _check_block(path: Path, rows: Ints, lengths: Floats) -> None:
    if len(odd := np.flatnonzero(~(lengths <= LONGEST))):
        name = vectors.ids(path)[int(rows[odd[0]])]
        raise cli.UserError(f"{path}: the vector of {name} holds numbers that are not finite or "
                            "far too large; encode the pool again")  # fmt: skip


def _contenders(
    scores: torch.Tensor, worst: torch.Tensor, slack: torch.Tensor, keep: int
) -> tuple[Ints, Ints]:
    """Query and row of each score [queries, rows] that can be among the ``keep`` best, by query:
    not below the ``worst`` kept so far, nor below the ``keep``-th of these rows, by more than
    rounding errors explain."""
    import torch

    floor = worst - slack
    columns = (scores >= floor[:, None]).any(0).nonzero()[:, 0]
    if len(columns) < scores.shape[1]:
        scores = scores[:, columns]
    if len(columns) > keep:
        floor = torch.maximum(floor, scores.topk(keep).values[:, -1] - 2 * slack)
    at = (scores >= floor[:, None]).nonzero()
    return at[:, 0].cpu().numpy(), columns[at[:, 1]].cpu().numpy()


def _exact(queries: Floats, block: Floats, q: Ints, r: Ints) -> Floats:
    """Dot products of pairs, each summed in the same order, in float64; then rounded to float32."""
    out = np.empty(len(q), np.float32)
    for low in range(0, len(q), PAIRS_AT_ONCE):
        part = slice(low, low + PAIRS_AT_ONCE)
        products = np.multiply(queries[q[part]], block[r[part]], dtype=np.float64)
        out[part] = products.sum(1)
    return out


def _packed(scores: Floats, ranks: Ints) -> Keys:
    """One number for score and rank: the smaller, the better."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 becomes 0, which it equals
    # as whole numbers, floats rise with their bits above zero and fall with them below
    falling = np.where(bits >> 31, bits, ~(bits | np.uint32(1 << 31)))
    return (falling.astype(np.uint64) << np.uint64(32)) | ranks.astype(np.uint64)


def _unpacked(keys: Keys) -> tuple[Floats, Ints]:
    """Scores and ranks; the score of ``NONE`` is not a number."""
    falling = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(falling >> 31, falling, ~falling & np.uint32((1 << 31) - 1))
    return bits.view(np.float32), (keys & np.uint64(2**32 - 1)).astype(np.int64)


def _merge(found: Keys, q: Ints, keys: Keys) -> None:
    """Put new keys, ordered by query, among the best found, in place."""
    counts = np.bincount(q, minlength=len(found))
    new = np.full((len(found), counts.max()), NONE)
    new[q, np.arange(len(q)) - np.repeat(np.cumsum(counts) - counts, counts)] = keys
    both = np.concatenate([found, new], axis=1)
    both.sort(axis=1)
    found[:] = both[:, : found.shape[1]]
