"""Set every system against a reference on the same queries: the difference of F1, its 95 %
interval and a two-sided p, by paired bootstrap (ruie/bootstrap.py).

Runs are compared where LLM, k and scorer are the same; k is that of the reference, and runs
without demonstrations (k = 0) are set against the reference at each of its k. ``average`` is the
mean of a task's datasets, each drawn by itself; that of the task "all" the mean of the tasks'
averages, where there are several: what the abstract's margins are of. Table 1's differences of RUIE
and BM25 are 5.84, 4.05, 3.07 and -0.09, their mean 3.22.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ruie import bootstrap, cli, parquet, schemas
from ruie.examples import ALL, TASKS
from ruie.tables import AVERAGE, counted

#: (task, dataset), then the queries' counts.
Sets = dict[tuple[str, str], pd.DataFrame]


class Difference(NamedTuple):
    """A dataset's, or an average; ``drawn``: in each resample, None where there are none."""

    task: str
    dataset: str
    n: int
    observed: float
    drawn: bootstrap.Floats | None


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
    """COMPARISONS rows, sorted: by scorer, LLM, k and system, then by task, averages last.

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
    found, averages = [], []
    for task in TASKS:
        sets = []
        for name in sorted(name for name in mine.keys() | other.keys() if name[0] == task):
            same_queries(mine, other, name, shared)
            a, b = (side[name][["tp", "fp", "fn"]].to_numpy(float) for side in (mine, other))
            observed = float(bootstrap.f1(a.sum(axis=0)) - bootstrap.f1(b.sum(axis=0)))
            drawn = bootstrap.differences(a, b, resamples, seed, *name) if resamples else None
            sets.append(Difference(*name, len(a), observed, drawn))
        if sets:
            averages.append(_mean(task, sets))
            found += [*sets, averages[-1]]
    if len(averages) > 1:
        found.append(_mean(ALL, averages))
    return [
        {**shared, "task": d.task, "dataset": d.dataset, "n": d.n, "difference": d.observed,
         **dict(zip(("low", "high"), bootstrap.interval(d.drawn), strict=True)),
         "p": bootstrap.p_value(d.drawn)}
        for d in found
    ]  # fmt: skip


def _mean(task: str, of: Sequence[Difference]) -> Difference:
    drawn = [d.drawn for d in of if d.drawn is not None]
    return Difference(
        task, AVERAGE, sum(d.n for d in of), float(np.mean([d.observed for d in of])),
        np.mean(drawn, axis=0) if drawn else None,
    )  # fmt: skip


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
