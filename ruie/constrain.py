"""Constrained decoding: answers that hold labels of the schema and spans of the input alone.

One grammar a query, read by llguidance in both back ends (vLLM's structured outputs; a logits
processor for transformers), so both allow the same answers: what Appendix D prints, ``None`` or
``label: span; label: span.``, in RE ``label: head, tail``. A label is one of the schema's. A span
is any stretch of the input, letter by letter, that

- begins and ends at a word's edge: not between two letters or digits, nor before a mark that
  belongs to the letter before it;
- neither begins nor ends in whitespace, and does not consist of ``.`` and ``;`` alone;
- holds no ``;`` that a label and a colon follow, which would be read as another item.

An item may come again, as it does in gold answers; how many there are is for the limit of tokens
to bound.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ruie import answers
from ruie.cli import UserError
from ruie.prompt import NONE, one_line

#: A span of these alone would be read as nothing (``answers.even``); the second one is the Greek
#: question mark, which is the same character to Unicode.
_EMPTY = frozenset(".;\u037e")


def grammar(
    task: str, labels: Sequence[str], text: str, chat: bool = False, stop: Sequence[str] = ("\n",)
) -> str:
    """A query's answers in llguidance's Lark syntax, with what ends them: whatever follows a stop
    string is cut off. The answer begins with the space that the context leaves out; in a chat,
    where it opens a turn, it need not.

    All of it is one terminal, for terminals are matched as far as they reach: with one of its own a
    span would run over the ``;`` or ``,`` behind it wherever the text goes on like this.
    """
    spans = _spans(one_line(text), labels)
    names = [one_line(label) for label in labels if label.strip()]
    what = _literal(NONE)
    if names and spans:
        content = 'SPAN ", " SPAN' if task == "RE" else "SPAN"
        what = f'({what} | ITEM ("; " ITEM)* ".")'
        spans = [f"ITEM: ({_either(map(_literal, names))}) {_literal(': ')} {content}", *spans]
    space = '" "?' if chat else '" "'
    ends = f" (({_either(map(_literal, stop))}) /(?s:.*)/)?" if stop else ""
    return "\n".join(["start: ANSWER", f"ANSWER: {space} {what}{ends}", *spans, ""])


def _literal(text: str) -> str:
    # escaped, no text looks like a part of the grammar
    return json.dumps(text)


def _either(options: Iterable[str]) -> str:
    return " | ".join(options)


def _spans(text: str, labels: Sequence[str]) -> list[str]:
    """The terminals of a span, SPAN the first; none where the text holds no span.

    ``An`` is a stretch that begins with the n-th chunk. ``Bn`` is the same where it must go on: so
    far it is empty signs alone. The last chunk comes first: each terminal names one that is
    known, and no nesting is as deep as the text is long.
    """
    beginning = answers.starts(tuple(labels))
    chunks = _chunks(text)
    out: list[str] = []
    begins: list[str] = []
    follow_a = follow_b = ""  # what may follow a chunk: whitespace and the next stretch
    for n in range(len(chunks) - 1, -1, -1):
        at, chunk = chunks[n]
        if chunk.isspace():
            follow_a = follow_a and f"{_literal(chunk)} {follow_a}"
            follow_b = follow_b and f"{_literal(chunk)} {follow_b}"
            continue
        if chunk[0] == ";" and beginning and beginning.match(text, at):
            follow_a = follow_b = ""
        out.append(f"A{n}: {_literal(chunk)}" + (f" ({follow_a})?" if follow_a else ""))
        follow_a, must = f"A{n}", follow_b
        if not _EMPTY.issuperset(chunk):
            begins.append(f"A{n}")
            follow_b = f"A{n}"
        elif must:
            out.append(f"B{n}: {_literal(chunk)} {must}")
            begins.append(f"B{n}")
            follow_b = f"B{n}"
        else:
            follow_b = ""
    return [f"SPAN: {_either(begins)}", *out] if begins else []


def _chunks(text: str) -> list[tuple[int, str]]:
    """Runs of whitespace and what lies between edges of words, with their places."""
    starts = [i for i in range(len(text)) if i == 0 or _is_edge(text[i - 1], text[i])]
    return [(a, text[a:b]) for a, b in pairwise([*starts, len(text)])]


def _is_edge(left: str, right: str) -> bool:
    if left.isspace() or right.isspace():
        return not (left.isspace() and right.isspace())
    if _is_mark(right):
        return False
    return not ((left.isalnum() or _is_mark(left)) and right.isalnum())


def _is_mark(c: str) -> bool:
    return not c.isascii() and unicodedata.category(c)[0] == "M"


def finish(
    answer: str, reason: str, task: str, labels: Sequence[str], text: str
) -> tuple[str, str | None]:
    """A constrained answer as it counts, or an error in its place.

    Where the limit of tokens ended it (``reason`` is "length"), the item that was not finished is
    dropped. An answer that ended by itself and is not of the grammar's language was not constrained
    to its end: llguidance gives up where a text has too many places at which a span may go on.
    """
    if reason == "length" and not _ended(answer, text):
        answer = answer.rpartition("; ")[0]
    while reason == "length" and answer and not _reads(answer, task, labels, text):
        answer = answer.rpartition("; ")[0]
    if reason == "length" or _reads(answer, task, labels, text):
        return answer, None
    return "", f"could not be constrained: a text of {len(text)} characters is too long for it"


def _ended(answer: str, text: str) -> bool:
    """Whether an answer that was cut has its end all the same: ``None``, or a full stop that is not
    one of the text's, as in "St. Louis", after which the span might go on."""
    if answer == NONE:
        return True
    last = answer.rpartition("; ")[2]
    goes_on = one_line(text).rstrip()[:-1]  # what stands before the text's last character
    tails = (last[m.end() :] for m in re.finditer("[:,] ", last))
    return answer.endswith(".") and not any(tail in goes_on for tail in tails)


