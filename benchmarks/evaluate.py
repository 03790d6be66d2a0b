"""How fast answers are counted: CPU seconds of each scorer, of the intervals and of the command.

The answers are gold answers of the datasets below --data (IE_INSTRUCTIONS layout; the demo's own
where the folder is missing), three in four changed as language models change them: an item lost,
another's label, a word too many, words of no item. They are scored over and over until
--predictions are done; then the whole command runs once on a file of as many.

    python benchmarks/evaluate.py --data ../shared/data/ie
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ruie import bootstrap, evaluate, prompt, readers

DEMO = Path(__file__).parents[1] / "workflow/datasets/demo"


def spoiled(gold: str, schema: tuple[str, ...], rng: random.Random) -> str:
    """A gold answer with a fault, or as it is."""
    items = gold.removesuffix(".").split("; ")
    at = rng.randrange(len(items))
    kind = rng.randrange(4)
    if kind == 1:
        del items[at]
    elif kind == 2:
        items[at] = rng.choice(schema) + ":" + items[at].partition(":")[2]
    elif kind == 3:
        items[at] = f"the {items[at]} and more"
    return "; ".join(items) or prompt.NONE


def rows(data: Path) -> list[dict]:
    rng = random.Random(0)
    found = []
    for folder in sorted(data.glob("*/*")):
        task = folder.parent.name
        for split in ("train", "dev", "test"):
            if not (folder / f"{split}.json").is_file():
                continue
            source = readers.Source(folder, task, folder.name, split)
            for e in readers.get("ie_instructions")(source, readers.Problems()):
                gold = prompt.answer(e)
                found.append(
                    {"query_id": e.id, "task": task, "dataset": folder.name, "text": e.text,
                     "schema": list(e.schema), "query": prompt.query(e), "gold": gold,
                     "prediction": spoiled(gold, e.schema, rng)}
                )  # fmt: skip
    return found


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--predictions", type=int, default=200_000)
    p.add_argument("--data", type=Path, default=Path("../shared/data/ie"))
    args = p.parse_args()
    real = rows(args.data if args.data.is_dir() else DEMO)
    rounds = itertools.cycle(range(len(real)))
    ids = range(args.predictions)
    many = [{**real[i], "query_id": f"{n}"} for n, i in zip(ids, rounds, strict=False)]
    print(f"{len(real):,} answers, {args.predictions:,} predictions", flush=True)
    for names in (["strict"], ["soft"], ["official"], ["strict", "soft"]):
        start = time.process_time()
        evaluate.run(many, names)
        print(f"{' and '.join(names)}: {time.process_time() - start:.1f} s", flush=True)
    rng = np.random.default_rng(0)
    for kind, counts in {
        "whole counts": rng.integers(0, 6, (17_000, 3)).astype(float),
        "counts that all differ": rng.random((17_000, 3)),
    }.items():
        start = time.process_time()
        bootstrap.replicates(counts, 1000, 0, "NER", "d")
        between = time.process_time()
        bootstrap.differences(counts, counts[::-1], 1000, 0, "NER", "d")
        print(
            f"1,000 resamples of 17,000 queries, {kind}: interval {between - start:.2f} s, "
            f"comparison {time.process_time() - between:.2f} s"
        )
    with tempfile.TemporaryDirectory() as tmp:
        path = Path(tmp, "p.jsonl")
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in many)
        subprocess.run(
            [sys.executable, "-m", "ruie.evaluate", "--predictions", str(path), "--out",
             f"{tmp}/m.parquet", "--counts", f"{tmp}/c.parquet", "--labels", f"{tmp}/l.parquet",
             "--scorer", "strict", "soft"],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"the command, strict and soft, all tables: {used.ru_utime + used.ru_stime:.1f} s")


if __name__ == "__main__":
    main()
