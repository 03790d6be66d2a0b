"""Which beginnings token sequences share, so that each is computed once.

The prompts of section 3.2 begin with a task's instruction, go on with a demonstration that many
queries share, and with a query's schema that all queries of its dataset share: sorted, they form a
trie. A segment is a piece of it that more than one sequence runs through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
#: A segment is worth its own step only where it saves as many tokens.
LEAST_SAVED = 8


@dataclass(frozen=True)
class Segment:
    """Tokens ``start`` to ``end`` of sequence ``of``, going on from segment ``parent`` (-1: from
    nothing), which is one level above."""

    parent: int
    of: int
    start: int
    end: int
    level: int


def shared(before: npt.NDArray[np.int32], after: npt.NDArray[np.int32]) -> int:
    """How many tokens two sequences begin with in common."""
    n = min(len(before), len(after))
    differ = np.flatnonzero(before[:n] != after[:n])
    return int(differ[0]) if len(differ) else n


def segments(
    common: Sequence[int] | Ints, least: int = LEAST_SAVED
) -> tuple[list[Segment], list[int]]:
    """Segments, parents first, and each sequence's last segment (-1: it shares nothing).

    ``common[i]``: tokens that the sorted sequences i - 1 and i share; ``common[0]`` says nothing.
    """
    runs = _runs(common)
    inner = np.full(len(common), -1)  # the innermost run around each sequence, as far as seen
    outer = []
    for i, (low, high, _) in enumerate(runs):
        outer.append(int(inner[low]))
        inner[low:high] = i
    children = np.bincount([i for i in (*inner, *outer) if i >= 0], minlength=len(runs))
    found: list[Segment] = []
    last = np.full(len(common), -1)
    for (low, high, depth), branches in zip(runs, children, strict=True):
        parent = int(last[low])
        start, level = (found[parent].end, found[parent].level + 1) if parent >= 0 else (0, 0)
        if (depth - start) * (branches - 1) >= least:
            last[low:high] = len(found)
            found.append(Segment(parent, low, start, depth, level))
    return found, last.tolist()


def _runs(common: Sequence[int] | Ints) -> list[tuple[int, int, int]]:
    """(first, end, depth) of the longest runs of neighbours that share ``depth`` tokens, outer
    runs before inner ones."""
    runs = []
    growing: list[tuple[int, int]] = []  # first sequence and depth of the runs not yet ended
    for i in range(1, len(common) + 1):
        depth = int(common[i]) if i < len(common) else 0
        first = i - 1
        while growing and growing[-1][1] > depth:
            first, ended = growing.pop()
            runs.append((first, i, ended))
        if depth and (not growing or growing[-1][1] < depth):
            growing.append((first, depth))
    return sorted(runs, key=lambda r: (r[0], -r[1]))
