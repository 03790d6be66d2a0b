"""Both trainings on tiny models: one step worked out again, learning, repeatability, folders."""

from __future__ import annotations

import itertools
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file

from ruie import (
    encoders,
    examples,
    groups,
    parquet,
    prompt,
    score_reward,
    train_retriever,
    train_reward,
)
from ruie.cli import UserError

PEOPLE = ["Alice", "Bob", "Smith", "Peru", "Shell", "Oil", "Friday", "Monday"]
PLACES = ["Berlin", "Paris", "London", "Lima", "Aden", "York", "City", "Corp"]


def people(n):
    a, b = PEOPLE[n % 8], PEOPLE[(3 * n + 1) % 8]
    return tiny.sample(f"e{n}", f"{a} works for {b} number {n}.", ("person", a))


def places(n):
    a, b = PLACES[n % 8], PLACES[(3 * n + 1) % 8]
    return tiny.sample(f"e{n}", f"The harbour near {a} and {b} number {n}.", ("location", a))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Queries and a pool of two kinds; the language model "prefers" a query's own kind."""
    folder = tmp_path_factory.mktemp("data")
    pool = [people(n) if n % 2 else places(n) for n in range(24)]
    queries, lots, rows = pool[:12], random.Random(1), []
    for q in queries:
        others = [e for e in pool if e.id != q.id]
        for d in lots.sample(others, 14):
            like = d.annotations[0].label == q.annotations[0].label
            rows.append({"query_id": q.id, "demonstration_id": d.id, "tokens": 5,
                         "score": -1.0 - (0 if like else 3) - lots.random()})  # fmt: skip
    tiny.write_examples(queries, folder / "queries.parquet")
    tiny.write_examples(pool, folder / "pool.parquet")
    parquet.write(rows, parquet.SCORES, folder / "scores.parquet")
    # rewards of another scale, so that taking the wrong teacher shows
    rewards = [{"query_id": r["query_id"], "demonstration_id": r["demonstration_id"],
                "reward": 2 * r["score"] + 5} for r in rows]  # fmt: skip
    parquet.write(rewards, parquet.REWARDS, folder / "rewards.parquet")
    tiny.encoder(folder / "bert")
    tiny.encoder(folder / "cross", classifier=True)
    return folder


def arguments(data, model, out, *more):
    return [
        "--queries", data / "queries.parquet", "--pool", data / "pool.parquet",
        "--scores", data / "scores.parquet", "--model", data / model, "--batch-size", "8",
        "--negatives", "3", "--last", "6", "--learning-rate", "2e-3", "--seed", "5",
        "--log", out.with_suffix(".parquet"), "--out", out, *more,
    ]  # fmt: skip


def reward(data, out, *more, steps=12):
    words = arguments(data, "cross", out, "--steps", steps, *more)
    train_reward.main([str(w) for w in words])
    return parquet.read(out.with_suffix(".parquet"), parquet.TRAINING).to_pylist()


def retriever_words(data, out, *more, steps=12, rewards=True):
    teacher = ["--rewards", data / "rewards.parquet"] if rewards else []
    return arguments(data, "bert", out, *teacher, "--tau", "0.1", "--steps", steps, *more)


