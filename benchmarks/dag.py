"""How long Snakemake plans the paper's whole configuration, over datasets and models by name alone.

Copies the workflow to a temporary folder, with an empty file for each that a row of the paper's
registry reads and empty folders for language models, and runs ``snakemake -n`` there. Prints the
jobs, seconds of processor time (which other work on the machine hardly touches) and elapsed time,
and with --profile where they went.

    python benchmarks/dag.py --k 8
    python benchmarks/dag.py --k 2 4 8 12 16 --llms 1
"""

from __future__ import annotations

import argparse
import os
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LLMS = ("first", "second", "third")


def project(folder: Path, llms: int, ks: list[int]) -> None:
    """The workflow, made-up inputs, and ``paper.yaml`` to run it with."""
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "ruie", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    registry = yaml.safe_load((ROOT / "workflow/datasets/paper.yaml").read_text(encoding="utf-8"))
    for row in registry["datasets"]:
        place = folder / "data" / row["path"]
        place.mkdir(parents=True, exist_ok=True)
        for name in ("train.json", "dev.json", "test.json", "labels.json"):
            (place / name).touch()
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for name in LLMS:
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}")
    changes = {
        "datasets": {"registry": "workflow/datasets/paper.yaml", "root": "data"},
        "models": {name: {"path": name} for name in LLMS},
        "scoring": {"llm": LLMS[0]},
        "evaluation": {
            "systems": list(config["systems"]),
            "llms": list(LLMS[:llms]),
            "k": ks,
        },
    }
    (folder / "paper.yaml").write_text(yaml.safe_dump(changes))


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--k", nargs="+", type=int, default=[8], help="evaluation.k (8)")
    p.add_argument("--llms", type=int, choices=(1, 2, 3), default=3, help="language models (3)")
    p.add_argument("--profile", type=int, default=0, metavar="N", help="print the N dearest calls")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        project(folder, args.llms, args.k)
        stats = folder / "stats"
        words = ["-m", "snakemake", "-n", "--cores", "16", "--configfile", "paper.yaml"]
        if args.profile:
            words = ["-m", "cProfile", "-o", str(stats), *words]
        before, start = os.times(), time.perf_counter()
        done = subprocess.run([sys.executable, *words], cwd=folder, text=True, capture_output=True)
        elapsed, after = time.perf_counter() - start, os.times()
        if done.returncode:
            sys.exit((done.stdout + done.stderr)[-4000:])
        counted = re.findall(r"^(\w+) +(\d+)$", done.stdout.split("Job stats:")[1], re.M)
        jobs = {rule: int(n) for rule, n in counted}
        busy = sum(after[i] - before[i] for i in (2, 3))
        most = sorted(jobs.items(), key=lambda item: -item[1])
        print(", ".join(f"{n:,} {rule}" for rule, n in most[:8] if rule != "total"))
        print(f"{jobs['total']:,} jobs, {busy:.1f} s of processor time, {elapsed:.1f} s in all, "
              f"{1000 * busy / jobs['total']:.2f} ms a job")  # fmt: skip
        if args.profile:
            pstats.Stats(str(stats)).sort_stats("cumtime").print_stats(args.profile)


if __name__ == "__main__":
    main()
