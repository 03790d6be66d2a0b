"""The losses against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from ruie.losses import contrastive_loss, distillation_loss, reward_loss


def logs(*rows):
    """Scores whose exponentials are the numbers given; constants a row do not matter."""
    return torch.tensor(rows, dtype=torch.float64).log()


def test_reward_loss():
    # row 1: 6 / (6 + 3 + 1) = 0.6, -ln 0.6 = 0.510826; row 2: 1 / (1 + 1 + 2) = 0.25,
    # -ln 0.25 = 1.386294; the mean is 0.948560
    scores = logs([6, 3, 1], [1, 1, 2])
    assert reward_loss(scores).item() == pytest.approx(0.948560, abs=1e-6)
    # a constant added to a whole group changes nothing
    assert reward_loss(scores + 100).item() == pytest.approx(0.948560, abs=1e-6)
    # the positive is column 0, not the best: with the best in front the loss falls to
    # (0.510826 + -ln 0.5 = 0.693147) / 2 = 0.601986
    assert reward_loss(logs([6, 3, 1], [2, 1, 1])).item() == pytest.approx(0.601986, abs=1e-6)


def test_reward_loss_pulls_by_softmax_minus_one_hot():
    scores = logs([6, 3, 1], [1, 1, 2]).requires_grad_()
    reward_loss(scores).backward()
    # d/ds = (softmax - one-hot) / 2 queries: (0.6 - 1, 0.3, 0.1) / 2, (0.25 - 1, 0.25, 0.5) / 2
    want = torch.tensor([[-0.2, 0.15, 0.05], [-0.375, 0.125, 0.25]], dtype=torch.float64)
    torch.testing.assert_close(scores.grad, want)


def test_distillation_loss_is_kl_from_the_teacher():
    student, teacher = logs([1, 1], [1, 3]), logs([3, 1], [1, 3])
    # row 1: teacher (3/4, 1/4), student (1/2, 1/2):
    #   3/4 ln(3/2) + 1/4 ln(1/2) = 0.304099 - 0.173287 = 0.130812; row 2: equal, so 0
    # the mean over two queries is 0.065406
    assert distillation_loss(student, teacher).item() == pytest.approx(0.065406, abs=1e-6)
    # the other way round it is 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3) = 0.143841, half 0.071921
    assert distillation_loss(teacher, student).item() == pytest.approx(0.071921, abs=1e-6)
    # the two scales are free: reward logits far from the retriever's scores
    assert distillation_loss(student + 50, teacher - 7).item() == pytest.approx(0.065406, abs=1e-6)


def test_distillation_loss_takes_the_mean_over_queries_not_over_entries():
    student, teacher = logs([1, 1, 2]), logs([2, 1, 1])
    # teacher (1/2, 1/4, 1/4), student (1/4, 1/4, 1/2): 1/2 ln 2 + 0 + 1/4 ln(1/2)
    #   = 1/4 ln 2 = 0.173287, for one query and for the same query three times
    assert distillation_loss(student, teacher).item() == pytest.approx(0.173287, abs=1e-6)
    thrice = distillation_loss(student.repeat(3, 1), teacher.repeat(3, 1))
    assert thrice.item() == pytest.approx(0.173287, abs=1e-6)


def test_contrastive_loss():
    # query 1, positive column 2: 3 / (1 + 2 + 3 + 4) = 0.3, -ln 0.3 = 1.203973
    # query 2, positive column 0: 4 / (4 + 4 + 1 + 1) = 0.4, -ln 0.4 = 0.916291
    # mean 1.060132
    scores, positives = logs([1, 2, 3, 4], [4, 4, 1, 1]), torch.tensor([2, 0])
    assert contrastive_loss(scores, positives).item() == pytest.approx(1.060132, abs=1e-6)


def test_contrastive_loss_leaves_ignored_copies_out_of_the_sum():
    scores, positives = logs([1, 2, 3, 4], [4, 4, 1, 1]), torch.tensor([2, 0])
    ignored = torch.zeros(2, 4, dtype=torch.bool)
    ignored[1, 1] = True  # a copy of query 2's positive
    # query 2: 4 / (4 + 1 + 1) = 2/3, -ln(2/3) = 0.405465; with 1.203973 the mean is 0.804719
    loss = contrastive_loss(scores, positives, ignored)
    assert loss.item() == pytest.approx(0.804719, abs=1e-6)
    # nothing ignored is the same as no mask
    none = contrastive_loss(scores, positives, torch.zeros(2, 4, dtype=torch.bool))
    assert none.item() == pytest.approx(1.060132, abs=1e-6)


def test_contrastive_loss_gives_ignored_passages_no_gradient():
    scores, positives = logs([1, 2, 3, 4], [4, 4, 1, 1]).requires_grad_(), torch.tensor([2, 0])
    ignored = torch.zeros(2, 4, dtype=torch.bool)
    ignored[1, 1] = True
    contrastive_loss(scores, positives, ignored).backward()
    # (softmax - one-hot) / 2: query 1 (1, 2, 3 - 10, 4) / 20; query 2 over 4 + 1 + 1 = 6:
    # (4/6 - 1, 0, 1/6, 1/6) / 2
    want = torch.tensor([[0.05, 0.1, -0.35, 0.2], [-1 / 6, 0, 1 / 12, 1 / 12]], dtype=torch.float64)
    torch.testing.assert_close(scores.grad, want)
