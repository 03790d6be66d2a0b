"""How fast a pool is searched and encoded: exact search as ruie.retrieve does it beside faiss-cpu's
flat index, and the encoder beside sentence-transformers, on the same vectors, texts and machine.

Writes --pool-size random unit vectors of --width numbers, and a pool of as many samples, to a
temporary folder (TMPDIR says where). Each way runs in a process of its own, the sides by turns; the
best round counts. ruie reads the pool, then answers 1, 32 and 1,000 queries at once, every time
reading the vectors again (the system may hold their file in its cache), with all that the command
does: the query and repetitions fall away, and rows of the table are made. The flat indexes hold all
vectors in memory (``setup_s``) and give as many hits as ruie searches: faiss's, and ``resident``,
the same by torch's products and top-k. Both give scores in float32; ``agree`` is the share of
ruie's hits that are among their first. faiss-cpu is needed by nothing else here: without it that
side is left out.

    python benchmarks/search.py --pool-size 1300000 --width 768 --model models/minilm
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ruie import cli, examples, parquet, prompt, readers, schemas, score, search, vectors

DEMO = Path(__file__).parents[1] / "workflow/datasets/demo"
WAYS = {
    "search": ("ruie", "faiss", "resident"),
    "encode": ("ruie", "st-32", "st-64", "st-128"),
}
TASKS = ("NER", "RE", "EET", "EEA")
AT_ONCE = 10_000
UNTIMED_TEXTS = 64  # as benchmarks/train.py leaves out
Answer = Callable[[np.ndarray], Any]


def unit(lots: np.random.Generator, rows: int, width: int) -> np.ndarray:
    found = lots.standard_normal((rows, width), np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def prepare(args: argparse.Namespace, work: Path) -> None:
    """The pool and its vectors, the queries' vectors, and the texts to encode."""
    if "search" in args.parts:
        lots = np.random.default_rng(args.seed)
        event = schemas.EXAMPLES.field("event").type
        with (
            vectors.writing(work / "vectors.parquet", args.width) as add,
            parquet.writing(schemas.EXAMPLES, work / "pool.parquet") as write,
        ):
            for low in range(0, args.pool_size, AT_ONCE):
                rows = range(low, min(low + AT_ONCE, args.pool_size))
                n, ids = len(rows), [f"dataset{i % 30}/train/{i:07}" for i in rows]
                add(ids, unit(lots, n, args.width))
                columns = {
                    "id": ids, "task": [TASKS[i % 4] for i in rows],
                    "dataset": [i.split("/")[0] for i in ids], "split": ["train"] * n,
                    "text": [f"Sentence {i} of a pool {'that is long ' * 6}." for i in rows],
                    "schema": [["person", "location", "organization"]] * n,
                    "annotations": [[]] * n, "event": pa.nulls(n, event),
                    "answer": ["None"] * n, "source": [""] * n,
                }  # fmt: skip
                write(pa.table(columns, schema=schemas.EXAMPLES))
        np.save(work / "queries.npy", unit(lots, max(args.queries), args.width))
    if "encode" in args.parts:
        from ruie import encoders, saving

        encoder = encoders.BiEncoder(args.model, "mean", True, args.max_length)
        saving.save_retriever(encoder, work / "retriever", "", "")
        texts = samples(args.data if args.data.is_dir() else DEMO)
        drawn = np.random.default_rng(args.seed).permutation(len(texts))
        some = [
            texts[i] for i in itertools.islice(itertools.cycle(drawn), args.texts + UNTIMED_TEXTS)
        ]
        (work / "encode.json").write_text(json.dumps(some))


def samples(data: Path) -> list[str]:
    """The training samples below a folder in IE_INSTRUCTIONS layout, as an encoder reads them."""
    out = []
    for folder in sorted(p.parent for p in data.glob("*/*/train.json")):
        source = readers.Source(folder, folder.parent.name, folder.name, "train")
        found = readers.get("ie_instructions")(source, readers.Problems())
        out += [prompt.render(e, keywords=True) for e in found]
    return out


def ours(args: argparse.Namespace, work: Path) -> Answer:
    from ruie import retrieve
    from ruie.ranking import Pool

    pool = Pool.read(work / "pool.parquet")
    _ = pool.ranks  # made at the first use: not part of a query's time

    def answer(asked: np.ndarray) -> Any:
        queries = [
            examples.Example(f"q{n}", "NER", "q", "test", f"Query {n}", (), (), None, "")
            for n in range(len(asked))
        ]
        return retrieve.dense(queries, pool, "mixed", args.depth, asked,
                              work / "vectors.parquet", block_mb=args.block_mb)  # fmt: skip

    return answer


