"""How fast a pool is encoded and the two small models are trained, side by side with
sentence-transformers on the same texts, weights and machine.

Both sides start from the same folders, read the same groups in the same order, and have the same
loss, batch size, learning rates, optimiser (AdamW) and length limit; tokenising, collation and
padding are each side's own. The language model's scores, which only say what is positive, are made
from BM25's ranks. Each way runs in a process of its own, the sides by turns; the best round counts.
Steps are timed after the first few; what is done before the first step (reading, tokenising) is
``setup_s``. ``cpu_s`` is processor time of all steps, for machines that have other work as well.
With ``--no-dropout`` both sides' losses must be the same, which shows that they do the same.

    python benchmarks/train.py --run results/bench --model models/minilm
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

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
    saving,
    schemas,
    score,
    train_retriever,
    train_reward,
    training,
)

WAYS = {
    "encode": ("ruie", "st-32", "st-64", "st-128"),
    "reward": ("ruie", "st"),
    "retriever": ("ruie", "st"),
}
DEFAULT = {"encode": "st-32", "reward": "st", "retriever": "st"}  # what ruie is compared with
PROGRAMS: dict[str, Any] = {"reward": train_reward, "retriever": train_retriever}
RATE = {"reward": 1e-5, "retriever": 3e-5}
TAU = 0.01
UNTIMED_TEXTS = 64
CERTAIN = 1000.0  # a label that softmax makes 1 beside 0


def words(what: str, args: argparse.Namespace, work: Path) -> list[str]:
    """The command line of our training."""
    out = [
        "--queries", args.run / "queries.parquet", "--pool", args.run / "training_pool.parquet",
        "--scores", work / "scores.parquet", "--model", work / what, "--out", work / "out",
        "--log", work / "log.parquet", "--pace", work / "pace.parquet",
        "--checkpoints", work / "checkpoints", "--watch", 0, "--steps", args.steps,
        "--save-every", args.steps, "--batch-size", args.batch_size,
        "--negatives", args.negatives, "--max-length", args.max_length,
        "--learning-rate", RATE[what], "--seed", args.seed,
    ]  # fmt: skip
    if what == "retriever":
        out += ["--no-distill", "--alpha", 1, "--tau", TAU]
    return [str(w) for w in out]


def prepare(args: argparse.Namespace, work: Path) -> None:
    """What all ways read: scores, starting weights, the texts to encode, the groups' texts."""
    import torch

    ranks = parquet.read(args.run / "candidates.parquet", schemas.CANDIDATES)
    known = sorted(set(ranks["query_id"].to_pylist()))
    lots = np.random.default_rng(args.seed)
    drawn = [known[i] for i in lots.permutation(len(known))[: args.queries]]
    ranks = ranks.filter(pc.is_in(ranks["query_id"], pa.array(drawn)))
    scores = pa.table({
        "query_id": ranks["query_id"], "demonstration_id": ranks["demonstration_id"],
        "score": -ranks["rank"].to_numpy().astype(np.float64),
        "tokens": np.zeros(ranks.num_rows, np.int32),
    }, schema=schemas.SCORES)  # fmt: skip
    parquet.write(scores, schemas.SCORES, work / "scores.parquet")

    torch.manual_seed(args.seed)  # of the new rows and the new head
    encoder = encoders.BiEncoder(args.model, "mean", True, args.max_length)
    train_reward.add_keyword_tokens(encoder.tokenizer, encoder.model)
    saving.save_retriever(encoder, work / "retriever", "", "")
    tokenizer, network = train_reward.load(args.model, keyword_tokens=True)
    saving.save_reward(network, tokenizer, work / "reward", args.max_length)

    if args.no_dropout:
        for what in PROGRAMS:
            still(work / what / "config.json")

    pool = examples.read(args.run / "training_pool.parquet")
    form = encoders.TextForm(prompt.FIELDS, keywords=True)
    some = lots.permutation(len(pool))[: args.texts + UNTIMED_TEXTS]
    (work / "encode.json").write_text(json.dumps([form(pool[i]) for i in some]))
    ranked = groups.Rankings(scores, "score")
    for what, program in PROGRAMS.items():
        flags = program.parser().parse_args(words(what, args, work))
        data = training.read(flags, ranked, ranked)
        tagged = ["query", "demonstration"] if what == "reward" else ["demonstration"]
        asked, shown = train_reward.texts(data, flags, tagged)
        batches = groups.batches(data.members, args.batch_size, args.negatives, args.seed)
        rows = [[asked[g.query_id], *(shown[d] for d in g.demonstrations)]
                for batch in itertools.islice(batches, args.steps) for g in batch]  # fmt: skip
        (work / f"{what}.json").write_text(json.dumps(rows))


