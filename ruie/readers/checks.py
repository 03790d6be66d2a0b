"""Checks of values that a file gives; what is wrong with one is a ``TypeError`` or ``ValueError``,
which makes its record a bad one."""

from __future__ import annotations

from typing import Any

from ruie.readers import Fact, Mention


def string(value: Any, what: str = "a value") -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is not a string: {value!r:.60}")
    value.encode()  # half a surrogate pair is no text, and could not be written
    return value


def listed(value: Any, what: str = "a value") -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{what} is not a list: {value!r:.60}")
    return value


def members(record: Any, field: str) -> list[Any]:
    """A field that holds a list."""
    return listed(record[field], repr(field))


def number(value: Any, what: str = "a value") -> int:
    if type(value) is not int:
        raise TypeError(f"{what} is not a whole number: {value!r:.60}")
    return value


def fact(label: Any, *mentions: Mention) -> Fact:
    return Fact(string(label, "label"), mentions)
