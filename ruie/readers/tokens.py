"""What formats over tokens share: the text and its offsets, spans from tags.

The text of a record is its tokens with one space between them, or with what the option ``join``
says (``join=`` for scripts without spaces).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ruie.readers import Mention, checks

#: Notes on tags that break their scheme.
NO_START = "tag inside a span that never began: a span begins there"
NO_END = "span without its end tag: it ends before the next tag that is not its own"
_TAG = re.compile(r"([BIESLUM])(?:-(.+))?")


class Tokens:
    """Tokens and the text that they make."""

    def __init__(self, tokens: Any, join: str = " ") -> None:
        if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
            raise TypeError("the tokens are not a list of strings")
        self.tokens, self.text = tokens, join.join(tokens)
        self.text.encode()  # half a surrogate pair is no text, and could not be written
        self.starts = list(accumulate((len(t) + len(join) for t in tokens), initial=0))

    def mention(self, start: Any, end: Any) -> Mention:
        """The tokens ``[start, end)``."""
        start, end = checks.number(start, "a token number"), checks.number(end, "a token number")
        if not 0 <= start < end <= len(self.tokens):
            raise ValueError(f"tokens [{start}, {end}) of {len(self.tokens)}: there are none")
        first, last = self.starts[start], self.starts[end - 1] + len(self.tokens[end - 1])
        return Mention(self.text[first:last], first, last)


def member(members: Sequence[Mention], index: Any) -> Mention:
    """The entity that a relation names by its number."""
    if type(index) is not int or not 0 <= index < len(members):
        raise ValueError(f"entity {index!r} of {len(members)}: there is none")
    return members[index]


def spans(
    tags: Sequence[str], scheme: str = "", bare: str = ""
) -> tuple[list[tuple[str, int, int]], list[str]]:
    """(label, first token, token behind the last) of each span, and a note for each break.

    One reading serves IOB2 (BIO), BILOU and BIOES (BMES): what goes on without a beginning begins,
    what never ends is ended by the next tag. ``scheme``: ``iob1``, where I- begins a span unless
    another of its label stands before it, or ``io``, where every tag but O is a label. ``bare``:
    the label of tags without one. Raises ``ValueError`` for a tag that is none.
    """
    parts = [_part(tag, scheme, bare) for tag in tags]
    has_ends = any(letter in "ELSU" for letter, _ in parts)
    found: list[tuple[str, int, int]] = []
    notes = []
    start, current = 0, ""  # no span is open while there is no label
    for at, (letter, label) in enumerate([*parts, ("O", "")]):
        if current and not (letter in "IMEL" and label == current):
            found.append((current, start, at))
            notes += [NO_END] * has_ends
            current = ""
        if letter == "O":
            continue
        if not current:
            start, current = at, label
            notes += [NO_START] * (letter in "IMEL" and not scheme)
        if letter in "ELSU":
            found.append((current, start, at + 1))
            current = ""
    return found, notes


def _part(tag: Any, scheme: str, bare: str) -> tuple[str, str]:
    """The letter and the label of a tag."""
    if not isinstance(tag, str):
        raise TypeError(f"tag {tag!r} is not a string")
    if tag == "O":
        return "O", ""
    if scheme == "io" and tag:
        return "I", tag
    match = _TAG.fullmatch(tag)
    if not match:
        raise ValueError(f"tag {tag!r} is neither O nor one of B- I- L- U- E- S- M- and a label")
    if not match[2] and not bare:
        raise ValueError(f"tag {tag!r} has no label; give one with the option label=")
    return match[1], match[2] or bare
