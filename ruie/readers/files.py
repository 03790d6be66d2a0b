"""Reading files of unknown quality: text and JSON with one clear line for what is wrong.

JSON is refused where it says a name twice or holds NaN or Infinity: Python's own reader would keep
the last value and go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.cli import UserError

#: Characters read at once; a record may be longer.
CHUNK = 1 << 20
#: What a record of wrong form raises while it is read.
FAULTS = (KeyError, TypeError, AttributeError, ValueError, IndexError)
_BETWEEN = re.compile(r"[ \t\n\r]*")
#: What a member of a list ends before.
_ENDS = frozenset(" \t\n\r,]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} stands twice in one object")
    return out


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def why(error: Exception) -> str:
    """What a fault says to the user."""
    return f"field {error} is missing" if isinstance(error, KeyError) else str(error)


def text(file: Path) -> str:
    """The whole file, without a byte order mark. ``UserError`` for one that is missing or not
    UTF-8."""
    return "".join(chunks(file))


def chunks(file: Path, size: int = CHUNK) -> Iterator[str]:
    """The file's text piece by piece; line ends stay as they are."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            while piece := stream.read(size):
                yield piece
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{file}: no such file; mend the path in the dataset registry") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text ({error.reason}); convert the file") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, without their ends. A line ends at a line feed alone, or one
    with a carriage return before it: other separators of Unicode stand inside sentences."""
    number, rest = 0, ""
    for piece in chunks(file):
        if not number and "\r" in rest + piece and "\n" not in rest + piece:
            raise UserError(f"{file}: its lines end in carriage returns alone; convert them")
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            number += 1
            yield number, line.removesuffix("\r")
    if rest:
        yield number + 1, rest.removesuffix("\r")


def value(line: str, where: str) -> Any:
    """One JSON value in a string. ``UserError`` for anything else."""
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: malformed JSON: {error}; correct the file") from None


def document(file: Path) -> Any:
    """The one JSON value of a file."""
    return value(text(file), str(file))


def array(file: Path) -> Iterator[Any]:
    """Members of the JSON list that a file holds, one after the other: the file may be larger than
    memory. ``UserError`` for anything else."""
    pieces, held, at, n = chunks(file), "", 0, -1

    def more() -> bool:
        nonlocal held, at
        piece = next(pieces, "")
        held, at = held[at:] + piece, 0
        return bool(piece)

    def following() -> str:
        """The next character that is no space, "" at the end."""
        nonlocal at
        while True:
            if held[at : at + 1] > " ":  # as nearly always
                return held[at]
            match = _BETWEEN.match(held, at)
            at = match.end() if match else at
            if at < len(held):
                return held[at]
            if not more():
                return ""

    def fail(why: str) -> UserError:
        return UserError(f"{file}#{n + 1}: malformed JSON: {why}; correct the file")

    if following() != "[":
        raise UserError(f"{file}: must hold a list of records")
    at += 1
    if following() == "]":
        at += 1
    else:
        while True:
            if not following():
                raise fail("the list has no end")
            while True:
                try:
                    member, end = _DECODER.raw_decode(held, at)
                    # a number might go on behind what is held, even after its point
                    if held[end : end + 1] in _ENDS or not more():
                        break
                except RecursionError:
                    raise fail("nested too deeply") from None
                except ValueError as error:
                    if not _cut_short(error, held) or not more():
                        raise fail(str(error)) from None
            n += 1
            at = end
            yield member
            sign = following()
            at += 1
            if sign == "]":
                break
            if sign != ",":
                raise fail("expected ',' or ']'" if sign else "the list has no end")
    if following():
        raise fail("something follows the list")


def _cut_short(error: ValueError, held: str) -> bool:
    """Whether JSON ends too early, which more text could mend (and not somewhere in its middle)."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos > len(held) - 16
