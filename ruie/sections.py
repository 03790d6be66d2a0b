"""The report's sections on what was measured: results, charts, speed, training, data, answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ruie import charts, headline, parquet, schemas, tables
from ruie.charts import Panel
from ruie.examples import TASKS
from ruie.page import Html, fold, join, note, nothing, table, tag

#: Facts of REPORT that are shown.
FACTS = (
    "records", "records left out", "bad records", "instances", "annotations",
    "instances without annotation", "duplicates",
)  # fmt: skip
KEY = ["llm", "k", "system"]
#: Datasets beside each other in a chart.
GROUPS = 5


def read(paths: Sequence[Path], schema: pa.Schema, columns: list[str] | None = None) -> Any:
    """The rows of all files, one after the other; missing names, ranges and k become "" and 0."""
    parts = [parquet.read(path, schema, columns) for path in paths]
    wanted = schema if columns is None else pa.schema([f for f in schema if f.name in columns])
    frame: pd.DataFrame = pa.concat_tables([wanted.empty_table(), *parts]).to_pandas()
    fill = {"llm": "", "k": 0, "system": "", "scorer": "", "range": ""}
    return frame.fillna({name: fill[name] for name in fill if name in frame})


def drawing(figure: Any, name: str, label: str, plots: Path | None) -> Html:
    """The figure on the page, and as files where a folder for them is given."""
    name = re.sub(r"[^\w.-]+", "-", name)
    if plots:
        charts.save(figure, plots, name)
    drawn = Html(charts.inline(figure, name, tag("b", label)[3:-4]))
    return tag("figure", drawn, tag("figcaption", label))


def results(rows: pd.DataFrame, scorers: Sequence[str]) -> Html:
    """Headline tables of the first scorer, those of the others folded; ``rows``: RESULTS."""
    if rows.empty:
        return nothing("result table")
    names = headline.scorers(rows, scorers)
    text = (
        f"F1 in percent by the {names[0]} scorer, one row for each retrieval system and number of "
        "demonstrations k; n counts queries, an average is the mean of its task's datasets. The "
        "best value of a column is marked. Below a value stands its 95 % bootstrap interval over "
        "the queries, where it was computed. Below a system stands where it looked for "
        "demonstrations: mixed (the whole pool), same-task, same-dataset (the query's own), or "
        "official (mixed, those of the query's own dataset first)."
    )
    parts = [tag("p", text)]
    for scorer in names:
        inside = []
        for heading, llm, part in headline.panels(rows[rows["scorer"] == scorer]):
            inside.append(tag("h3", heading, f", answers by {llm}" if llm else ""))
            inside.append(headline.to_html(part))
        parts += inside if scorer == names[0] else [fold(f"The same by the {scorer} scorer",
                                                         *inside)]  # fmt: skip
    return join(parts, "\n")


def panel(rows: pd.DataFrame, title: str, index: str, column: str, order: Sequence[Any]) -> Panel:
    """RESULTS rows as a panel: F1 by ``index`` and ``column``, the columns in ``order``."""
    frames = []
    for name in ("f1", "f1_low", "f1_high"):
        numbers = rows.pivot_table(
            index=index, columns=column, values=name, sort=False, dropna=False, aggfunc="first"
        )
        frames.append(
            numbers.reindex(index=list(dict.fromkeys(rows[index])), columns=list(order))
            .astype(float)
        )  # fmt: skip
    return Panel(title, *frames)


def averages(rows: pd.DataFrame, plots: Path | None) -> Html:
    """Bar charts of one scorer's RESULTS: the averages of each task, and folded its datasets."""
    parts: dict[str, list[Panel]] = {}
    single: dict[str, list[Panel]] = {}
    for heading, llm, part in headline.panels(rows):
        several = part["k"].nunique() > 1
        part = part.assign(
            name=part["system"] + (", k = " + part["k"].astype(str) if several else "")
        )
        mean = part[part["dataset"] == tables.AVERAGE]
        title = f"{heading}: {llm}" if llm else heading
        if len(mean):
            found = [task for task in TASKS if task in set(mean["task"])]
            parts.setdefault(heading, []).append(panel(mean, title, "name", "task", found))
        for task in TASKS:
            mine = part[(part["task"] == task) & (part["dataset"] != tables.AVERAGE)]
            names = list(dict.fromkeys(mine["dataset"]))
            # the average of one dataset is its chart already
            for at in range(0, len(names) if len(names) > 1 else 0, GROUPS):
                some = names[at : at + GROUPS]
                one = panel(mine[mine["dataset"].isin(some)], title, "name", "dataset", some)
                single.setdefault(f"{heading}, {task}", []).append(one)
    drawn = []
    for heading, panels in parts.items():
        label = f"{heading}: average F1 of each task by system"
        drawn.append(drawing(charts.bars(panels), f"average_f1_{_slug(heading)}", label, plots))
    for heading, panels in single.items():
        label = f"{heading}: F1 of each dataset by system"
        figure = drawing(charts.bars(panels), f"f1_{_slug(heading)}", label, plots)
        drawn.append(fold(f"{heading}: each dataset", figure))
    return join(drawn, "\n") if drawn else nothing("result table")


