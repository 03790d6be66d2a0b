"""Choose demonstrations among the first that a retriever found, by more than their rank: unlike
each other (MMR), or so that they hold the labels of the query's schema. docs/beyond.md.

Ranks become the order of choice, so the first k are the choice for every k; scores stay the
retriever's.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruie import cli, shown, vectors
from ruie.examples import Example
from ruie.ranking import Pool

Rows = list[dict[str, Any]]
Floats64 = npt.NDArray[np.float64]
#: Of one demonstration of a query, by its place: how similar all are to it.
Similar = Callable[[int], Floats64]

_WORD = re.compile(r"\w+")


def normalised(scores: Sequence[float]) -> Floats64:
    """(score - least) / (greatest - least): 1 for the best, 0 for the worst; 1 where all are
    equal."""
    found = np.asarray(scores, np.float64)
    low, high = (found.min(), found.max()) if len(found) else (0.0, 0.0)
    return np.ones(len(found)) if low == high else (found - low) / (high - low)


def mmr(relevance: Floats64, similar: Similar, weight: float, k: int) -> list[int]:
    """Places of ``k``, one after the other: the greatest weight * relevance - (1 - weight) * the
    greatest similarity to those chosen before, which is 0 for the first; ties by place (Carbonell
    and Goldstein 1998)."""
    chosen: list[int] = []
    left, nearest = np.ones(len(relevance), bool), np.zeros(len(relevance))
    while len(chosen) < min(k, len(relevance)):
        value = weight * relevance - (1 - weight) * nearest
        at = int(np.argmax(np.where(left, value, -np.inf)))  # the first of equals
        nearest = np.maximum(nearest, similar(at)) if chosen else similar(at)
        chosen.append(at)
        left[at] = False
    return chosen


def cover(labels: Collection[str], held: Sequence[Collection[str]], k: int) -> list[int]:
    """Places of ``k``: by rank those that hold one of the ``labels``, in any case of letters, that
    none before them holds; then the others by rank. ``held``: the labels of each."""
    wanted = {label.casefold() for label in labels}
    first: list[int] = []
    others: list[int] = []
    for place, mine in enumerate(held):
        new = wanted & {label.casefold() for label in mine}
        (first if new else others).append(place)
        wanted -= new
    return [*first, *others][:k]


def of_words(found: Mapping[str, Example]) -> Callable[[list[str]], Similar]:
    """Jaccard similarity of the sets of words of two texts, in lower case; 0 without words."""
    words = {name: frozenset(_WORD.findall(e.text.casefold())) for name, e in found.items()}

    def among(ids: list[str]) -> Similar:
        def similar(at: int) -> Floats64:
            one = words[ids[at]]
            return np.array([len(one & words[i]) / max(1, len(one | words[i])) for i in ids])

        return similar

    return among


def of_vectors(path: Path, pool: Pool, names: Collection[str]) -> Callable[[list[str]], Similar]:
    """Cosine of two vectors of the table at ``path``; 0 for a vector of zeros."""
    rows = pool.rows(names)
    wanted = np.zeros(len(pool), bool)
    wanted[list(rows.values())] = True
    units: dict[int, Floats64] = {}
    for numbers, block in vectors.blocks(path, wanted, 1024):
        whole = block.astype(np.float64)
        lengths = np.sqrt((whole * whole).sum(1, keepdims=True))
        whole /= np.where(lengths > 0, lengths, 1)
        units.update(zip(numbers.tolist(), whole, strict=True))

    def among(ids: list[str]) -> Similar:
        mine = np.stack([units[rows[i]] for i in ids])
        # pair by pair: what a matrix product rounds depends on how many there are
        return lambda at: (mine * mine[at]).sum(1)

    return among


def _of_each(rows: Rows, places: Callable[[str, Rows], list[int]]) -> Rows:
    """The CANDIDATES rows that are chosen of each query's."""
    return [
        {**mine[at], "rank": rank}
        for query, group in itertools.groupby(rows, key=lambda r: str(r["query_id"]))
        for mine in [list(group)]
        for rank, at in enumerate(places(query, mine))
    ]


def run(rows: Rows, queries: Sequence[Example], pool: Pool, args: Any) -> Rows:
    """The choice of the CANDIDATES ``rows``, which are by query and rank."""
    names = {r["demonstration_id"] for r in rows}
    by_vectors = args.choose == "mmr" and args.retriever == "dense"
    found = {} if by_vectors else shown.by_id([args.pool], names)
    if args.choose == "cover":
        labels = {q.id: q.schema for q in queries}
        held = {name: [a.label for a in e.annotations] for name, e in found.items()}
        return _of_each(
            rows,
            lambda query, mine: cover(labels[query], [held[i] for i in _ids(mine)], args.depth),
        )
    like = of_vectors(args.vectors, pool, names) if by_vectors else of_words(found)
    return _of_each(
        rows,
        lambda _, mine: mmr(
            normalised([r["score"] for r in mine]), like(_ids(mine)), args.weight, args.depth
        ),
    )


def _ids(rows: Rows) -> list[str]:
    return [r["demonstration_id"] for r in rows]


def add_arguments(p: Any) -> None:
    p.add_argument("--choose", choices=["mmr", "cover"], help="how (by rank)")
    p.add_argument("--first", type=cli.positive, help="of the best so many, --depth or more")
    p.add_argument("--lambda", dest="weight", type=float, metavar="LAMBDA",
                   help="mmr: weight of relevance, 0 to 1")  # fmt: skip


def check(p: cli.Parser, args: Any) -> None:
    """Flags that do not go together."""
    if (args.choose is None) != (args.first is None):
        p.error("--choose and --first need each other")
    if (args.choose == "mmr") != (args.weight is not None):
        p.error("--choose mmr and --lambda need each other")
    if args.first is not None and args.first < args.depth:
        p.error(f"--first {args.first}: is below --depth {args.depth}; raise it")
    if args.weight is not None and not 0 <= args.weight <= 1:
        p.error(f"--lambda {args.weight}: is not from 0 to 1")
    if args.choose and getattr(args, "own_dataset_first", False):
        p.error("--choose: not with --own-dataset-first, which is another order")
