"""Log-likelihoods of answers under a causal language model (equation 1).

What prompts share is computed once (ruie.trie): its keys and values are held and read by every
prompt that goes on from there. What is left is computed in batches of like length under a token
budget, and the vocabulary projection at the answers' positions alone.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ruie import cli, devices, encoders, trie
from ruie.pieces import Ids, Pair, Pieces

Slots = npt.NDArray[np.int64]
T = TypeVar("T")
#: Hidden states and vocabulary entries multiplied at once: 32 MiB of logits in float32, which stay
#: in a processor's cache while they are summed up (twice as fast there as whole rows of 262,144).
STATES_AT_ONCE, ENTRIES_AT_ONCE = 1024, 8192
#: The tokens of prefixes that a batch reads, over those of the budget.
READ_FACTOR = 16
#: A batch ends before a row that much shorter than its longest, once it is a quarter full.
LEAST_FILLED = 0.95

TOO_LARGE = ("memory runs out with a single prompt; use a smaller --cache-mb, a smaller model or a "
             "larger device")  # fmt: skip


class LanguageModel:
    """A causal language model that scores answers; nothing is trained.

    ``dtype``: bfloat16, float16, float32, or tf32: weights and sums in float32, a GPU's products
    of float32 numbers rounded to eleven bits. The logits are made in float32 with any of them.
    ``batch_tokens`` bounds the padded tokens of a batch, ``cache_mb`` the prefixes that are held
    (MiB). Both change the speed; of a score, the last digits at most. ``halved`` counts how often
    memory ran out and the budget was halved.
    """

    def __init__(
        self, model: str | Path, dtype: str, chat: bool = False,
        batch_tokens: int = 16384, cache_mb: int = 4096,
    ) -> None:  # fmt: skip
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.pieces = Pieces(encoders.from_pretrained(AutoTokenizer, model), str(model), chat)
        self.device = devices.device()
        self.layers = "high" if dtype == "tf32" else "highest"  # products of all but the logits
        weights = getattr(torch, "float32" if dtype == "tf32" else dtype)
        self.model = encoders.from_pretrained(AutoModelForCausalLM, model, dtype=weights)
        for name in ("logit_scale", "logits_scaling"):
            if getattr(self.model.config, name, None) not in (None, 1, 1.0):
                raise cli.UserError(f"model {model}: scales its logits ({name}), which scoring "
                                    "does not do; use another scoring model")  # fmt: skip
        self.softcap = getattr(self.model.config, "final_logit_softcapping", None)
        self.model.eval().requires_grad_(False).to(self.device)
        self.batch_tokens, self.halved = batch_tokens, 0
        self.computed = self.useful = 0  # tokens that went through the model, without padding
        self._cache_tokens = max(1, cache_mb * 2**20 // self._probe(str(model)))

    def _probe(self, name: str) -> int:
        """Bytes that the keys and values of one token take; makes the cache."""
        import torch
        from transformers import DynamicCache

        from ruie.kv import PrefixCache

        held = DynamicCache()
        with torch.inference_mode():
            out = self.model.base_model(
                input_ids=torch.zeros((1, 1), dtype=torch.long, device=self.device),
                past_key_values=held, use_cache=True,
            )  # fmt: skip
        layers = [(layer.keys, layer.values) for layer in held.layers]
        wanted = self.model.config.get_text_config().num_hidden_layers
        plain = hasattr(out, "last_hidden_state") and len(layers) == wanted
        if not plain or any(k is None or k.dim() != 4 or k.shape[2] != 1 for k, _ in layers):
            raise cli.UserError(f"model {name}: does not attend to keys and values alone; "
                                "use another scoring model")  # fmt: skip
        self.cache = PrefixCache(len(layers))
        return sum(t.numel() * t.element_size() for layer in layers for t in layer)

    def score(
        self, pairs: Sequence[Pair], wanted: Sequence[bool] | None = None
    ) -> Iterator[tuple[list[int], list[float]]]:
        """Yield positions and mean log-likelihoods (nats a token), batch by batch.

        The batches depend on ``pairs`` alone; those of them that are not ``wanted`` are left out,
        so that a run that goes on where another stopped computes what that one would have. A pair
        whose answer has no token scores 0, the log of certainty.
        """
        import torch

        if not pairs:
            return
        order = sorted(range(len(pairs)), key=lambda i: pairs[i].ids.astype(">i4").tobytes())
        # the token before an answer predicts it: each pair computes that one for itself
        free = [max(0, pairs[i].start - 1) for i in order]
        common = [0] + [
            min(trie.shared(pairs[a].ids, pairs[b].ids), free[n], free[n + 1])
            for n, (a, b) in enumerate(zip(order, order[1:], strict=False))
        ]
        asked = [wanted is None or bool(wanted[i]) for i in range(len(pairs))]
        unanswered = [i for i, p in enumerate(pairs) if asked[i] and p.start >= len(p.ids)]
        if unanswered:
            yield unanswered, [0.0] * len(unanswered)
        todo = [asked[i] and pairs[i].start < len(pairs[i].ids) for i in order]
        with torch.inference_mode():
            yield from _one_behind(self._parts([pairs[i] for i in order], common, todo), order)

    def reference(self, pair: Pair) -> float:
        """The score of one pair by the whole model, sharing nothing: what ``score`` must give."""
        import torch

        if pair.start == len(pair.ids):
            return 0.0
        # the logits from the last token of the context on; all of them would take gigabytes
        kept = len(pair.ids) - pair.start + 1
        knows = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        options = {"logits_to_keep": kept} if knows else {}
        try:
            with torch.inference_mode(), products(self.layers):
                ids = torch.from_numpy(pair.ids.astype(np.int64)).to(self.device)
                logits = self.model(ids[None], use_cache=False, **options).logits[0, -kept:-1]
                picked = logits.float().log_softmax(-1).gather(1, ids[pair.start :, None])
        except RuntimeError as error:
            if not _no_memory(error):
                raise
            raise cli.UserError(TOO_LARGE) from None
        mean: float = picked.double().mean().item()
        return mean

    def _parts(
        self, pairs: list[Pair], common: list[int], todo: list[bool], low: int = 0
    ) -> Iterator[tuple[list[int], Any]]:
        """``score`` of sorted pairs, in as many parts as it takes to hold what each shares;
        positions count from ``low``."""
        found, last = trie.segments(common)
        if sum(s.end - s.start for s in found) > self._cache_tokens:
            # cut where the least is shared, in the middle half
            n = len(pairs)
            quarter = n // 4
            cut = min(range(max(1, quarter), max(2, n - quarter)), key=lambda i: common[i])
            yield from self._parts(pairs[:cut], common[:cut], todo[:cut], low)
            rest = [0, *common[cut + 1 :]]
            yield from self._parts(pairs[cut:], rest, todo[cut:], low + cut)
        elif any(todo):
            for rows, means in self._part(pairs, found, last, todo):
                yield [low + r for r in rows], means

    def _part(
        self, pairs: list[Pair], found: list[trie.Segment], last: list[int], todo: list[bool]
    ) -> Iterator[tuple[list[int], Any]]:
        base = np.cumsum([1, *(s.end - s.start for s in found)])
        self.cache.hold(int(base[-1]))
        nothing: Slots = np.zeros(0, np.int64)
        paths: list[Slots] = []  # the slots of each segment's tokens and of all before them
        for s, first in zip(found, base, strict=False):
            before = paths[s.parent] if s.parent >= 0 else nothing
            paths.append(np.r_[before, np.arange(first, first + s.end - s.start)])
        needed = [False] * len(found)
        for at, wanted in zip(last, todo, strict=True):
            while wanted and at >= 0 and not needed[at]:
                needed[at], at = True, found[at].parent

        reads = [len(paths[s.parent]) if s.parent >= 0 else 0 for s in found]
        lengths = [s.end - s.start for s in found]

        def prefixes(rows: list[int]) -> None:
            self._hidden(
                [pairs[found[i].of].ids[found[i].start : found[i].end] for i in rows],
                [paths[i][: found[i].start] for i in rows],
                [paths[i][found[i].start :] for i in rows],
            )

        for level in range(max((s.level for s in found), default=-1) + 1):
            members = [i for i, s in enumerate(found) if s.level == level]
            for rows in self._batches(members, lengths, reads, needed):
                for _ in self._halving(rows, prefixes):
                    pass
        held = [paths[s] if s >= 0 else nothing for s in last]
        reads = [len(path) for path in held]
        # nothing asks what comes after the last token
        lengths = [len(p.ids) - 1 - n for p, n in zip(pairs, reads, strict=True)]

        def answers(rows: list[int]) -> Any:
            return self._means([pairs[r] for r in rows], [held[r] for r in rows])

        for rows in self._batches(range(len(pairs)), lengths, reads, todo):
            yield from self._halving([r for r in rows if todo[r]], answers)

    def _batches(
        self, members: Sequence[int], lengths: list[int], reads: list[int], wanted: list[bool]
    ) -> Iterator[list[int]]:
        """``members`` in batches under the budget, the longest first: an input that does not fit
        in memory shows itself at once, and little is padded. A batch without a wanted one is left
        out."""
        left = sorted(members, key=lambda i: (-lengths[i], -reads[i], i))
        while left:
            size, longest, most = 0, lengths[left[0]], 0
            for i in left:
                most = max(most, reads[i])
                if size and (
                    (size + 1) * longest > self.batch_tokens
                    or (size + 1) * most > READ_FACTOR * self.batch_tokens
                    or (lengths[i] < LEAST_FILLED * longest
                        and size * longest > self.batch_tokens // 4)
                ):  # fmt: skip
                    break
                size += 1
            batch, left = left[:size], left[size:]
            if any(wanted[i] for i in batch):
                yield batch

    def _halving(
        self, rows: list[int], compute: Callable[[list[int]], T]
    ) -> Iterator[tuple[list[int], T]]:
        """What ``compute`` makes of the rows; where memory runs out, of the halves of them, and
        the budget is halved for what follows."""
        import torch

        try:
            out = compute(rows)
        except RuntimeError as error:
            if not _no_memory(error):
                raise
            if len(rows) == 1:
                raise cli.UserError(TOO_LARGE) from None
        else:
            yield rows, out
            return
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.halved += 1
        self.batch_tokens = max(1, self.batch_tokens // 2)
        cli.log.warning("memory ran out: the budget is %d tokens now", self.batch_tokens)
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            yield from self._halving(half, compute)

    def _hidden(self, tokens: list[Ids], before: list[Slots], new: list[Slots] | None) -> Any:
        """Last hidden states [rows, longest, width] of ``tokens`` that go on from the slots
        ``before``; their own keys and values are held in the slots ``new``."""
        import torch

        width, past = max(map(len, tokens)), max(map(len, before))
        # Padding stands at the right, where a causal model's real tokens never look. It repeats
        # the last token, at its position, so that no position lies beyond the model's.
        reach = np.array([len(t) for t in tokens])[:, None] - 1
        column = np.minimum(np.arange(width)[None], reach)
        flat = np.concatenate(tokens)
        offset = np.cumsum([0, *(len(t) for t in tokens[:-1])])[:, None]
        ids = flat[offset + column].astype(np.int64)
        positions = column + np.array([len(b) for b in before])[:, None]
        self.computed += ids.size
        self.useful += len(flat)

        def on_device(array: Any) -> Any:
            return torch.from_numpy(array).to(self.device, non_blocking=True)

        read = mask = write = None
        if past:
            # prefixes end side by side: a window's distances are those of the text
            slots = np.zeros((len(before), past), np.int64)
            for row, path in zip(slots, before, strict=True):
                row[past - len(path) :] = path
            read = on_device(slots)
            if not slots.all():
                seen = np.c_[slots > 0, np.ones(ids.shape, bool)]
                mask = on_device(seen.astype(np.int64))
        if new is not None:
            places = np.concatenate([r * width + np.arange(len(t)) for r, t in enumerate(tokens)])
            write = on_device(places), on_device(np.concatenate(new))
        self.cache.aim(read, write)
        with products(self.layers):
            return self.model.base_model(
                input_ids=on_device(ids), position_ids=on_device(positions), attention_mask=mask,
                past_key_values=self.cache, use_cache=True,
            ).last_hidden_state  # fmt: skip

    def _means(self, pairs: list[Pair], before: list[Slots]) -> Any:
        """Mean log-likelihood of each pair's answer [rows], float64."""
        import torch

        hidden = self._hidden(
            [p.ids[len(b) : -1] for p, b in zip(pairs, before, strict=True)], before, None
        )
        counts = np.array([len(p.ids) - p.start for p in pairs])
        row = np.repeat(np.arange(len(pairs)), counts)
        # the hidden state before an answer's token predicts it
        column = np.concatenate(
            [
                np.arange(p.start, len(p.ids)) - len(b) - 1
                for p, b in zip(pairs, before, strict=True)
            ]
        )
        targets = np.concatenate([p.ids[p.start :] for p in pairs]).astype(np.int64)
        at, places, target = (
            torch.from_numpy(a).to(self.device, non_blocking=True) for a in (row, column, targets)
        )
        states = hidden[at, places]
        sums = torch.zeros(len(pairs), dtype=torch.float64, device=self.device)
        for n in range(0, len(row), STATES_AT_ONCE):
            part = slice(n, n + STATES_AT_ONCE)
            sums.index_add_(0, at[part], self._log_p(states[part], target[part]))
        return sums / torch.from_numpy(counts).to(self.device)

    def _log_p(self, states: Any, targets: Any) -> Any:
        """log p of ``targets`` [n] after the hidden ``states`` [n, width], in float64 [n].

        Logits are made and summed up in float32 whatever the model computes in: in bfloat16 a
        logit of 20 would be rounded to the next eighth. Where weights and states are bfloat16
        numbers, units for these multiply them: nothing of a factor is lost, and sums are float32.
        """
        import torch

        head = self.model.get_output_embeddings()
        bias = getattr(head, "bias", None)
        exact = states.dtype == head.weight.dtype == torch.bfloat16
        states = states.float()

        def capped(logits: Any) -> Any:
            return self.softcap * (logits / self.softcap).tanh() if self.softcap else logits

        totals = []
        for low in range(0, head.weight.shape[0], ENTRIES_AT_ONCE):
            part = slice(low, low + ENTRIES_AT_ONCE)
            with products("medium" if exact else "highest"):
                logits = states @ head.weight[part].float().T
            logits = capped(logits if bias is None else logits.add_(bias[part].float()))
            most = logits.amax(-1)
            totals.append(logits.sub_(most[:, None]).exp_().sum(-1).log_().add_(most))
        picked = (states * head.weight[targets].float()).sum(-1)
        picked = capped(picked if bias is None else picked + bias[targets].float())
        return picked.double() - torch.stack(totals, -1).logsumexp(-1).double()


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Matrix products of float32 numbers: ``highest`` as they are, ``high`` in TF32 on a GPU,
    ``medium`` in bfloat16 on a processor that has it and in TF32 on a GPU; sums in float32."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _no_memory(error: RuntimeError) -> bool:
    """Whether memory ran out; the CPU's allocator has no error of its own."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _one_behind(
    batches: Iterator[tuple[list[int], Any]], order: list[int]
) -> Iterator[tuple[list[int], list[float]]]:
    """Read a batch's results only when the next one has been launched, so that a GPU never waits
    for what is done with them; rows as positions before sorting."""
    held: tuple[list[int], Any] | None = None
    for batch in batches:
        if held:
            yield [order[r] for r in held[0]], held[1].tolist()
        held = batch
    if held:
        yield [order[r] for r in held[0]], held[1].tolist()
