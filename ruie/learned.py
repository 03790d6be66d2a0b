"""The report's section on what the trainings have learned."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ruie import charts
from ruie.charts import Panel
from ruie.page import Html, fold, join, nothing, table, tag
from ruie.sections import drawing

TEXT = (
    "Measured on queries that no training saw, over their scored candidates. Against the LLM: AUC, "
    "the chance that one of its positives is ranked above one of its negatives, and MRR, the mean "
    "reciprocal rank of its best candidate. Against a reward model: recall@8, the share of its "
    "best 8 among the ranker's best 8. Brackets: 95 % bootstrap interval over the queries."
)


def _cell(row: pd.Series | None) -> str:
    if row is None:
        return "-"
    ends = "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.3f}{ends}"


def _table(rows: pd.DataFrame) -> Html:
    columns = list(dict.fromkeys(zip(rows["measure"], rows["against"], strict=True)))
    found = {(r["ranker"], r["measure"], r["against"]): r for _, r in rows.iterrows()}
    shown = [
        [ranker, *(_cell(found.get((ranker, *column))) for column in columns)]
        for ranker in dict.fromkeys(rows["ranker"])
    ]
    return table(["Ranker", *(f"{m}, against {against}" for m, against in columns)], shown)


def section(rows: pd.DataFrame, plots: Path | None) -> Html:
    """``rows``: LEARNING."""
    if rows.empty:
        return nothing("learning table")
    every = rows[rows["task"] == "all"]
    panels = []
    for (measure, against), part in every.groupby(["measure", "against"], sort=False):
        title = f"{measure}, against {against}"
        frames = [
            part.pivot_table(index="ranker", columns="measure", values=name, sort=False,
                             dropna=False).reindex(part["ranker"]).astype(float)
            for name in ("value", "low", "high")
        ]  # fmt: skip
        panels.append(Panel(title, *frames))
    label = "What each ranker reaches on queries held aside"
    parts = [tag("p", TEXT), tag("p", f"{every['n'].max():,} queries."), _table(every),
             drawing(charts.bars(panels), "learning", label, plots)]  # fmt: skip
    for task in [t for t in dict.fromkeys(rows["task"]) if t != "all"]:
        part = rows[rows["task"] == task]
        parts.append(fold(f"{task}: {part['n'].max():,} queries", _table(part)))
    return join(parts, "\n")
