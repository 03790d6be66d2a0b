"""The loop of both trainings: seeds, processes, faults."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from trainings import (
    arguments,
    differ,
    retriever,
    retriever_words,
    reward,
    weights,
)

from ruie import (
    parquet,
    schemas,
)
from ruie.cli import UserError


@pytest.mark.parametrize("which", [1, 2])
def test_the_loss_falls_and_the_log_is_whole(trained, which):
    log = trained[which]
    assert [r["step"] for r in log] == list(range(1, 13))
    losses = [r["loss"] for r in log]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert all(0 <= r["accuracy"] <= 1 for r in log)
    assert log[0]["learning_rate"] == pytest.approx(2e-3)
    # linear decay from step 1 to nothing after step 12: the last step has 1/12 of the rate left
    assert log[-1]["learning_rate"] == pytest.approx(2e-3 / 12)
    if which == 1:
        assert {r["distill"] for r in log} == {r["contrastive"] for r in log} == {None}
    else:
        for r in log:  # equation 4 with alpha = 0.2
            assert r["loss"] == pytest.approx(r["distill"] + 0.2 * r["contrastive"], abs=1e-5)


def test_warm_up_is_linear_from_nothing(data, tmp_path):
    log = reward(data, tmp_path / "r", "--warmup-steps", 2, steps=4)
    # 0, 1/2, 1 of the rate, then down to 1/2 of the way from step 2 to step 4
    assert [r["learning_rate"] for r in log] == pytest.approx([0, 1e-3, 2e-3, 1e-3])


def test_same_seed_same_bytes(data, trained, tmp_path):
    folder, reward_log, retriever_log = trained
    assert reward(data, tmp_path / "reward") == reward_log
    assert retriever(data, tmp_path / "retriever") == retriever_log
    for name in ("reward", "retriever"):
        for path in [*folder.glob(f"{name}/**/*"), folder / f"{name}.parquet"]:
            if path.is_file() and "part" not in path.name:
                again = tmp_path / path.relative_to(folder)
                assert path.read_bytes() == again.read_bytes(), path.name
    retriever(data, tmp_path / "other", "--seed", 6)
    assert differ(tmp_path / "other", folder / "retriever")


def test_a_loss_that_is_not_finite_stops_the_training(data, tmp_path):
    with pytest.raises(UserError, match=r"the loss is (nan|inf) at step \d+ .*learning rate"):
        retriever(data, tmp_path / "r", "--tau", "1e-42", steps=3)
    assert not (tmp_path / "r").exists()


def test_too_few_candidates_is_a_user_error(data, tmp_path):
    with pytest.raises(UserError, match="more than 14 candidates"):
        reward(data, tmp_path / "r", "--positives", 14)


WORKER = """
import sys, torch
torch.set_num_threads(1)
from ruie import train_retriever, train_reward
words = sys.argv[1:]
cut = words.index("--next")
train_retriever.main(words[:cut])
train_reward.main(words[cut + 1 :])
torch.distributed.destroy_process_group()
"""


def test_two_processes_are_one_with_the_same_global_batch(data, tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()
    # Adam turns rounding in a tiny gradient into a share of a step: steps of 2e-4, so that the
    # 1e-5 below is far above that and far below the way that the weights go
    rate = ("--learning-rate", "2e-4")
    retriever(data, one / "retriever", *rate, steps=4)
    reward(data, one / "reward", *rate, steps=4)
    words = [*retriever_words(data, two / "retriever", *rate, steps=4), "--next",
             *arguments(data, "cross", two / "reward", "--steps", 4, *rate)]  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = []
    for rank in "01":
        env = tiny.environment(
            RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port), ACCELERATE_USE_CPU="true", GLOO_SOCKET_IFNAME="lo",
            OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="",
        )  # fmt: skip
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER, *map(str, words)], env=env, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
    try:
        said = [w.communicate(timeout=150)[0] for w in workers]
    finally:
        for w in workers:
            w.kill()
    assert [w.returncode for w in workers] == [0, 0], "\n".join(said)[-3000:]
    for name in ("retriever", "reward"):
        logs = [parquet.read(d / f"{name}.parquet", schemas.TRAINING).to_pylist()
                for d in (one, two)]  # fmt: skip
        for a, b in zip(*logs, strict=True):
            for column in ("loss", "accuracy", "learning_rate"):
                assert a[column] == pytest.approx(b[column], abs=1e-5)
        a, b = weights(one / name), weights(two / name)
        assert a.keys() == b.keys()
        for k in a:
            # These shift all logits of a softmax alike (a token's attention; a group's scores), so
            # their true gradient is zero: Adam blows what rounding leaves of it up to full steps.
            if k.endswith("key.bias") or k == "classifier.bias":
                continue
            torch.testing.assert_close(a[k], b[k], atol=1e-5, rtol=0, msg=lambda m, k=k: k + m)
        before = weights(data / ("bert" if name == "retriever" else "cross"))
        same = [k for k in before if a[k].shape == before[k].shape]
        assert max((a[k] - before[k]).abs().max() for k in same) > 2e-4


def test_a_batch_that_cannot_be_shared_out_is_a_user_error(data, tmp_path):
    from types import SimpleNamespace

    from ruie import training

    with pytest.raises(UserError, match="--batch-size 7 must be a multiple of 2"):
        training.train(
            None, None, [], SimpleNamespace(batch_size=7),
            SimpleNamespace(process_index=0, num_processes=2),
        )  # fmt: skip


def test_a_model_folder_is_replaced_whole(tmp_path):
    from types import SimpleNamespace

    from ruie import training

    alone = SimpleNamespace(wait_for_everyone=lambda: None, is_main_process=True)
    out = tmp_path / "deep" / "model"
    training.publish(lambda f: (f / "old").write_text("1"), out, alone)
    training.publish(lambda f: (f / "new").write_text("2"), out, alone)
    assert [p.name for p in out.iterdir()] == ["new"]

    def fails(folder: Path):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        training.publish(fails, out, alone)
    assert (out / "new").read_text() == "2"  # what was there stays
    other = SimpleNamespace(wait_for_everyone=lambda: None, is_main_process=False)
    training.publish(fails, out, other)  # only the main process writes
    assert os.listdir(out) == ["new"]
