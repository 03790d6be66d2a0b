"""What formats of JSON records share: the records of a file, their fields, offsets of other
countings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Fact, Mention, files


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


def string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is not a string: {value!r}")
    value.encode()  # half a surrogate pair is no text, and could not be written
    return value


def members(record: Any, field: str) -> list[Any]:
    """A field that holds a list."""
    value = record[field]
    if not isinstance(value, list):
        raise TypeError(f"{field!r} is not a list")
    return value


def fact(label: Any, *mentions: Mention) -> Fact:
    return Fact(string(label, "label"), mentions)


def offsets(start: Any, end: Any) -> tuple[int, int]:
    if type(start) is not int or type(end) is not int:
        raise TypeError(f"offsets must be whole numbers, not {start!r} and {end!r}")
    return start, end


def mention(text: str, start: int, end: int) -> Mention:
    """What stands at characters ``[start, end)``; an empty string where nothing can."""
    inside = 0 <= start < end <= len(text)
    return Mention(text[start:end] if inside else "", start, end)


def utf16(text: str) -> dict[int, int]:
    """UTF-16 units before a character -> characters before it. JavaScript counts these units: two
    for a character beyond U+FFFF, such as most emoji."""
    sizes = (2 if character > "\uffff" else 1 for character in text)
    return {units: at for at, units in enumerate(accumulate(sizes, initial=0))}
