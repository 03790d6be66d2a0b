"""Result tables for people: the columns, their order and marks, on a page and on a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import pandas as pd

from ruie import cli, tables
from ruie.examples import TASKS
from ruie.page import Html, join, scrolling, tag

#: Below so many queries of a dataset its differences are called noise.
FEW = 50
NOISE = (
    f"fewer than {FEW} queries: one answer moves F1 by a point or more, so differences of several "
    "points are within noise"
)

#: Columns of a table on the page.
ACROSS = 12
#: The tables by RESULTS.held_out, in their order.
HEADINGS = ((True, "Held-out datasets"), (False, "Held-in datasets"))


@dataclass(frozen=True)
class Column:
    """``key`` in ``tables.wide``; ``n``: queries, as text (systems may differ)."""

    key: str
    task: str
    dataset: str
    n: str
    few: bool

    @property
    def average(self) -> bool:
        return self.dataset == tables.AVERAGE


def scorers(results: pd.DataFrame, order: Sequence[str] = ()) -> list[str]:
    """The scorers of RESULTS rows: those of ``order`` first, others as they come."""
    found = list(dict.fromkeys(results["scorer"]))
    return [s for s in order if s in found] + [s for s in found if s not in order]


def panels(results: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(heading, LLM, rows) of one scorer's RESULTS: what was held out first, then by LLM as they
    come.

    Repeated rows count once; raises ``UserError`` where rows disagree.
    """
    results = results.drop_duplicates()
    key = ["held_out", "llm", "k", "system", "task", "dataset", "scorer"]
    twice = results[results.duplicated(key)]
    if len(twice):
        row = twice.iloc[0]
        raise cli.UserError(
            f"{row['system']} (k = {row['k']}) has two different results for {row['task']} "
            f"{row['dataset']}; give tables of one run only"
        )
    for held_out, heading in HEADINGS:
        part = results[results["held_out"] == held_out]
        for llm in dict.fromkeys(part["llm"]):
            yield heading, llm, part[part["llm"] == llm]


def columns(results: pd.DataFrame) -> list[Column]:
    """By task, the average of a task last."""
    found = []
    for (task, dataset), n in results.groupby(["task", "dataset"], sort=False)["n"]:
        low, high = int(n.min()), int(n.max())
        text = str(low) if low == high else f"{low}-{high}"
        found.append(Column(f"{task} {dataset}", str(task), str(dataset), text, low < FEW))
    return sorted(found, key=lambda c: (TASKS.index(c.task), c.average))


def texts(wide: pd.DataFrame, key: str) -> list[tuple[str, bool]]:
    """The F1 values of a column with two digits, and which is the best of them (by what is shown;
    none where there is nothing to compare)."""
    shown = ["" if v != v else f"{v:.2f}" for v in wide[key]]
    values = [float(t) for t in shown if t]
    best = f"{max(values):.2f}" if len(set(values)) > 1 else None
    return [(t or "-", t == best) for t in shown]


def intervals(results: pd.DataFrame) -> dict[tuple[str, int, str], str]:
    """The interval of F1 as text by (system, k, column key), where there is one."""
    rows = results[["system", "k", "task", "dataset", "f1_low", "f1_high"]]
    return {
        (system, k, f"{task} {dataset}"): f"[{low:.1f}, {high:.1f}]"
        for system, k, task, dataset, low, high in rows.itertuples(index=False)
        if low == low and high == high
    }


def ranges(results: pd.DataFrame) -> dict[str, str]:
    """The label of each system's range, of those that have one."""
    pairs = results[["system", "range"]].drop_duplicates().itertuples(index=False)
    return {system: label for system, label in pairs if label and label == label}


def to_html(results: pd.DataFrame) -> Html:
    """The results of one LLM and scorer, whole tasks in tables of no more than ``ACROSS`` columns;
    ranges below the systems, intervals below the values, the best value of a column bold."""
    wide, cols = tables.wide(results), columns(results)
    below, pool = intervals(results), ranges(results)
    parts = [_table(wide, block, below, pool) for block in _packed(cols, [1] * len(cols), ACROSS)]
    if any(c.few for c in cols):
        parts.append(tag("p", "† ", NOISE, ".", class_="note"))
    return join(parts, "\n")