def still(config: Path) -> None:
    """Set all dropout of a model's configuration to 0."""
    known = json.loads(config.read_text())
    known |= {n: 0.0 for n, v in known.items() if "dropout" in n and isinstance(v, float)}
    config.write_text(json.dumps(known, indent=1))


def encode(side: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    texts = json.loads((work / "encode.json").read_text())
    first, rest = texts[:UNTIMED_TEXTS], texts[UNTIMED_TEXTS:]
    started = time.perf_counter()
    if side == "ruie":
        encoder = encoders.BiEncoder(work / "retriever", "mean", True, args.max_length)

        def run(some: list[str]) -> np.ndarray:
            return encoder.encode(some)[0]
    else:
        from sentence_transformers import SentenceTransformer

        size = int(side.removeprefix("st-"))
        model = SentenceTransformer(str(work / "retriever"))

        def run(some: list[str]) -> np.ndarray:
            found: np.ndarray = model.encode(some, batch_size=size, show_progress_bar=False)
            return found

    run(first)
    setup, start = time.perf_counter() - started, time.perf_counter()
    cpu = time.process_time()
    vectors = run(rest)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    np.save(work / f"{side}.npy", vectors)
    return {"seconds": seconds, "cpu_s": cpu, "setup_s": setup, "samples": len(rest),
            "cpu_samples_per_s": len(rest) / cpu}  # fmt: skip


class Trained(NamedTuple):
    """``times``: seconds of each step; ``cpu``: processor seconds of all of them."""

    times: list[float]
    losses: list[float]
    setup: float
    cpu: float


def ours(what: str, args: argparse.Namespace, work: Path) -> Trained:
    from ruie import trainer

    started = time.perf_counter()
    program = PROGRAMS[what]
    run, data, _ = program.prepare(program.parser().parse_args(words(what, args, work)))
    setup = time.perf_counter() - started
    cpu = time.process_time()
    trainer.train(run, data.members, data.watched)
    cpu = time.process_time() - cpu
    pace = parquet.read(work / "pace.parquet", schemas.PACE)["seconds"].to_pylist()
    losses = parquet.read(work / "log.parquet", schemas.TRAINING)["loss"].to_pylist()
    return Trained(pace, losses, setup, cpu)


def theirs(what: str, args: argparse.Namespace, work: Path) -> Trained:
    """The same for sentence-transformers' trainers, which make their own batches of the rows; only
    their order is ours."""
    from datasets import Dataset
    from sentence_transformers import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    def in_order(dataset: Any, **options: Any) -> DefaultBatchSampler:
        return DefaultBatchSampler(SequentialSampler(dataset), **options)

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

    started = time.perf_counter()
    rows = json.loads((work / f"{what}.json").read_text())
    settings = {
        "output_dir": str(work / "st"), "max_steps": args.steps,
        "per_device_train_batch_size": args.batch_size, "learning_rate": RATE[what],
        "weight_decay": 0.01, "seed": args.seed, "report_to": "none", "save_strategy": "no",
        "logging_steps": 1, "disable_tqdm": True, "batch_sampler": in_order,
    }  # fmt: skip
    model: Any
    trainer: Any
    if what == "reward":
        from sentence_transformers.cross_encoder.losses import ListNetLoss

        model = CrossEncoder(str(work / what))
        width = len(rows[0]) - 1
        dataset = Dataset.from_dict({
            "query": [r[0] for r in rows], "docs": [r[1:] for r in rows],
            "labels": [[CERTAIN] + [0.0] * (width - 1)] * len(rows),
        })  # fmt: skip
        trainer = CrossEncoderTrainer(
            model=model, args=CrossEncoderTrainingArguments(**settings),
            train_dataset=dataset, loss=ListNetLoss(model),
        )  # fmt: skip
    else:
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        model = SentenceTransformer(str(work / what))
        names = ["query", "positive", *(f"negative_{n}" for n in range(len(rows[0]) - 2))]
        columns = {name: [r[i] for r in rows] for i, name in enumerate(names)}
        trainer = SentenceTransformerTrainer(
            model=model, args=SentenceTransformerTrainingArguments(**settings),
            train_dataset=Dataset.from_dict(columns),
            loss=MultipleNegativesRankingLoss(model, scale=1 / TAU),
        )  # fmt: skip
    clock = Clock()
    trainer.add_callback(clock)
    cpu = time.process_time()
    trainer.train()
    cpu = time.process_time() - cpu
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Trained(np.diff(clock.times).tolist(), losses, clock.times[0] - started, cpu)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """One way, once: samples/s, memory, and the losses of a training."""
    what, _, side = args.way.partition(":")
    work = args.work
    if what == "encode":
        found = encode(side, args, work)
    else:
        done = (ours if side == "ruie" else theirs)(what, args, work)
        timed = done.times[args.warm_up :]
        # pairs of the reward model; texts of the retriever, its queries among them
        sequences = args.batch_size * (args.negatives + (1 if what == "reward" else 2))
        found = {
            "seconds": sum(timed), "cpu_s": done.cpu, "setup_s": done.setup,
            "samples": len(timed) * sequences, "step_s": done.times, "losses": done.losses,
            "cpu_samples_per_s": len(done.times) * sequences / done.cpu,
        }  # fmt: skip
    rate = found["samples"] / found["seconds"]
    return {"what": what, "way": side, **found, "samples_per_s": rate, "peak_mb": score.peak_mb()}


def run(args: argparse.Namespace) -> dict[str, Any]:
    ways = [f"{what}:{side}" for what in args.parts for side in WAYS[what]]
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp)
        prepare(args, work)
        numbers = [
            f"--{n.replace('_', '-')}={getattr(args, n)}" for n in
            ("run", "steps", "batch_size", "negatives", "max_length", "warm_up", "seed")
        ]  # fmt: skip
        for _, way in itertools.product(range(args.rounds), ways):
            command = [sys.executable, __file__, *numbers, "--way", way, "--work", tmp,
                       "--result", str(work / "result")]  # fmt: skip
            # all that is read lies in the folder
            done = subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"})
            if done.returncode == -signal.SIGKILL and not way.endswith(":ruie"):
                cli.log.warning("%s: killed, as for want of memory; this round is left out", way)
                continue
            done.check_returncode()
            result = json.loads((work / "result").read_text())
            found.setdefault(way, []).append(result)
            cli.log.info("%s: %.2f samples/s", way, result["samples_per_s"])
        same: dict[str, float] = {}
        if "encode" in args.parts:
            mine = np.load(work / "ruie.npy")
            same = {side: float(np.abs(np.load(work / f"{side}.npy") - mine).max())
                    for side in WAYS["encode"][1:] if (work / f"{side}.npy").exists()}  # fmt: skip
    return summary(found, same, args)