def _slug(heading: str) -> str:
    side, _, task = heading.partition(" datasets")
    return side.lower().replace("-", "_") + task.replace(", ", "_")


def sweep(rows: pd.DataFrame, plots: Path | None) -> Html | None:
    """Average F1 over k for each task; None where no system has several k."""
    panels: dict[str, list[Panel]] = {}
    for heading, llm, part in headline.panels(rows):
        mean = part[part["dataset"] == tables.AVERAGE]
        for task in TASKS:
            mine = mean[mean["task"] == task]
            if mine.empty or mine.groupby("system")["k"].nunique().max() < 2:
                continue
            title = f"{task}, {llm}" if llm else task
            found = sorted(set(mine["k"]))
            panels.setdefault(heading, []).append(panel(mine, title, "system", "k", found))
    drawn = [
        drawing(
            charts.lines(some, "k", "average F1 (%)"), f"k_{_slug(heading)}",
            f"{heading}: average F1 by the number of demonstrations; a system with one k alone is "
            "a dotted level", plots,
        )
        for heading, some in panels.items()
    ]  # fmt: skip
    return join(drawn, "\n") if drawn else None


def speed(rows: pd.DataFrame, plots: Path | None) -> Html:
    """How long answers took; ``rows``: SPEED."""
    if rows.empty:
        return nothing("speed measurement")
    sums = ["instances", "seconds", "prompt_tokens", "completion_tokens"]
    shown = []
    for names, part in rows.groupby(["llm", "backend", "task", "k"], sort=True):
        n, seconds, prompt, completion = (float(part[c].sum()) for c in sums)
        shown.append(
            [*names, int(n), seconds, 1000 * seconds / n if n else None,
             prompt / n if n else None, completion / seconds if seconds else None]
        )  # fmt: skip
    headers = ["LLM", "Backend", "Task", "k", "Answers", "Seconds", "Milliseconds an answer",
               "Prompt tokens, mean", "New tokens a second"]  # fmt: skip
    parts = [tag("p", "Time to answer, loading of the model left out."), table(headers, shown)]
    if rows["k"].nunique() > 1:
        total = rows.groupby(["llm", "backend", "task", "k"], as_index=False)[sums].sum()
        total = total.assign(f1=total["seconds"] / total["instances"].where(total["instances"] > 0),
                             f1_low=float("nan"), f1_high=float("nan"))  # fmt: skip
        panels = [
            panel(part, ", ".join(map(str, names)), "task", "k", sorted(set(part["k"])))
            for names, part in total.groupby(["llm", "backend"])
        ]
        figure = charts.lines(panels, "k", "seconds an answer")
        parts.append(drawing(figure, "speed", "Seconds an answer by number of demonstrations",
                             plots))  # fmt: skip
    return join(parts, "\n")