def _table(
    wide: pd.DataFrame,
    cols: Sequence[Column],
    below: Mapping[tuple[str, int, str], str],
    pool: Mapping[str, str],
) -> Html:
    """Some columns of ``wide`` as a table."""
    tasks = {task: [c for c in cols if c.task == task] for task in TASKS}
    first = {group[0].key: "first" for group in tasks.values() if group}
    upper = [tag("th", "System", rowspan=2), tag("th", "k", rowspan=2, class_="number")]
    upper += [
        tag("th", task, colspan=len(group), class_="group first")
        for task, group in tasks.items()
        if group
    ]
    lower = [
        tag("th", c.dataset, tag("small", "n = ", c.n, " †" if c.few else ""),
            class_=f"number {first.get(c.key, '')}".strip())
        for c in cols
    ]  # fmt: skip
    values = {c.key: texts(wide, c.key) for c in cols}
    rows = []
    for i, (system, k) in enumerate(zip(wide["system"], wide["k"], strict=True)):
        label = [tag("small", pool[system])] if system in pool else []
        cells = [tag("th", system, *label, scope="row"), tag("td", k, class_="number")]
        for c in cols:
            text, best = values[c.key][i]
            kind = ["number", first.get(c.key), c.average and "average", best and "best"]
            interval = below.get((system, k, c.key))
            small = [tag("small", interval)] if interval else []
            cells.append(tag("td", text, *small, class_=" ".join(name for name in kind if name)))
        rows.append(tag("tr", *cells))
    head = tag("thead", tag("tr", *upper), tag("tr", *lower))
    return scrolling(Html(), head, join(rows, "\n"))


def print_table(
    results: pd.DataFrame, title: str, file: TextIO | None = None, width: int = 100
) -> None:
    """Print RESULTS rows for a terminal of ``width`` columns, in blocks where they are too wide;
    to standard output unless ``file`` is given. ``*`` marks the best of a column. The first scorer
    alone is shown."""
    file = file or sys.stdout
    scorer = scorers(results)[0]
    results = results[results["scorer"] == scorer]
    print(f"{title}: F1 in percent, scorer {scorer}", file=file)
    few = compared = False
    for _, llm, rows in panels(results):
        wide, cols = tables.wide(rows), columns(rows)
        few |= any(c.few for c in cols)
        compared |= len(wide) > 1
        names = [str(s) for s in wide["system"]]
        side = [_padded(["", "system", *names])]
        if pool := ranges(rows):
            side.append(_padded(["", "  range", *(f"  {pool.get(name, '-')}" for name in names)]))
        side.append([str(k).rjust(4) for k in ["", "k", *wide["k"]]])
        room = width - sum(len(column[0]) for column in side)
        shown = {c.key: _lines(c, texts(wide, c.key)) for c in cols}
        sizes = {key: 1 + max(map(len, head + body)) for key, (head, body) in shown.items()}
        if llm:
            print(f"answers by {llm}", file=file)
        for block in _packed(cols, [sizes[c.key] for c in cols], room):
            print(file=file)
            tall = max(len(shown[c.key][0]) for c in block)
            line, task = " " * (width - room), ""
            for c in block:
                line += ("  " + ("" if c.task == task else c.task)).ljust(sizes[c.key])
                task = c.task
            print(line.rstrip(), file=file)
            for row in range(tall + len(names)):
                line = "".join(s[max(row - tall + 2, 0)] for s in side)
                for c in block:
                    head, body = shown[c.key]
                    cells = [""] * (tall - len(head)) + head + body
                    line += cells[row].rjust(sizes[c.key])
                print(line.rstrip(), file=file)
    if compared:
        print("\n* best of its column", file=file)
    if few:
        print("n: queries; " + NOISE.replace(": ", ":\n  ", 1), file=file)


def _padded(texts: Sequence[str]) -> list[str]:
    return [text.ljust(max(map(len, texts))) for text in texts]


def _lines(column: Column, values: Sequence[tuple[str, bool]]) -> tuple[list[str], list[str]]:
    """A column's header (the name in short lines, then n) and its values, all as text."""
    name = "avg" if column.average else column.dataset
    lines = [""]
    for piece in re.findall(r"[^\W_]{1,11}[\W_]?|[\W_]", name):
        if len(lines[-1] + piece) > 11:
            lines.append("")
        lines[-1] += piece
    head = [*lines, f"n={column.n} "]
    return [f"{h.strip()} " for h in head], [f"{t}{'*' if best else ' '}" for t, best in values]


def _packed(cols: Sequence[Column], sizes: Sequence[int], room: int) -> Iterator[list[Column]]:
    """Columns in blocks that fit ``room``: whole tasks together while they do, a task in pieces
    where it alone is too wide."""
    block: list[Column] = []
    used = 0
    for task in TASKS:
        group = [(c, size) for c, size in zip(cols, sizes, strict=True) if c.task == task]
        whole = sum(size for _, size in group)
        for i, (column, size) in enumerate(group):
            if block and used + (size if i else whole) > room:
                yield block
                block, used = [], 0
            block.append(column)
            used += size
    if block:
        yield block
