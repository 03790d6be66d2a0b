"""The cache of prefixes: what a pass writes is what the next reads, slot by slot."""

from __future__ import annotations

import torch

from ruie.kv import PrefixCache


def states(*values):
    """[1 row, 1 head, tokens, width 2]: each token's numbers are its value and its negative."""
    v = torch.tensor(values, dtype=torch.float32)
    return torch.stack([v, -v], -1)[None, None]


def test_written_slots_are_read_before_the_new_tokens():
    cache = PrefixCache(2)
    cache.hold(4)
    # of three tokens the last is padding: two go to slots 3 and 1
    cache.aim(None, (torch.tensor([0, 1]), torch.tensor([3, 1])))
    for layer in range(2):
        keys, values = cache.update(states(5.0, 6.0, 7.0), states(50.0, 60.0, 70.0), layer)
        assert keys[0, 0, :, 0].tolist() == [5, 6, 7]  # nothing stands before them
        assert values[0, 0, :, 1].tolist() == [-50, -60, -70]
    assert cache.get_seq_length() == 0
    # two rows go on: one from slots 3 and 1, one from slot 1 alone, with the zeros of slot 0 before
    cache.aim(torch.tensor([[3, 1], [0, 1]]), None)
    new = states(8.0).expand(2, 1, 1, 2)
    for layer in range(2):
        keys, values = cache.update(new, new * 10, layer)
        assert keys[:, 0, :, 0].tolist() == [[5, 6, 8], [0, 6, 8]]
        assert values[:, 0, :, 0].tolist() == [[50, 60, 80], [0, 60, 80]]
    assert cache.get_seq_length() == 2
    assert cache.get_mask_sizes(1, 0) == (3, 0)


def test_room_grows_and_is_kept():
    cache = PrefixCache(1)
    cache.hold(2)
    cache.aim(None, (torch.tensor([0]), torch.tensor([2])))
    cache.update(states(5.0), states(5.0), 0)
    cache.hold(1)  # there is more: what is held stays
    cache.aim(torch.tensor([[2]]), None)
    assert cache.update(states(1.0), states(1.0), 0)[0][0, 0, :, 0].tolist() == [5, 1]
    cache.hold(6)  # more than there is: forgotten, slot 0 included
    cache.aim(torch.tensor([[6]]), None)
    assert cache.update(states(1.0), states(1.0), 0)[0][0, 0, :, 0].tolist() == [0, 1]
