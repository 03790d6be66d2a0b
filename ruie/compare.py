"""Set every system against a reference on the same queries: the difference of F1, its 95 %
interval and a two-sided p, by paired bootstrap (ruie/bootstrap.py).

Runs are compared where LLM, k and scorer are the same; k is that of the reference, and runs
without demonstrations (k = 0) are set against the reference at each of its k. ``average`` is the
mean of a task's datasets, each drawn by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ruie import bootstrap, cli, parquet, schemas
from ruie.examples import TASKS
from ruie.tables import AVERAGE, counted

#: (task, dataset), then the queries' counts.
Sets = dict[tuple[str, str], pd.DataFrame]


def read(paths: list[Path]) -> dict[tuple[Any, ...], Sets]:
    """Datasets by (scorer, llm, k, system)."""
    runs: dict[tuple[Any, ...], Sets] = {}
    for path in paths:
        for (system, llm, k, task, dataset, scorer), part in counted(path):
            sets = runs.setdefault((scorer, llm, k, system), {})
            if (task, dataset) in sets:
                raise cli.UserError(
                    f"{path}: {system} (k = {k}) has counts for {task} {dataset} already; give "
                    "each run once"
                )
            sets[task, dataset] = part
    return runs


def run(
    runs: dict[tuple[Any, ...], Sets],
    reference: str,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    held_out: bool = False,
) -> list[dict[str, Any]]:
    """COMPARISONS rows, sorted: by scorer, LLM, k and system, then by task, the average last.

    Raises ``UserError`` where the reference is not there, and where two have other queries.
    """
    systems = {str(key[3]) for key in runs}
    if reference not in systems:
        raise cli.UserError(f"--reference {reference}: is none of {sorted(systems)}")
    rows = []
    ordered = sorted(runs, key=lambda key: [(v is not None, v) for v in key])
    for scorer, llm, k, name in ordered:
        if name != reference:
            continue
        theirs = [key for key in ordered if key[:3] == (scorer, llm, k)]
        at_k = {key[3] for key in theirs}
        theirs += [key for key in ordered if key[:3] == (scorer, llm, 0) and key[3] not in at_k]
        for key in sorted(theirs, key=lambda key: (key[3] is not None, key[3])):
            if key[3] != reference:
                shared = {"system": key[3], "llm": llm, "k": k, "reference": reference,
                          "scorer": scorer, "held_out": held_out}  # fmt: skip
                compared = _compare(runs[key], runs[scorer, llm, k, name], shared, resamples, seed)
                rows += compared
    return rows


def _compare(
    mine: Sets, other: Sets, shared: dict[str, Any], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """The rows of one system against the reference."""
    rows = []
    for task in TASKS:
        found = []
        for name in sorted(name for name in mine.keys() | other.keys() if name[0] == task):
            same_queries(mine, other, name, shared)
            a, b = (sets[name][["tp", "fp", "fn"]].to_numpy(float) for sets in (mine, other))
            observed = float(bootstrap.f1(a.sum(axis=0)) - bootstrap.f1(b.sum(axis=0)))
            drawn = bootstrap.differences(a, b, resamples, seed, *name) if resamples else None
            found.append((name[1], len(a), observed, drawn))
        if not found:
            continue
        drawn_all = [drawn for *_, drawn in found if drawn is not None]
        mean = float(np.mean([observed for _, _, observed, _ in found]))
        average = np.mean(drawn_all, axis=0) if drawn_all else None
        found.append((AVERAGE, sum(n for _, n, _, _ in found), mean, average))
        for dataset, n, observed, drawn in found:
            low, high = bootstrap.interval(drawn)
            rows.append({**shared, "task": task, "dataset": dataset, "n": n, "low": low,
                         "high": high, "difference": observed,
                         "p": bootstrap.p_value(drawn)})  # fmt: skip
    return rows


def same_queries(mine: Sets, other: Sets, name: tuple[str, str], shared: dict[str, Any]) -> None:
    """Raises ``UserError`` unless both have answered the same queries of a dataset."""
    ids = [set(sets[name]["query_id"]) if name in sets else set() for sets in (mine, other)]
    if odd := sorted(ids[0] ^ ids[1]):
        here, there = shared["system"], shared["reference"]
        having, lacking = (here, there) if odd[0] in ids[0] else (there, here)
        raise cli.UserError(
            f"{' '.join(name)} (k = {shared['k']}): {lacking} has not answered {odd[0]}, {having} "
            "has; compare runs over the same queries"
        )


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--counts", required=True, nargs="+", type=Path, help="COUNTS tables")
    p.add_argument("--reference", required=True, help="the system that others are set against")
    p.add_argument("--held-out", action="store_true", help="the datasets were not trained on")
    bootstrap.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="COMPARISONS table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    rows = run(read(args.counts), args.reference, args.resamples, args.seed, args.held_out)
    parquet.write(rows, schemas.COMPARISONS, args.out, result=True)
    cli.log.info("%d rows against %s", len(rows), args.reference)


if __name__ == "__main__":
    cli.run(main)
