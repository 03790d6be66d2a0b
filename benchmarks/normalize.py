"""How fast a large dataset is normalised, and in how much memory.

Writes --sentences records (the demo's own, over and over, each made different by a number) in the
IE_INSTRUCTIONS layout to a temporary folder, normalises them in a process of its own and prints
sentences per second of that process's CPU time, and its peak memory. What the machine can do at
all stands beside it: the rate of Python's own json.loads on the same records, one by one.

    python benchmarks/normalize.py --sentences 1000000
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEMO = Path(__file__).parents[1] / "workflow/datasets/demo"


def write(folder: Path, task: str, sentences: int) -> None:
    """The records of a task's demo datasets, repeated."""
    sources = sorted((DEMO / task).iterdir())
    records, labels = [], set()
    for source in sources:
        records += json.loads((source / "train.json").read_text())
        labels |= set(json.loads((source / "labels.json").read_text()))
    (folder / "labels.json").write_text(json.dumps(sorted(labels)))
    with open(folder / "train.json", "w", encoding="utf-8") as file:
        for n, record in enumerate(itertools.islice(itertools.cycle(records), sentences)):
            line = {**record, "sentence": f"{record['sentence']} {n}"}
            file.write(("[" if n == 0 else ",\n") + json.dumps(line, ensure_ascii=False))
        file.write("]")


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--sentences", type=int, default=1_000_000)
    p.add_argument("--task", choices=["NER", "RE"], default="NER")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        write(folder, args.task, args.sentences)
        # a child's peak memory begins with what its parent holds: so only some lines
        with open(folder / "train.json", encoding="utf-8") as file:
            lines = [line.strip("[],\n") for line in itertools.islice(file, 50_000)]
        start = time.process_time()
        for line in lines:
            json.loads(line)
        plain = len(lines) / (time.process_time() - start)
        lines.clear()
        subprocess.run(
            [sys.executable, "-m", "ruie.normalize", "--task", args.task, "--input", tmp,
             "--split", "train", "--out", str(folder / "out.parquet")],
            check=True,
        )  # fmt: skip
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    print(
        f"{args.sentences / seconds:,.0f} sentences/s of CPU time ({seconds:.1f} s), start included"
    )
    print(f"{used.ru_maxrss / 1024:,.0f} MiB peak memory")
    print(f"{plain:,.0f} records/s by json.loads alone")


if __name__ == "__main__":
    main()