def training(
    logs: Sequence[tuple[str, Path]], paces: Sequence[tuple[str, Path]], plots: Path | None
) -> Html:
    """Curves of each named TRAINING table, with the PACE table of the same name."""
    parts = []
    speed = {name: read([path], schemas.PACE) for name, path in paces}
    for name, path in logs:
        rows = read([path], schemas.TRAINING).sort_values("step", kind="stable")
        parts.append(tag("h3", name))
        if rows.empty:
            parts.append(note("No step was logged."))
            continue
        tenth = max(len(rows) // 10, 1)
        said = [
            f"{c} {rows[c].head(tenth).mean():.3f} in the first tenth of the steps, "
            f"{rows[c].tail(tenth).mean():.3f} in the last"
            for c in ("loss", "accuracy")
            if rows[c].notna().any()
        ]
        watched = rows["mrr"].dropna()
        if len(watched):
            said.append(f"MRR {watched.iloc[0]:.3f} when first measured, {watched.iloc[-1]:.3f} "
                        "at last")  # fmt: skip
        if name in speed:
            said.append(f"{speed[name]['samples_per_s'].median():.1f} samples/s (median)")
            rows = rows.merge(speed[name], on="step", how="left")
        label = f"{name}: {len(rows)} steps; " + "; ".join(said)
        parts.append(drawing(charts.curves(rows), f"training_{name}", label, plots))
    text = (
        "Accuracy is the share of groups whose positive demonstration is ranked first, MRR the "
        "mean reciprocal rank of the LLM's best candidate for queries that are held aside; samples "
        f"are pairs or texts. With more than {charts.MANY_STEPS} steps the strong line is a "
        "running mean."
    )
    return join([tag("p", text), *parts], "\n") if parts else nothing("training log")


def data(report: pd.DataFrame) -> Html:
    """What every record became, then every repair and problem; ``report`` holds REPORT rows."""
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
    sums = report[report["outcome"] == ""].groupby("what")["count"].sum()
    said = f"{len(rows)} splits: " + ", ".join(f"{sums.get(what, 0):,} {what}" for what in FACTS)
    sizes = table(["Task", "Dataset", "Split", *map(str.capitalize, FACTS), "Problems"], rows)
    parts = [fold(said, sizes, open_=len(rows) <= 12)]
    odd = report[report["outcome"] != ""]
    parts.append(tag("h3", "Repairs and problems"))
    if odd.empty:
        parts.append(tag("p", "None was counted."))
    else:
        shown = [
            [*row] for row in odd[[*key, "what", "outcome", "count", "example"]].itertuples(
                index=False)
        ]  # fmt: skip
        headers = ["Task", "Dataset", "Split", "What", "Outcome", "Count", "The first"]
        listed = table(headers, shown)
        parts.append(fold(f"{len(shown)} kinds", listed, open_=len(shown) <= 20))
    return join(parts, "\n")


def scoring(planned: pd.DataFrame) -> Html:
    """What became of the candidates that the scoring LLM judged; ``planned`` holds PLANNED rows."""
    if planned.empty:
        return nothing("scoring")
    shared = 100 * (1 - planned["work"] / planned["tokens"].clip(lower=1))
    rows = planned[schemas.PLANNED.names].assign(shared=shared).to_numpy(object).tolist()
    pairs, prompts, shortened, skipped = (
        int(planned[name].sum()) for name in ("pairs", "prompts", "shortened", "skipped")
    )
    said = (
        f"{pairs:,} candidates, {prompts:,} prompts; {shortened:,} without their demonstration, "
        f"{skipped:,} skipped"
    )
    text = (
        "Where a demonstration does not fit into a prompt, the query is scored without it; a "
        "query that is too long alone is skipped. Tokens that prompts share are computed once."
    )
    headers = [
        "Task", "Dataset", "Queries", "Candidates", "Prompts", "Without demonstration", "Skipped",
        "Queries skipped", "Tokens", "To compute", "Shared, %",
    ]  # fmt: skip
    shown = fold(said, table(headers, rows), open_=len(rows) <= 12)
    return join([tag("p", text), shown], "\n")


def inference(predictions: pd.DataFrame, order: list[str]) -> Html:
    """What the answers cost and how they ended; ``predictions`` holds columns of PREDICTIONS."""
    if predictions.empty:
        return nothing("prediction")
    rows = []
    for names, part in predictions.groupby(KEY):
        reasons = Counter(part["finish_reason"].fillna("none"))
        dropped = part.groupby("dataset")["dropped"].sum().sort_values(ascending=False)
        dropped = dropped[dropped > 0]
        rows.append(
            [
                *names,
                len(part),
                len(part[["task", "dataset"]].drop_duplicates()),
                float(part["prompt_tokens"].mean()),
                float(part["completion_tokens"].mean()),
                int(part["completion_tokens"].sum()),
                int((part["dropped"] > 0).sum()),
                int(part["dropped"].sum()),
                ", ".join(f"{name} {n:,}" for name, n in dropped.items()),
                reasons["length"],
                ", ".join(f"{reason} {n:,}" for reason, n in sorted(reasons.items())),
                int(part["error"].notna().sum()),
            ]
        )
    rows.sort(key=lambda r: (r[0], r[1], order.index(str(r[2]))))
    headers = [
        "LLM", "k", "System", "Answers", "Datasets", "Prompt tokens, mean",
        "New tokens, mean", "in all", "Prompts cut", "Demonstrations dropped", "of",
        "Answers cut",
        "Finish reasons", "Without answer",
    ]  # fmt: skip
    text = (
        "Where a prompt would be too long, whole demonstrations are dropped from it. An answer is "
        "cut (finish reason “length”) at the limit of new tokens."
    )
    return join([tag("p", text), table(headers, rows)], "\n")
