"""An IE instance, whatever its task: text, schema, annotations with character offsets."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ruie import parquet, schemas
from ruie.cli import UserError

#: The four tasks by the short names of the IE_INSTRUCTIONS folders (section 3.1).
TASKS = ("NER", "RE", "EET", "EEA")
#: In a table's column of tasks or datasets: all of them.
ALL = "all"


def evened(text: str) -> str:
    """A text with case, spacing and Unicode form evened out: what "the same sentence" means when a
    query must not be its own demonstration."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_hash(text: str) -> str:
    """Hash of the evened text."""
    return hashlib.sha256(evened(text).encode()).hexdigest()[:16]


class Span(NamedTuple):
    """``text`` at characters ``[start, end)`` of the sentence."""

    text: str
    start: int
    end: int


class Annotation(NamedTuple):
    """A label and its spans: one, or (head, tail) for RE."""

    label: str
    spans: tuple[Span, ...]


class Event(NamedTuple):
    """The event that an EEA instance asks about: its type and its trigger are given."""

    type: str
    trigger: Span


class Example(NamedTuple):
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
        """Hash of the evened text."""
        return text_hash(self.text)


def to_table(examples: Sequence[Example]) -> pa.Table:
    """The EXAMPLES table, column by column (a million rows as dicts would take minutes); ``answer``
    is derived (Appendix D) and stored to be seen."""
    from ruie.prompt import answer

    def nested(sizes: Iterable[int], values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array([0, *accumulate(sizes)], pa.int32()), values)

    def spans(members: Sequence[Span], mask: pa.Array | None = None) -> pa.Array:
        text, start, end = zip(*members, strict=True) if members else ((), (), ())
        columns = [
            pa.array(text, pa.string()),
            pa.array(start, pa.int32()),
            pa.array(end, pa.int32()),
        ]
        return pa.StructArray.from_arrays(columns, ["text", "start", "end"], mask=mask)

    annotations = [a for e in examples for a in e.annotations]
    inside = [
        pa.array([a.label for a in annotations], pa.string()),
        nested(
            (len(a.spans) for a in annotations), spans([s for a in annotations for s in a.spans])
        ),
    ]
    no_event = pa.array([e.event is None for e in examples], pa.bool_())
    none = Event("", Span("", 0, 0))
    events = [e.event or none for e in examples]
    event = pa.StructArray.from_arrays(
        [pa.array([e.type for e in events], pa.string()), spans([e.trigger for e in events])],
        ["type", "trigger"], mask=no_event,
    )  # fmt: skip
    # a dataset has few schemas, of many labels each
    label_sets = {labels: n for n, labels in enumerate(dict.fromkeys(e.schema for e in examples))}
    each = pa.array(map(list, label_sets), pa.list_(pa.string()))
    columns = {
        "schema": each.take(pa.array([label_sets[e.schema] for e in examples], pa.int32())),
        "annotations": nested(
            (len(e.annotations) for e in examples),
            pa.StructArray.from_arrays(inside, ["label", "spans"]),
        ),
        "event": event,
        "answer": pa.array(map(answer, examples), pa.string()),
    }
    for name in schemas.EXAMPLES.names:
        if name not in columns:
            columns[name] = pa.array([getattr(e, name) for e in examples], pa.string())
    ordered = [columns[f.name].cast(f.type) for f in schemas.EXAMPLES]
    return pa.Table.from_arrays(ordered, schema=schemas.EXAMPLES)


def from_table(table: pa.Table | pa.RecordBatch) -> list[Example]:
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
    return [e for path in paths for e in from_table(parquet.read(path, schemas.EXAMPLES))]


def batches(path: str | Path, size: int) -> Iterator[list[Example]]:
    """Examples of a file that may be larger than memory, ``size`` at a time, the last ones fewer;
    raises what ``read`` raises."""
    for batch in parquet.batches(path, schemas.EXAMPLES, schemas.EXAMPLES.names, size):
        yield from_table(batch)


def chosen(path: str | Path, ids: Iterable[str]) -> dict[str, Example]:
    """The examples with these ids, by id, of a file that may be larger than memory. ``UserError``
    for an id that it does not hold."""
    asked = dict.fromkeys(ids)
    wanted = pa.array(asked, pa.string())
    found: dict[str, Example] = {}
    for batch in parquet.batches(path, schemas.EXAMPLES, schemas.EXAMPLES.names):
        found |= by_id(from_table(batch.filter(pc.is_in(batch["id"], wanted))))
    if odd := [name for name in asked if name not in found]:
        raise UserError(f"{path}: holds no sample {odd[0]!r}, which was retrieved from another "
                        "pool; run retrieve again")  # fmt: skip
    return found


def by_id(examples: Iterable[Example]) -> dict[str, Example]:
    return {e.id: e for e in examples}


def coded(
    ids: pa.ChunkedArray, known: Mapping[str, Example], what: str, where: object
) -> tuple[list[int], list[Example]]:
    """For each of the ``ids`` a place in a list of examples, and that list. ``UserError`` for an
    id that is not ``known``; it says ``what`` it is of and ``where`` it stands."""
    if ids.null_count:
        raise UserError(f"{where}: a row has no {what}; run the stage that writes it again")
    column = ids.combine_chunks().dictionary_encode()
    names = column.dictionary.to_pylist()
    if odd := [n for n in names if n not in known]:
        raise UserError(
            f"{where}: {what} {odd[0]!r} is not in its table of examples; make both anew"
        )
    return column.indices.to_pylist(), [known[n] for n in names]
