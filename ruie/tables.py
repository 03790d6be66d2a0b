"""Put the metrics of many runs into one result table, with an average for each task.

The average is the mean of the task's datasets (Table 1's #Avg), in rows whose dataset is
"average"; its interval is that of the mean of the datasets' resamples, which need the counts.
Systems keep the order in which they are given, scorers that of the metrics; the first scorer is
the one that is shown where there is room for one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ruie import bootstrap, cli, parquet, schemas
from ruie.examples import TASKS
from ruie.records import KEYS

AVERAGE = "average"
#: What a row of METRICS or COUNTS is summed over.
RUN = [*KEYS, "scorer"]
#: The labels of RESULTS.range.
RANGES = ("mixed", "same-task", "same-dataset", "official")


def run(
    metrics: pd.DataFrame,
    held_out: bool,
    systems: list[str],
    drawn: dict[tuple[Any, ...], bootstrap.Floats] | None = None,
    ranges: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The RESULTS table of METRICS rows, in the order scorer, llm, k, system, task, dataset;
    ``drawn`` has the resamples of each row (``resampled``), ``ranges`` the label of each system
    that shows demonstrations."""
    key = ["system", "llm", "k", "task", "scorer"]
    rows = metrics[[n for n in schemas.RESULTS.names if n not in ("range", "held_out")]]
    numbers = {"n": "sum", "precision": "mean", "recall": "mean", "f1": "mean"}
    groups = rows.groupby(key, as_index=False, sort=False, dropna=False)
    means = groups.agg(numbers).assign(dataset=AVERAGE)
    if drawn:
        ends = [
            bootstrap.interval(np.mean([_of(drawn, name) for name in _names(part)], axis=0))
            for _, part in groups
        ]
        means[["f1_low", "f1_high"]] = ends
    else:
        means[["f1_low", "f1_high"]] = np.nan
    whole = pd.concat([rows, means], ignore_index=True)
    labels = pd.Series([(ranges or {}).get(name) for name in whole["system"]], dtype=object)
    whole = whole.assign(held_out=held_out, range=labels)
    order = {name: i for i, name in enumerate(systems)}
    tasks = {name: i for i, name in enumerate(TASKS)}
    scorers = {name: i for i, name in enumerate(dict.fromkeys(metrics["scorer"]))}
    ordered = whole.assign(
        _scorer=whole["scorer"].map(scorers),
        _system=whole["system"].map(order).fillna(len(order)),
        _task=whole["task"].map(tasks),
        _average=whole["dataset"] == AVERAGE,
    ).sort_values(["_scorer", "llm", "k", "_system", "system", "_task", "_average", "dataset"])
    return pd.DataFrame(ordered[schemas.RESULTS.names])


def _names(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The runs of some rows; what is missing is None."""
    columns = [
        [None if pd.isna(v) else int(v) if name == "k" else v for v in rows[name]] for name in RUN
    ]
    return list(zip(*columns, strict=True))


def _of(drawn: dict[tuple[Any, ...], bootstrap.Floats], name: tuple[Any, ...]) -> bootstrap.Floats:
    if name not in drawn:
        raise cli.UserError(
            f"{dict(zip(RUN, name, strict=True))}: has metrics and no counts; give the counts of "
            "all metrics, or of none"
        )
    return drawn[name]


def counted(path: Path) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The runs of a COUNTS table (system, llm, k, task, dataset, scorer), each with its queries in
    the order of their ids. Raises ``UserError`` where a query comes twice or a count is none."""
    frame = parquet.read(path, schemas.COUNTS).to_pandas()
    numbers = frame[["tp", "fp", "fn"]].to_numpy(float)
    if not (np.isfinite(numbers).all() and (numbers >= 0).all()):
        raise cli.UserError(f"{path}: a count is missing or less than 0; run the evaluation again")
    for _, part in frame.groupby(RUN, sort=False, dropna=False):
        ordered = part.sort_values("query_id")
        twice = ordered["query_id"][ordered["query_id"].duplicated()]
        if len(twice):
            raise cli.UserError(f"{path}: {twice.iloc[0]} comes twice in one run; give it once")
        yield _names(part.iloc[:1])[0], ordered


def resampled(
    paths: list[Path], resamples: int, seed: int
) -> dict[tuple[Any, ...], bootstrap.Floats]:
    """F1 of each run of COUNTS tables in each resample."""
    drawn = {}
    for path in paths:
        for name, part in counted(path):
            counts = part[["tp", "fp", "fn"]].to_numpy(float)
            task, dataset = str(name[3]), str(name[4])
            drawn[name] = bootstrap.replicates(counts, resamples, seed, task, dataset)
    return drawn


def shown(results: pd.DataFrame, scorer: str | None = None) -> pd.DataFrame:
    """The rows of one scorer; of the first, if none is named."""
    if results.empty:
        return results
    return results[results["scorer"] == (scorer or results["scorer"].iloc[0])]


def wide(results: pd.DataFrame, scorer: str | None = None) -> pd.DataFrame:
    """For people: a row for each system and k, a column of F1 for each dataset and average, by one
    scorer (the first, if none is named)."""
    results = shown(results, scorer)
    names = results["task"] + " " + results["dataset"]
    tasks = {name: i for i, name in enumerate(TASKS)}
    average = (results["dataset"] == AVERAGE).astype(int)
    places = zip(results["task"].map(tasks).fillna(len(tasks)), average, names, strict=True)
    order = list(dict.fromkeys(name for *_, name in sorted(places, key=lambda p: p[:2])))
    table = results.assign(column=names).pivot_table(
        index=["llm", "k", "system"], columns="column", values="f1", sort=False
    )
    return table[order].reset_index().rename_axis(columns=None)


def _range(text: str) -> tuple[str, str]:
    """``SYSTEM=RANGE`` of a command line."""
    name, _, label = text.partition("=")
    if not name or label not in RANGES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not of the form SYSTEM=RANGE, with a range of {list(RANGES)}"
        )
    return name, label


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--metrics", required=True, nargs="+", type=Path, help="METRICS tables")
    p.add_argument(
        "--counts", nargs="*", default=[], type=Path,
        help="COUNTS tables of the same runs, for the intervals of the averages",
    )  # fmt: skip
    p.add_argument("--held-out", action="store_true", help="the datasets were not trained on")
    p.add_argument("--systems", nargs="*", default=[], help="the order of the systems")
    p.add_argument(
        "--ranges", nargs="*", default=[], type=_range, metavar="SYSTEM=RANGE",
        help=f"where a system looked for demonstrations: {', '.join(RANGES)}",
    )  # fmt: skip
    bootstrap.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="RESULTS table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    import pyarrow as pa

    args = parser().parse_args(argv)
    frames = [parquet.read(path, schemas.METRICS).to_pandas() for path in args.metrics]
    drawn = resampled(args.counts, args.resamples, args.seed) if args.resamples else None
    metrics, ranges = pd.concat(frames, ignore_index=True), dict(args.ranges)
    table = run(metrics, args.held_out, args.systems, drawn, ranges)
    parquet.write(
        pa.Table.from_pandas(table, schemas.RESULTS, preserve_index=False),
        schemas.RESULTS,
        args.out,
        result=True,
    )
    cli.log.info("%d rows", len(table))


if __name__ == "__main__":
    cli.run(main)
