"""Demonstrations shown before the candidate that is scored, as they are in a prompt of several.

Section 3.2 scores each candidate alone. What the first demonstration brings a model is much the
same whichever it is, the labels and the form of an answer, and the others do not bring it again.
With ``scoring.context`` a candidate is scored after the first that were found for its query
(docs/beyond.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
#: Places of demonstrations, in the prompt's order: the best of them next to the candidate.
Context = tuple[int, ...]


def first(query: Ints, demonstration: Ints, rank: Ints, n: int) -> dict[int, list[int]]:
    """The ``n`` demonstrations of each query with the smallest ranks, best first."""
    order = np.lexsort((rank, query))
    q = query[order]
    begins = np.r_[True, q[1:] != q[:-1]][: len(q)]
    place = np.arange(len(q)) - np.maximum.accumulate(np.where(begins, np.arange(len(q)), 0))
    out: dict[int, list[int]] = {}
    for i in order[place < n]:
        out.setdefault(int(query[i]), []).append(int(demonstration[i]))
    return out


def fitting(
    ranked: Sequence[int], candidate: int, length: Sequence[int] | Ints, n: int, room: int
) -> Context:
    """The first ``n`` of ``ranked`` (best first) that are not the ``candidate``, as many as with it
    ``room`` tokens hold: those farthest from the query are left out first, as in inference."""
    kept: list[int] = []
    room -= int(length[candidate])
    for one in [d for d in ranked if d != candidate][:n]:
        room -= int(length[one])
        if room < 0:
            break
        kept.append(one)
    return tuple(kept[::-1])


def shared(contexts: Sequence[Context], length: Sequence[int] | Ints) -> list[int]:
    """Tokens that each context shares with the one before it, whole demonstrations alone."""
    out = [0]
    for a, b in zip(contexts, contexts[1:], strict=False):
        same = 0
        for one, other in zip(a, b, strict=False):
            if one != other:
                break
            same += int(length[one])
        out.append(same)
    return out[: len(contexts)]
