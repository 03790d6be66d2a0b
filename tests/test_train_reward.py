"""The reward model against hand arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trainings import (
    first_batch,
    reward,
)

from ruie import prompt
from ruie.cli import UserError


@pytest.mark.parametrize("tagged", [False, True])
def test_first_reward_loss_by_hand(data, tmp_path, tagged):
    """Equation 2 over the first batch, group by group and pair by pair, without padding."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    batch, queries, pool = first_batch(data)
    # the tags are left out or plain text: as tokens of their own their vectors are drawn at random
    words = "--keywords-as-text" if tagged else "--no-keywords"
    log = reward(data, tmp_path / "r", words, steps=1)
    assert ("<Keyword>" in AutoTokenizer.from_pretrained(tmp_path / "r").get_vocab()) is False
    tokenizer = AutoTokenizer.from_pretrained(data / "cross")
    model = AutoModelForSequenceClassification.from_pretrained(data / "cross").eval()
    losses, firsts = [], []
    for g in batch:
        scores = []
        for d in g.demonstrations:
            # both sides with their answers (section 3.3)
            inputs = tokenizer(
                prompt.render(queries[g.query_id], prompt.ENCODED, tagged),
                prompt.render(pool[d], prompt.ENCODED, tagged), return_tensors="pt",
            )  # fmt: skip
            with torch.no_grad():
                scores.append(model(**inputs).logits.item())
        e = np.exp(np.array(scores))
        losses.append(-np.log(e[0] / e.sum()))
        firsts.append(scores[0] == max(scores))
    assert log[0]["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert log[0]["accuracy"] == pytest.approx(np.mean(firsts))


def test_the_tags_are_tokens_of_their_own(trained):
    from transformers import AutoTokenizer

    folder, *_ = trained
    for name in ("reward", "retriever"):
        tokenizer = AutoTokenizer.from_pretrained(folder / name)
        found = tokenizer.tokenize("<Keyword>Oil</Keyword>")
        assert [found[0], found[-1]] == ["<Keyword>", "</Keyword>"]


def test_a_classifier_of_two_labels_is_refused_in_one_line(data, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(data / "bert", num_labels=2)
    model.save_pretrained(tmp_path / "two")
    AutoTokenizer.from_pretrained(data / "bert").save_pretrained(tmp_path / "two")
    with pytest.raises(UserError, match="two: cannot be loaded: "):
        reward(data, tmp_path / "r", "--model", tmp_path / "two", steps=1)
