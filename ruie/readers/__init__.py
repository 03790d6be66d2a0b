"""Readers of dataset formats.

A format is a module with ``SUFFIXES`` (of its files), ``TASKS``, ``OPTIONS`` (name -> values, the
first the default; none: any) and ``records(file, source)``, which yields what the file says,
sentence by sentence, unchecked. Everything else is the same for all formats
and stands in ``ruie.readers.build``: which files make a split, label names and the schema, offsets,
ids, and the counting of what was mended or left out. A format that keeps its label set beside its
data reads it in ``schema(source)``, and names the file in ``LABELS`` where it is always the same.
Globs of what else it reads, where that is there, stand in ``BESIDE``: the workflow reads again what
changes there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from ruie.cli import UserError, log
from ruie.examples import Example

#: A label set: labels, or the roles of each event type (EET, EEA).
Schema = Sequence[str] | Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Source:
    """What to read.

    ``path``: a folder, or one file. ``files``: split -> names or globs below ``path``, where the
    files do not tell by their names which split they are. ``labels``: label in the files -> label
    in the tables, in the schema's order (None: such annotations are left out, counted); without it
    (EEA: where it does not name them) labels stay as they are. ``options``: what a format alone
    understands, documented there. ``annotated_only``: sentences in which nothing is annotated are
    left out, counted.
    """

    path: Path
    task: str
    dataset: str
    split: str
    files: Mapping[str, Sequence[str]] | None = None
    labels: Mapping[str, str | None] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    annotated_only: bool = False


class Mention(NamedTuple):
    """A span as a file gives it: ``start`` and ``end`` count characters of the record's text, or
    are None where the file names the string alone."""

    text: str
    start: int | None = None
    end: int | None = None


class Fact(NamedTuple):
    """An annotation as a file gives it: NER the entity; RE head and tail; EET the trigger; EEA one
    argument, its role as the label."""

    label: str
    mentions: tuple[Mention, ...]


class Record(NamedTuple):
    """One instance as a file gives it. ``where``: ``file#record``, records from 0. ``event``: the
    given event of an EEA instance, its type as the label. ``notes``: what the reader could not keep
    as it stood ("discontinuous span: ..."). ``losses``: annotations that it could not keep at all
    ("relation between sentences left out"), one entry each. Both are counted."""

    where: str
    text: str
    facts: Sequence[Fact]
    event: Fact | None = None
    notes: Sequence[str] = ()
    losses: Sequence[str] = ()


class Bad(NamedTuple):
    """A record that cannot be read, and why; left out and counted, or the end of the reading.
    ``part``: not a record, but an annotation of the next one."""

    where: str
    why: str
    part: bool = False


class Skip(NamedTuple):
    """A record that is sound but not wanted, and why ("record of another task"); counted, with
    ``notes`` and ``losses`` as a ``Record`` has them."""

    where: str
    why: str
    notes: Sequence[str] = ()
    losses: Sequence[str] = ()


class Format(Protocol):
    """What a format's module offers."""

    SUFFIXES: tuple[str, ...]
    TASKS: tuple[str, ...]
    OPTIONS: Mapping[str, Sequence[str]]

    def records(self, file: Path, source: Source) -> Iterator[Record | Bad | Skip]:
        """What one file says. Raises ``UserError`` for a file that is none of the format."""


#: What a fault may cost; whatever else is done about one mends it.
LOSSES = ("record left out", "annotation left out")
#: Faults of a kind that the log lists; all are counted.
LISTED = 20


@dataclass
class Problems:
    """Faults found while reading. With ``repair`` off (the default) the first stops the reading;
    with it on each is mended or left out as ``mended`` says, and counted.

    Every record is accounted for: ``records`` were read, ``left_out`` of them are in no table, and
    ``bad`` lost something to a fault: themselves or an annotation.
    """

    repair: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    records: int = 0
    left_out: int = 0
    bad: int = 0
    first_bad: str = ""
    _lossy: bool = False

    def add(self, what: str, where: str, detail: str, mended: str) -> None:
        """``what``: the kind of fault; ``where``: ``file#record``; ``mended``: what repair does."""
        if not self.repair:
            raise UserError(
                f"{where}: {what}: {detail}; correct the record, or let the dataset be repaired "
                f"(repair: true in the registry, --repair by hand): {mended}"
            )
        if mended in LOSSES:
            self._lossy = True
            self.first_bad = self.first_bad or f"{where}: {what}: {detail}"
        if self.counts[f"{what} ({mended})"] < LISTED:
            log.warning("%s: %s (%s): %s", where, what, mended, detail)
        outcome = mended if mended in LOSSES else "mended"
        self.note(f"{what} ({mended})", where, detail, outcome)

    def note(self, what: str, where: str, detail: str, outcome: str = "noted") -> None:
        """Count something that must be seen; by itself no fault."""
        self.counts[what] += 1
        self.first.setdefault(what, f"{where}: {detail}")
        self.outcomes.setdefault(what, outcome)

    def end(self, kept: bool) -> None:
        """A record has been read, with the faults added since the last one."""
        self.records += 1
        self.left_out += not kept
        self.bad += self._lossy
        self._lossy = False


#: The name that users write -> the module.
FORMATS = {
    "ie_instructions": "ie_instructions",
    "ace_json": "ace_json",
    "bio": "bio",
    "bionlp": "bionlp",
    "brat": "brat",
    "casie": "casie",
    "doccano": "doccano",
    "entity_pairs": "entity_pairs",
    "fewrel": "fewrel",
    "gliner": "gliner",
    "iepile": "iepile",
    "label_studio": "label_studio",
    "phee": "phee",
    "rams": "rams",
    "relation_mentions": "relation_mentions",
    "semeval": "semeval",
    "spans": "spans",
    "spert": "spert",
    "triplets": "triplets",
    "wikievents": "wikievents",
}


def get(name: str) -> Callable[[Source, Problems], Iterator[Example]]:
    """The reader of a format: ``build.examples`` of its module."""
    from ruie.readers import build

    if name not in FORMATS:
        raise UserError(f"format {name!r} is not known; use one of: {', '.join(FORMATS)}")
    module: Format = import_module(f"ruie.readers.{FORMATS[name]}")  # type: ignore[assignment]
    return partial(build.examples, module)
