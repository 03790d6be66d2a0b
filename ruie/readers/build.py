"""From what a file says to checked examples: the part of reading that all formats share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ruie.cli import UserError
from ruie.examples import Annotation, Event, Example, Span
from ruie.readers import Bad, Fact, Format, Mention, Problems, Record, Schema, Skip, Source

#: Types that stand for "nothing" in real files; skipped and counted.
SKIPPED_TYPES = ("NA", "")
#: Unknown labels that are counted each by its name.
NAMED = 100
#: How files call the splits.
SPLIT_NAMES = {
    "train": {"train", "training"},
    "dev": {"dev", "devel", "development", "val", "valid", "validation", "eval"},
    "test": {"test", "testing"},
}


def split_files(source: Source, suffixes: Sequence[str], split: str) -> list[Path]:
    """The files of a split, sorted: the path itself where it is a file; what ``source.files``
    names; else ``{split}.json`` or so; else all files of the format with the split's name as a word
    of their own name, or of a folder's where that says nothing. Empty for none. ``UserError`` for
    a name of two splits."""
    if source.path.is_file():
        return [source.path]
    if not source.path.is_dir():
        raise UserError(
            f"{source.path}: no such data folder or file; mend the path in the dataset registry"
        )
    if source.files is not None:
        globs = source.files.get(split, ())
        for name in globs:
            if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
                raise UserError(f"{source.path}: files: {name!r} must be a name or glob below it")
        try:
            named = {p for name in globs for p in source.path.glob(name)}
        except ValueError as error:
            raise UserError(f"{source.path}: files: {error}; correct the glob") from None
        return sorted(p for p in named if p.is_file())
    plain = [source.path / f"{split}{suffix}" for suffix in suffixes]
    if found := [p for p in plain if p.is_file()]:
        return found
    names = {**SPLIT_NAMES, split: SPLIT_NAMES.get(split, {split})}
    found = []
    for path in sorted(source.path.rglob("*")):
        inner = path.relative_to(source.path)
        if (
            path.suffix.lower() not in suffixes
            or any(part.startswith(".") or part == "__MACOSX" for part in inner.parts)
            or not path.is_file()
        ):
            continue
        # the file's own name decides; where it names no split, the nearest folder that does
        for part in (inner.stem, *inner.parts[-2::-1]):
            words = set(re.split(r"[\W_]+", part.lower()))
            splits = sorted(name for name in names if names[name] & words)
            if len(splits) > 1 and split in splits:
                raise UserError(
                    f"{path}: {part!r} names the splits {' and '.join(splits)}; name the files of "
                    "each split with `files` in the registry, or --files by hand"
                )
            if splits:
                found += [path] if split in splits else []
                break
    return found


def examples(form: Format, source: Source, problems: Problems) -> Iterator[Example]:
    """Examples of one split, in file order.

    Raises ``UserError`` for a missing folder or file, a file that is none of the format, and, when
    nothing is to be repaired, for a bad record: a span that does not match its text, a label
    outside the schema, an empty text.
    """
    check(form, source)
    files = split_files(source, form.SUFFIXES, source.split)
    if not files:
        raise UserError(
            f"{source.path}: no file of split {source.split!r} ({', '.join(form.SUFFIXES)}); name "
            "its files with `files` in the registry, or --files by hand"
        )
    labels = Labels(form, source, problems)
    number = -1
    for file in files:
        for record in form.records(file, source):
            if isinstance(record, Bad) and record.part:
                what = "unreadable annotation"
                problems.add(what, record.where, record.why, "annotation left out")
                continue
            number += 1
            if isinstance(record, Skip):
                _note(record, problems)
                problems.note(record.why, record.where, "", "record left out")
                problems.end(kept=False)
                continue
            if isinstance(record, Bad):
                problems.add("unreadable record", record.where, record.why, "record left out")
                problems.end(kept=False)
                continue
            example = _example(record, number, source, labels, problems)
            if example is not None and source.annotated_only and not example.annotations:
                what = "nothing annotated: left out, as the registry says"
                problems.note(what, record.where, "", "record left out")
                example = None
            problems.end(kept=example is not None)
            if example is not None:
                yield example


def check(form: Format, source: Source) -> None:
    """``UserError`` for a task that the format does not hold, and for an option or a value of one
    that it does not know."""
    if source.task not in form.TASKS:
        raise UserError(
            f"{source.path}: this format holds no {source.task}; use it for {', '.join(form.TASKS)}"
        )
    for name, value in source.options.items():
        if name not in form.OPTIONS:
            known = ", ".join(form.OPTIONS) or "none"
            raise UserError(f"{source.path}: no option {name!r} in this format; options: {known}")
        if form.OPTIONS[name] and value not in form.OPTIONS[name]:
            allowed = " or ".join(v or "nothing" for v in form.OPTIONS[name])
            raise UserError(f"{source.path}: option {name}={value}: must be {allowed}")


class Labels:
    """Label names and the schema: the renamed labels where ``source.labels`` is given; else what
    the format says; else every label in the files of all splits, sorted."""

    def __init__(self, form: Format, source: Source, problems: Problems) -> None:
        self.names, self.problems = source.labels, problems
        self.unknown: set[str] = set()
        self.eea = source.task == "EEA"
        stated = getattr(form, "schema", None)
        found: Schema | None = stated(source) if stated else None
        if found is None and (self.names is None or self.eea):
            found = self._collect(form, source)
        self.roles: Mapping[str, tuple[str, ...]] = {}
        if isinstance(found, Mapping):
            self.roles = {
                event: self._renamed(roles)
                for event, roles in found.items()
                if self._name(event) is not None
            }
        names = list(self.roles) if isinstance(found, Mapping) else list(found or ())
        if self.names is not None and not self.eea:
            names = list(self.names)
        self.schema = self._renamed(names)
        self.roles = {str(self._name(event)): roles for event, roles in self.roles.items()}
        self.known = set(self.schema)
        for label in (*self.schema, *(role for roles in self.roles.values() for role in roles)):
            if not _is_unicode(label):
                raise UserError(
                    f"{source.path}: label {label!r}: half a surrogate pair is no text; correct it"
                )
        if not self.schema:
            problems.note("no label at all: the schema is empty", str(source.path), "")

    def _collect(self, form: Format, source: Source) -> Schema:
        files = {f for s in SPLIT_NAMES for f in split_files(source, form.SUFFIXES, s)}
        files |= set(split_files(source, form.SUFFIXES, source.split))
        plain: set[str] = set()
        roles: dict[str, set[str]] = {}
        for file in sorted(files):
            for record in form.records(file, source):
                if isinstance(record, Record):
                    mine = plain
                    if record.event is not None:
                        if not _is_unicode(record.event.label):
                            continue
                        mine = roles.setdefault(record.event.label, set())
                    # what is no text stays unknown, and is counted when its record is read
                    mine.update(f.label for f in record.facts if _is_unicode(f.label))
        if self.eea:
            return {event: sorted(roles[event]) for event in sorted(roles)}
        return sorted(plain)

    def _name(self, label: str) -> str | None:
        if self.names is None:
            return label
        return self.names.get(label, label if self.eea else None)

    def _renamed(self, labels: Sequence[str]) -> tuple[str, ...]:
        names = (self._name(label) for label in labels if label not in SKIPPED_TYPES)
        return tuple(dict.fromkeys(n for n in names if n is not None))

    def keep(
        self, label: str, known: set[str], where: str, loss: str = "annotation left out"
    ) -> str | None:
        """The label's name in the tables, or None where it costs what ``loss`` says."""
        if self.names is None and label in known:
            return label
        if label in SKIPPED_TYPES:
            self.problems.note(f"type {label!r} skipped", where, repr(label), loss)
            return None
        if self.names is not None and label in self.names and self.names[label] is None:
            self.problems.note(
                f"label {label!r} left out, as the registry says", where, repr(label), loss
            )
            return None
        name = self._name(label)
        if name is None or name not in known:
            self.unknown.add(label)
            what = f"unknown label {label!r}" if len(self.unknown) <= NAMED else "unknown label"
            self.problems.add(what, where, f"{label!r} is not in the schema", loss)
            return None
        return name


