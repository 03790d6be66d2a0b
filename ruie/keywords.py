"""Keyword enhancement (section 3.3): gold spans inside ``<Keyword>`` and ``</Keyword>``."""

from __future__ import annotations

from collections.abc import Iterable

from ruie.examples import Example, Span

OPEN, CLOSE = "<Keyword>", "</Keyword>"


def keyword_spans(example: Example) -> list[Span]:
    """Every gold span of an example: entities, heads and tails, triggers, arguments."""
    spans = [s for a in example.annotations for s in a.spans]
    return [*spans, example.event.trigger] if example.event else spans


def tag(text: str, spans: Iterable[Span]) -> str:
    """``text`` with each span tagged once at its offsets; overlapping spans share one pair of
    tags that covers their union."""
    merged: list[list[int]] = []
    for start, end in sorted({(s.start, s.end) for s in spans if s.start < s.end}):
        if merged and start < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    out, at = [], 0
    for start, end in merged:
        out += [text[at:start], OPEN, text[start:end], CLOSE]
        at = end
    return "".join([*out, text[at:]])
