"""The plainest form for own data: JSON lines (or one JSON list), or CSV.

NER  ``{"text", "spans": [{"start", "end", "label"}]}``
RE   ``{"text", "relations": [{"head": {"start", "end"}, "tail": {"start", "end"}, "label"}]}``
EET  ``{"text", "events": [{"trigger": {"start", "end"}, "label"}]}``
EEA  ``{"text", "event": {"trigger": {"start", "end"}, "label"}, "arguments": [{"start", "end",
"label"}]}``

``start`` and ``end`` count characters, the end excluded; ``text`` may stand beside them, and is
then checked, or in their place. A CSV file begins with a line of column names: ``text`` and the
fields above with JSON in their cells; or, for NER, ``text,start,end,label`` or ``text,span,label``
with one span a row, by its offsets or its string: rows with the same text belong together, empty
cells say that the text has no span, and with both string and offsets one is checked against the
other. Option ``delimiter``: the sign between the cells (``,``, in
a .tsv file a tab; ``tab`` for a tab).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Fact, Mention, Record, Source, checks, files, rows

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv")
TASKS = ("NER", "RE", "EET", "EEA")
OPTIONS = {"delimiter": ()}
FIELDS = {"NER": ["spans"], "RE": ["relations"], "EET": ["events"], "EEA": ["event", "arguments"]}
#: Columns of a CSV file with one span a row.
ONE_SPAN = (("start", "end", "label"), ("span", "label"))


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    is_csv = file.suffix.lower() in (".csv", ".tsv")
    for where, record in _csv(file, source) if is_csv else rows.objects(file):
        if isinstance(record, Bad):
            yield record
            continue
        try:
            text = checks.string(record["text"], "the text")
            event, facts = _built(text, record, source.task)
        except files.FAULTS as error:
            form = " and ".join(repr(field) for field in ["text", *FIELDS[source.task]])
            yield Bad(where, f"{files.why(error)}; expected a {source.task} record with {form}")
            continue
        yield Record(where, text, facts, event)


def _built(text: str, record: Any, task: str) -> tuple[Fact | None, list[Fact]]:
    if task == "NER":
        return None, [_fact(text, span, span) for span in checks.members(record, "spans")]
    if task == "RE":
        relations = checks.members(record, "relations")
        return None, [_fact(text, r, r["head"], r["tail"]) for r in relations]
    if task == "EET":
        return None, [_fact(text, e, e["trigger"]) for e in checks.members(record, "events")]
    event = _fact(text, record["event"], record["event"]["trigger"])
    return event, [_fact(text, span, span) for span in checks.members(record, "arguments")]


def _fact(text: str, named: Any, *spans: Any) -> Fact:
    return checks.fact(named["label"], *(_mention(text, span) for span in spans))


def _mention(text: str, span: Any) -> Mention:
    if not isinstance(span, dict):
        raise TypeError(f"a span is not an object: {span!r}")
    said = None if span.get("text") is None else checks.string(span["text"], "text of a span")
    start, end = span.get("start"), span.get("end")
    if start is None and end is None:
        if not said:
            raise ValueError(f"a span has neither start and end nor text: {span}")
        return Mention(said)
    start, end = rows.offsets(start, end)
    return rows.mention(text, start, end) if said is None else Mention(said, start, end)


def _csv(file: Path, source: Source) -> Iterator[tuple[str, Any]]:
    """The records of a CSV file, as JSON would have them."""
    given = source.options.get("delimiter", "tab" if file.suffix.lower() == ".tsv" else ",")
    delimiter = "\t" if given == "tab" else given
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise UserError(f"option delimiter: must be one character or tab, not {given!r}")
    table = _table(file, delimiter)
    names = [name.strip() for name in next(table, [])]
    fields = FIELDS[source.task]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{file}: the column {twice[0]!r} stands twice; correct the first line")
    if {"text", *fields} <= set(names):
        return _cells(file, names, table, fields)
    forms = ONE_SPAN if source.task == "NER" else ()
    if any({"text", *form} <= set(names) for form in forms):
        return _spans(file, names, table)
    wanted = " or ".join(",".join(["text", *form]) for form in (fields, *forms))
    raise UserError(
        f"{file}: the first line must name the columns {wanted}, not {delimiter.join(names)!r}; "
        "correct it, or name the sign between the cells with the option delimiter="
    )


def _table(file: Path, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(_lines(file), delimiter=delimiter, strict=True)
    try:
        yield from (row for row in reader if row)
    except csv.Error as error:
        raise UserError(
            f"{file}: line {reader.line_num}: malformed CSV: {error}; correct the file"
        ) from None


def _lines(file: Path) -> Iterator[str]:
    """Lines with their ends, which may stand inside a cell."""
    rest = ""
    for piece in files.chunks(file):
        *whole, rest = (rest + piece).split("\n")
        yield from (line + "\n" for line in whole)
    if rest:
        yield rest


def _cells(
    file: Path, names: list[str], table: Iterator[list[str]], fields: list[str]
) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(table):
        where = f"{file}#{number}"
        record: dict[str, Any] = dict(zip(names, row, strict=False))
        try:
            _check_length(row, names)
            for field in fields:
                record[field] = rows.inner(record[field]) if record[field].strip() else []
        except ValueError as error:
            yield where, Bad(where, str(error))
            continue
        yield where, record


def _check_length(row: list[str], names: list[str]) -> None:
    if len(row) != len(names):
        raise ValueError(f"{len(row)} cells in a row of {len(names)} columns")


def _spans(file: Path, names: list[str], table: Iterator[list[str]]) -> Iterator[tuple[str, Any]]:
    """One record for each text, at its first row; all rows are held, for any may add to it."""
    found: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    for number, row in enumerate(table):
        where = f"{file}#{number}"
        cells = dict(zip(names, row, strict=False))
        try:
            _check_length(row, names)
        except ValueError as error:
            yield where, Bad(where, str(error))
            continue
        mine = found.setdefault(cells["text"], (where, []))[1]
        try:
            mine += _one_span(cells)
        except ValueError as error:
            yield where, Bad(where, str(error), part=True)
    for text, (where, spans) in found.items():
        yield where, {"text": text, "spans": spans}


def _one_span(cells: dict[str, str]) -> list[dict[str, Any]]:
    """The span of a row, none where its cells are empty. With both a string and offsets, one is
    checked against the other."""
    label, said = cells["label"].strip(), cells.get("span", "")
    start, end = (cells.get(name, "").strip() for name in ("start", "end"))
    if not (label or said.strip() or start or end):
        return []
    span: dict[str, Any] = {"label": label} | ({"text": said} if said.strip() else {})
    if said.strip() and not (start or end):
        return [span]
    try:
        return [span | {"start": int(start), "end": int(end)}]
    except ValueError:
        if "start" not in cells:
            raise ValueError("the cell span is empty, but label is not") from None
        raise ValueError(
            f"start and end must be whole numbers, not {cells['start']!r} and {cells['end']!r}"
        ) from None
