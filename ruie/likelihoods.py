"""Means of what ruie.likelihood has measured, and each system's difference from a reference.

Over all queries, those with an answer and those without, which a retriever serves in different
ways; of each dataset, and averages as in ruie.compare: of a task's datasets, and of the tasks.
Intervals of 95 % and two-sided p by paired bootstrap over the queries (ruie/bootstrap.py). A query
too long for a score is left out, for every system.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ruie import bootstrap, cli, parquet, schemas
from ruie.examples import ALL, TASKS
from ruie.tables import AVERAGE

ANSWERED = {ALL: (True, False), "answered": (True,), "unanswered": (False,)}
#: Of one dataset or an average: n, the means of all systems, and a row of these for each resample.
Means = tuple[int, bootstrap.Floats, bootstrap.Floats]


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """LIKELIHOOD rows with a score. ``UserError`` where a system has a query twice."""
    table = pd.concat([parquet.read(p, schemas.LIKELIHOOD).to_pandas() for p in paths])
    twice = table[table.duplicated(["system", "llm", "k", "query_id"])]
    for row in twice[:1].to_dict("records"):
        raise cli.UserError(f"{row['query_id']}: {row['system']} (k = {row['k']}) has it twice; "
                            "give each run once")  # fmt: skip
    kept: pd.DataFrame = table.dropna(subset="score")
    if lost := len(table) - len(kept):
        cli.log.warning("%d scores are missing: these queries are too long", lost)
    return kept


def run(
    table: pd.DataFrame, systems: Sequence[str], reference: str, held_out: bool, resamples: int,
    seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """LIKELIHOODS rows, in the order llm, k, system, task, dataset, queries. ``UserError`` for a
    reference that is not there, and where systems have other queries."""
    if reference not in systems:
        raise cli.UserError(f"--reference {reference}: is none of {sorted(systems)}")
    out = []
    for (llm, k), part in table.groupby(["llm", "k"]):
        here = [s for s in systems if (part["system"] == s).any()]
        if reference not in here:
            raise cli.UserError(f"k = {k}, {llm}: {reference} has no scores; give them too")
        found = _means(part, here, resamples, seed)
        at = here.index(reference)
        for i, system in enumerate(here):
            for (task, dataset, which), (n, means, drawn) in found.items():
                low, high = bootstrap.interval(drawn[:, i])
                away = drawn[:, i] - drawn[:, at]
                ends = bootstrap.interval(away)
                other = i != at
                out.append({
                    "system": system, "llm": llm, "k": k, "task": task, "dataset": dataset,
                    "queries": which, "held_out": held_out, "n": n, "score": means[i],
                    "score_low": low, "score_high": high, "reference": reference if other else None,
                    "difference": means[i] - means[at] if other else None,
                    "low": ends[0] if other else None, "high": ends[1] if other else None,
                    "p": bootstrap.p_value(away) if other else None,
                })  # fmt: skip
    return out


def _means(
    part: pd.DataFrame, systems: list[str], resamples: int, seed: int
) -> dict[tuple[str, str, str], Means]:
    """By task, dataset and which queries: of each dataset, then of the averages."""
    found: dict[tuple[str, str, str], Means] = {}
    for task in TASKS:
        of_task = part[part["task"] == task]
        names = sorted(of_task["dataset"].unique())
        for name in names:
            wide = of_task[of_task["dataset"] == name].pivot(
                index="query_id", columns="system", values="score"
            )[systems]
            if lacking := wide.isna().stack().loc[lambda gone: gone].index.tolist():
                raise cli.UserError(f"{lacking[0][0]}: {lacking[0][1]} has no score of it, others "
                                    "do; give runs over the same queries")  # fmt: skip
            answered = of_task.drop_duplicates("query_id").set_index("query_id")["answered"]
            for which, kept in ANSWERED.items():
                values = wide[answered[wide.index].isin(kept)].to_numpy(float)
                if len(values):
                    drawn = np.empty((0, len(systems)))
                    if resamples:
                        sums = bootstrap.resampled(values, resamples, seed, task, name)
                        drawn = sums / len(values)
                    found[task, name, which] = len(values), values.mean(axis=0), drawn
        for which in ANSWERED:
            _average(found, task, [(task, name, which) for name in names], which)
    for which in ANSWERED:
        _average(found, ALL, [(task, AVERAGE, which) for task in TASKS], which)
    return found


def _average(
    found: dict[tuple[str, str, str], Means], task: str, of: list[tuple[str, str, str]], which: str
) -> None:
    """Adds the mean of those that there are."""
    some = [found[key] for key in of if key in found]
    if some and (task != ALL or len(some) > 1):
        found[task, AVERAGE, which] = (
            sum(n for n, _, _ in some),
            np.mean([means for _, means, _ in some], axis=0),
            np.mean([drawn for _, _, drawn in some], axis=0),
        )


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--tables", required=True, nargs="+", type=Path, help="LIKELIHOOD tables")
    p.add_argument("--systems", required=True, nargs="+", help="in the order of the rows")
    p.add_argument("--reference", required=True, help="the system that others are set against")
    p.add_argument("--held-out", action="store_true", help="the datasets were not trained on")
    bootstrap.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="LIKELIHOODS table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    table = read(args.tables)
    if odd := sorted(set(table["system"]) - set(args.systems)):
        raise cli.UserError(f"--systems lacks {odd[0]}, which has scores; name it")
    rows = run(table, args.systems, args.reference, args.held_out, args.resamples, args.seed)
    parquet.write(rows, schemas.LIKELIHOODS, args.out, result=True)
    for row in rows:
        if row["dataset"] == AVERAGE and row["queries"] == ALL:
            cli.log.info("%(task)s, k = %(k)d: %(system)s %(score).3f", row)


if __name__ == "__main__":
    cli.run(main)
