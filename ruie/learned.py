"""The report's section on what the trainings have learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ruie import charts, sections
from ruie.examples import ALL
from ruie.page import Html, fold, join, note, scrolling, tag
from ruie.rankers import LLM

TEXT = (
    "The scored candidates of queries that no training has seen, ranked by each model. AUC is the "
    "chance that one of the LLM's best candidates is above one of its last, MRR the mean "
    "reciprocal rank of its best one, recall the share of a reward model's best that are among a "
    "ranker's. The correlation is Spearman's over all candidates; the gain is the LLM's score of "
    "the candidate ranked first over the mean of all, in nats a token, and for the LLM's own "
    "ranking the most that can be had. Means over n queries, with 95 % bootstrap intervals; chance "
    "is computed, and BM25 is the order in which the candidates were found."
)
NONE = "There is nothing here: no learning table was given, or no query was held aside."
#: Measures that can be negative: in the table, not among the bars.
SIGNED = ("correlation", "gain")


def section(rows: pd.DataFrame, plots: Path | None) -> Html:
    """Tables for all queries and, folded, for each task's, and a chart; ``rows``: LEARNING."""
    if rows.empty:
        return note(NONE)
    short = {"auc": "AUC", "mrr": "MRR"}
    rows = rows.assign(
        column=[
            short.get(measure, measure) + ("" if against == LLM else f" of {against}")
            for measure, against in zip(rows["measure"], rows["against"], strict=True)
        ]
    )
    columns = list(dict.fromkeys(rows["column"]))
    parts = [tag("p", TEXT), table(rows[rows["task"] == ALL], columns)]
    named = {"value": "f1", "low": "f1_low", "high": "f1_high"}
    every = rows[(rows["task"] == ALL) & ~rows["measure"].isin(SIGNED)].rename(columns=named)
    drawn = [name for name in columns if name in set(every["column"])]
    figure = charts.bars([sections.panel(every, "", "ranker", "column", drawn)], "mean", 2)
    label = "How well the candidates of queries held aside are ranked"
    parts.append(sections.drawing(figure, "learning", label, plots))
    for task, mine in rows[rows["task"] != ALL].groupby("task", sort=False):
        parts.append(fold(f"{task} alone", table(mine, columns)))
    return join(parts, "\n")


def table(rows: pd.DataFrame, columns: Sequence[str]) -> Html:
    """A row for each ranker; a column is over the same queries for all of them."""
    keys = zip(rows["ranker"], rows["column"], strict=True)
    found = dict(zip(keys, rows[["value", "low", "high"]].to_numpy(float).tolist(), strict=True))
    sizes = dict(zip(rows["column"], rows["n"], strict=True))
    columns = [name for name in columns if name in sizes]
    head = [tag("th", "Ranker")] + [
        tag("th", name, tag("small", "n = ", sizes[name]), class_="number") for name in columns
    ]
    body = []
    for ranker in dict.fromkeys(rows["ranker"]):
        cells = [tag("th", ranker, scope="row")]
        for name in columns:
            value, low, high = found.get((ranker, name), (float("nan"),) * 3)
            small = [tag("small", f"[{low:.2f}, {high:.2f}]")] if low == low else []
            text = f"{value:.3f}" if value == value else "-"
            cells.append(tag("td", text, *small, class_="number"))
        body.append(tag("tr", *cells))
    return scrolling(Html(), tag("thead", tag("tr", *head)), join(body, "\n"))
