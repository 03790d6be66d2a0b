"""Count right and wrong items of answers: one row for each system, LLM, k, task, dataset, scorer.

Reads Parquet or JSON lines (.jsonl) with the columns query_id, task, dataset, schema, text, query,
gold and prediction (strings in Appendix D's form; no prediction is an empty answer), from this
project or any other; the columns system, llm, k and error are used where they exist. Scorers
(docs/scorers.md): strict, as section 4.2 has it; soft, which gives parts of the credit
(ruie/scorers.py); official, which counts as the published code does (ruie/official.py) and reads
the schema out of the query. The order of the rows makes no difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ruie import bootstrap, cli, parquet, schemas, scorers
from ruie.answers import Item, even_label
from ruie.examples import TASKS
from ruie.official import official
from ruie.records import KEYS, read

SCORERS = ("strict", "soft", "official")
COUNTS = ("tp", "fp", "fn")
MEASURES = ("precision", "recall", "f1")


@dataclass
class Run:
    """What is known of one system, LLM, k, task and dataset."""

    queries: list[str] = field(default_factory=list)
    #: by scorer, one for each query
    counts: dict[str, list[scorers.Counts]] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    true: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    #: by its form in items, a label as its schema writes it
    labels: dict[str, str] = field(default_factory=dict)
    schemas: set[tuple[str, ...]] = field(default_factory=set)

    def add_labels(self, schema: tuple[str, ...], said: list[Item], true: list[Item]) -> None:
        if schema not in self.schemas:
            self.schemas.add(schema)
            for label in filter(even_label, schema):
                form = even_label(label)
                self.labels[form] = min(label, self.labels.get(form, label))
        self.said.update([item[0] for item in said])
        self.true.update([item[0] for item in true])
        for item in set(said) & set(true):
            self.right[item[0]] += min(said.count(item), true.count(item))


def run(
    predictions: Iterable[dict[str, Any]],
    names: Sequence[str] = ("strict",),
    *,
    allow_errors: bool = False,
    mentions: str = "set",
    labels: bool = False,
) -> dict[tuple[Any, ...], Run]:
    """Counts by (system, LLM, k, task, dataset), sorted, as are the queries of each.

    Raises ``UserError`` where a query comes twice, and where an answer is an error unless
    ``allow_errors`` lets it count as an empty answer.
    """
    runs: dict[tuple[Any, ...], Run] = {}
    seen: dict[tuple[Any, ...], set[str]] = {}
    parsed = labels or not {"strict", "soft"}.isdisjoint(names)
    for r in predictions:
        name, task, gold = r["query_id"], r["task"], r["gold"]
        answer = "" if r.get("error") else r["prediction"] or ""
        if r.get("error") and not allow_errors:
            raise cli.UserError(
                f"{name}: has no answer ({r['error']}); run inference again, or count such queries "
                "as unanswered with --allow-errors"
            )
        if task not in TASKS:
            raise cli.UserError(f"{name}: task {task!r} is none of {list(TASKS)}")
        key = tuple(r.get(column) for column in KEYS)
        if key not in runs:
            runs[key] = Run(counts={scorer: [] for scorer in names})
            seen[key] = set()
        if name in seen[key]:
            raise cli.UserError(
                f"{name}: comes twice under {dict(zip(KEYS, key, strict=True))}; give each query "
                "of a run once"
            )
        seen[key].add(name)
        here = runs[key]
        here.queries.append(name)
        if parsed:
            schema = tuple(r["schema"])
            true = scorers.mentioned(scorers.parse(gold, task, schema, r["text"]), mentions)
            said = true
            if answer != gold:
                said = scorers.mentioned(scorers.parse(answer, task, schema, r["text"]), mentions)
            if labels:
                here.add_labels(schema, said, true)
        for scorer in names:
            if scorer == "official":
                c = official(answer, gold, task, r["query"])
            else:
                c = (scorers.strict if scorer == "strict" else scorers.soft)(said, true)
            here.counts[scorer].append(c)
    if not runs:
        raise cli.UserError("there is no prediction to score; give a file that holds some")
    for found in runs.values():
        order = sorted(range(len(found.queries)), key=found.queries.__getitem__)
        found.queries = [found.queries[i] for i in order]
        found.counts = {s: [rows[i] for i in order] for s, rows in found.counts.items()}
    return {k: runs[k] for k in sorted(runs, key=lambda key: [(v is not None, v) for v in key])}


def row(key: tuple[Any, ...], counts: Sequence[float]) -> dict[str, Any]:
    """The columns that METRICS and LABELS share."""
    values = [*key, *counts, *scorers.measures(*counts)]
    return dict(zip((*KEYS, *COUNTS, *MEASURES), values, strict=True))


def metrics(
    runs: dict[tuple[Any, ...], Run], resamples: int = bootstrap.RESAMPLES, seed: int = 0
) -> list[dict[str, Any]]:
    """METRICS rows."""
    rows = []
    for key, found in runs.items():
        for scorer, counts in found.counts.items():
            drawn = None
            if resamples:
                drawn = bootstrap.replicates(np.array(counts, float), resamples, seed, *key[-2:])
            low, high = bootstrap.interval(drawn)
            sums = [math.fsum(column) for column in zip(*counts, strict=True)]
            rows.append(row(key, sums) | {"scorer": scorer, "n": len(counts), "f1_low": low,
                                          "f1_high": high})  # fmt: skip
    return rows


def query_counts(runs: dict[tuple[Any, ...], Run]) -> pa.Table:
    """The COUNTS table."""
    tables = [schemas.COUNTS.empty_table()]
    for key, found in runs.items():
        for scorer, counts in found.counts.items():
            names = dict(zip((*KEYS, "scorer"), (*key, scorer), strict=True))
            columns = {
                name: pa.repeat(pa.scalar(value, schemas.COUNTS.field(name).type), len(counts))
                for name, value in names.items()
            }
            columns["query_id"] = pa.array(found.queries, pa.string())
            for name, column in zip(COUNTS, zip(*counts, strict=True), strict=True):
                columns[name] = pa.array(column, pa.float64())
            tables.append(
                pa.table([columns[f.name] for f in schemas.COUNTS], schema=schemas.COUNTS)
            )
    return pa.concat_tables(tables).combine_chunks()


def label_rows(runs: dict[tuple[Any, ...], Run]) -> list[dict[str, Any]]:
    """LABELS rows: each label of the schemas, and "" where items have none of them."""
    rows = []
    for key, found in runs.items():
        shown = found.labels | ({"": ""} if found.said[""] or found.true[""] else {})
        for form, label in sorted(shown.items(), key=lambda pair: pair[1]):
            tp, said, true = (n[form] for n in (found.right, found.said, found.true))
            rows.append(row(key, (tp, said - tp, true - tp)) | {"label": label})
    return rows


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--predictions", required=True, type=Path)
    p.add_argument("--scorer", nargs="+", choices=SCORERS, default=["strict"])
    p.add_argument(
        "--mentions", choices=scorers.MENTIONS, default="set",
        help="whether strict and soft count an item once or as often as it is said (%(default)s)",
    )  # fmt: skip
    p.add_argument("--allow-errors", action="store_true", help="count errors as empty answers")
    bootstrap.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="METRICS table to write")
    p.add_argument("--counts", type=Path, help="COUNTS table to write: query by query")
    p.add_argument("--labels", type=Path, help="LABELS table to write: strict, label by label")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    runs = run(
        read(args.predictions), list(dict.fromkeys(args.scorer)), allow_errors=args.allow_errors,
        mentions=args.mentions, labels=args.labels is not None,
    )  # fmt: skip
    rows = metrics(runs, args.resamples, args.seed)
    for r in rows:
        cli.log.info("%s %s, %s: n %d, P %.2f, R %.2f, F1 %.2f", r["task"], r["dataset"],
                     r["scorer"], r["n"], r["precision"], r["recall"], r["f1"])  # fmt: skip
    parquet.write(rows, schemas.METRICS, args.out, result=True)
    if args.counts:
        parquet.write(query_counts(runs), schemas.COUNTS, args.counts, result=True)
    if args.labels:
        parquet.write(label_rows(runs), schemas.LABELS, args.labels, result=True)


if __name__ == "__main__":
    cli.run(main)