def flat(side: str, args: argparse.Namespace, work: Path) -> Answer:
    """All vectors in memory; the best of each query."""
    import torch

    keep = min(2 * args.depth + 8, args.pool_size)
    every = np.ones(args.pool_size, bool)
    if side == "faiss":
        import faiss

        index = faiss.IndexFlatIP(args.width)
        for _, block in vectors.blocks(work / "vectors.parquet", every, AT_ONCE):
            index.add(np.ascontiguousarray(block))
        return lambda asked: index.search(asked, keep)[1]
    held = torch.empty(args.pool_size, args.width)
    for rows, block in vectors.blocks(work / "vectors.parquet", every, AT_ONCE):
        held[rows[0] : rows[-1] + 1] = torch.from_numpy(block.copy())

    def answer(asked: np.ndarray) -> Any:
        best, at = torch.empty(len(asked), 0), torch.empty(len(asked), 0, dtype=torch.long)
        for low in range(0, len(held), AT_ONCE):
            scores = torch.from_numpy(asked) @ held[low : low + AT_ONCE].T
            new, where = scores.topk(min(keep, scores.shape[1]))
            both, rows = torch.cat([best, new], 1), torch.cat([at, where + low], 1)
            best, order = both.topk(min(keep, both.shape[1]))
            at = rows.gather(1, order)
        return at.numpy()

    return answer


