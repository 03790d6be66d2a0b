"""Training groups: for each query one positive and some negatives, drawn from ranked candidates."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ruie import cli, parquet
from ruie.examples import Example

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Ranked:
    """A query's candidates by falling preference; ``scores`` are the ranking's, best first."""

    query_id: str
    demonstrations: list[str]
    scores: list[float]


class Rankings(Sequence[Ranked]):
    """Candidates of each query by falling ``column`` of a table, ties by id; queries in the
    table's order. Each is made when it is asked for: a run has millions of pairs."""

    def __init__(self, table: pa.Table, column: str, where: object = "the table") -> None:
        self.where = where
        for c in ("query_id", "demonstration_id", column):
            if table[c].null_count:
                raise cli.UserError(f"{where}: a row has no {c}; run the stage that writes it "
                                    "again")  # fmt: skip
        query, demonstration = (
            table[c].combine_chunks().dictionary_encode() for c in ("query_id", "demonstration_id")
        )
        self.queries: list[str] = query.dictionary.to_pylist()
        self._names: list[str] = demonstration.dictionary.to_pylist()
        place = np.empty(len(self._names), np.int64)
        place[np.argsort(np.array(self._names, object), kind="stable")] = np.arange(len(place))
        of, code = (c.indices.to_numpy() for c in (query, demonstration))
        scores = table[column].to_numpy()
        for odd, what in ((~np.isfinite(scores), f"its {column} is not finite"),
                          (_repeated(of, code), "it comes twice")):  # fmt: skip
            if odd.any():
                row = int(odd.argmax())
                raise cli.UserError(
                    f"{where}: {self.queries[of[row]]} with {self._names[code[row]]}: {what}; run "
                    "the stage that writes it again"
                )
        self._place = place
        self._sort(of, code, scores)
        self._starts = np.searchsorted(self._of, np.arange(len(self.queries) + 1))

    def _sort(self, of: Codes, code: Codes, scores: npt.NDArray[np.float64]) -> None:
        order = np.lexsort((self._place[code], -scores, of)) if len(of) else np.zeros(0, np.int64)
        self._of, self._codes, self._scores = of[order], code[order], scores[order]

    def with_others(
        self, queries: Mapping[str, Example], pool: Mapping[str, Example], added: float
    ) -> Rankings:
        """The same with ``added`` to each score of a demonstration of another dataset than the
        query's (the published code takes 100 off)."""
        own = np.array([queries[q].dataset for q in self.queries], object)
        others = np.array([pool[d].dataset for d in self._names], object)
        out = copy.copy(self)
        out._sort(
            self._of, self._codes, self._scores + added * (own[self._of] != others[self._codes])
        )
        return out

    def known_in(self, queries: Mapping[str, Any], pool: Mapping[str, Any]) -> None:
        """``UserError`` where one lacks a sample that is ranked here."""
        for what, ids, known in (("query", self.queries, queries),
                                 ("demonstration", self._names, pool)):  # fmt: skip
            if odd := [i for i in ids if i not in known]:
                raise cli.UserError(f"{self.where}: {what} {odd[0]!r} is not in its table of "
                                    "examples; make both anew")  # fmt: skip

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        rows = slice(self._starts[i], self._starts[i + 1])
        names = [self._names[c] for c in self._codes[rows]]
        return Ranked(self.queries[i], names, self._scores[rows].tolist())


def _repeated(of: Codes, code: Codes) -> npt.NDArray[np.bool_]:
    """Which pairs [rows] stand in an earlier row too."""
    first = np.zeros(len(of), bool)
    pairs = of.astype(np.int64) << 32 | code.astype(np.int64)
    first[np.unique(pairs, return_index=True)[1]] = True
    return ~first


def read(path: Path, schema: pa.Schema, column: str) -> Rankings:
    """The rankings of a table of scores or rewards. ``UserError`` for pairs without an id, that
    come twice, or whose score is not finite."""
    return Rankings(parquet.read(path, schema), column, path)


@dataclass(frozen=True)
class Choices:
    """What a query's group is drawn from: the top candidates, and the last ones without those
    whose answer equals the query's."""

    query_id: str
    positives: list[str]
    negatives: list[str]


def choices(
    rankings: Iterable[Ranked],
    queries: dict[str, Example],
    pool: dict[str, Example],
    top: int,
    last: int,
) -> list[Choices]:
    """Positives are the top ``top``, negatives the last ``last`` (section 3.2, Table 9).

    A negative with the query's own annotations is left out: it says nothing wrong. Queries left
    without a negative are left out too, and both are counted in the log. Raises ``UserError``
    where nothing is left.
    """
    out, same, lone = [], 0, 0

    @functools.cache  # a demonstration is the candidate of many queries
    def shown(demonstration: str) -> object:
        return _answer(pool[demonstration])

    for r in rankings:
        positives = r.demonstrations[:top]
        tail = r.demonstrations[max(top, len(r.demonstrations) - last) :]
        own = _answer(queries[r.query_id])
        negatives = [d for d in tail if shown(d) != own]
        same += len(tail) - len(negatives)
        if negatives:
            out.append(Choices(r.query_id, positives, negatives))
        else:
            lone += 1
    cli.log.info(
        "%d queries to train on; left out: %d negatives with the query's own answer, %d queries "
        "without a negative", len(out), same, lone,
    )  # fmt: skip
    if not out:
        raise cli.UserError(
            f"no query has a negative: none has more than {top} candidates, or all others have its "
            "own answer; retrieve more candidates or lower the number of positives"
        )
    return out


def _answer(e: Example) -> tuple[str, frozenset[tuple[str, ...]]]:
    """Task and annotations; nothing found is an answer of its own schema only."""
    found = frozenset((a.label, *(s.text for s in a.spans)) for a in e.annotations)
    return (e.task if found else f"{e.task}/{e.schema}", found)


@dataclass(frozen=True)
class Group:
    """What one query brings to a step: its positive first, then its negatives."""

    query_id: str
    demonstrations: list[str]


def batches(
    members: Sequence[Choices], size: int, negatives: int, seed: int
) -> Iterator[list[Group]]:
    """Batches of ``size`` groups for ever. Each epoch is a new seeded shuffle with newly drawn
    positives and negatives; an epoch's rest goes into the next batch, so every batch is full
    however few queries there are."""
    batch: list[Group] = []
    for epoch in itertools.count():
        order = list(members)
        lots = Random(f"{seed}:{epoch}")
        lots.shuffle(order)
        for choice in order:
            batch.append(Group(choice.query_id, _draw(choice, negatives, lots)))
            if len(batch) == size:
                yield batch
                batch = []


def _draw(choice: Choices, negatives: int, lots: Random) -> list[str]:
    """One positive, then ``negatives`` distinct negatives (repeated only when there are fewer)."""
    drawn = lots.sample(choice.negatives, min(negatives, len(choice.negatives)))
    drawn += lots.choices(choice.negatives, k=negatives - len(drawn))
    return [lots.choice(choice.positives), *drawn]
