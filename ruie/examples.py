"""An IE instance, whatever its task: text, schema, annotations with character offsets."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ruie import parquet

#: The four tasks by the short names of the IE_INSTRUCTIONS folders (section 3.1).
TASKS = ("NER", "RE", "EET", "EEA")


@dataclass(frozen=True)
class Span:
    """``text`` at characters ``[start, end)`` of the sentence."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Annotation:
    """A label and its spans: one, or (head, tail) for RE."""

    label: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Event:
    """The event that an EEA instance asks about: its type and its trigger are given."""

    type: str
    trigger: Span


@dataclass(frozen=True)
class Example:
    """One instance of one task."""

    id: str
    task: str
    dataset: str
    split: str
    text: str
    schema: tuple[str, ...]
    annotations: tuple[Annotation, ...]
    event: Event | None
    source: str

    @property
    def text_hash(self) -> str:
        """Hash of the text with case, spacing and Unicode form evened out: what "the same
        sentence" means when a query must not be its own demonstration."""
        even = " ".join(unicodedata.normalize("NFKC", self.text).casefold().split())
        return hashlib.sha256(even.encode()).hexdigest()[:16]


def to_rows(examples: Iterable[Example]) -> list[dict[str, Any]]:
    """Rows of the EXAMPLES table; ``answer`` is derived (Appendix D) and stored to be seen."""
    from ruie.prompt import answer

    def span(s: Span) -> dict[str, Any]:
        return {"text": s.text, "start": s.start, "end": s.end}

    return [
        {
            "id": e.id,
            "task": e.task,
            "dataset": e.dataset,
            "split": e.split,
            "text": e.text,
            "schema": list(e.schema),
            "annotations": [
                {"label": a.label, "spans": [span(s) for s in a.spans]} for a in e.annotations
            ],
            "event": e.event and {"type": e.event.type, "trigger": span(e.event.trigger)},
            "answer": answer(e),
            "source": e.source,
        }
        for e in examples
    ]


def from_table(table: pa.Table) -> list[Example]:
    """Examples of an EXAMPLES table, in its order."""
    return [
        Example(
            id=r["id"],
            task=r["task"],
            dataset=r["dataset"],
            split=r["split"],
            text=r["text"],
            schema=tuple(r["schema"]),
            annotations=tuple(
                Annotation(a["label"], tuple(Span(**s) for s in a["spans"]))
                for a in r["annotations"]
            ),
            event=r["event"] and Event(r["event"]["type"], Span(**r["event"]["trigger"])),
            source=r["source"],
        )
        for r in table.to_pylist()
    ]


def read(*paths: str | Path) -> list[Example]:
    """Examples of one or more EXAMPLES files, one after the other."""
    return [e for path in paths for e in from_table(parquet.read(path, parquet.EXAMPLES))]


def by_id(examples: Iterable[Example]) -> dict[str, Example]:
    return {e.id: e for e in examples}
