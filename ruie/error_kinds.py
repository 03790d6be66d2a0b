"""Kinds of errors: what is wrong with each wrong item of an answer, and why each missed one is.

An item to which several kinds apply has the first in the order of ``WRONG``, or ``MISSED``, so the
kinds of ``WRONG`` add up to the false positives of the strict scorer and those of ``MISSED`` to its
false negatives. docs/errors.md says what each means.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from ruie import scorers
from ruie.scorers import Item

#: How a wrong item of the schema can resemble a gold one, the closest first.
LIKE = (
    "wrong label",
    "swapped head and tail",
    "wrong boundary",
    "wrong label and boundary",
    "wrong head or tail",
)
EXACT = 2  # of these, the first two name the gold's very spans
CUT, COPIED = "truncated", "copied from a demonstration"
SYMBOLIC = "text with special symbols"
WRONG = (
    CUT, "unparsable", "unknown label", *LIKE[:EXACT], COPIED, "not in the text", *LIKE[EXACT:],
    "spurious",
)  # fmt: skip
MISSED = (*(f"missed: {kind}" for kind in LIKE), "missed")
FACTS = (
    "expected", "said", "right", "no answer", "nothing said", "cut off", "repeated output",
    SYMBOLIC, "pronoun expected", "pronoun missed",
)  # fmt: skip
KINDS = (*WRONG, *MISSED, *FACTS)
#: Kinds of pairs only.
RE_ONLY = tuple(kind for kind in KINDS if "head" in kind)
_PRONOUNS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his "
    "himself she her hers herself it its itself they them their theirs themselves themself who "
    "whom whose which that this these those"
)
PRONOUNS = frozenset(_PRONOUNS.split())
#: Special symbols beside those that Unicode calls symbols ($ + < = > ^ ` | ~, emoji, ...).
SYMBOLS = "@#%&*\\"
MANY = 2  # symbols that make a text one of many special symbols


class Error(NamedTuple):
    """A wrong or missed item. ``what``: the detail; a side without an item of its own is empty."""

    kind: str
    what: str
    said: Item = ()
    gold: Item = ()


class Match(NamedTuple):
    """How a wrong item resembles a gold one: the place in ``LIKE``, and the detail."""

    rank: int
    what: str
    said: Item
    gold: Item


def form(item: Item) -> str:
    """An item as an answer would say it."""
    return f"{item[0]}: {', '.join(item[1:])}" if item and item[0] else "".join(item[1:])


def occurrences(span: str, source: str) -> Iterator[tuple[int, bool]]:
    """Where a span begins in a text, and whether it stands there in whole words."""
    at = source.find(span) if span else -1
    while at >= 0:
        edges = (source[max(at - 1, 0) : at + 1], source[at + len(span) - 1 : at + len(span) + 1])
        yield at, not any(len(edge) == 2 and edge.isalnum() for edge in edges)
        at = source.find(span, at + 1)


def places(span: str, source: str) -> set[int]:
    """The characters that a span takes in a text: as whole words, or else anywhere."""
    found = list(occurrences(span, source))
    taken: set[int] = set()
    end = 0
    for at in [at for at, whole in found if whole] or [at for at, _ in found]:
        taken.update(range(max(at, end), at + len(span)))
        end = at + len(span)
    return taken


def match(said: Item, gold: Item, taken: dict[str, set[int]]) -> Match | None:
    """The likeness of two items, if there is any; ``taken``: the places of their spans."""
    same, pair = said[0] == gold[0], f"{gold[0]} -> {said[0]}"
    if said[1:] == gold[1:]:
        return Match(0, pair, said, gold)
    if same and said[1:] == gold[:0:-1]:
        return Match(1, gold[0], said, gold)
    names = ("head ", "tail ") if len(gold) > 2 else ("",)
    sides = list(zip(names, said[1:], gold[1:], strict=True))
    touch = [s == g or not taken[s].isdisjoint(taken[g]) for _, s, g in sides]
    if all(touch):
        differ = ", ".join(name + _boundary(s, g) for name, s, g in sides if s != g)
        return Match(2, differ, said, gold) if same else Match(3, pair, said, gold)
    if same and any(touch):
        return Match(4, f"wrong {names[touch.index(False)].strip()}", said, gold)
    return None


def _boundary(said: str, gold: str) -> str:
    return "too long" if gold in said else "too short" if said in gold else "shifted"


def _closest(matches: Iterable[Match | None]) -> Match | None:
    """The first of the closest."""
    return min((m for m in matches if m), key=lambda m: m.rank, default=None)


def _is_whole(item: Item) -> bool:
    """Whether it has a label of the schema and all its spans."""
    return all(item)


def judge(
    said: Sequence[Item],
    true: Sequence[Item],
    text: str,
    cut: Item | None = None,
    shown: Sequence[str] = (),
) -> list[Error]:
    """What is wrong in an answer's items. ``cut``: the one in which the answer ran out of tokens;
    ``shown``: the demonstrations, evened."""
    right = set(said) & set(true)
    wrong, missed = sorted(set(said) - right), sorted(set(true) - right)
    # found ones too: they may be said again wrongly; a missed one that is as close comes first
    gold = [g for g in [*missed, *sorted(right)] if _is_whole(g)]
    claims = [w for w in wrong if _is_whole(w)]
    source = scorers.even(text)
    expected = {span for g in gold for span in g[1:]}
    spans = expected.union(*(w[1:] for w in claims)) if claims else ()
    taken = {s: places(s, source) for s in spans}
    found = []
    for w in wrong:
        if w == cut and said.count(w) == 1:  # else it was said in full before
            found.append(Error(CUT, form(w), w))
        elif not _is_whole(w):
            found.append(_no_item(w))
        else:
            like = _closest(match(w, g, taken) for g in gold)
            absent = [s for s in w[1:] if s not in source and s not in expected]
            if absent and (like is None or like.rank >= EXACT):
                found.append(_absent(w, absent, shown))
            elif like:
                found.append(Error(LIKE[like.rank], like.what, w, like.gold))
            else:
                found.append(Error("spurious", w[0], w))
    for g in missed:
        like = _closest(match(w, g, taken) for w in claims) if _is_whole(g) else None
        if like:
            found.append(Error(f"missed: {LIKE[like.rank]}", like.what, like.said, g))
        else:
            found.append(Error("missed", g[0] or g[1], (), g))
    return found


def _no_item(wrong: Item) -> Error:
    """What has no label of the schema, or not all its spans."""
    label, _, span = ("", "", "") if wrong[0] else wrong[1].partition(":")
    if label.strip() and span.strip():
        return Error("unknown label", label.strip(), wrong)
    return Error("unparsable", form(wrong), wrong)


def _absent(wrong: Item, absent: list[str], shown: Sequence[str]) -> Error:
    """What names a span that the text does not hold."""
    for span in absent:
        if any(whole for sample in shown for _, whole in occurrences(span, sample)):
            return Error(COPIED, span, wrong)
    return Error("not in the text", absent[0], wrong)


def repeated(said: Iterable[Item]) -> dict[Item, int]:
    """Items that are said again, and how often."""
    return {item: n - 1 for item, n in sorted(Counter(said).items()) if n > 1}


@cache
def _is_symbol(sign: str) -> bool:
    return sign in SYMBOLS or unicodedata.category(sign)[0] == "S"


def has_symbols(text: str) -> bool:
    """Whether a text holds many special symbols."""
    return sum(map(_is_symbol, re.findall(r"[^\w\s]", text))) >= MANY


def pronoun(item: Item, gold: str) -> str | None:
    """The first pronoun among an item's spans; what ``gold`` has in capitals (US, IT) is none."""
    for s in item[1:]:
        if s in PRONOUNS and (s == "i" or not re.search(rf"\b{s.upper()}\b", gold)):
            return s
    return None