def _reads(answer: str, task: str, labels: Sequence[str], text: str) -> bool:
    """Whether an answer is read as labels of the schema with spans of the text, or as none."""
    if answer == NONE:
        return True
    source, items = answers.even(one_line(text)), answers.parse(answer, task, labels, text)
    return bool(items) and all(
        label and all(span and span in source for span in spans) for label, *spans in items
    )


def reader(tokenizer: Any, ends: Sequence[int]) -> Any:
    """The bytes of a tokenizer's tokens, and those that end a text: seconds for a large one."""
    from llguidance.hf import from_tokenizer

    try:
        return from_tokenizer(tokenizer, eos_token=list(ends))
    except ValueError as error:
        raise UserError(f"constrained: not with this model's tokenizer: {error}") from None


class Masks:
    """A logits processor of transformers: one grammar for each row of a batch."""

    def __init__(self, reader: Any, grammars: Sequence[str]) -> None:
        from llguidance import LLMatcher

        self.matchers = [
            LLMatcher(reader, LLMatcher.grammar_from_lark(g), log_level=0) for g in grammars
        ]
        self.ends = reader.eos_tokens
        self.begun = False

    def __call__(self, ids: Any, scores: Any) -> Any:
        """``scores`` without what the grammars do not allow behind the tokens ``ids``."""
        import torch

        allowed = np.zeros(scores.shape, bool)
        for row, matcher, last in zip(allowed, self.matchers, ids[:, -1].tolist(), strict=True):
            if self.begun and not matcher.is_stopped():
                matcher.consume_token(last)  # padding, where the row has ended: that stops it
            if matcher.is_stopped():
                row[self.ends] = True
            else:
                bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
                known = np.unpackbits(bits, bitorder="little")[: len(row)]
                row[: len(known)] = known
        self.begun = True
        return scores.masked_fill(torch.from_numpy(~allowed).to(scores.device), -torch.inf)
