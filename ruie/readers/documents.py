"""Documents with stand-off annotations, cut into instances: what the document formats share.

Offsets are those of the document until ``cut`` turns them into those of an instance: of one unit of
the document, a sentence as a rule (EEA: of one event in its unit). What crosses units cannot be
kept: an argument away from its trigger, a relation; each is an annotation left out. Line breaks
inside a unit become spaces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Fact, Mention, Record, Schema, Skip, Source, checks, files, rows

#: Values of the option ``types``.
TYPES = ("fine", "coarse")
_FLAT = str.maketrans("\n\r", "  ")


@dataclass(frozen=True)
class DocumentEvent:
    """``trigger``: label and trigger; ``arguments``: role and one mention each."""

    trigger: Fact
    arguments: Sequence[Fact]


@dataclass
class Document:
    """A text and what stands in it, by the text's offsets. ``notes`` and ``losses``: as a record's,
    of the whole document."""

    text: str
    entities: list[Fact] = field(default_factory=list)
    relations: list[Fact] = field(default_factory=list)
    events: list[DocumentEvent] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    def spans(self) -> list[tuple[int, int]]:
        """Of all mentions inside the text."""
        facts = [*self.entities, *self.relations]
        for event in self.events:
            facts += [event.trigger, *event.arguments]
        places = [(m.start, m.end) for fact in facts for m in fact.mentions]
        return [(s, e) for s, e in places if s is not None and e is not None and 0 <= s < e]


#: What one record becomes.
Instance = Record | Bad | Skip
#: A document and ``[start, end)`` of its units from a record.
Builder = Callable[[Any, Source], tuple[Document, list[tuple[int, int]]]]


@dataclass
class _Unit:
    """What falls into one unit. ``events``: trigger, arguments and losses of each."""

    start: int
    end: int
    facts: list[Fact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    events: list[tuple[Fact, list[Fact], list[str]]] = field(default_factory=list)

    def placed(self, fact: Fact) -> Fact:
        """The fact by offsets of the unit."""
        moved = (
            Mention(m.text.translate(_FLAT), (m.start or 0) - self.start, (m.end or 0) - self.start)
            for m in fact.mentions
        )
        return Fact(fact.label, tuple(moved))


def cut(
    document: Document,
    places: Sequence[tuple[int, int]],
    task: str,
    file: Path,
    record: int | None = None,
) -> Iterator[Instance]:
    """The instances of a document, which is a record of its file, or the file; ``places``:
    ``[start, end)`` of its units. ``Bad`` for an annotation that stands in none; ``Skip`` for a
    document without any instance."""
    units = [_Unit(start, end) for start, end in places]
    if task in ("NER", "RE"):
        lost = _put_facts(document.entities if task == "NER" else document.relations, units)
    else:
        lost = _put_events(document.events, units, task)
    for fact in lost:
        stands = ", ".join(f"{m.text!r} [{m.start}, {m.end}]" for m in fact.mentions)
        why = f"{fact.label}: {stands} is outside the text"
        yield Bad(f"{file}#{record or 0}", why, part=True)
    empty = True  # what is said of the whole document goes with the first instance
    for n, unit in enumerate(units):
        where = f"{file}#{n if record is None else record}"
        text = document.text[unit.start : unit.end].translate(_FLAT)
        instances: list[tuple[Fact | None, list[Fact], list[str], list[str]]]
        if task == "EEA":
            instances = [(event, found, [], losses) for event, found, losses in unit.events]
        else:
            instances = [(None, unit.facts, unit.notes, unit.losses)]
        for event, facts, notes, losses in instances:
            if empty:
                notes, losses = [*document.notes, *notes], [*document.losses, *losses]
            yield Record(where, text, facts, event, notes, losses)
            empty = False
    if empty:
        where = f"{file}#{record or 0}"
        yield Skip(where, "document without an instance", document.notes, document.losses)


def of_records(file: Path, source: Source, build: Builder, form: str) -> Iterator[Instance]:
    """The instances of a file that holds one document a record; ``form``: what a record must be."""
    for n, (where, given) in enumerate(rows.objects(file)):
        if isinstance(given, Bad):
            yield given
            continue
        try:
            document, units = build(given, source)
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected {form}")
            continue
        yield from cut(document, units, source.task, file, n)


def _units_of(fact: Fact, units: Sequence[_Unit]) -> list[_Unit]:
    """The units of a fact's mentions; shorter where one stands in none."""
    found = []
    for m in fact.mentions:
        start, end = (-1, -1) if m.start is None or m.end is None else (m.start, m.end)
        at = bisect_right(units, start, key=lambda unit: unit.start) - 1
        if at >= 0 and start < end <= units[at].end:
            found.append(units[at])
    return found


def _put_facts(facts: Sequence[Fact], units: Sequence[_Unit]) -> list[Fact]:
    """Into the units; the facts that stand in none."""
    lost = []
    for fact in facts:
        found = _units_of(fact, units)
        if len(found) < len(fact.mentions):
            lost.append(fact)
        elif all(unit is found[0] for unit in found):
            found[0].facts.append(found[0].placed(fact))
        else:
            found[0].losses.append("relation between sentences left out")
    return lost


def _put_events(events: Sequence[DocumentEvent], units: Sequence[_Unit], task: str) -> list[Fact]:
    """Into the units; the triggers and arguments that stand in none."""
    lost, seen = [], set()
    for event in events:
        found = _units_of(event.trigger, units)
        if not found:
            lost.append(event.trigger)
            continue
        unit = found[0]
        trigger, arguments, losses = unit.placed(event.trigger), [], []
        if event.trigger not in seen:
            unit.facts.append(trigger)
        else:
            unit.losses.append("second event of the same type and trigger left out")
        seen.add(event.trigger)
        for argument in event.arguments if task == "EEA" else ():
            at = _units_of(argument, units)
            if not at:
                lost.append(argument)
            elif at[0] is unit:
                arguments.append(unit.placed(argument))
            else:
                losses.append("argument in another sentence left out")
        unit.events.append((trigger, arguments, losses))
    return lost


def type_name(name: str, source: Source) -> str:
    """An event type of several levels (``conflict.attack.bombing``); with the option
    ``types=coarse`` its first level alone (``conflict``)."""
    return name.split(".", 1)[0] if source.options.get("types") == "coarse" else name


def ontology(source: Source, role: Callable[[str], str] = str) -> Schema | None:
    """Event types and their roles from the file that the option ``ontology`` names, below the
    data's folder: ``[[type, [roles]]]`` or ``{type: {"roles": [roles]}}``. None without it."""
    name = source.options.get("ontology")
    if not name or source.task not in ("EET", "EEA"):
        return None
    path = (source.path if source.path.is_dir() else source.path.parent) / name
    given: Any = files.document(path)
    found: dict[str, list[str]] = {}
    try:
        pairs = given.items() if isinstance(given, Mapping) else given
        for kind, value in pairs:
            roles = value["roles"] if isinstance(value, Mapping) else value
            mine = found.setdefault(type_name(checks.string(kind), source), [])
            mine += [
                r for r in dict.fromkeys(role(checks.string(r)) for r in roles) if r not in mine
            ]
    except (KeyError, TypeError, ValueError):
        found = {}
    if not found:
        form = '[[type, [roles]]] or {type: {"roles": [roles]}}'
        raise UserError(f"{path}: must be {form}, and not empty; correct it")
    return found


def tokens(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words joined by spaces, and where each stands."""
    places, at = [], 0
    for word in words:
        places.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(words), places
