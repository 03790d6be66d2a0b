"""How fast texts are encoded and both models trained, beside sentence-transformers' own encode and
trainers: the same texts, model, batches and machine, each way in a process of its own.

The data is a run's queries, pool and BM25 candidates; candidates' ranks stand for the LLM's scores.

    python benchmarks/train.py --run results/bench --model models/minilm
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ruie import (
    cli,
    devices,
    encoders,
    examples,
    groups,
    parquet,
    prompt,
    schemas,
    train_retriever,
    train_reward,
    training,
)

PARTS = ("encode", "reward", "retriever")
WAYS = ("ruie", "sentence-transformers")
WARM_UP = 2  # steps that are not timed
RATE, TAU = 2e-5, 0.05


def prepare(args: argparse.Namespace, folder: Path) -> None:
    """SCORES of some queries, drawn, and the batches' texts as sentence-transformers takes them."""
    candidates = parquet.read(args.run / "candidates.parquet", schemas.CANDIDATES)
    names = candidates["query_id"].unique().to_pylist()
    lots = np.random.default_rng(args.seed)
    names = [names[i] for i in sorted(lots.permutation(len(names))[: args.queries])]
    some = candidates.filter(pc.is_in(candidates["query_id"], value_set=pa.array(names)))
    rank = pc.negate(some["rank"].cast(pa.float64()))
    columns = {c: some[c] for c in ("query_id", "demonstration_id")}
    scores = pa.table({**columns, "score": rank, "tokens": pa.array([1] * len(some), pa.int32())})
    parquet.write(scores, schemas.SCORES, folder / "scores.parquet")

    fields = {"query_prefix": "", "demonstration_prefix": "",
              "demonstration_fields": list(prompt.FIELDS)}  # fmt: skip
    common = SimpleNamespace(queries=args.run / "queries.parquet", seed=args.seed, watch=0, last=16,
                             pool=args.run / "training_pool.parquet", positives=3)  # fmt: skip
    rankings = groups.Rankings(scores, "score")
    data = training.read(common, rankings, rankings)
    for part in ("reward", "retriever"):
        answered = prompt.FIELDS if part == "reward" else prompt.FIELDS[:3]
        form = SimpleNamespace(query_fields=list(answered), **fields)
        asked, shown = train_reward.texts(data, form, [])
        batches = groups.batches(data.members, args.batch_size, args.negatives, args.seed)
        drawn = [next(batches) for _ in range(args.steps)]
        rows = [[asked[g.query_id], *(shown[d] for d in g.demonstrations)]
                for batch in drawn for g in batch]  # fmt: skip
        (folder / f"{part}.json").write_text(json.dumps(rows))
    pool = examples.read(args.run / "training_pool.parquet")
    texts = [prompt.render(pool[i]) for i in lots.permutation(len(pool))[: args.texts]]
    (folder / "encode.json").write_text(json.dumps(texts))


def ours(args: argparse.Namespace, folder: Path) -> tuple[float, float | None]:
    """Samples a second, and the last loss."""
    if args.part == "encode":
        texts = json.loads((folder / "encode.json").read_text())
        encoder = encoders.BiEncoder(args.model, "mean", True, args.max_length)
        encoder.encode(texts[:32])
        start = time.perf_counter()
        encoder.encode(texts)
        return len(texts) / (time.perf_counter() - start), None
    words = [
        "--queries", args.run / "queries.parquet", "--pool", args.run / "training_pool.parquet",
        "--scores", folder / "scores.parquet", "--model", args.model, "--watch", 0,
        "--no-keywords", "--steps", args.steps, "--batch-size", args.batch_size, "--negatives",
        args.negatives, "--max-length", args.max_length, "--learning-rate", RATE, "--seed",
        args.seed, "--batch-tokens", args.batch_tokens, "--log", folder / "log", "--pace",
        folder / "pace", "--out", folder / f"{args.part}-model",
    ]  # fmt: skip
    if args.part == "retriever":
        words += ["--no-distill", "--alpha", 1, "--tau", TAU]
    program = train_reward if args.part == "reward" else train_retriever
    program.main([str(w) for w in words])
    pace = parquet.read(folder / "pace", schemas.PACE).to_pylist()[WARM_UP:]
    loss = parquet.read(folder / "log", schemas.TRAINING)["loss"].to_pylist()
    samples = sum(r["samples_per_s"] * r["seconds"] for r in pace)
    return samples / sum(r["seconds"] for r in pace), float(np.mean(loss[WARM_UP:]))


