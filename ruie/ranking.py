"""What every retriever shares: the candidate pool, its ranges, and which hits count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ruie import cli, prompt
from ruie.examples import Example

#: Where a query may look: the whole pool (the paper's setting), its own task, its own dataset.
RANGES = ("mixed", "task", "dataset")


class Pool:
    """The candidate pool P of section 3.1, by id, by range and by normalised text."""

    def __init__(self, members: list[Example]) -> None:
        self.members = members
        self.by_id = {e.id: e for e in members}
        self._hash = {e.id: e.text_hash for e in members}
        self._sample = {
            e.id: (self._hash[e.id], prompt.render(e, ("task", "schema", "output")))
            for e in members
        }

    @staticmethod
    def part(example: Example, range: str) -> str:
        """Name of the part of the pool that a range leaves to an example."""
        return "mixed" if range == "mixed" else f"{range}-{getattr(example, range)}"

    def parts(self, range: str) -> dict[str, list[Example]]:
        """The parts of the pool under a range, members in pool order."""
        out: dict[str, list[Example]] = {}
        for e in self.members:
            out.setdefault(self.part(e, range), []).append(e)
        return out

    def distinct(
        self, query: Example, hits: Iterable[tuple[str, float]], k: int
    ) -> list[tuple[str, float]]:
        """The first ``k`` hits (id, score) that are not the query itself, by the hash of its
        normalised text, and that no earlier hit repeats (same text, task, schema and answer)."""
        own, seen = query.text_hash, set()
        kept: list[tuple[str, float]] = []
        for docid, score in hits:
            if len(kept) == k:
                break
            if self._hash[docid] != own and self._sample[docid] not in seen:
                seen.add(self._sample[docid])
                kept.append((docid, score))
        return kept


def rows(query: Example, hits: list[tuple[str, float]]) -> list[dict[str, Any]]:
    """CANDIDATES rows of one query. Raises ``UserError`` where nothing was found."""
    if not hits:
        raise cli.UserError(
            f"{query.id}: no demonstration was found; the retrieval range holds nothing but the "
            "query itself, or BM25 shares no word with it: widen the range or the pool"
        )
    return [
        {"query_id": query.id, "demonstration_id": d, "rank": rank, "score": score}
        for rank, (d, score) in enumerate(hits)
    ]
