"""Log-likelihoods of answers under a causal language model (equation 1).

Context and continuation are tokenised as one string and split where the context ends. The pairs
that share a task's instruction share its key/value cache; batches are made of the longest first
under a token budget; the vocabulary projection is computed at the answers' positions alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruie import cli, devices, encoders

#: Positions whose logits are held at once: a vocabulary of 262,144 takes 1 MiB each in float32.
PROJECTED_AT_ONCE = 64


@dataclass(frozen=True)
class Pair:
    """Token ids of context and answer in one; the answer begins at ``start``."""

    ids: list[int]
    start: int


class LanguageModel:
    """A causal language model that scores answers; nothing is trained."""

    def __init__(self, model: str | Path, dtype: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = encoders.from_pretrained(AutoTokenizer, model)
        if not self.tokenizer.is_fast:
            raise cli.UserError(f"model {model}: has no fast tokenizer, which scoring needs")
        self.device = devices.device()
        self.model = encoders.from_pretrained(
            AutoModelForCausalLM, model, dtype=getattr(torch, dtype)
        )
        for name in ("logit_scale", "logits_scaling"):
            if getattr(self.model.config, name, None) not in (None, 1, 1.0):
                raise cli.UserError(f"model {model}: scales its logits ({name}), which scoring "
                                    "does not do; use another scoring model")  # fmt: skip
        self.model.eval().requires_grad_(False).to(self.device)

    def pairs(self, contexts: Sequence[str], answers: Sequence[str]) -> list[Pair]:
        """Tokenise ``context + answer``. A token that straddles the border counts to the answer,
        so that every character of the answer is scored."""
        whole = self.tokenizer(
            [c + a for c, a in zip(contexts, answers, strict=True)],
            return_offsets_mapping=True, return_attention_mask=False, verbose=False,
        )  # fmt: skip
        out = []
        for context, ids, offsets in zip(
            contexts, whole["input_ids"], whole["offset_mapping"], strict=True
        ):
            start = next((i for i, (_, end) in enumerate(offsets) if end > len(context)), len(ids))
            # the model needs at least one token before the answer to predict its first
            out.append(Pair(ids, max(start, 1)))
        return out

    def score(self, pairs: Sequence[Pair], budget: int) -> Iterator[tuple[list[int], list[float]]]:
        """Yield positions and mean log-likelihoods (nats a token), batch by batch.

        ``budget`` bounds the padded tokens of a batch. All ``pairs`` should begin alike (one
        task's instruction): their longest common beginning is computed once. A pair whose answer
        has no token scores 0, the log of certainty.
        """
        import torch

        shared = _common_prefix(pairs)
        with torch.inference_mode():
            cache = self._cache(pairs[0].ids[:shared])
            for rows in encoders.batches([len(p.ids) - shared for p in pairs], budget):
                yield rows, self._batch([pairs[r] for r in rows], shared, cache)

    def _cache(self, ids: list[int]) -> Any:
        import torch
        from transformers import DynamicCache

        cache = DynamicCache()
        if ids:
            tokens = torch.tensor([ids], device=self.device)
            self.model.base_model(input_ids=tokens, past_key_values=cache, use_cache=True)
        return cache

    def _batch(self, pairs: list[Pair], shared: int, cache: Any) -> list[float]:
        import copy

        import torch

        longest = max(len(p.ids) for p in pairs) - shared
        tokens = torch.zeros((len(pairs), longest), dtype=torch.long)
        for n, p in enumerate(pairs):
            tokens[n, : len(p.ids) - shared] = torch.tensor(p.ids[shared:])
        tokens = tokens.to(self.device)
        past = copy.deepcopy(cache)
        if shared:
            past.batch_repeat_interleave(len(pairs))
        # Padding stands at the right, where a causal model's real tokens never look: no mask.
        hidden = self.model.base_model(
            input_ids=tokens, past_key_values=past, use_cache=True
        ).last_hidden_state
        # the hidden state before an answer's token predicts it
        where = [(r, i) for r, p in enumerate(pairs) for i in range(p.start, len(p.ids))]
        row, position = (
            torch.tensor(where, dtype=torch.long, device=self.device).reshape(-1, 2).unbind(1)
        )
        states = hidden[row, position - shared - 1].split(PROJECTED_AT_ONCE)
        targets = tokens[row, position - shared].split(PROJECTED_AT_ONCE)
        picked = torch.cat([self._log_p(s, t) for s, t in zip(states, targets, strict=True)])
        sums = torch.zeros(len(pairs), dtype=torch.float64, device=self.device)
        sums.index_add_(0, row, picked)
        counts = torch.tensor([max(1, len(p.ids) - p.start) for p in pairs], device=self.device)
        means: list[float] = (sums / counts).tolist()
        return means

    def _log_p(self, states: Any, targets: Any) -> Any:
        """log p of ``targets`` [n] after the hidden ``states`` [n, width], in float64 [n]."""
        logits = self.model.get_output_embeddings()(states).float()
        softcap = getattr(self.model.config, "final_logit_softcapping", None)
        if softcap:
            logits = softcap * (logits / softcap).tanh()
        return (logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)).double()


def _common_prefix(pairs: Sequence[Pair]) -> int:
    """Length of the beginning that all pairs share, short of the last token before an answer
    (whose hidden state each pair must compute for itself)."""
    limit = min(p.start for p in pairs) - 1
    low, high = min(p.ids for p in pairs), max(p.ids for p in pairs)
    for i in range(limit):
        if low[i] != high[i]:
            return i
    return max(limit, 0)
