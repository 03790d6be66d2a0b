"""Keys and values of shared token prefixes, held once and read by every row that continues them."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class Layer(CacheLayerMixin):  # type: ignore[misc]
    """One attention layer's keys and values, by slot: [slots, heads, width]. Slot 0 holds zeros,
    for the rows of a batch whose prefix is shorter than the longest."""

    def __init__(self) -> None:
        super().__init__()
        self.read: torch.Tensor | None = None
        self.write: tuple[torch.Tensor, torch.Tensor] | None = None
        self.slots = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = self._empty(key_states), self._empty(value_states)
        self.is_initialized = True

    def _empty(self, states: torch.Tensor) -> torch.Tensor:
        return states.new_zeros((self.slots, states.shape[1], states.shape[3]))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [rows, heads, prefix + tokens, width] of a batch's ``tokens``."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        if self.write is not None:
            places, slots = self.write
            for held, states in ((self.keys, key_states), (self.values, value_states)):
                # [rows, heads, tokens, width] to [rows x tokens, heads, width]
                flat = states.transpose(1, 2).flatten(0, 1)
                held.index_copy_(0, slots, flat.index_select(0, places))
        if self.read is None:
            return key_states, value_states
        return (
            torch.cat([self._prefix(self.keys), key_states], 2),
            torch.cat([self._prefix(self.values), value_states], 2),
        )

    def _prefix(self, held: torch.Tensor) -> torch.Tensor:
        assert self.read is not None
        rows, length = self.read.shape
        picked = held.index_select(0, self.read.flatten())
        return picked.view(rows, length, *held.shape[1:]).transpose(1, 2)

    def get_seq_length(self) -> int:
        return 0 if self.read is None else self.read.shape[1]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return -1


class PrefixCache(Cache):  # type: ignore[misc]
    """A ``transformers`` cache of slots. Each forward pass reads the slots of its rows' prefixes
    and, where it computes prefixes itself, writes the new tokens' slots."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[Layer() for _ in range(layers)])

    def hold(self, slots: int) -> None:
        """Make room for ``slots`` tokens; what was held is forgotten if there was less."""
        for layer in self.layers:
            if layer.slots < slots + 1:
                layer.slots, layer.is_initialized = slots + 1, False
                layer.keys = layer.values = None

    def aim(
        self, read: torch.Tensor | None, write: tuple[torch.Tensor, torch.Tensor] | None
    ) -> None:
        """Set what the next pass reads, slots [rows, prefix], and writes: of its tokens, counted
        over all rows, those at ``places`` into ``slots``."""
        for layer in self.layers:
            layer.read, layer.write = read, write
