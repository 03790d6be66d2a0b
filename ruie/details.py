"""The report's sections behind the results: significance, labels, kinds of errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from ruie import error_kinds, headline, tables
from ruie.examples import TASKS
from ruie.page import Html, fold, join, note, nothing, scrolling, table, tag

#: Rows shown of what may be long: details and samples of a kind of error.
SHOWN = 12
#: Kinds of ERRORS, under what is said of them.
ERROR_GROUPS = {
    "Wrong items, the false positives of strict": error_kinds.WRONG,
    "Missed items, its false negatives": error_kinds.MISSED,
    "Beside them": error_kinds.FACTS,
}
#: A difference whose p is below is bold.
LEVEL = 0.05


def ordered(rows: pd.DataFrame, systems: Sequence[str]) -> pd.DataFrame:
    """Rows by LLM, k, task, dataset (averages last) and system, in the order of the results."""
    return rows.assign(
        # what is of all tasks comes after them
        _task=rows["task"].map({t: i for i, t in enumerate(TASKS)}).fillna(len(TASKS)),
        _average=rows["dataset"] == tables.AVERAGE,
        _system=rows["system"].map({s: i for i, s in enumerate(systems)}).fillna(len(systems)),
    ).sort_values(["llm", "k", "_task", "_average", "dataset", "_system"], kind="stable")


def comparisons(rows: pd.DataFrame, systems: Sequence[str], scorers: Sequence[str]) -> Html:
    """Differences to a reference system; ``rows``: COMPARISONS."""
    if rows.empty:
        return nothing("comparison")
    names = headline.scorers(rows, scorers)
    text = (
        "F1 of a system minus F1 of the reference on the same queries, with the 95 % interval of "
        f"a paired bootstrap and its two-sided p. Bold: p < {LEVEL}; the p values are not "
        "corrected for their number."
    )
    parts = [tag("p", text)]
    for scorer in names:
        inside: list[Html] = []
        for held_out, heading in headline.HEADINGS:
            of_side = (rows["scorer"] == scorer) & (rows["held_out"] == held_out)
            mine = ordered(rows[of_side], systems)
            mean = mine["dataset"] == tables.AVERAGE
            if mean.any():
                inside += [tag("h3", heading), _compared(mine[mean])]
            if (~mean).any():
                name = f"{heading}, one by one ({int((~mean).sum())} comparisons)"
                inside.append(fold(name, _compared(mine[~mean])))
        parts += inside if scorer == names[0] else [fold(f"By the {scorer} scorer", *inside)]
    return join(parts, "\n")


def _compared(rows: pd.DataFrame) -> Html:
    heads = ["LLM", "k", "Task", "Dataset", "System", "Reference", "n", "Difference",
             "95 % interval", "p"]  # fmt: skip
    numbers = {"k", "n", "Difference", "95 % interval", "p"}
    body = []
    for r in rows.to_dict("records"):
        known = r["low"] == r["low"] and r["high"] == r["high"]
        cells = [
            r["llm"], r["k"], r["task"], r["dataset"], r["system"], r["reference"], f"{r['n']:,}",
            f"{r['difference']:+.2f}", f"[{r['low']:+.1f}, {r['high']:+.1f}]" if known else "-",
            "-" if r["p"] != r["p"] else "< 0.001" if r["p"] < 0.001 else f"{r['p']:.3f}",
        ]  # fmt: skip
        sure = "sure" if r["p"] < LEVEL else ""
        kinds = [f"number {sure if h in ('Difference', 'p') else ''}".strip() if h in numbers
                 else None for h in heads]  # fmt: skip
        body.append(tag("tr", *(tag("td", c, class_=k) for c, k in zip(cells, kinds, strict=True))))
    head = [tag("th", h, class_="number" if h in numbers else None) for h in heads]
    return scrolling(Html(), tag("thead", tag("tr", *head)), join(body, "\n"))


def labels(rows: pd.DataFrame, systems: Sequence[str]) -> Html:
    """F1 of each label, a fold for each dataset; ``rows``: LABELS."""
    if rows.empty:
        return nothing("label table")
    rows = ordered(rows, systems)
    parts = [
        tag("p", "F1 of each label by the strict scorer; “gold” counts the label in the gold "
            "answers. “(none of the schema)” is what was said without a label of the schema.")
    ]  # fmt: skip
    several = rows["llm"].nunique() > 1
    for (task, dataset), part in rows.groupby(["task", "dataset"], sort=False):
        part = part.assign(
            run=(part["llm"] + ", " if several else "")
            + part["system"] + ", k = " + part["k"].astype(str),
            gold=part["tp"] + part["fn"],
        )  # fmt: skip
        runs = list(dict.fromkeys(part["run"]))
        gold = part.groupby("label")["gold"].max().sort_values(ascending=False, kind="stable")
        found = {(r, label): f1 for r, label, f1, n in part[["run", "label", "f1", "gold"]]
                 .itertuples(index=False)}  # fmt: skip
        body = [
            [label or "(none of the schema)", int(n), *(found.get((r, label)) for r in runs)]
            for label, n in gold.items()
        ]
        heads = ["Label", "Gold", *runs]
        parts.append(fold(f"{task} {dataset}: {len(body)} labels", table(heads, body)))
    return join(parts, "\n")


def errors(rows: pd.DataFrame, systems: Sequence[str]) -> Html:
    """How many errors of each kind, then what they consist of; ``rows``: ERRORS."""
    if rows.empty:
        return nothing("error table")
    rows = ordered(rows, systems)
    several = rows["llm"].nunique() > 1
    run = rows["system"] + ", k = " + rows["k"].astype(str)
    rows = rows.assign(
        run=(rows["llm"] + ", " if several else "") + run,
        name=rows["task"] + " " + rows["dataset"],
    )
    text = (
        "Items by what is wrong with them, over all datasets; folded: dataset by dataset, then the "
        "most frequent cases of each kind and samples drawn by the seed."
    )
    parts = [tag("p", text), _counted(rows, "run")]
    for name, mine in rows.groupby("run", sort=False):
        inside = [
            fold(f"{kind}: {int(part['items'].sum()):,}", *_cases(part))
            for kind in error_kinds.KINDS
            if len(part := mine[mine["kind"] == kind]) and part["items"].sum()
        ]
        parts.append(fold(str(name), _counted(mine, "name"), *inside))
    return join(parts, "\n")


def _counted(rows: pd.DataFrame, by: str) -> Html:
    """Items of each kind that there is, a column for each value of ``by``."""
    counts = rows.groupby(["kind", by])["items"].sum().to_dict()
    groups = list(dict.fromkeys(rows[by]))
    parts = []
    for caption, kinds in ERROR_GROUPS.items():
        body = [[kind, *(int(counts.get((kind, group), 0)) for group in groups)] for kind in kinds]
        body = [row for row in body if any(row[1:])]
        if body:
            parts.append(table(["Kind", *groups], body, caption))
    return join(parts, "\n") if parts else note("None was counted.")


def _cases(rows: pd.DataFrame) -> list[Html]:
    """The most frequent cases of one kind of error, and samples of it."""
    cases: Counter[str] = Counter()
    for listed in rows["details"]:
        for case in [] if listed is None else listed:
            cases[str(case["what"])] += int(case["count"])
    # one of each dataset before the second of any
    each = [[] if listed is None else list(listed) for listed in rows["examples"]]
    samples = [some[i] for i in range(max(map(len, each), default=0)) for some in each
               if i < len(some)]  # fmt: skip
    parts = []
    if cases:
        top = sorted(cases.items(), key=lambda c: (-c[1], c[0]))
        parts.append(table(["Case", "Count"], [list(c) for c in top[:SHOWN]]))
        if len(top) > SHOWN:
            rest = sum(n for _, n in top[SHOWN:])
            parts.append(note(f"and {len(top) - SHOWN} other cases, {rest:,} in all."))
    if samples:
        listed = [[s["query_id"], s["said"] or "-", s["gold"] or "-"] for s in samples[:SHOWN]]
        parts.append(table(["Query", "Said", "Gold"], listed))
    return parts or [note("No case was kept.")]
