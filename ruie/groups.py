"""Training groups: for each query one positive and some negatives, drawn from ranked candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pyarrow as pa

from ruie import cli
from ruie.examples import Example


@dataclass(frozen=True)
class Ranked:
    """A query's candidates by falling preference; ``scores`` are the ranking's, best first."""

    query_id: str
    demonstrations: list[str]
    scores: list[float]


def ranked(table: pa.Table, column: str) -> list[Ranked]:
    """Candidates of each query by falling ``column``, ties by id; queries in table order."""
    rows: dict[str, list[tuple[float, str]]] = {}
    columns = (table[c].to_pylist() for c in ("query_id", "demonstration_id", column))
    for query, demonstration, score in zip(*columns, strict=True):
        rows.setdefault(query, []).append((-score, demonstration))
    out = []
    for query, members in rows.items():
        members.sort()
        out.append(Ranked(query, [d for _, d in members], [-s for s, _ in members]))
    return out


@dataclass(frozen=True)
class Choices:
    """What a query's group is drawn from: the top candidates, and the last ones without those
    whose answer equals the query's."""

    query_id: str
    positives: list[str]
    negatives: list[str]


def choices(
    rankings: Sequence[Ranked],
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
    for r in rankings:
        positives = r.demonstrations[:top]
        tail = r.demonstrations[max(top, len(r.demonstrations) - last) :]
        negatives = [d for d in tail if _answer(pool[d]) != _answer(queries[r.query_id])]
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