def searched(side: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    started = time.perf_counter()
    answer = ours(args, work) if side == "ruie" else flat(side, args, work)
    queries = np.load(work / "queries.npy")
    answer(queries[-1:])  # imports, and the vectors' file into the system's cache
    setup = time.perf_counter() - started
    times, cpu = {}, {}
    for n in args.queries:
        start, used = time.perf_counter(), time.process_time()
        found = answer(queries[:n])
        times[n], cpu[n] = time.perf_counter() - start, time.process_time() - used
        if side == "ruie":  # ids end in row numbers
            found = [int(r["demonstration_id"].rpartition("/")[2]) for r in found]
        np.save(work / f"{side}-{n}.npy", np.reshape(found, (n, -1)))
    return {"setup_s": setup, "seconds": times, "cpu_s": cpu, "peak_mb": score.peak_mb()}


def encoded(side: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    import train  # beside this file

    return train.encode(side, args, work) | {"peak_mb": score.peak_mb()}


def run(args: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp)
        # also what is prepared: a process's peak memory begins with what its parent holds
        child(args, work, "prepare")
        ways = [f"{part}:{side}" for part in args.parts for side in WAYS[part]]
        if "search:faiss" in ways and not importlib.util.find_spec("faiss"):
            cli.log.warning("no package faiss: see envs/bench.txt; that side is left out")
            ways.remove("search:faiss")
        for _, way in itertools.product(range(args.rounds), ways):
            found.setdefault(way, []).append(child(args, work, way))
            cli.log.info("%s: %s", way, found[way][-1])
        others = [side for part, side in (w.split(":") for w in ways) if part == "search"][1:]
        return summary(args, found, {side: agreement(args, work, side) for side in others})


def child(args: argparse.Namespace, work: Path, way: str) -> Any:
    numbers = [f"--{n.replace('_', '-')}={getattr(args, n)}" for n in
               ("pool_size", "width", "depth", "block_mb", "texts", "max_length", "model", "data",
                "seed")]  # fmt: skip
    words = [*numbers, "--queries", *map(str, args.queries), "--parts", *args.parts,
             "--way", way, "--work", str(work), "--result", str(work / "result")]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}  # all that is read lies in the folder
    subprocess.run([sys.executable, __file__, *words], check=True, env=environment)
    return json.loads((work / "result").read_text())


def agreement(args: argparse.Namespace, work: Path, side: str) -> float:
    """Share of ruie's hits that are among another side's first of the same depth."""
    same = total = 0
    for n in args.queries:
        mine, theirs = (np.load(work / f"{s}-{n}.npy") for s in ("ruie", side))
        same += sum(len(np.intersect1d(a, b[: len(a)])) for a, b in zip(mine, theirs, strict=True))
        total += mine.size
    return same / total


def summary(
    args: argparse.Namespace, found: dict[str, Any], agree: dict[str, float]
) -> dict[str, Any]:
    import torch

    ways, ratios = {}, {}
    for way, rounds in found.items():
        if way.startswith("search"):
            # keys of JSON are strings
            best = {f"{n}_queries_s": min(r["seconds"][str(n)] for r in rounds)
                    for n in args.queries}  # fmt: skip
            cpu = {f"{n}_queries_cpu_s": min(r["cpu_s"][str(n)] for r in rounds)
                   for n in args.queries}  # fmt: skip
        else:
            best = {"texts_per_s": max(r["samples"] / r["seconds"] for r in rounds)}
            cpu = {"texts_per_cpu_s": max(r["cpu_samples_per_s"] for r in rounds)}
        ways[way] = {**best, **cpu, "setup_s": min(r["setup_s"] for r in rounds),
                     "peak_mb": max(r["peak_mb"] for r in rounds)}  # fmt: skip
    for way, other in ways.items():
        part, side = way.split(":")
        if side != "ruie":
            # how many times as fast ruie is
            ratios[way] = {
                n: ways[f"{part}:ruie"][n] / v if n.startswith("texts")
                else v / ways[f"{part}:ruie"][n]
                for n, v in other.items() if "queries" in n or "texts" in n
            }  # fmt: skip
    return {
        "ways": ways, "ratios": ratios, "agree": agree,
        "settings": {n: getattr(args, n) for n in
                     ("pool_size", "width", "depth", "queries", "block_mb", "texts", "max_length",
                      "rounds", "seed")} | {"model": Path(args.model).name},
        "machine": {"cores": os.cpu_count(), "processor": platform.processor(),
                    "threads": torch.get_num_threads(), "torch": torch.__version__,
                    "load": os.getloadavg()},
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = ["| way | what | seconds | processor s | a query | set-up s | peak MiB |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for way, r in result["ways"].items():
        end = f"{r['setup_s']:.1f} | {r['peak_mb']} |"
        if "texts_per_s" in r:
            lines.append(f"| {way} | {r['texts_per_s']:.1f} texts/s "
                         f"| | {r['texts_per_cpu_s']:.1f} texts/s | | {end}")  # fmt: skip
        for n in result["settings"]["queries"] if "texts_per_s" not in r else ():
            s = r[f"{n}_queries_s"]
            lines.append(f"| {way} | {n} queries | {s:.2f} | {r[f'{n}_queries_cpu_s']:.2f} "
                         f"| {s / n * 1000:.1f} ms | {end}")  # fmt: skip
    for way, ratio in result["ratios"].items():
        each = ", ".join(f"{v:.2f} ({n})" for n, v in ratio.items())
        lines.append(f"ruie's speed over {way}: {each}")
    for side, share in result["agree"].items():
        lines.append(f"{side}: {share:.4%} of ruie's hits are among its first")
    return "\n".join(lines)


def main() -> None:
    p = cli.parser(__doc__)
    for name, value, what in (
        ("pool-size", 1_300_000, "vectors"),
        ("width", 768, "numbers in a vector"),
        ("depth", 100, "demonstrations kept for a query"),
        ("block-mb", search.BLOCK_MB, "as of ruie.retrieve"),
        ("texts", 1024, "to encode"),
        ("max-length", 512, "tokens of a text"),
        ("rounds", 2, "of each way; the best counts"),
    ):
        p.add_argument(f"--{name}", type=cli.positive, default=value, help=f"{what} (%(default)s)")
    p.add_argument("--queries", nargs="+", type=cli.positive, default=[1, 32, 1000],
                   help="queries at once (%(default)s)")  # fmt: skip
    p.add_argument("--parts", nargs="+", choices=WAYS, default=list(WAYS))
    p.add_argument("--model", default="models/minilm", help="folder (%(default)s)")
    p.add_argument("--data", type=Path, default=Path("../shared/data/ie"),
                   help="IE_INSTRUCTIONS layout; else the demo's texts")  # fmt: skip
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("results/bench/search.json"))
    p.add_argument("--way", help=argparse.SUPPRESS)
    p.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    p.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.way == "prepare":
        prepare(args, args.work)
        args.result.write_text("{}")
    elif args.way:
        part, side = args.way.split(":")
        found = (searched if part == "search" else encoded)(side, args, args.work)
        args.result.write_text(json.dumps(found))
    else:
        result = run(args)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")
        print(table(result))


if __name__ == "__main__":
    cli.run(main)
