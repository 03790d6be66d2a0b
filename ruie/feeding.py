"""What an encoder reads: texts and pairs of texts as token ids, made once, and padded batches.

A text's own tokens are made without the tokenizer's special ones, which are put round one text or
two afterwards: a sample that stands in many pairs, epochs and batches is tokenised once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruie import cli

if TYPE_CHECKING:
    import torch

Ids = npt.NDArray[np.int32]
#: A part ends before a sequence that much shorter than its longest, once it is a quarter full.
LEAST_FILLED = 0.9
#: Texts tokenised at once: their ids are Python lists before they are arrays.
TOKENISED_AT_ONCE = 10_000


class Tokens(NamedTuple):
    """Token ids with the special ones; from ``second`` on they belong to the second segment."""

    ids: Ids
    second: int


@dataclass(frozen=True)
class Frame:
    """The special tokens before, between and after one text or two; ``numbered``: whether the
    tokenizer tells the second text's tokens from the first one's."""

    before: Ids
    between: Ids
    after: Ids
    numbered: bool


class Feeder:
    """Sequences of at most ``max_length`` tokens for one tokenizer. ``cut`` counts those that were
    longer. ``UserError`` for a tokenizer that does more than putting special tokens round texts."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        self.cut = 0
        if tokenizer.pad_token_id is None:
            raise cli.UserError(f"{tokenizer.name_or_path}: has no padding token; use an encoder")
        self._single = self._frame("one")
        self._double = self._frame("one", "two")
        special = max(len(f.before) + len(f.between) + len(f.after)
                      for f in (self._single, self._double))  # fmt: skip
        if max_length <= special + 1:
            raise cli.UserError(f"--max-length {max_length}: leaves no room for a text; raise it")

    def tokens(self, texts: Sequence[str]) -> list[Ids]:
        """Each text's tokens, without special ones, nothing cut."""
        out: list[Ids] = []
        for low in range(0, len(texts), TOKENISED_AT_ONCE):
            found = self.tokenizer(
                list(texts[low : low + TOKENISED_AT_ONCE]), add_special_tokens=False,
                return_attention_mask=False, return_token_type_ids=False, verbose=False,
            )  # fmt: skip
            out += [np.array(ids, np.int32) for ids in found["input_ids"]]
        return out

    def texts(self, texts: Mapping[str, str]) -> dict[str, Ids]:
        """``tokens`` of texts that have names."""
        return dict(zip(texts, self.tokens(list(texts.values())), strict=True))

    def one(self, text: Ids) -> Tokens:
        """A single text; what is too long loses its end."""
        f = self._single
        room = self.max_length - len(f.before) - len(f.after)
        self.cut += len(text) > room
        ids = np.concatenate([f.before, text[:room], f.after])
        return Tokens(ids, len(ids))

    def two(self, first: Ids, second: Ids) -> Tokens:
        """A pair; the longer side is cut until both are of one length, then both (transformers'
        ``longest_first``)."""
        f = self._double
        room = self.max_length - len(f.before) - len(f.between) - len(f.after)
        a, b = len(first), len(second)
        if a + b > room:
            self.cut += 1
            shorter = min(a, b)
            # where the shorter side fills less than half, it stays whole
            if shorter > room - shorter:
                a, b = (room - room // 2, room // 2) if a > b else (room // 2, room - room // 2)
            else:
                a, b = (room - b, b) if a > b else (a, room - a)
        ids = np.concatenate([f.before, first[:a], f.between, second[:b], f.after])
        return Tokens(ids, len(f.before) + a + len(f.between) if f.numbered else len(ids))

    def tensors(self, rows: Sequence[Tokens], device: Any = "cpu") -> dict[str, torch.Tensor]:
        """A model's inputs [rows, longest], padded at the right."""
        import torch

        shape = len(rows), max(len(r.ids) for r in rows)
        ids = np.full(shape, self.tokenizer.pad_token_id, np.int64)
        mask, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for n, row in enumerate(rows):
            ids[n, : len(row.ids)] = row.ids
            mask[n, : len(row.ids)] = 1
            types[n, row.second : len(row.ids)] = 1
        arrays = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.tokenizer.model_input_names:
            arrays["token_type_ids"] = types
        return {name: torch.from_numpy(a).to(device) for name, a in arrays.items()}

    def _frame(self, *texts: str) -> Frame:
        whole = self.tokenizer(*texts, return_token_type_ids=True)
        ids = list(whole["input_ids"])
        parts = [t.tolist() for t in self.tokens(texts)]
        edges = [0]
        for part in parts:
            at = next((i for i in range(edges[-1], len(ids)) if ids[i : i + len(part)] == part), -1)
            edges += [at, at + len(part)]
        around = [ids[a:b] for a, b in zip(edges[::2], [*edges[1::2], len(ids)], strict=True)]
        frame = Frame(
            np.array(around[0], np.int32),
            np.array(around[1] if len(parts) > 1 else [], np.int32),
            np.array(around[-1], np.int32),
            any(whole["token_type_ids"]),
        )
        types = [0] * len(ids)
        if frame.numbered and len(parts) > 1:
            types[edges[3] :] = [1] * (len(ids) - edges[3])
        if -1 in edges or list(whole["token_type_ids"]) != types:
            raise cli.UserError(
                f"{self.tokenizer.name_or_path}: its tokens of a pair are not those of the two "
                "texts with special tokens round them; use another encoder"
            )
        return frame


def parts(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions in parts of at most ``budget`` padded tokens, the longest first: an input that
    does not fit in memory shows itself at once, and padding is small."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        end = start + 1
        while end < len(order) and (end - start + 1) * longest <= budget:
            short = lengths[order[end]] < LEAST_FILLED * longest
            if short and (end - start) * longest > budget // 4:
                break
            end += 1
        yield order[start:end]
        start = end