def _example(
    record: Record, number: int, source: Source, labels: Labels, problems: Problems
) -> Example | None:
    where, text, facts = record.where, record.text, record.facts
    _note(record, problems)
    if not text.strip():
        problems.add("empty sentence", where, repr(text), "record left out")
        return None
    if not _is_unicode(text):
        problems.add("half a surrogate pair", where, repr(text), "record left out")
        return None
    event, schema, known = None, labels.schema, labels.known
    if record.event is not None:
        facts = [record.event, *facts]
    finder = Finder(text, facts, where, problems)
    if record.event is not None:
        loss = "record left out"
        kind = labels.keep(record.event.label, known, where, loss)
        trigger = finder.find(record.event.mentions[0], loss) if kind is not None else None
        if kind is None or trigger is None:
            return None
        event, schema = Event(kind, trigger), labels.roles[kind]
        known = set(schema)
    found = []
    for fact in record.facts:
        label = labels.keep(fact.label, known, where)
        if label is not None:
            # two relations of one string are of one mention; head and tail are two
            at = Finder(text, [fact], where, problems) if source.task == "RE" else finder
            spans = tuple([at.find(mention) for mention in fact.mentions])
            if None not in spans:
                found.append(Annotation(label, spans))  # type: ignore[arg-type]
    if len(found) > 1 and len(set(found)) < len(found):
        problems.note("annotation repeated in its record", where, "")
    return Example(
        id=f"{source.dataset}/{source.split}/{number:06d}",
        task=source.task,
        dataset=source.dataset,
        split=source.split,
        text=text,
        schema=schema,
        annotations=tuple(found),
        event=event,
        source=where.rsplit("/", 1)[-1],
    )


