"""What formats of JSON records share: the records of a file, offsets of other countings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Mention, checks, files


def objects(file: Path) -> Iterator[tuple[str, Any]]:
    """``file#record`` and value of each record, in JSON lines (blank ones are none) or in one JSON
    list; a line that is no JSON gives ``Bad``."""
    if _begins_list(file):
        for number, record in enumerate(files.array(file)):
            yield f"{file}#{number}", record
        return
    number = -1
    for at, line in files.lines(file):
        if not line.strip():
            continue
        number += 1
        where = f"{file}#{number}"
        try:
            record = inner(line)
        except ValueError as error:
            record = Bad(where, f"line {at}: {error}")
        yield where, record


def _begins_list(file: Path) -> bool:
    for piece in files.chunks(file):
        if text := piece.lstrip():
            return text.startswith("[")
    return False


def inner(text: str) -> Any:
    """The JSON value in a string; ``ValueError`` for what is none."""
    try:
        return files.value(text, "")
    except UserError as error:
        raise ValueError(str(error).removeprefix(": ").removesuffix("; correct the file")) from None


def offsets(start: Any, end: Any) -> tuple[int, int]:
    return checks.number(start, "an offset"), checks.number(end, "an offset")


def mention(text: str, start: int, end: int) -> Mention:
    """What stands at characters ``[start, end)``; an empty string where nothing can."""
    inside = 0 <= start < end <= len(text)
    return Mention(text[start:end] if inside else "", start, end)


def utf16(text: str) -> dict[int, int]:
    """UTF-16 units before a character -> characters before it. JavaScript counts these units: two
    for a character beyond U+FFFF, such as most emoji."""
    sizes = (2 if character > "\uffff" else 1 for character in text)
    return {units: at for at, units in enumerate(accumulate(sizes, initial=0))}
