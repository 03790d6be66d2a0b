"""The training losses, as pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax


def reward_loss(scores: Tensor) -> Tensor:
    """Equation 2: cross-entropy of the positive within its group.

    ``scores`` [queries, 1 + negatives], the positive in column 0; the mean over queries.
    """
    return cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.long))


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """L_distill of equation 4: KL(teacher || student) over each query's group of candidates.

    ``student``: the retriever's scores, already divided by tau; ``teacher``: the reward model's,
    divided by a temperature where it has one; both [queries, group]; the mean over queries.
    """
    return kl_div(log_softmax(student, -1), softmax(teacher, -1), reduction="batchmean")


def contrastive_loss(scores: Tensor, positives: Tensor, ignored: Tensor | None = None) -> Tensor:
    """L_contrastive of equation 4: InfoNCE with in-batch negatives.

    ``scores`` [queries, passages] of every query with every passage of the batch, divided by tau;
    ``positives`` [queries]: the column of each query's positive; ``ignored`` [queries, passages],
    true where a passage is no negative of the query (another of its positives).
    """
    if ignored is not None:
        scores = scores.masked_fill(ignored, float("-inf"))
    return cross_entropy(scores, positives)