def _note(record: Record | Skip, problems: Problems) -> None:
    for note in record.notes:
        problems.note(note, record.where, "")
    for loss in record.losses:
        problems.note(loss, record.where, "", "annotation left out")


def _is_unicode(text: str) -> bool:
    """Whether it can be written: half a surrogate pair cannot. (Spans are parts of a text, labels
    stand in the schema; whatever else a record says is only shown as ``repr`` has it.)"""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _occurrences(text: str, name: str) -> list[int]:
    """Where a string stands literally; places that cut a word come last."""
    found, at = [], text.find(name) if name else -1
    while at >= 0:
        found.append(at)
        at = text.find(name, at + 1)

    def cuts(at: int) -> bool:
        edges = text[max(0, at - 1) : at + 1], text[at + len(name) - 1 : at + len(name) + 1]
        return any(len(edge) == 2 and edge.isalnum() for edge in edges)

    return sorted(found, key=cuts)


class Finder:
    """Finds the mentions of some facts in their text. Places where a mention stands as stated are
    taken before any other is looked for, so that the order of facts makes no difference to them."""

    def __init__(self, text: str, facts: Sequence[Fact], where: str, problems: Problems) -> None:
        self.text, self.facts, self.where, self.problems = text, facts, where, problems
        self.taken: set[tuple[int, int]] | None = None  # only made where something is missing

    def stated(self, mention: Mention) -> Span | None:
        """The span, if it is where the mention says."""
        name, start, end = mention
        if start is None or end is None or start < 0 or self.text[start:end] != name or not name:
            return None
        return Span(name, start, end) if end <= len(self.text) else None

    def find(self, mention: Mention, loss: str = "annotation left out") -> Span | None:
        """The span where the mention says it is; else, repaired, at the first free literal
        occurrence, of whole words if there is one (a string without offsets is no fault, but
        counted)."""
        if (span := self.stated(mention)) is not None:
            return span
        if self.taken is None:
            mentions = [m for fact in self.facts for m in fact.mentions]
            self.taken = {(s.start, s.end) for s in map(self.stated, mentions) if s is not None}
        name, start, end = mention
        places = _occurrences(self.text, name)
        free = [at for at in places if (at, at + len(name)) not in self.taken]
        if places and not free:
            self.problems.note("no free occurrence: on a taken one", self.where, repr(name))
        at = (free or places or [-1])[0]
        what = f"span {name!r}" + ("" if start is None else f" does not stand at [{start}, {end}]")
        if at < 0:
            self.problems.add("span not in text", self.where, what, loss)
            return None
        if start is None:
            self.problems.note("offsets found by literal search", self.where, what)
        else:
            self.problems.add("wrong offsets", self.where, what, "found by literal search")
        self.taken.add((at, at + len(name)))
        return Span(name, at, at + len(name))
