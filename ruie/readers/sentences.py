"""Cutting a document into sentences, lines, or not at all, by rule.

A sentence ends at ``. ! ?`` (closing quotes and brackets may follow) before space and an upper-case
letter, a digit or a quote, and at every line break. It does not end after a single letter or
letters with points (``J.``, ``U.S.``), nor after a title, nor after ``Fig.`` and the like before a
number, and never inside an annotation.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

UNITS = ("sentence", "line", "document")
QUOTES = "\"'“”‘’«»"
#: Words whose point is no end, and those whose point is none before a number.
_TITLE = re.compile(
    r"mr|mrs|ms|messrs|dr|prof|st|sr|jr|gen|col|lt|sgt|capt|maj|adm|sen|rep|gov|pres|rev|hon|vs|al|"
    r"approx|ca|cf|resp|viz"
)
_NUMBERED = re.compile(
    r"nos?|figs?|vols?|pp?|sec|ch|art|eqs?|refs?|ed|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
)
_GAP = re.compile(r"\s+")
_END = re.compile(r"(\S*?)([.!?]+)[\"'”’»)\]]*$")
_LETTERS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
#: Characters before a gap that are looked at.
_BACK = 40


def split(
    text: str, spans: Iterable[tuple[int, int]] = (), unit: str = "sentence"
) -> list[tuple[int, int]]:
    """``[start, end)`` of each unit, without the space around it; spans are kept whole."""
    kept = _merged(spans)
    ends = [end for _, end in kept]
    cuts = [0]
    for gap in _GAP.finditer(text):
        start, stop = gap.span()
        at = bisect_left(ends, start + 1)
        inside = at < len(kept) and kept[at][0] < stop
        if not inside and _divides(text, start, stop, unit):
            cuts += [start, stop]
    cuts.append(len(text))
    return [(s, e) for s, e in zip(cuts[::2], cuts[1::2], strict=True) if s < e]


def _merged(spans: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _divides(text: str, start: int, stop: int, unit: str) -> bool:
    if start == 0 or stop == len(text):
        return True
    if unit == "document":
        return False
    if "\n" in text[start:stop] or "\r" in text[start:stop]:
        return True
    return unit == "sentence" and _ends(text[max(0, start - _BACK) : start], text[stop])


def _ends(before: str, following: str) -> bool:
    """Whether a sentence ends after ``before``."""
    end = _END.search(before)
    if end is None or not (following.isupper() or following.isdigit() or following in QUOTES):
        return False
    if end[2] != ".":
        return True
    word = end[1].lstrip("([{" + QUOTES).lower()
    if _TITLE.fullmatch(word) or _LETTERS.fullmatch(word):
        return False
    return not (following.isdigit() and _NUMBERED.fullmatch(word))
