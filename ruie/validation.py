"""Gather what was counted while the datasets of a run were read, and write it as one page.

For each split: records read, kept, left out and mended, why, and where the first of each kind
stands. With --statistics and --overlap the page shows Table 11 and the leakage too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from ruie import cli, markdown, overlap, parquet, schemas, statistics

KEY = ("dataset", "task", "split")
LEFT_OUT = "record left out"
HEADINGS = {"statistics": "Table 11", "overlap": "Test instances in training sets"}


def run(report: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """VALIDATION rows of REPORT rows, in their order.

    Raises ``UserError`` where a split's records do not add up.
    """
    splits: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in report:
        splits.setdefault(tuple(row[c] for c in KEY), []).append(row)
    return [_split(key, rows) for key, rows in splits.items()]


def _split(key: tuple[str, ...], rows: list[dict[str, Any]]) -> dict[str, Any]:
    facts = {r["what"]: r for r in rows if not r["outcome"]}
    reasons = [r for r in rows if r["outcome"]]

    def number(what: str) -> int:
        return int(facts[what]["count"]) if what in facts else 0

    def total(outcome: str) -> int:
        return sum(r["count"] for r in reasons if r["outcome"] == outcome)

    records, kept, left_out = map(number, ("records", "instances", "records left out"))
    names = " ".join(key)
    if len(facts) + len(reasons) != len({r["what"] for r in rows}):
        raise cli.UserError(f"{names}: a line of its report stands twice; give each report once")
    missing = {"records", "instances", "records left out", "bad records", "duplicates"} - set(facts)
    if missing or records != kept + left_out or left_out != total(LEFT_OUT):
        raise cli.UserError(
            f"{names}: the report does not account for every record; delete it and normalise again"
        )
    fields = ("what", "count", "outcome", "example")
    return {
        **dict(zip(KEY, key, strict=True)),
        "records": records,
        "instances": kept,
        "left_out": left_out,
        "bad": number("bad records"),
        "share_bad": number("bad records") / records if records else 0.0,
        "mended": total("mended"),
        "duplicates": number("duplicates"),
        "first_bad": facts["bad records"]["example"],
        "reasons": [{name: r[name] for name in fields} for r in reasons],
    }


def render(rows: list[dict[str, Any]], **tables: str) -> str:
    """The page; ``tables``: further sections, Markdown by their names in ``HEADINGS``."""
    sums = {c: sum(r[c] for r in rows) for c in ("records", "instances", "left_out", "bad")}
    share = sums["bad"] / sums["records"] if sums["records"] else 0.0
    lines = [
        "# Data of the run\n",
        f"{len(rows)} splits: {sums['records']:,} records read = {sums['instances']:,} kept + "
        f"{sums['left_out']:,} left out. {sums['bad']:,} records ({share:.2%}) are bad: a fault "
        "cost them themselves or an annotation.\n",
        "## Records\n",
        markdown.table(
            ["Task", "Dataset", "Split", "Read", "Kept", "Left out", "Bad", "Share", "Mended",
             "Duplicates"],
            ([r["task"], r["dataset"], r["split"], r["records"], r["instances"], r["left_out"],
              r["bad"], f"{r['share_bad']:.2%}", r["mended"], r["duplicates"]] for r in rows),
        ),
        "## What was found\n",
    ]  # fmt: skip
    found = [
        [r["task"], r["dataset"], r["split"], *(reason[c] for c in ("outcome", "what", "count",
                                                                    "example"))]
        for r in rows for reason in r["reasons"]
    ]  # fmt: skip
    headers = ["Task", "Dataset", "Split", "Outcome", "What", "Count", "The first"]
    lines.append(markdown.table(headers, found) if found else "Nothing.\n")
    for name, text in tables.items():
        lines += [f"## {HEADINGS[name]}\n", text]
    return "\n".join(lines)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--reports", required=True, nargs="+", type=Path, help="REPORT tables")
    p.add_argument("--statistics", type=Path, help="STATISTICS table")
    p.add_argument("--overlap", type=Path, help="OVERLAP table")
    p.add_argument("--out", type=Path, help="VALIDATION table to write")
    p.add_argument("--markdown", type=Path, help="page to write (default: standard output)")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    reports = pa.concat_tables([parquet.read(path, schemas.REPORT) for path in args.reports])
    rows = run(reports.to_pylist())
    tables = {}
    if args.statistics:
        found = parquet.read(args.statistics, schemas.STATISTICS).to_pylist()
        tables["statistics"] = statistics.render(found)
    if args.overlap:
        found = parquet.read(args.overlap, schemas.OVERLAP).to_pylist()
        tables["overlap"] = overlap.render(found)
    text = render(rows, **tables)
    if args.out:
        parquet.write(rows, schemas.VALIDATION, args.out)
    if args.markdown:
        markdown.write(text, args.markdown)
    else:
        print(text, end="")


if __name__ == "__main__":
    cli.run(main)
