"""Predictions of this project or any other, record by record, each checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruie import parquet
from ruie.cli import UserError

#: What must be there; all text, but for the schema, which is a list of text.
REQUIRED = ("query_id", "task", "dataset", "schema", "text", "query", "gold", "prediction")
#: What a number is measured on.
KEYS = ("system", "llm", "k", "task", "dataset")
OPTIONAL = ("system", "llm", "k", "error")
#: What tells more about an answer: ids in a list, and why it ended.
FURTHER = ("demonstrations", "finish_reason")
#: What may be null, or missing altogether.
NULLABLE = ("prediction", *OPTIONAL, *FURTHER)


def read(path: Path, more: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The records of a Parquet or JSON-lines file, in its order; what is required or optional, and
    those of ``FURTHER`` that ``more`` names.

    Raises ``UserError`` for a file or a record that cannot be used.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; run inference, or mend the path")
    columns = (*REQUIRED, *OPTIONAL, *more)
    rows = (_json_lines if path.suffix == ".jsonl" else _parquet)(path, columns)
    known: set[tuple[str, ...]] = set()
    for number, row in rows:
        fault = _fault(row, known)
        if fault:
            raise UserError(f"{path}#{number}: {fault}")
        yield row


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            raise UserError(f"{path}: neither Parquet nor named .jsonl; convert or rename it")
    with parquet.opened(path, "make it again") as table:
        found = table.schema_arrow.names
        missing = [c for c in REQUIRED if c not in found]
        if missing:
            raise UserError(f"{path}: columns {missing} are missing")
        wanted = [c for c in columns if c in found]
        number = 0
        for batch in table.iter_batches(10_000, columns=wanted):
            names = batch.schema.names
            for values in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                yield number, dict(zip(names, values, strict=True))
                number += 1


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    # by line feeds alone: other line separators are legal inside a JSON string
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}#{number}: not UTF-8 text (byte {error.start} of the line); convert it"
                ) from None
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}#{number}: not a JSON object: {error}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}#{number}: not a JSON object but {_short(row)}")
            missing = [c for c in REQUIRED if c not in row]
            if missing:
                raise UserError(f"{path}#{number}: fields {missing} are missing")
            yield number, {c: row[c] for c in columns if c in row}


def _fault(row: dict[str, Any], known: set[tuple[str, ...]]) -> str | None:
    """What is wrong with a record's types; ``known`` holds schemas that were looked at before."""
    for name, value in row.items():
        if value is None and name in NULLABLE:
            continue
        lists = name in ("schema", "demonstrations")
        if lists and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            return f"{name} is {_short(value)}, not a list of text"
        if name == "schema":
            labels = tuple(value)
            if labels not in known:
                if not all(map(_writable, labels)):
                    return f"schema is {_short(value)}, which holds half a character (surrogate)"
                known.add(labels)
        elif name == "k":
            if isinstance(value, float) and value.is_integer():  # as pandas has it beside gaps
                row["k"] = value = int(value)
            if type(value) is not int or not 0 <= value < 2**31:
                return f"k is {_short(value)}, not a whole number from 0"
        elif not lists and not isinstance(value, str):
            return f"{name} is {_short(value)}, not text"
        elif name in ("query_id", "system", "llm", "dataset") and not _writable(value):
            return f"{name} is {_short(value)}, which holds half a character (surrogate)"
    return None


def _writable(text: str) -> bool:
    return text.isascii() or text == text.encode("utf-8", "ignore").decode("utf-8")


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."
