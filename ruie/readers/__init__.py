"""Readers of dataset formats. Each is a function ``read(source: Source, problems: Problems)``
that yields examples; a format is registered here under the name that users write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ruie.cli import UserError
from ruie.examples import Example


@dataclass(frozen=True)
class Source:
    """What to read: ``path`` is a folder or file, as the format has it."""

    path: Path
    task: str
    dataset: str
    split: str


@dataclass
class Problems:
    """Faults found while reading. With ``repair`` off (the default) the first stops the reading;
    with it on each is mended or left out as ``mended`` says, and counted."""

    repair: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, where: str, detail: str, mended: str) -> None:
        """``what``: the kind of fault; ``where``: ``file#record``; ``mended``: what repair does."""
        if not self.repair:
            raise UserError(
                f"{where}: {what}: {detail}; correct the record, or let the dataset be repaired "
                f"(repair: true in the registry, --repair by hand): {mended}"
            )
        self.note(f"{what} ({mended})", where, detail)

    def note(self, what: str, where: str, detail: str) -> None:
        """Count something that is no fault but must be seen."""
        self.counts[what] += 1
        self.first.setdefault(what, f"{where}: {detail}")


Reader = Callable[[Source, Problems], Iterator[Example]]


def get(name: str) -> Reader:
    """The reader of a format."""
    from ruie.readers import ie_instructions

    readers: dict[str, Reader] = {"ie_instructions": ie_instructions.read}
    if name not in readers:
        raise UserError(f"format {name!r} is not known; use one of: {', '.join(readers)}")
    return readers[name]
