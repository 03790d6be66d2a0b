"""Tiny trainings that several tests share: their data, and how they are started."""

from __future__ import annotations

import json
import random
import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from ruie import (
    examples,
    groups,
    parquet,
    schemas,
    train_retriever,
    train_reward,
    trainer,
)

PEOPLE = ["Alice", "Bob", "Smith", "Peru", "Shell", "Oil", "Friday", "Monday"]
PLACES = ["Berlin", "Paris", "London", "Lima", "Aden", "York", "City", "Corp"]


def people(n):
    a, b = PEOPLE[n % 8], PEOPLE[(3 * n + 1) % 8]
    return tiny.sample(f"e{n}", f"{a} works for {b} number {n}.", ("person", a))


def places(n):
    a, b = PLACES[n % 8], PLACES[(3 * n + 1) % 8]
    return tiny.sample(f"e{n}", f"The harbour near {a} and {b} number {n}.", ("location", a))


@pytest.fixture(scope="session")
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
    parquet.write(rows, schemas.SCORES, folder / "scores.parquet")
    # rewards of another scale, so that taking the wrong teacher shows
    rewards = [{"query_id": r["query_id"], "demonstration_id": r["demonstration_id"],
                "reward": 2 * r["score"] + 5} for r in rows]  # fmt: skip
    parquet.write(rewards, schemas.REWARDS, folder / "rewards.parquet")
    tiny.encoder(folder / "bert")
    tiny.encoder(folder / "cross", classifier=True)
    return folder


@pytest.fixture(scope="session")
def dropout(data, tmp_path_factory):
    """The tiny models with dropout."""
    folder = tmp_path_factory.mktemp("dropout")
    for name in ("bert", "cross"):
        shutil.copytree(data / name, folder / name)
        config = json.loads((folder / name / "config.json").read_text())
        config |= {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}
        (folder / name / "config.json").write_text(json.dumps(config))
    return folder


def arguments(data, model, out, *more):
    return [
        "--queries", data / "queries.parquet", "--pool", data / "pool.parquet",
        "--scores", data / "scores.parquet", "--model", data / model, "--batch-size", "8",
        "--negatives", "3", "--last", "6", "--learning-rate", "2e-3", "--seed", "5",
        "--watch", "0",
        "--log", out.with_suffix(".parquet"), "--out", out, *more,
    ]  # fmt: skip


def reward(data, out, *more, steps=12):
    words = arguments(data, "cross", out, "--steps", steps, *more)
    train_reward.main([str(w) for w in words])
    return parquet.read(out.with_suffix(".parquet"), schemas.TRAINING).to_pylist()


def retriever_words(data, out, *more, steps=12, rewards=True):
    teacher = ["--rewards", data / "rewards.parquet"] if rewards else []
    return arguments(data, "bert", out, *teacher, "--tau", "0.1", "--steps", steps, *more)


def retriever(data, out, *more, **options):
    train_retriever.main([str(w) for w in retriever_words(data, out, *more, **options)])
    return parquet.read(out.with_suffix(".parquet"), schemas.TRAINING).to_pylist()


@pytest.fixture(scope="session")
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
    ranked = groups.Rankings(parquet.read(data / "scores.parquet", schemas.SCORES), "score")
    members = groups.choices(ranked, queries, pool, 3, 6)
    return next(groups.batches(members, 8, 3, 5)), queries, pool


def first_gradients(program, words, folder):
    """Write loss and gradients of the first global batch in float64, at once and in parts."""
    args = program.parser().parse_args(words)
    found = {}
    for how, budget in (("once", 10**6), ("parts", 100)):
        run, data, _ = program.prepare(args)
        run.task.network.double()
        batch = next(groups.batches(data.members, args.batch_size, args.negatives, args.seed))
        n, of = run.accelerator.process_index, run.accelerator.num_processes
        mine = slice(n * len(batch) // of, (n + 1) * len(batch) // of)
        loss, *_ = trainer.gradients(
            run.task, batch, mine, run.accelerator, budget, "0", how == "parts"
        )
        trainer.share(run.parameters, run.accelerator)
        found[f"{how} loss"] = run.accelerator.reduce(loss, "mean").clone()
        for name, p in run.task.network.named_parameters():
            if p.grad is not None:
                found[f"{how} {name}"] = p.grad.clone()
    if run.accelerator.is_main_process:
        save_file(found, f"{folder}/{args.out.name}.gradients.safetensors")