def retriever(data, out, *more, **options):
    train_retriever.main([str(w) for w in retriever_words(data, out, *more, **options)])
    return parquet.read(out.with_suffix(".parquet"), parquet.TRAINING).to_pylist()


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Reward model and retriever with the settings that most tests look at."""
    folder = tmp_path_factory.mktemp("trained")
    logs = reward(data, folder / "reward"), retriever(data, folder / "retriever")
    return folder, *logs


def weights(folder):
    return load_file(folder / "model.safetensors")


def differ(a, b):
    a, b = weights(a), weights(b)
    return a.keys() != b.keys() or any(
        a[k].shape != b[k].shape or not torch.equal(a[k], b[k]) for k in a
    )


def first_batch(data):
    """The first global batch, and the samples by id."""
    queries = examples.by_id(examples.read(data / "queries.parquet"))
    pool = examples.by_id(examples.read(data / "pool.parquet"))
    ranked = groups.ranked(parquet.read(data / "scores.parquet", parquet.SCORES), "score")
    members = groups.choices(ranked, queries, pool, 3, 6)
    return next(groups.batches(members, 8, 3, 5)), queries, pool


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


@pytest.mark.parametrize("rewards", [True, False])
def test_first_retriever_losses_by_hand(data, tmp_path, rewards):
    """Equations 3 and 4 over the first batch in NumPy."""
    batch, queries, pool = first_batch(data)
    log = retriever(data, tmp_path / "r", "--no-keywords", steps=1, rewards=rewards)
    name, column = ("rewards", "reward") if rewards else ("scores", "score")
    schema = parquet.REWARDS if rewards else parquet.SCORES
    rows = parquet.read(data / f"{name}.parquet", schema).to_pylist()
    taught = {(r["query_id"], r["demonstration_id"]): r[column] for r in rows}
    ranking = parquet.read(data / "scores.parquet", parquet.SCORES).to_pylist()
    told = {(r["query_id"], r["demonstration_id"]): r["score"] for r in ranking}

    def plain(e):  # the query side is the sample without its answer
        return prompt.render(e, ("task", "schema", "input"))

    encoder = encoders.BiEncoder(data / "bert", "mean", True, 512)
    q, _ = encoder.encode([plain(queries[g.query_id]) for g in batch])
    passages = [d for g in batch for d in g.demonstrations]
    p, _ = encoder.encode([prompt.render(pool[d]) for d in passages])
    scores = q.astype(np.float64) @ p.T / 0.1
    distill, contrastive, masked = [], [], 0
    for i, g in enumerate(batch):
        own = slice(4 * i, 4 * i + 4)
        teacher = np.exp([taught[g.query_id, d] for d in g.demonstrations])
        teacher /= teacher.sum()
        student = np.exp(scores[i, own])
        student /= student.sum()
        distill.append((teacher * np.log(teacher / student)).sum())
        # all passages of the batch but the LLM's own top 3 (and the query itself): positives too
        best = sorted((-told[k], k[1]) for k in told if k[0] == g.query_id)[:3]
        no_negatives = {g.query_id, *(d for _, d in best)}
        kept = [j for j, d in enumerate(passages) if j == 4 * i or d not in no_negatives]
        masked += len(passages) - len(kept)
        e = np.exp(scores[i, kept])
        contrastive.append(-np.log(np.exp(scores[i, 4 * i]) / e.sum()))
    assert masked  # this batch holds other positives
    assert log[0]["distill"] == pytest.approx(np.mean(distill), abs=1e-4)
    assert log[0]["contrastive"] == pytest.approx(np.mean(contrastive), abs=1e-4)


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


def test_retriever_folder_loads_everywhere(data, trained):
    from sentence_transformers import SentenceTransformer

    folder = trained[0] / "retriever"
    e = people(1)
    texts = [prompt.render(e), prompt.render(e, keywords=True), prompt.query(places(2)), "Oil"]
    ours, _ = encoders.BiEncoder(folder, "mean", True, 512).encode(texts)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    before, _ = encoders.BiEncoder(data / "bert", "mean", True, 512).encode(texts)
    assert abs(ours - before).max() > 1e-3
    tokenizer = encoders.BiEncoder(folder, "mean", True, 512).tokenizer
    assert len(tokenizer.tokenize("<Keyword>")) == len(tokenizer.tokenize("</Keyword>")) == 1


@pytest.mark.parametrize("more", [("--pooling", "cls"), ("--no-normalize",),
                                  ("--max-length", "12")])  # fmt: skip
def test_the_folder_says_how_it_was_trained(data, tmp_path, more):
    from sentence_transformers import SentenceTransformer

    retriever(data, tmp_path / "r", *more, steps=2)
    texts = [prompt.render(people(1)), "Oil prices rose."]
    pooling = "cls" if "cls" in more else "mean"
    limit = 12 if "12" in more else 512
    ours, cut = encoders.BiEncoder(
        tmp_path / "r", pooling, "--no-normalize" not in more, limit
    ).encode(texts)
    assert cut == ("12" in more)
    theirs = SentenceTransformer(str(tmp_path / "r"), device="cpu").encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_reward_folder_loads_and_scores(data, trained, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = trained[0] / "reward"
    out = tmp_path / "rewards.parquet"
    score_reward.main([
        "--scores", str(data / "scores.parquet"), "--queries", str(data / "queries.parquet"),
        "--pool", str(data / "pool.parquet"), "--model", str(folder), "--batch-tokens", "700",
        "--out", str(out),
    ])  # fmt: skip
    rows = parquet.read(out, parquet.REWARDS).to_pylist()
    asked = parquet.read(data / "scores.parquet", parquet.SCORES).to_pylist()
    keys = ("query_id", "demonstration_id")
    assert [[r[k] for k in keys] for r in rows] == [[r[k] for k in keys] for r in asked]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert model.config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pool = examples.by_id(examples.read(data / "pool.parquet"))
    for r in rows[::40]:
        left, right = (prompt.render(pool[r[k]], keywords=True) for k in keys)
        assert "<Keyword>" in left
        with torch.no_grad():
            want = model(**tokenizer(left, right, return_tensors="pt")).logits.item()
        assert r["reward"] == pytest.approx(want, abs=1e-4)
    # trained to prefer the query's own kind: its candidates get more on average
    like = {True: [], False: []}
    for r in rows:
        kinds = {pool[r[k]].annotations[0].label for k in keys}
        like[len(kinds) == 1].append(r["reward"])
    assert np.mean(like[True]) > np.mean(like[False])


def test_ablations_run_and_differ(data, trained, tmp_path):
    folder = trained[0]
    reward(data, tmp_path / "reward", "--no-keywords")
    assert differ(tmp_path / "reward", folder / "reward")
    logs = {
        "keywords": retriever(data, tmp_path / "keywords", "--no-keywords"),
        "rewards": retriever(data, tmp_path / "rewards", rewards=False),
        "distill": retriever(data, tmp_path / "distill", "--no-distill"),
    }
    for a, b in itertools.combinations([folder / "retriever", *(tmp_path / n for n in logs)], 2):
        assert differ(a, b)
    for r in logs["distill"]:  # the contrastive term alone is trained, the other still reported
        assert r["loss"] == pytest.approx(0.2 * r["contrastive"], abs=1e-6)
        assert r["distill"] > 0
    # same seed, same tags, same batch: the teacher alone differs
    full = trained[2][0]
    assert logs["rewards"][0]["contrastive"] == full["contrastive"]
    assert logs["rewards"][0]["distill"] != full["distill"]


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
        logs = [parquet.read(d / f"{name}.parquet", parquet.TRAINING).to_pylist()
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
