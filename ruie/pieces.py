"""Token ids of prompts and answers, each text tokenised once.

A prompt's pieces (instruction, demonstration, query with its answer) are tokenised between the
texts that they stand between, and put together; the result is that of tokenising the whole prompt
and answer as one string (section 3.2's x and y). That holds where no token reaches over the border,
a line break before ``Task:``: a tokenizer whose vocabulary could is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ruie import cli

Ids = npt.NDArray[np.int32]
#: What stands between pieces (prompt.build), and what each piece but the first begins with.
BORDER = "\n\n"
NEXT = "Task:"
#: A demonstration's end: what a piece may find before it.
BEFORE = "None" + BORDER


@dataclass(frozen=True)
class Pair:
    """Token ids of context and answer in one; the answer begins at ``start``."""

    ids: Ids
    start: int


class Pieces:
    """Tokenises pieces for a model; ``chat`` puts the prompt into the tokenizer's chat template.

    ``before`` and ``after`` are what the template writes around a prompt. Raises ``UserError``
    for a tokenizer that is not fast, could merge pieces, or has no template where one is asked.
    """

    def __init__(self, tokenizer: Any, name: str, chat: bool = False) -> None:
        self.tokenizer, self.name, self.chat = tokenizer, name, chat
        if not tokenizer.is_fast:
            raise cli.UserError(f"model {name}: has no fast tokenizer, which scoring needs")
        # vocabularies write a line break as itself, as byte-level BPE does, or as a byte's name
        over = [b + NEXT[0] for b in ("\n", "\u010a", "<0x0A>")]
        if any(border in token for token in tokenizer.get_vocab() for border in over):
            raise cli.UserError(f"model {name}: its tokens may reach over a line break, which "
                                "scoring cannot cut; use another scoring model")  # fmt: skip
        self.before, self.after = _template(tokenizer, name) if chat else ("", "")

    def instruction(self, text: str) -> Ids:
        """The beginning of a prompt, with the tokenizer's start token if it has one."""
        text = self.before + text + BORDER
        found = self.tokenizer(
            text + NEXT, return_offsets_mapping=True, add_special_tokens=not self.chat,
            verbose=False,
        )  # fmt: skip
        # a start token has no place in the text: it ends at 0
        kept = [i for i, (_, end) in zip(found["input_ids"], found["offset_mapping"], strict=True)
                if end <= len(text)]  # fmt: skip
        ends = [end for _, end in found["offset_mapping"] if end <= len(text)]
        if max(ends, default=0) != len(text):
            raise self._border(text)
        # an end token has no place either, but comes after the border
        return np.array(kept[: len(kept) - ends[::-1].index(len(text))], np.int32)

    def demonstrations(self, texts: Sequence[str]) -> list[Ids]:
        """Whole demonstrations, each with the blank line after it."""
        return [ids for ids, _ in self._between([t + BORDER for t in texts], NEXT)]

    def queries(self, queries: Sequence[str], answers: Sequence[str]) -> list[Pair]:
        """Queries that end in ``Output:`` with their answers, and where these begin.

        Whitespace before an answer belongs to it, and so does a token that straddles the border,
        so that every character of the answer is scored."""
        contexts = [q + self.after for q in queries]
        lead = "" if self.chat else " "
        whole = [c + (lead + a if a else "") for c, a in zip(contexts, answers, strict=True)]
        return [
            Pair(ids, next((i for i, end in enumerate(ends) if end > len(context)), len(ids)))
            for (ids, ends), context in zip(self._between(whole, ""), contexts, strict=True)
        ]

    def whole(self, context: str, answer: str) -> Pair:
        """The prompt ``context`` and its answer tokenised as one string: what the pieces put
        together must be."""
        context = self.before + context + self.after
        lead = "" if self.chat or not answer else " "
        found = self.tokenizer(
            context + lead + answer, return_offsets_mapping=True, verbose=False,
            add_special_tokens=not self.chat,
        )  # fmt: skip
        ids, ends = found["input_ids"], [end for _, end in found["offset_mapping"]]
        # an end token is no part of an answer: it has no place in the text, but comes last
        while ends and not ends[-1] and any(ends):
            ids, ends = ids[:-1], ends[:-1]
        start = next((i for i, end in enumerate(ends) if end > len(context)), len(ids))
        return Pair(np.array(ids, np.int32), start)

    def _between(self, texts: Sequence[str], right: str) -> list[tuple[Ids, list[int]]]:
        """Ids of each text as it stands before ``right``, and where its tokens end."""
        if not texts:
            return []
        encoded = self.tokenizer(
            [BEFORE + t + right for t in texts], return_offsets_mapping=True,
            add_special_tokens=False, verbose=False,
        )  # fmt: skip
        out = []
        for text, ids, spans in zip(
            texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            low, high = len(BEFORE), len(BEFORE) + len(text)
            first = next((i for i, (_, end) in enumerate(spans) if end > low), len(ids))
            stop = next((i for i, (_, end) in enumerate(spans) if end > high), len(ids))
            if (first < len(ids) and spans[first][0] < low) or (
                stop < len(ids) and spans[stop][0] < high
            ):
                raise self._border(text)
            ends = [end - low for _, end in spans[first:stop]]
            out.append((np.array(ids[first:stop], np.int32), ends))
        return out

    def _border(self, text: str) -> cli.UserError:
        return cli.UserError(f"model {self.name}: its tokenizer merges {text[:30]!r} with its "
                             "neighbour; use another scoring model")  # fmt: skip


def _template(tokenizer: Any, name: str) -> tuple[str, str]:
    """What the chat template writes before and after a user's turn, up to the answer."""
    mark = "Task: Output:"
    turn = [{"role": "user", "content": mark}]
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    except (ValueError, TypeError, TemplateError) as error:
        line = str(error).split("\n")[0]
        raise cli.UserError(f"model {name}: no chat template ({line}); set chat: false") from None
    before, found, after = text.partition(mark)
    if not found:
        raise cli.UserError(f"model {name}: its chat template hides the prompt; set chat: false")
    return before, after
