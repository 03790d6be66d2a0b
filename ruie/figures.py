"""Figures 3 and 4: F1 and speed by the number of demonstrations k, as PAPER rows and as plots.

Figure 3 is the mean F1 of each task under one system (zero-shot answers are its k = 0), over all
datasets, those held in and those held out. A mean is of the datasets that were answered with that
k; where another k has more, the point is hollow. Figure 4 is made from SPEED tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ruie import charts, cli, paper_data, paper_render, parquet, schemas
from ruie.cli import UserError
from ruie.paper_data import Table, cell, column_id, select

ZERO_SHOT = "zero_shot"
#: Of the ratio in Figure 4: the numbers of demonstrations that the paper's text compares.
RATIO = (1, 8)

Cells = list[dict[str, Any]]
#: Points of each line by its name: k, value, whether all datasets are in it.
Lines = dict[str, list[tuple[int, float, bool]]]


def by_shots(found: pd.DataFrame, table: Table, system: str, llm: str, scoring: str) -> Cells:
    """Figure 3 from ``paper_data.numbers``: a row for each k that was asked with."""
    mine = select(found, llm=llm, scoring=scoring)
    zero = (mine["system"] == ZERO_SHOT) & (mine["k"] == 0)
    mine = mine[zero | ((mine["system"] == system) & (mine["k"] > 0))]
    out = []
    for k in sorted(set(mine["k"])):
        for column in table["columns"]:
            keys = {name: column[name] for name in ("task", "held_out") if name in column}
            rows = select(mine, **keys)
            here = select(rows, k=k)
            got: dict[str, Any] = {"found": len(here), "wanted": rows["dataset"].nunique()}
            if len(here):
                got["ours"] = float(here["f1"].mean())
            out.append(cell("figure3", f"k = {int(k)}", column_id(column), None, got))
    return out


def prefixes(speed: pd.DataFrame) -> dict[str, str]:
    """What the names of Figure 4's rows begin with, by back end: nothing where there is but one."""
    found = list(dict.fromkeys(speed["backend"])) or [""]
    return {name: f"{name}, " if len(found) > 1 else "" for name in found}


def by_speed(speed: pd.DataFrame, table: Table) -> Cells:
    """Figure 4 from SPEED rows of one language model: instances a second, for each back end a row
    for each k and one for the ratio that the paper's text names. Other datasets than the paper's
    have columns too."""
    if speed["llm"].nunique() > 1:
        raise UserError("the SPEED tables are of several models; give those of one")
    if speed.isna().any(axis=None):
        raise UserError("a SPEED table has an empty cell; time again")
    if speed.duplicated(["backend", "dataset", "k"]).any():
        raise UserError("the SPEED tables time a dataset twice with the same k; give one of them")
    known = {name for column in table["columns"] for name in column["datasets"]}
    others = [
        {"name": name, "datasets": [name]}
        for name in dict.fromkeys(speed["dataset"])
        if name not in known
    ]
    columns = [*table["columns"], *others]
    out: Cells = []
    for backend, prefix in prefixes(speed).items():
        out += _of_backend(select(speed, backend=backend), table["rows"], columns, prefix)
    return out


def _of_backend(
    speed: pd.DataFrame, ratios: list[dict[str, Any]], columns: list[dict[str, Any]], prefix: str
) -> Cells:
    rates = {k: [_rate(select(speed, k=k), c["datasets"]) for c in columns]
             for k in sorted(set(speed["k"]))}  # fmt: skip
    out = [
        cell("figure4", f"{prefix}k = {int(k)}", column_id(column), None, got)
        for k, row in rates.items()
        for column, got in zip(columns, row, strict=True)
    ]
    for row in ratios:
        for i, column in enumerate(columns):
            got = {"found": 0, "wanted": len(column["datasets"])}
            pair = [rates[k][i] for k in RATIO if k in rates]
            # rates of different datasets have no ratio
            if len(pair) == 2 and pair[0]["found"] == pair[1]["found"] and pair[1].get("ours"):
                got = {**pair[0], "ours": pair[0]["ours"] / pair[1]["ours"]}
            printed = row["values"][i] if i < len(row["values"]) else None
            out.append(cell("figure4", prefix + row["name"], column_id(column), printed, got))
    return out


