"""Queries that no training sees, to watch it by and to measure what it has learned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np


def held_aside(query_ids: Iterable[str], n: int, seed: int) -> set[str]:
    """``n`` of the queries, at most a tenth of them: the same for all trainings of a run, and few
    others where queries are added."""
    known = sorted(set(query_ids), key=lambda q: (_digest(q, seed), q))
    return set(known[: min(n, len(known) // 10)])


def _digest(query_id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {query_id}".encode(), digest_size=8).digest()


def reciprocal_rank(preference: Sequence[float], scores: Sequence[float]) -> float:
    """1 / the rank by ``scores`` of the candidate with the highest ``preference`` (the first of
    several); candidates that score alike share the mean of their ranks."""
    mine = np.asarray(scores, np.float64)
    best = mine[int(np.argmax(preference))]
    above, alike = int((mine > best).sum()), int((mine == best).sum())
    return 1 / (above + (alike + 1) / 2)
