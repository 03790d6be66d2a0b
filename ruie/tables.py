"""Put the metrics of many runs into one result table, with an average for each task.

The average is the mean of the task's datasets (Table 1's #Avg), in rows whose dataset is
"average". Systems keep the order in which they are given.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ruie import cli, parquet, schemas
from ruie.examples import TASKS

AVERAGE = "average"


def run(metrics: pd.DataFrame, held_out: bool, systems: list[str]) -> pd.DataFrame:
    """The RESULTS table of METRICS rows, in the order system, llm, k, task, dataset."""
    key = ["system", "llm", "k", "task"]
    rows = metrics[[*key, "dataset", "n", "precision", "recall", "f1"]]
    numbers = {"n": "sum", "precision": "mean", "recall": "mean", "f1": "mean"}
    means = (
        rows.groupby(key, as_index=False, sort=False, dropna=False)
        .agg(numbers)
        .assign(dataset=AVERAGE)
    )
    whole = pd.concat([rows, means], ignore_index=True).assign(held_out=held_out)
    order = {name: i for i, name in enumerate(systems)}
    tasks = {name: i for i, name in enumerate(TASKS)}
    ordered = whole.assign(
        _system=whole["system"].map(order).fillna(len(order)),
        _task=whole["task"].map(tasks),
        _average=whole["dataset"] == AVERAGE,
    ).sort_values(["llm", "k", "_system", "system", "_task", "_average", "dataset"])
    return pd.DataFrame(ordered[schemas.RESULTS.names])


def wide(results: pd.DataFrame) -> pd.DataFrame:
    """For people: a row for each system and k, a column of F1 for each dataset and average."""
    names = results["task"] + " " + results["dataset"]
    tasks = {name: i for i, name in enumerate(TASKS)}
    average = (results["dataset"] == AVERAGE).astype(int)
    places = zip(results["task"].map(tasks).fillna(len(tasks)), average, names, strict=True)
    order = list(dict.fromkeys(name for *_, name in sorted(places, key=lambda p: p[:2])))
    table = results.assign(column=names).pivot_table(
        index=["llm", "k", "system"], columns="column", values="f1", sort=False
    )
    return table[order].reset_index().rename_axis(columns=None)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--metrics", required=True, nargs="+", type=Path, help="METRICS tables")
    p.add_argument("--held-out", action="store_true", help="the datasets were not trained on")
    p.add_argument("--systems", nargs="*", default=[], help="the order of the systems")
    p.add_argument("--out", required=True, type=Path, help="RESULTS table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    import pyarrow as pa

    args = parser().parse_args(argv)
    frames = [parquet.read(path, schemas.METRICS).to_pandas() for path in args.metrics]
    table = run(pd.concat(frames, ignore_index=True), args.held_out, args.systems)
    parquet.write(
        pa.Table.from_pandas(table, schemas.RESULTS, preserve_index=False),
        schemas.RESULTS,
        args.out,
    )
    cli.log.info("%d rows", len(table))


if __name__ == "__main__":
    cli.run(main)