def _rate(speed: pd.DataFrame, datasets: Sequence[str]) -> dict[str, Any]:
    rows = speed[speed["dataset"].isin(datasets)]
    out: dict[str, Any] = {"found": len(rows), "wanted": len(datasets)}
    seconds = float(rows["seconds"].sum())
    return out | {"ours": float(rows["instances"].sum()) / seconds} if seconds > 0 else out


def series(cells: Cells, prefix: str = "") -> Lines:
    """The points of each column that has any, of the rows ``<prefix>k = <number>``."""
    out: Lines = {}
    for c in cells:
        name, _, k = c["row"].rpartition(" = ")
        if name == f"{prefix}k" and c["ours"] is not None:
            point = (int(k), c["ours"], c["found"] == c["wanted"])
            out.setdefault(c["column"], []).append(point)
    return out


def lines(panels: Sequence[tuple[str, Lines]], label: str) -> Any:
    """A figure with a panel beside another: (title, points of each line by its name); a name has
    the same colour in all."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for _, named in panels for name in named))
    top = max((p[1] for _, named in panels for line in named.values() for p in line), default=1.0)
    with charts.style():
        figure = Figure(figsize=(max(3.6 * len(panels), 5), 3.6), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        drawn = {}
        for axes, (title, named) in zip(grid, panels, strict=True):
            for name, points in named.items():
                colour = charts.COLOURS[names.index(name) % len(charts.COLOURS)]
                ks, values, _ = zip(*points, strict=True)
                [drawn[name]] = axes.plot(ks, values, color=colour, linewidth=1.4)
                for k, value, whole in points:
                    face = colour if whole else "white"
                    axes.plot([k], [value], "o", color=colour, markerfacecolor=face, markersize=5)
            axes.set_xticks(sorted({p[0] for points in named.values() for p in points}))
            axes.set_xlabel("demonstrations k")
            axes.set_title(title, loc="left", fontsize=10)
            if not named:
                axes.text(0.5, 0.5, "nothing measured", transform=axes.transAxes, ha="center")
        grid[0].set_ylim(0, 1.08 * top or 1.0)
        grid[0].set_ylabel(label)
        if names:
            figure.legend(
                [drawn[name] for name in names], names, loc="outside lower center", frameon=False,
                fontsize=9, ncols=charts.columns(names, charts.WHOLE),
            )  # fmt: skip
    return figure


def panels(cells: Cells, table: Table) -> list[tuple[str, Lines]]:
    """What ``lines`` draws of Figure 3: a panel for each group of columns that has points."""
    points = series(cells)
    groups: dict[str, Lines] = {}
    for column in table["columns"]:
        if mine := points.get(column_id(column)):
            groups.setdefault(f"{column['group']} datasets", {})[column["name"]] = mine
    return list(groups.items()) or [("", {})]


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--figure", required=True, choices=["3", "4"])
    paper_data.add_arguments(p)
    p.add_argument("--system", default="ruie", help="of Figure 3 (%(default)s)")
    p.add_argument("--llm", default="llama-3.1-8b-instruct", help="of Figure 3 (%(default)s)")
    p.add_argument("--speed", nargs="*", default=[], type=Path, help="SPEED tables, for Figure 4")
    p.add_argument("--out", required=True, type=Path, help="PAPER table to write")
    p.add_argument("--plots", type=Path, help="folder for figure3.svg and .png, or figure4")
    paper_render.add_arguments(p)
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    number = f"figure{args.figure}"
    table = paper_data.load(number)
    if args.figure == "3":
        found, scoring = paper_data.given(args)
        cells = by_shots(found, table, args.system, args.llm, scoring)
        drawn, label = panels(cells, table), "mean F1 (%)"
    else:
        rows = [row for path in args.speed for row in parquet.read(path, schemas.SPEED).to_pylist()]
        speed = pd.DataFrame(rows, columns=schemas.SPEED.names)
        cells = by_speed(speed, table)
        by_backend = prefixes(speed).items()
        drawn = [(backend, series(cells, prefix)) for backend, prefix in by_backend]
        label = "instances a second"
    paper_data.write(cells, args.out)
    paper_render.write(number, table, cells, args)
    if args.plots:
        charts.save(lines(drawn, label), args.plots, number)


if __name__ == "__main__":
    cli.run(main)
