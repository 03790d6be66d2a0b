"""Resampling of queries: 95 % percentile intervals of F1, alone or of two systems in pairs.

Queries with equal counts are interchangeable, so a resample of n queries is one multinomial draw
over the distinct rows of counts: exact, and fast whatever n is. Draws depend on the seed, the task
and the dataset alone: every system, LLM, k and scorer meets the same generator, and the datasets
of an average are drawn independently.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruie import cli

Floats = NDArray[np.float64]
RESAMPLES = 1000
#: Share of the resamples outside of an interval, in percent.
OUTSIDE = 5.0
#: Numbers drawn at once.
CELLS = 2_000_000


def f1(counts: Floats) -> Floats:
    """F1 in percent of (..., tp fp fn); 0 where nothing is right."""
    tp, fp, fn = counts[..., 0], counts[..., 1], counts[..., 2]
    below = 2 * tp + fp + fn
    return np.divide(200 * tp, below, out=np.zeros_like(below), where=tp > 0)


def resampled(counts: Floats, resamples: int, seed: int, task: str, dataset: str) -> Floats:
    """Column sums of ``resamples`` resamples of the rows, a row each; rows in any order give the
    same."""
    name = hashlib.sha256(f"{seed}\n{task}\n{dataset}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(name[:8], "big"))
    rows, times = np.unique(counts, axis=0, return_counts=True)
    block = max(1, CELLS // len(rows))
    parts = [
        rng.multinomial(len(counts), times / len(counts), min(block, resamples - start)) @ rows
        for start in range(0, resamples, block)
    ]
    sums: Floats = np.concatenate(parts)
    return sums


def replicates(counts: Floats, resamples: int, seed: int, task: str, dataset: str) -> Floats:
    """F1 of each resample; ``counts`` has a row (tp, fp, fn) for each query."""
    return f1(resampled(counts, resamples, seed, task, dataset))


def differences(
    counts: Floats, others: Floats, resamples: int, seed: int, task: str, dataset: str
) -> Floats:
    """F1 minus the other's F1 in each resample of the queries that both have answered; row i of
    both belongs to one query."""
    sums = resampled(np.hstack([counts, others]), resamples, seed, task, dataset)
    return f1(sums[:, :3]) - f1(sums[:, 3:])


def interval(values: Floats | None) -> tuple[float | None, float | None]:
    """The ends of the 95 % percentile interval; None without any value."""
    if values is None or not len(values):
        return None, None
    low, high = np.percentile(values, [OUTSIDE / 2, 100 - OUTSIDE / 2])
    return float(low), float(high)


def mean(
    values: Floats, resamples: int, seed: int, task: str, dataset: str
) -> dict[str, float | None]:
    """The mean of a value of each query, and the ends of its interval, by their column."""
    drawn = None
    if resamples:
        drawn = resampled(values[:, None], resamples, seed, task, dataset)[:, 0] / len(values)
    low, high = interval(drawn)
    return {"value": float(values.mean()), "low": low, "high": high}


def p_value(values: Floats | None) -> float | None:
    """Two-sided p of a difference: twice the share of the resamples on the far side of 0 or on it,
    the observed data counted as one more (so never 0, and 1 where nothing differs)."""
    if values is None or not len(values):
        return None
    # rounded, since a difference that is none may come out as 1e-14
    rounded: Any = np.round(values, 9)
    far = min(int((rounded <= 0).sum()), int((rounded >= 0).sum()))
    return min(1.0, 2 * (far + 1) / (len(values) + 1))


def add_arguments(parser: cli.Parser) -> None:
    """The options of whatever resamples."""
    parser.add_argument(
        "--resamples", type=cli.whole, default=RESAMPLES,
        help="of the queries, for the intervals (%(default)s); 0: no intervals",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the resamples")
