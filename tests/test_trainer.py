"""The loop of both trainings: seeds, processes, faults."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
from safetensors.torch import load_file
from trainings import (
    arguments,
    differ,
    first_gradients,
    retriever,
    retriever_words,
    reward,
    weights,
)

from ruie import (
    aside,
    devices,
    examples,
    groups,
    parquet,
    prompt,
    schemas,
    train_retriever,
    train_reward,
    trainer,
)
from ruie.cli import UserError


def assert_close(one, two, atol):
    a, b = weights(Path(one)), weights(Path(two))
    assert a.keys() == b.keys()
    for k in a:
        # These shift all logits of a softmax alike (a token's attention; a group's scores), so
        # their true gradient is zero: Adam blows what rounding leaves of it up to full steps.
        if not k.endswith("key.bias") and k not in ("classifier.bias", "classifier.out_proj.bias"):
            torch.testing.assert_close(a[k], b[k], atol=atol, rtol=0, msg=lambda m, k=k: k + m)


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


@pytest.mark.parametrize(("last", "warned"), [(2.06, True), (2.05, False)])
def test_a_loss_that_did_not_fall_is_said(caplog, last, warned):
    """99 % of 2.079, the guess among eight, is 2.058."""
    caplog.set_level("INFO", "ruie")
    trainer.say_what_was_learned([2.079] * 45 + [last] * 5)
    assert f"loss 2.0790 in the first tenth of the steps, {last:.4f} in the last" in caplog.text
    assert ("nothing may have been learned" in caplog.text) == warned


def test_a_few_steps_say_nothing(caplog):
    trainer.say_what_was_learned([2.0] * 49)
    assert not caplog.text


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
    failed = parquet.read(tmp_path / "failed_batch.parquet", schemas.FAILED).to_pylist()
    # the batch of one step: 8 queries with a positive and 3 negatives each
    assert len({r["step"] for r in failed}) == 1
    assert [r["positive"] for r in failed] == [True, False, False, False] * 8
    rewards = parquet.read(data / "rewards.parquet", schemas.REWARDS).to_pylist()
    taught = {(r["query_id"], r["demonstration_id"]): r["reward"] for r in rewards}
    assert all(r["teacher"] == taught[r["query_id"], r["demonstration_id"]] for r in failed)
    assert not all(math.isfinite(r["output"]) for r in failed)


def test_a_gradient_that_is_not_finite_stops_the_training(data, tmp_path, monkeypatch):
    plain = trainer.share
    monkeypatch.setattr(trainer, "share", lambda p, a: (p[0].grad.fill_(float("inf")), plain(p, a)))
    with pytest.raises(UserError, match=r"a gradient is not finite at step 1 "):
        reward(data, tmp_path / "r", steps=3)
    assert (tmp_path / "failed_batch.parquet").exists()


def test_the_same_in_parts_as_at_once(data, dropout, tmp_path):
    """With dropout: the second pass draws what the first one drew."""
    for train, model in ((reward, "cross"), (retriever, "bert")):
        words = ["--model", dropout / model, "--learning-rate", "2e-4", "--batch-tokens", 200]
        name = tmp_path / model
        once = train(data, Path(f"{name}-once"), *words, steps=3)
        parts = train(data, Path(f"{name}-parts"), *words, "--accumulate", steps=3)
        layers = train(data, Path(f"{name}-layers"), *words, "--gradient-checkpointing", steps=3)
        for log, what in ((parts, "parts"), (layers, "layers")):
            assert [r["loss"] for r in log] == pytest.approx([r["loss"] for r in once], abs=1e-5)
            assert_close(f"{name}-once", f"{name}-{what}", 1e-5)
        without = train(data, Path(f"{name}-none"), *words[2:], steps=3)
        assert abs(without[0]["loss"] - once[0]["loss"]) > 1e-4  # there is dropout


@pytest.fixture
def anew():
    """A process has one precision: forget it, before and after."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def test_mixed_precision(data, trained, tmp_path, anew, monkeypatch):
    _, *logs = trained
    monkeypatch.setattr(devices, "_has_bfloat16", lambda: True)
    for train, log in zip((reward, retriever), logs, strict=True):
        found = train(data, tmp_path / "r", "--mixed-precision", "bf16", steps=2)
        # 8 bits of a number: losses of about 2 agree to the second digit, and not to the sixth
        assert found[0]["loss"] == pytest.approx(log[0]["loss"], rel=0.05)
        assert found[0]["loss"] != pytest.approx(log[0]["loss"], rel=1e-6)
        assert weights(tmp_path / "r")["embeddings.word_embeddings.weight" if train is retriever
                                       else "bert.embeddings.word_embeddings.weight"].dtype \
            == torch.float32  # fmt: skip
    # what Accelerate refuses is one line
    with pytest.raises(UserError, match="--mixed-precision fp16: .*already been initialized"):
        reward(data, tmp_path / "r", "--mixed-precision", "fp16", steps=2)


