"""The report's section on where the gain is lost."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ruie import charts, learned, sections
from ruie.examples import ALL
from ruie.page import Html, fold, join, tag

TEXT = (
    "The same candidates of each query of the evaluated datasets, ranked by every link of the "
    "chain; the LLM's own ranking, which has seen the answer, is the best possible. The "
    "correlation is Spearman's with the LLM's scores within a query; the score is the LLM's mean "
    "of the k ranked first, in nats a token, each shown alone; the regret is what is missing to "
    "the best possible. Means over n queries, with 95 % bootstrap intervals. Reward models see the "
    "answer, too; chance is the expected value of all orders, random one of them."
)
SIDES = {True: "held out", False: "held in"}
#: What is drawn.
DRAWN = "over_chance"


def section(rows: pd.DataFrame, plots: Path | None) -> Html:
    """A table and a panel for each side and number of candidates, and folded each dataset's;
    ``rows``: CHAIN, at least one."""
    # what holds without demonstrations stands beside every k
    without = rows[rows["k"] == 0]
    ks = sorted(set(rows["k"].dropna()) - {0})
    rows = pd.concat([rows[rows["k"] != 0], *(without.assign(k=k) for k in ks)], ignore_index=True)
    level = [f"k = {k:.0f}" if k == k else "" for k in rows["k"]]
    measure = rows["measure"].str.replace("_", " ")
    column = [", ".join(filter(None, words)) for words in zip(measure, level, strict=True)]
    rows = rows.assign(ranker=rows["ranking"], level=level, column=column)
    parts, panels, folded = [tag("p", TEXT)], [], []
    named = {"value": "f1", "low": "f1_low", "high": "f1_high"}
    for (side, split, dataset, m), mine in rows.groupby(
        ["held_out", "split", "dataset", "candidates"], sort=False
    ):
        columns = list(dict.fromkeys(mine["column"]))
        title = f"{SIDES[bool(side)]}, {split}, {m} candidates"
        if dataset != ALL:
            folded.append(fold(f"{dataset}: {title}", learned.table(mine, columns)))
            continue
        parts += [tag("h3", title), learned.table(mine, columns)]
        drawn = mine[mine["measure"] == DRAWN].rename(columns=named)
        levels = list(dict.fromkeys(drawn["level"]))
        panels.append(sections.panel(drawn, title, "ranker", "level", levels))
    figure = charts.dots(panels, "score over chance, nats a token")
    label = "The LLM's score of what each ranking puts first, over chance"
    return join([*parts, sections.drawing(figure, "chain", label, plots), *folded], "\n")
