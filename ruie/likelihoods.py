"""Means of what ruie.likelihood has measured, and each system's difference from a reference.

Over all queries, those with an answer and those without, which a retriever serves in different
ways; of each dataset, and averages as in ruie.compare: of a task's datasets, and of the tasks, as
far as they have such queries. Intervals of 95 % and two-sided p by paired bootstrap over the
queries (ruie/bootstrap.py). A query too long for a score is left out, for every system.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ruie import bootstrap, cli, parquet, schemas
from ruie.examples import ALL, TASKS
from ruie.records import KEYS
from ruie.tables import AVERAGE

ANSWERED = {ALL: (True, False), "answered": (True,), "unanswered": (False,)}
#: Task, dataset and which queries -> their number; mean of a system and of the reference; and these
#: in each resample, a row each.
Means = dict[tuple[str, str, str], tuple[int, bootstrap.Floats, bootstrap.Floats]]


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """LIKELIHOOD rows with a score. ``UserError`` where there is none, for a task that is not
    known, a row that does not say whether it has an answer, and where a run has a query twice."""
    table = pd.concat([parquet.read(p, schemas.LIKELIHOOD).to_pandas() for p in paths])
    for row in table[~table["task"].isin(TASKS)][:1].to_dict("records"):
        raise cli.UserError(f"{row['query_id']}: its task is {row['task']}; give one of {TASKS}")
    for row in table[table["answered"].isna()][:1].to_dict("records"):
        raise cli.UserError(f"{row['query_id']}: {row['system']} does not say whether it has an "
                            "answer; run ruie.likelihood again")  # fmt: skip
    for row in table[table.duplicated([*KEYS, "query_id"])][:1].to_dict("records"):
        raise cli.UserError(f"{row['query_id']}: {row['system']} (k = {row['k']}) has it twice; "
                            "give each run once")  # fmt: skip
    kept: pd.DataFrame = table.dropna(subset="score")
    for row in table[table["score"].isna()][:1].to_dict("records"):
        cli.log.warning("%d rows have no score and are left out, first %s of %s: too long for "
                        "inference.max_input", len(table) - len(kept), row["query_id"],
                        row["system"])  # fmt: skip
    if kept.empty:
        raise cli.UserError(f"{paths[0]}: no row has a score; give other runs")
    return kept


def run(
    table: pd.DataFrame, systems: Sequence[str], reference: str, held_out: bool, resamples: int,
    seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """LIKELIHOODS rows, in the order llm, k, system, task, dataset, queries. ``UserError`` unless
    all systems have scores of the same queries, and the reference is one of them."""
    if reference not in systems:
        raise cli.UserError(f"--reference {reference}: is none of {sorted(systems)}")
    out = []
    for (llm, k), part in table.groupby(["llm", "k"], dropna=False):
        for system in systems:
            if not (part["system"] == system).any():
                raise cli.UserError(f"{system} has no score with k = {k} of {llm}; give it, too")
            found = _means(part, [system, reference], resamples, seed)
            for (task, dataset, which), (n, means, drawn) in found.items():
                low, high = bootstrap.interval(drawn[:, 0])
                row = {"system": system, "llm": llm, "k": k, "task": task, "dataset": dataset,
                       "queries": which, "held_out": held_out, "n": n, "score": means[0],
                       "score_low": low, "score_high": high}  # fmt: skip
                row |= dict.fromkeys(("reference", "difference", "low", "high", "p"))
                if system != reference:
                    away = drawn[:, 0] - drawn[:, 1]
                    low, high = bootstrap.interval(away)
                    row |= {"reference": reference, "difference": means[0] - means[1], "low": low,
                            "high": high, "p": bootstrap.p_value(away)}  # fmt: skip
                out.append(row)
    return out


def _means(part: pd.DataFrame, pair: list[str], resamples: int, seed: int) -> Means:
    """Of each dataset, then of the averages. Both systems meet the same resamples."""
    found: Means = {}
    for task in TASKS:
        of_task = part[(part["task"] == task) & part["system"].isin(pair)]
        names = sorted(of_task["dataset"].unique())
        for name in names:
            rows = of_task[of_task["dataset"] == name]
            wide = rows.pivot(index="query_id", columns="system", values="score")
            wide = wide.reindex(columns=pair)
            for query, row in wide[wide.isna().any(axis=1)][:1].iterrows():
                raise cli.UserError(f"{query}: {row.isna().idxmax()} has no score of it, others "
                                    "do; give runs over the same queries and with the same "
                                    "--max-input")  # fmt: skip
            answered = rows.drop_duplicates("query_id").set_index("query_id")["answered"]
            for which, kept in ANSWERED.items():
                values = wide[answered[wide.index].isin(kept)].to_numpy(float)
                if len(values):
                    drawn = np.empty((0, 2))
                    if resamples:
                        sums = bootstrap.resampled(values, resamples, seed, task, name)
                        drawn = sums / len(values)
                    found[task, name, which] = len(values), values.mean(axis=0), drawn
        for which in ANSWERED:
            _average(found, task, [(task, name, which) for name in names], which)
    for which in ANSWERED:
        _average(found, ALL, [(task, AVERAGE, which) for task in TASKS], which)
    return found


def _average(found: Means, task: str, of: list[tuple[str, str, str]], which: str) -> None:
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
    if len(set(args.systems)) < len(args.systems):
        raise cli.UserError(f"--systems {' '.join(args.systems)}: names one twice; name each once")
    table = read(args.tables)
    if odd := sorted(set(table["system"]) - set(args.systems)):
        raise cli.UserError(f"--systems lacks {odd[0]}, which has scores; name it")
    rows = run(table, args.systems, args.reference, args.held_out, args.resamples, args.seed)
    parquet.write(rows, schemas.LIKELIHOODS, args.out, result=True)
    for row in rows:
        if row["dataset"] == AVERAGE and row["queries"] == ALL:
            cli.log.info("%(llm)s, k = %(k)d, %(task)s: %(system)s %(score).3f", row)


if __name__ == "__main__":
    cli.run(main)
