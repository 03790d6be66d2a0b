"""Read the JSON that language models write.

Beside JSON proper: single quotes, a comma before a closing bracket, a fence or the word ``json``
around it, and quotes within a string that nobody escaped, as far as it is clear where it ends.
Keys may come twice, and numbers keep their spelling. No depth or length makes it fail otherwise
than by ``Unreadable``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TypeAlias

DEPTH = 20  # no family's answers are deeper than 4


class Unreadable(Exception):
    """What is wrong, in a few words."""


@dataclass(frozen=True)
class Fields:
    """An object: its keys and values in their order, repeated ones included."""

    pairs: list[tuple[str, Value]]


Value: TypeAlias = "str | list[Value] | Fields | None"


def _string(quote: str) -> str:
    """A quoted string; it ends at a quote that a separator, a closing bracket or nothing follows.
    Each character can be read in one way only, so that no text takes long. (The repetition is not
    possessive: Python 3.11.2 matches those wrongly.)"""
    end = rf"{quote}(?=\s*(?:[,:\]}}]|\Z))"
    return rf"{quote}(?:\\.|(?!{end})[^\\])*{end}"


_TOKEN = re.compile(
    rf"\s*(?:(?P<string>{_string(chr(34))}|{_string(chr(39))})"
    r"|(?P<sign>[\[\]{},:])|(?P<word>[^\s\[\]{},:\"']+))",
    re.DOTALL,
)
_AROUND = re.compile(r"```(?:json)?|\Ajson\b", re.IGNORECASE)


def find(text: str) -> tuple[Value, str]:
    """The first list or object in a text, and what else the text says.

    Raises ``Unreadable`` without one that is whole.
    """
    text = _AROUND.sub(" ", text.strip())
    start = re.search(r"[\[{]", text)
    if not start:
        raise Unreadable("no JSON")
    value, end = _value(text, start.start(), 0)
    rest = (text[: start.start()].strip(), text[end:].strip())
    return value, " ".join(filter(None, rest))


def _next(text: str, at: int) -> tuple[str, str, int]:
    """Kind and text of the token at a place, and where the next begins."""
    found = _TOKEN.match(text, at)
    if not found or not found.lastgroup:
        raise Unreadable("cut off" if not text[at:].strip() else "not JSON")
    return found.lastgroup, found[found.lastgroup], found.end()


def _value(text: str, at: int, depth: int) -> tuple[Value, int]:
    kind, said, at = _next(text, at)
    if kind == "string":
        return _unquoted(said), at
    if kind == "word":
        return (None if said in ("null", "None") else said), at
    if said not in "[{":
        raise Unreadable("not JSON")
    if depth == DEPTH:
        raise Unreadable("nested too deep")
    if said == "[":
        return _list(text, at, depth + 1)
    return _fields(text, at, depth + 1)


def _list(text: str, at: int, depth: int) -> tuple[list[Value], int]:
    out: list[Value] = []
    end = _closed(text, at, "]")
    while end is None:
        member, at = _value(text, at, depth)
        out.append(member)
        at, end = _after(text, at, "]")
    return out, end


def _fields(text: str, at: int, depth: int) -> tuple[Fields, int]:
    out: list[tuple[str, Value]] = []
    end = _closed(text, at, "}")
    while end is None:
        kind, key, at = _next(text, at)
        sign, colon, at = _next(text, at)
        if kind == "sign" or (sign, colon) != ("sign", ":"):
            raise Unreadable("not JSON")
        member, at = _value(text, at, depth)
        out.append((_unquoted(key) if kind == "string" else key, member))
        at, end = _after(text, at, "}")
    return Fields(out), end


def _closed(text: str, at: int, bracket: str) -> int | None:
    """What follows the closing bracket, if that comes next."""
    kind, said, end = _next(text, at)
    return end if (kind, said) == ("sign", bracket) else None


def _after(text: str, at: int, bracket: str) -> tuple[int, int | None]:
    """Behind a member: where the next one begins, or what follows the closing bracket."""
    if (end := _closed(text, at, bracket)) is not None:
        return at, end
    kind, said, at = _next(text, at)
    if (kind, said) != ("sign", ","):
        raise Unreadable("not JSON")
    return at, _closed(text, at, bracket)


def _unquoted(token: str) -> str:
    """What a quoted string says; its escapes are JSON's, and others are left as they are."""
    body = token[1:-1]
    if "\\" not in body:
        return body
    # either quote may stand escaped or not
    body = re.sub(r"\\'", "'", body)
    body = re.sub(r'(?<!\\)((?:\\\\)*)"', r'\1\\"', body)
    try:
        return str(json.loads(f'"{body}"', strict=False))
    except ValueError:
        return token[1:-1]


def shown(value: Value) -> str:
    """A value as a piece that could not be read."""
    if isinstance(value, Fields):
        return "{" + ", ".join(f"{key}: {shown(member)}" for key, member in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return "null" if value is None else value