def test_mixed_precision_where_it_would_be_emulated(data, trained, tmp_path, anew, monkeypatch):
    _, log, _ = trained
    monkeypatch.setattr(devices, "_has_bfloat16", lambda: False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    found = reward(data, tmp_path / "r", "--mixed-precision", "bf16", steps=2)
    assert [r["loss"] for r in found] == [r["loss"] for r in log[:2]]
    assert "bf16" not in (tmp_path / "r/README.md").read_text()


def test_queries_held_aside_are_watched_and_not_trained_on(data, tmp_path, monkeypatch):
    seen = set()
    plain = trainer.Run.take

    def take(self, batch):
        seen.update(g.query_id for g in batch)
        return plain(self, batch)

    monkeypatch.setattr(trainer.Run, "take", take)
    log = retriever(data, tmp_path / "r", "--watch", 5, "--watch-every", 5, steps=12)
    asked = {q.id for q in examples.read(data / "queries.parquet")}
    hidden = aside.held_aside(asked, 5, 5)
    assert len(hidden) == 1  # a tenth of 12
    assert seen == asked - hidden
    assert [r["step"] for r in log if r["mrr"] is not None] == [5, 10, 12]
    # the last one by hand, with the model that was written
    from sentence_transformers import SentenceTransformer

    (query,) = hidden
    scores = [r for r in parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
              if r["query_id"] == query]  # fmt: skip
    best = max(scores, key=lambda r: r["score"])["demonstration_id"]
    pool = examples.by_id(examples.read(data / "pool.parquet"))
    encoder = SentenceTransformer(str(tmp_path / "r"), device="cpu")
    asked_for = encoder.encode(prompt.render(pool[query], ("task", "input", "schema")))
    shown = {r["demonstration_id"]: pool[r["demonstration_id"]] for r in scores}
    found = {name: asked_for @ encoder.encode(prompt.render(e, prompt.ENCODED, keywords=True))
             for name, e in shown.items()}  # fmt: skip
    rank = 1 + sum(value > found[best] for value in found.values())
    assert log[-1]["mrr"] == pytest.approx(1 / rank)


def test_tensorboard(data, tmp_path):
    reward(data, tmp_path / "r", "--tensorboard", tmp_path / "board", steps=2)
    (events,) = (tmp_path / "board").iterdir()
    text = events.read_bytes()
    assert all(name in text for name in (b"loss", b"accuracy", b"samples_per_s"))


def test_the_pace_is_of_what_went_through_the_model(data, tmp_path):
    reward(data, tmp_path / "r", "--pace", tmp_path / "pace.parquet", steps=3)
    rows = parquet.read(tmp_path / "pace.parquet", schemas.PACE).to_pylist()
    assert [r["step"] for r in rows] == [1, 2, 3]
    # 8 queries with 4 demonstrations: 32 pairs
    assert [r["seconds"] * r["samples_per_s"] for r in rows] == pytest.approx([32] * 3)


def test_too_few_candidates_is_a_user_error(data, tmp_path):
    with pytest.raises(UserError, match="more than 14 candidates"):
        reward(data, tmp_path / "r", "--positives", 14)


WORKER = """
import sys, torch
torch.set_num_threads(1)
from ruie import train_retriever, train_reward
import trainings
words = sys.argv[2:]
cut = words.index("--next")
for program, mine in ((train_retriever, words[:cut]), (train_reward, words[cut + 1 :])):
    trainings.first_gradients(program, mine, sys.argv[1])
    program.main(mine)
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
    for program, mine in (
        (train_retriever, retriever_words(data, one / "retriever", *rate, steps=4)),
        (train_reward, arguments(data, "cross", one / "reward", "--steps", 4, *rate)),
    ):
        first_gradients(program, [str(w) for w in mine], str(one))
    words = [two, *retriever_words(data, two / "retriever", *rate, steps=4), "--next",
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
            PYTHONPATH=os.pathsep.join([str(tiny.ROOT), str(Path(__file__).parent)]),
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
        # in float64: loss and gradients of the first batch, at once and in parts
        a, b = (load_file(d / f"{name}.gradients.safetensors") for d in (one, two))
        assert a.keys() == b.keys()
        for k in a:
            torch.testing.assert_close(a[k], b[k], atol=1e-6, rtol=0, msg=lambda m, k=k: k + m)
        assert max(a[k].abs().max() for k in a if not k.endswith("loss")) > 1e-2
        logs = [parquet.read(d / f"{name}.parquet", schemas.TRAINING).to_pylist()
                for d in (one, two)]  # fmt: skip
        for a, b in zip(*logs, strict=True):
            for column in ("loss", "accuracy", "learning_rate"):
                assert a[column] == pytest.approx(b[column], abs=1e-5)
        assert_close(one / name, two / name, 1e-5)
        a = weights(one / name)
        before = weights(data / ("bert" if name == "retriever" else "cross"))
        same = [k for k in before if a[k].shape == before[k].shape]
        assert max((a[k] - before[k]).abs().max() for k in same) > 2e-4


def test_a_batch_that_cannot_be_shared_out_is_a_user_error(data, tmp_path):
    run = SimpleNamespace(args=SimpleNamespace(batch_size=7),
                          accelerator=SimpleNamespace(num_processes=2))  # fmt: skip
    with pytest.raises(UserError, match="--batch-size 7 must be a multiple of 2"):
        trainer.train(run, [], [])


def test_a_model_folder_is_replaced_whole(tmp_path):
    out = tmp_path / "deep" / "model"
    cleared = []

    def run(main):
        return SimpleNamespace(
            accelerator=SimpleNamespace(wait_for_everyone=lambda: None, is_main_process=main),
            args=SimpleNamespace(out=out),
            checkpoints=SimpleNamespace(clear=lambda: cleared.append(main)),
        )

    alone, other = run(True), run(False)
    trainer.publish(lambda f: (f / "old").write_text("1"), alone)
    trainer.publish(lambda f: (f / "new").write_text("2"), alone)
    assert [p.name for p in out.iterdir()] == ["new"]

    def fails(folder: Path):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        trainer.publish(fails, alone)
    assert (out / "new").read_text() == "2"  # what was there stays
    assert cleared == [True, True]
    trainer.publish(fails, other)  # only the main process writes
    assert os.listdir(out) == ["new"]


def test_a_tie_is_no_win():
    scores = torch.tensor([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 3.0]])
    assert trainer.accuracy(scores).item() == pytest.approx((1 + 1 / 2 + 1 / 3 + 0) / 4)


def test_weights_decay_but_biases_and_norms_and_all_follow_the_schedule(data, tmp_path):
    words = [str(w) for w in arguments(data, "cross", tmp_path / "r", "--steps", 4,
                                       "--learning-rate", "0.5", "--watch", 0)]  # fmt: skip
    run, chosen, _ = train_reward.prepare(train_reward.parser().parse_args(words))
    decays = {id(p): g["weight_decay"] for g in run.plain.param_groups for p in g["params"]}
    assert {decays[id(p)] for n, p in run.task.network.named_parameters() if p.ndim > 1} == {0.01}
    assert {decays[id(p)] for n, p in run.task.network.named_parameters() if p.ndim <= 1} == {0.0}
    batch = next(groups.batches(chosen.members, 4, 3, 5))
    for rate in (0.5, 0.375):  # falls by a quarter a step
        run.take(batch)
        assert {g["lr"] for g in run.plain.param_groups} == {rate}
