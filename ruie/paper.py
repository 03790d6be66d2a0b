"""One of the paper's tables with our numbers beside it, from whatever part of its runs exists.

What a cell is stands in workflow/paper/tables.yaml together with the paper's number. Ours is the
mean F1 over those of the cell's datasets that have a result; how many were found is kept. Tables 1
to 8 are made from result tables: --results of one run, and the folders of further ones (--runs)
where a table needs several. The first run's scoring LLM is that of every cell but Table 7's, so
runs of different scoring LLMs never mix. Table 10 is made from --spread, Table 11 from
--statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ruie import cli, paper_data, paper_render, parquet, schemas
from ruie.paper_data import Table, cell, column_id, select

TABLES = ("1", "2", "3", "4", "5", "6", "7", "8", "10", "11")
#: What of STATISTICS is compared with a column of Table 11.
SIZES = {
    "labels": "Schema",
    "event types": "Schema",
    "event types in test": "Schema",
    "roles": "Roles",
    "type-role pairs in test": "Roles",
    "train": "Train",
    "train sentences": "Train",
    "test": "Test",
    "test sentences": "Test",
}

Cells = list[dict[str, Any]]


def mean(rows: pd.DataFrame, datasets: Sequence[str]) -> dict[str, Any]:
    """The mean F1 over those of ``datasets`` that ``rows`` has; of a single one its interval."""
    rows = rows[rows["dataset"].isin(datasets)]
    out: dict[str, Any] = {"found": len(rows), "wanted": len(datasets)}
    if not len(rows):
        return out
    low, high = float(rows["f1_low"].iloc[0]), float(rows["f1_high"].iloc[0])
    if len(datasets) == 1 and low == low and high == high:
        out |= {"low": low, "high": high}
    return out | {"ours": float(rows["f1"].mean())}


def results_cells(number: str, table: Table, found: pd.DataFrame, scoring: str) -> Cells:
    """The cells of a table of results from ``paper_data.numbers``. ``scoring``: the LLM whose run
    a cell is taken from unless its row says otherwise."""
    of_table = select(found, **table["cell"])
    if table.get("further") == "llm":
        of_table = select(of_table, scoring=scoring)
    out = []
    for row in [*table["rows"], *further(table, of_table)]:
        for column, printed in zip(table["columns"], row["values"], strict=True):
            what = {"scoring": scoring, **table["cell"], **column, **row}
            mine: dict[str, Any] = {}
            if what.get("reported"):
                if "system" in row:
                    mine = supervised(found, what)
            else:
                keys = {name: what[name] for name in ("scoring", "system", "llm", "k", "task")}
                mine = mean(select(found, **keys), what["datasets"])
            out.append(cell(number, row["name"], column_id(column), printed, mine))
    return out


def supervised(found: pd.DataFrame, what: Mapping[str, Any]) -> dict[str, Any]:
    """Our number beside a reported one, if a supervised model has been run; its LLM is its own, the
    first that there is."""
    runs = select(found, **{name: what[name] for name in ("scoring", "system", "k")})
    runs = select(runs, llm=runs["llm"].iloc[0]) if len(runs) else runs
    mine = mean(select(runs, task=what["task"]), what["datasets"])
    return mine if mine["found"] else {}


def further(table: Table, found: pd.DataFrame) -> list[Table]:
    """Rows for the models of our results that the paper's table does not have, if it takes such."""
    kind = table.get("further")
    if kind is None:
        return []
    known = {row[kind] for row in table["rows"]}
    values = [None] * len(table["columns"])
    names = [name for name in dict.fromkeys(found[kind]) if name not in known]
    return [{"name": name, kind: name, "values": values} for name in names]


def spread_cells(number: str, table: Table, spread: pd.DataFrame) -> Cells:
    """The cells of Table 10 from SPREAD rows."""
    out = []
    for row in [*table["rows"], *further(table, spread)]:
        for column, printed in zip(table["columns"], row["values"], strict=True):
            rows = select(spread, llm=row["llm"], side=column["side"])
            mine: dict[str, Any] = {"found": min(len(rows), 1), "wanted": 1}
            if len(rows):
                mine["ours"] = float(rows[column["measure"]].iloc[0])
            out.append(cell(number, row["name"], column_id(column), printed, mine))
    return out


def size_cells(number: str, table: Table, rows: Sequence[Mapping[str, Any]]) -> Cells:
    """The cells of Table 11 from STATISTICS rows, which hold the paper's numbers. Of two counts
    for a column the one that has a paper's number is taken, else the later one."""
    by_name: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        mine = by_name.setdefault(row["dataset"] + (" †" if row["held_out"] else ""), {})
        column = SIZES.get(row["what"])
        if column and (row["paper"] is not None or mine.get(column, row)["paper"] is None):
            mine[column] = row
    out = []
    for name, mine in by_name.items():
        for column in map(column_id, table["columns"]):
            pair = mine.get(column, {"ours": None, "paper": None})
            ours, printed = (None if n is None else float(n) for n in (pair["ours"], pair["paper"]))
            got = {} if ours is None else {"ours": ours, "found": 1, "wanted": 1}
            out.append(cell(number, name, column, printed, got))
    return out


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--table", required=True, choices=TABLES)
    paper_data.add_arguments(p)
    p.add_argument("--llm", help="LLM that answers, where a row does not say (the paper's)")
    p.add_argument("--k", type=int, help="demonstrations of a prompt (the paper's)")
    p.add_argument("--spread", nargs="*", default=[], type=Path, help="SPREAD tables, for Table 10")
    p.add_argument("--statistics", type=Path, help="STATISTICS table, for Table 11")
    p.add_argument("--out", required=True, type=Path, help="PAPER table to write")
    paper_render.add_arguments(p)
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    table = paper_data.load(args.table)
    if args.table == "10":
        spread = [row for path in args.spread
                  for row in parquet.read(path, schemas.SPREAD).to_pylist()]  # fmt: skip
        frame = pd.DataFrame(spread, columns=schemas.SPREAD.names)
        if frame.isna().any(axis=None):
            raise cli.UserError("a SPREAD table has an empty cell; make it again")
        frame["llm"] = frame["llm"].replace(paper_data.renamed(args.rename))
        cells = spread_cells("10", table, frame)
    elif args.table == "11":
        if not args.statistics:
            p.error("--table 11 needs --statistics")
        rows = parquet.read(args.statistics, schemas.STATISTICS).to_pylist()
        cells = size_cells("11", table, rows)
    else:
        if args.table == "7" and not args.scoring and (args.results or args.metrics):
            p.error("--table 7 goes by the scoring LLM: give --scoring, or whole runs (--runs)")
        found, scoring = paper_data.given(args)
        own = {"llm": args.llm, "k": args.k}
        own = {name: v for name, v in own.items() if v is not None and name in table["cell"]}
        table = {**table, "cell": {**table["cell"], **own}}
        cells = results_cells(args.table, table, found, scoring)
        table["ours"] = paper_data.said(found, table["cell"], scoring)
    paper_data.write(cells, args.out)
    paper_render.write(args.table, table, cells, args)


if __name__ == "__main__":
    cli.run(main)