def theirs(args: argparse.Namespace, folder: Path) -> tuple[float, float | None]:
    """The same by sentence-transformers, with its own defaults otherwise."""
    import sentence_transformers as st

    rows = json.loads((folder / f"{args.part}.json").read_text())
    if args.part == "encode":
        model = st.SentenceTransformer(args.model, device=devices.device())
        model.max_seq_length = args.max_length
        best = 0.0
        for size in (32, 64, 128):
            model.encode(rows[:32], batch_size=size)
            start = time.perf_counter()
            model.encode(rows, batch_size=size)
            best = max(best, len(rows) / (time.perf_counter() - start))
        return best, None
    from datasets import Dataset
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[float] = []
            self.losses: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ends.append(time.perf_counter())

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            self.losses += [logs["loss"]] if "loss" in logs else []

    watch = Watch()
    common = {
        "output_dir": str(folder / "theirs"), "max_steps": args.steps, "learning_rate": RATE,
        "per_device_train_batch_size": args.batch_size, "logging_steps": 1, "report_to": "none",
        "save_strategy": "no", "seed": args.seed, "weight_decay": 0.01, "disable_tqdm": True,
        "use_cpu": devices.device() == "cpu",
    }  # fmt: skip
    if args.part == "reward":
        from sentence_transformers.cross_encoder.losses import ListNetLoss

        model = st.CrossEncoder(args.model, num_labels=1, max_length=args.max_length,
                                device=devices.device())  # fmt: skip
        size = len(rows[0]) - 1
        columns = {"query": [r[0] for r in rows], "documents": [r[1:] for r in rows],
                   "labels": [[1.0] + [0.0] * (size - 1)] * len(rows)}  # fmt: skip
        trainer = st.CrossEncoderTrainer(
            model=model, args=st.CrossEncoderTrainingArguments(**common), loss=ListNetLoss(model),
            train_dataset=Dataset.from_dict(columns), callbacks=[watch],
        )  # fmt: skip
        samples = args.batch_size * size
    else:
        from sentence_transformers.losses import MultipleNegativesRankingLoss

        model = st.SentenceTransformer(args.model, device=devices.device())
        model.max_seq_length = args.max_length
        names = ["anchor", "positive", *(f"negative_{n}" for n in range(len(rows[0]) - 2))]
        columns = {name: [r[i] for r in rows] for i, name in enumerate(names)}
        trainer = st.SentenceTransformerTrainer(
            model=model, args=st.SentenceTransformerTrainingArguments(**common),
            loss=MultipleNegativesRankingLoss(model, scale=1 / TAU),
            train_dataset=Dataset.from_dict(columns), callbacks=[watch],
        )  # fmt: skip
        samples = args.batch_size * len(rows[0])
    trainer.train()
    timed = watch.ends[-1] - watch.ends[WARM_UP - 1]
    return samples * (args.steps - WARM_UP) / timed, float(np.mean(watch.losses[WARM_UP:]))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    rate, loss = (ours if args.way == "ruie" else theirs)(args, args.folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"part": args.part, "way": args.way, "samples_per_s": rate, "loss": loss,
            "peak_mb": peak}  # fmt: skip


def run(args: argparse.Namespace, words: list[str]) -> dict[str, Any]:
    found = []
    with tempfile.TemporaryDirectory() as tmp:
        prepare(args, Path(tmp))
        for part in args.parts:
            for way in WAYS:
                more = ["--part", part, "--way", way, "--folder", tmp]
                subprocess.run([sys.executable, __file__, *words, *more], check=True)
                found.append(json.loads(Path(tmp, "result").read_text()))
                cli.log.info("%s, %s: %.1f samples/s", part, way, found[-1]["samples_per_s"])
    import torch

    rate = {(r["part"], r["way"]): r["samples_per_s"] for r in found}
    return {
        "ratios": {p: rate[p, WAYS[0]] / rate[p, WAYS[1]] for p in args.parts},
        "machine": {"device": devices.device(), "cores": os.cpu_count(),
                    "capability": torch.backends.cpu.get_cpu_capability(),
                    "torch": torch.__version__},
        "settings": {"model": Path(args.model).name, "steps": args.steps, "seed": args.seed,
                     "batch_size": args.batch_size, "negatives": args.negatives,
                     "max_length": args.max_length, "texts": args.texts,
                     "batch_tokens": args.batch_tokens},
        "ways": found,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = ["| part | way | samples/s | loss | peak MiB |", "|---|---|---|---|---|"]
    for r in result["ways"]:
        loss = "" if r["loss"] is None else f"{r['loss']:.3f}"
        lines.append(f"| {r['part']} | {r['way']} | {r['samples_per_s']:.1f} | {loss} "
                     f"| {r['peak_mb']} |")  # fmt: skip
    lines += [f"{p}: {r:.2f} times sentence-transformers" for p, r in result["ratios"].items()]
    return "\n".join(lines)


def main() -> None:
    p = cli.parser(__doc__)
    p.add_argument("--run", type=Path, default=Path("results/bench"),
                   help="folder of queries, pool and candidates (%(default)s)")  # fmt: skip
    p.add_argument("--model", default="models/minilm", help="folder (%(default)s)")
    p.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    p.add_argument("--queries", type=cli.positive, default=500, help="drawn (%(default)s)")
    p.add_argument("--texts", type=cli.positive, default=1000, help="to encode (%(default)s)")
    p.add_argument("--steps", type=cli.positive, default=10, help="%(default)s, the first two "
                   "not timed")  # fmt: skip
    p.add_argument("--batch-size", type=cli.positive, default=16, help="queries (%(default)s)")
    p.add_argument("--negatives", type=cli.positive, default=3)
    p.add_argument("--max-length", type=cli.positive, default=512)
    p.add_argument("--batch-tokens", type=cli.positive, default=4096)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("results/bench/train.json"))
    p.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    p.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    p.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.way:
        (args.folder / "result").write_text(json.dumps(measure(args)))
        return
    result = run(args, sys.argv[1:])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    cli.run(main)
