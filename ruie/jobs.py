"""What a run has still to do: jobs by rule, and GPU hours where jobs of the rule have been timed.

The jobs are those of a dry run. Hours are the mean time of the rule's finished jobs of the same run
(Snakemake's benchmark files in its logs) for each that is left; without any, of the other runs
beside it, which is said; without these, none are given.
"""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.compute as pc

from ruie import cli, parquet, schemas


@dataclass(frozen=True)
class Left:
    """``gpus``: of one job. ``seconds``: mean of the ``timed`` finished jobs, None where there are
    none; ``gpu_hours``: of all jobs that are left; ``runs``: whose jobs were timed, if not this
    run's."""

    rule: str
    jobs: int
    gpus: int
    timed: int
    seconds: float | None
    gpu_hours: float | None
    runs: tuple[str, ...] = ()


def counted(printed: str) -> dict[str, int]:
    """Jobs by rule of what ``snakemake -n --quiet rules`` prints; of no job, none."""
    if "Job stats:" not in printed:
        if "Nothing to be done" in printed:
            return {}
        raise cli.UserError("the dry run says no job counts; try it by hand: snakemake -n")
    stats = printed.split("Job stats:")[1].split("\ntotal")[0]
    found = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+) *$", stats, re.M)}
    return {rule: n for rule, n in found.items() if rule != "all"}  # the target itself


def dry_run(snakefile: Path, config: Path) -> dict[str, int]:
    """Jobs by rule that ``all`` would run under a whole configuration."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "all", "-n", "--quiet", "rules", "--cores", "1",
         "--nolock", "--snakefile", str(snakefile), "--configfile", str(config)],
        text=True, capture_output=True,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    if done.returncode:
        raise cli.UserError(f"the dry run failed ({reason(printed)}); see snakemake -n")
    return counted(printed)


def reason(printed: str) -> str:
    """What Snakemake says is wrong: the line with its error's name, or what that announces."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()] or ["no word"]
    for at, line in enumerate(lines):
        if re.match(r"\w*(Error|Exception)\b", line):
            return lines[at + 1] if line.endswith(":") and lines[at + 1 :] else line
    return lines[-1]


def answering(path: Path) -> str:
    """The rule of a benchmark below ``infer``: system/llm/k/dataset."""
    system, shots = path.parts[-4], path.parts[-2]
    if shots != "k0":
        return "infer"
    return "infer_zero_shot" if system == "zero_shot" else "infer_sft"


def times(logs: Path, rule: str) -> list[float]:
    """Seconds of the rule's finished jobs; a file that is no benchmark says nothing."""
    found = []
    if rule.startswith("infer"):
        paths = [p for p in sorted((logs / "infer").rglob("*.tsv")) if answering(p) == rule]
    else:
        paths = sorted((logs / rule).rglob("*.tsv")) + sorted(logs.glob(f"{rule}.tsv"))
    for path in paths:
        try:
            with path.open(newline="", encoding="utf-8") as file:
                seconds = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
        except (KeyError, TypeError, ValueError, OSError, csv.Error):
            cli.log.warning("%s: no benchmark of Snakemake's; left out", path)
            continue
        found += [s for s in seconds if 0 <= s < math.inf]
    return found


def left(jobs: dict[str, int], gpus: dict[str, int], logs: Path) -> list[Left]:
    """A row for each rule; GPU hours of those that use one. ``logs``: the run's, in its folder."""
    others = [p for p in sorted(logs.parent.parent.glob("*/logs")) if p.resolve() != logs.resolve()]
    rows = []
    for rule, n in jobs.items():
        each = gpus.get(rule, 0)
        timed, runs = times(logs, rule) if each else [], []
        if each and not timed:
            found = {p.parent.name: t for p in others if (t := times(p, rule))}
            timed, runs = [s for some in found.values() for s in some], list(found)
        mean = sum(timed) / len(timed) if timed else None
        hours = None if mean is None else mean * n * each / 3600
        rows.append(Left(rule, n, each, len(timed), mean, hours, tuple(runs)))
    return rows


def scoring(path: Path) -> dict[str, int] | None:
    """Totals of the scoring's PLANNED counts, where it has been planned."""
    if not path.is_file():
        return None
    table = parquet.read(path, schemas.PLANNED)
    return {n: pc.sum(table[n]).as_py() or 0 for n in ("pairs", "prompts", "tokens", "work")}


def page(rows: list[Left], planned: dict[str, int] | None) -> str:
    lines = [f"{'rule':20} {'jobs':>7} {'GPU h':>9}  basis"]
    for r in rows:
        hours, basis = "", ""
        if r.gpus and r.gpu_hours is None:
            basis = "no rate known"
        elif r.gpu_hours is not None:
            hours, basis = f"{r.gpu_hours:.2f}", f"{r.seconds:.0f} s a job, mean of {r.timed}"
            basis += f" in {', '.join(r.runs)}" if r.runs else ""
        lines.append(f"{r.rule:20} {r.jobs:7,} {hours:>9}  {basis}".rstrip())
    lines.append(f"{'total':20} {sum(r.jobs for r in rows):7,}")
    if planned:
        lines.append(
            f"scoring: {planned['pairs']:,} pairs, {planned['prompts']:,} prompts, "
            f"{planned['tokens']:,} tokens, of which {planned['work']:,} to compute"
        )
    return "\n".join(lines)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--snakefile", required=True, type=Path)
    p.add_argument("--config", required=True, type=Path, help="the run's whole configuration, JSON")
    p.add_argument("--logs", required=True, type=Path, help="the run's folder of logs")
    p.add_argument("--counts", required=True, type=Path, help="PLANNED table, if it is there")
    p.add_argument("--gpus", nargs="*", default=[], help="rule=GPUs of each rule that uses any")
    p.add_argument("--out", required=True, type=Path, help="JSON file to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    gpus = {rule: int(n) for rule, _, n in (word.partition("=") for word in args.gpus)}
    rows = left(dry_run(args.snakefile, args.config), gpus, args.logs)
    planned = scoring(args.counts)
    print(page(rows, planned))
    text = json.dumps({"jobs": [asdict(row) for row in rows], "scoring": planned}, indent=1)
    with parquet.replacing(args.out) as beside:
        beside.write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    cli.run(main)