def summary(
    found: dict[str, list[dict[str, Any]]], same: dict[str, float], args: argparse.Namespace
) -> dict[str, Any]:
    import sentence_transformers
    import torch

    best = []
    for rounds in found.values():
        row = max(rounds, key=lambda r: r["samples_per_s"])
        row["rounds"] = [r["samples_per_s"] for r in rounds]
        row["cpu_samples_per_s"] = max(r["cpu_samples_per_s"] for r in rounds)
        if row["way"] in same:
            row["largest_difference"] = same[row["way"]]
        best.append(row)
    ratios: dict[str, dict[str, float]] = {}
    for what in args.parts:
        ratios[what] = {}
        for name, column in (("", "samples_per_s"), ("cpu_", "cpu_samples_per_s")):
            rates = {r["way"]: r[column] for r in best if r["what"] == what}
            mine = rates.pop("ruie")
            if DEFAULT[what] not in rates:
                continue  # killed in all rounds
            ratios[what][f"{name}default"] = mine / rates[DEFAULT[what]]
            ratios[what][f"{name}best"] = mine / max(rates.values())
    return {
        "ratios_vs_sentence_transformers": ratios,
        "machine": {"device": devices.device(), "cores": os.cpu_count(),
                    "processor": platform.processor() or platform.machine(),
                    "capability": torch.backends.cpu.get_cpu_capability(),
                    "threads": torch.get_num_threads(), "torch": torch.__version__,
                    "sentence_transformers": sentence_transformers.__version__},
        "settings": {n: getattr(args, n) for n in
                     ("steps", "warm_up", "batch_size", "negatives", "max_length", "texts",
                      "queries", "rounds", "no_dropout", "seed")}
                    | {"model": Path(args.model).name},
        "ways": best,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = ["| what | way | samples | samples/s | by cpu s | setup s | peak MiB | loss "
             "| differs |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for r in result["ways"]:
        loss = f"{r['losses'][0]:.4f} to {r['losses'][-1]:.4f}" if "losses" in r else "–"
        differs = f"{r['largest_difference']:.1e}" if "largest_difference" in r else "–"
        lines.append(
            f"| {r['what']} | {r['way']} | {r['samples']} | {r['samples_per_s']:.2f} "
            f"| {r['cpu_samples_per_s']:.2f} "
            f"| {r['setup_s']:.1f} | {r['peak_mb']} | {loss} | {differs} |"
        )
    for what, r in result["ratios_vs_sentence_transformers"].items():
        if not r:
            lines.append(f"{what}: sentence-transformers was killed each time; nothing to compare")
            continue
        line = (f"{what}: {r['default']:.2f} times sentence-transformers "
                f"({r['cpu_default']:.2f} by processor time)")  # fmt: skip
        if what == "encode":
            line += f" as it ships, {r['best']:.2f} times its best batch size"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    p = cli.parser(__doc__)
    p.add_argument("--run", type=Path, default=Path("results/bench"),
                   help="folder of queries, pool and candidates (%(default)s)")  # fmt: skip
    p.add_argument("--model", default="models/minilm", help="folder (%(default)s)")
    for name, value, what in (
        ("steps", 12, "of each training"),
        ("batch-size", 8, "queries a step"),
        ("negatives", 3, "of a query"),
        ("max-length", 512, "tokens of a text or a pair"),
        ("texts", 1024, "to encode"),
        ("queries", 500, "that groups are drawn from"),
        ("rounds", 2, "of each way; the best counts"),
    ):
        p.add_argument(f"--{name}", type=cli.positive, default=value, help=f"{what} (%(default)s)")
    p.add_argument("--warm-up", type=cli.whole, default=2, help="steps not timed (%(default)s)")
    p.add_argument("--parts", nargs="+", choices=WAYS, default=list(WAYS))
    p.add_argument("--no-dropout", action="store_true",
                   help="so that the losses of both sides are the same")  # fmt: skip
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("results/bench/train.json"))
    p.add_argument("--way", help=argparse.SUPPRESS)
    p.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    p.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.warm_up >= args.steps:
        p.error("--warm-up leaves no step to time; raise --steps")
    if args.way:
        args.result.write_text(json.dumps(measure(args)))
        return
    result = run(args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    cli.run(main)
