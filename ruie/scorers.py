"""From items to counts: the scorers ``strict`` (section 4.2) and ``soft``.

Both read answers by the rules of ruie/answers.py. Items are sets unless ``mentions`` is
``multiset``: annotations without offsets cannot tell two mentions of one string apart.

``strict``: an item is right when all its parts equal a gold item's: NER (type, span), RE (relation,
head, tail), ED (type, trigger), EAE (role, argument; the event is given in the query).

``soft`` gives answers that differ by a word or two (section 5.2) a part of the credit. Items are
paired one to one so that the sum of credits is greatest, and a pair earns half a point for the same
label and half for the overlap of its words: the Dice coefficient of the two spans' distinct words,
for RE the mean of head with head and tail with tail. Only items whose spans all share a word can be
paired; what has no label of the schema earns nothing; equal items earn 1. Words are runs of letters
and digits; other signs count in the overlap like words of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from ruie.answers import Item, even, parse

__all__ = ["Counts", "Item", "even", "mentioned", "measures", "parse", "soft", "strict"]
MENTIONS = ("set", "multiset")
SIGN = re.compile(r"\w+|[^\w\s]")


class Counts(NamedTuple):
    """``tp`` the credit given; ``fp``, ``fn`` what was said and expected without it."""

    tp: float
    fp: float
    fn: float


def mentioned(items: Sequence[Item], mentions: str = "set") -> list[Item]:
    """Items in their order, each once unless ``mentions`` is ``multiset``."""
    return list(items) if mentions == "multiset" else list(dict.fromkeys(items))


def strict(said: Sequence[Item], true: Sequence[Item]) -> Counts:
    """Counts of the items that an answer and its gold answer mention."""
    common = set(said) & set(true)
    hits = sum(min(said.count(item), true.count(item)) for item in common)
    return Counts(hits, len(said) - hits, len(true) - hits)


def soft(said: Sequence[Item], true: Sequence[Item]) -> Counts:
    """Counts with credit in parts; never less credit than ``strict`` gives."""
    exact = strict(said, true)
    if not exact.fp or not exact.fn:  # there is nothing left to pair
        return exact
    expected = [(item, [_words(span) for span in item[1:]]) for item in true]
    pairs = {}
    for i, one in enumerate(said):
        words = [_words(span) for span in one[1:]]
        for j, (other, others) in enumerate(expected):
            if credit := 1.0 if one == other else _credit(one, words, other, others):
                pairs[i, j] = credit
    # rounded so that sums in another order are equal
    tp = round(_best(pairs), 9)
    return Counts(tp, round(len(said) - tp, 9), round(len(true) - tp, 9))


def _words(span: str) -> frozenset[str]:
    """Words and other signs: without the latter C++ and C# would be one."""
    return frozenset(SIGN.findall(span) or [span])


def _meet(here: frozenset[str], there: frozenset[str]) -> bool:
    """Whether two spans share a word, or a sign where one has no word."""
    common = here & there
    spelled = all(any(map(_is_word, side)) for side in (here, there))
    return any(map(_is_word, common)) if spelled else bool(common)


def _is_word(sign: str) -> bool:
    return sign[:1].isalnum()


def _credit(
    one: Item, words: list[frozenset[str]], other: Item, others: list[frozenset[str]]
) -> float:
    """What a pair of unequal items earns."""
    if not one[0] or not other[0]:
        return 0.0
    total = 0.0
    for here, there in zip(words, others, strict=True):
        if not _meet(here, there):
            return 0.0
        total += 2 * len(here & there) / (len(here) + len(there))
    return ((one[0] == other[0]) + total / len(words)) / 2


def _best(pairs: dict[tuple[int, int], float]) -> float:
    """The greatest sum of credits of a one-to-one matching."""
    rows = {i: n for n, i in enumerate(dict.fromkeys(i for i, _ in pairs))}
    columns = {j: n for n, j in enumerate(dict.fromkeys(j for _, j in pairs))}
    if len(rows) == len(columns) == len(pairs):  # no item has a choice
        return math.fsum(pairs.values())
    if len(rows) == 1 or len(columns) == 1:
        return max(pairs.values())
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    credits = np.zeros((len(rows), len(columns)))
    for (i, j), credit in pairs.items():
        credits[rows[i], columns[j]] = credit
    chosen = credits[linear_sum_assignment(credits, maximize=True)]
    return math.fsum(chosen.tolist())


def measures(tp: float, fp: float, fn: float) -> tuple[float, float, float]:
    """Micro precision, recall and F1 in percent; 0 where there is nothing to divide by."""
    precision = 100 * tp / (tp + fp) if tp + fp else 0.0
    recall = 100 * tp / (tp + fn) if tp + fn else 0.0
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0
