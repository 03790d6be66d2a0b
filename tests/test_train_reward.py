"""The reward model against hand arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trainings import (
    first_batch,
    reward,
)

from ruie import (
    prompt,
)


def test_first_reward_loss_by_hand(data, tmp_path):
    """Equation 2 over the first batch, group by group and pair by pair, without padding."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    batch, queries, pool = first_batch(data)
    # --no-keywords: the untrained tag vectors are drawn at random, and are left out here
    log = reward(data, tmp_path / "r", "--no-keywords", steps=1)
    tokenizer = AutoTokenizer.from_pretrained(data / "cross")
    model = AutoModelForSequenceClassification.from_pretrained(data / "cross").eval()
    losses, firsts = [], []
    for g in batch:
        scores = []
        for d in g.demonstrations:
            # both sides with their answers (section 3.3)
            inputs = tokenizer(
                prompt.render(queries[g.query_id]), prompt.render(pool[d]), return_tensors="pt"
            )
            with torch.no_grad():
                scores.append(model(**inputs).logits.item())
        e = np.exp(np.array(scores))
        losses.append(-np.log(e[0] / e.sum()))
        firsts.append(scores[0] == max(scores))
    assert log[0]["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert log[0]["accuracy"] == pytest.approx(np.mean(firsts))
