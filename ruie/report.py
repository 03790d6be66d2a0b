"""The report of a run: one HTML page that needs nothing else, or its result tables as text.

Whatever is not given is said to be missing. Same inputs, same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from ruie import (
    browse,
    chained,
    cli,
    details,
    headline,
    learned,
    parquet,
    provenance,
    schemas,
    sections,
    shown,
    usage,
)
from ruie.headline import print_table
from ruie.page import Html, document, join
from ruie.sections import read

__all__ = ["print_table"]


def about(results: pd.DataFrame, answers: pd.DataFrame) -> str:
    """The run in a line."""
    known = pd.concat([results[sections.KEY], answers[sections.KEY]])
    named = [str(k) for k in sorted(set(known["k"]) - {0})]
    datasets = pd.concat([frame[["task", "dataset"]] for frame in (results, answers)])
    datasets = datasets[datasets["dataset"] != "average"].drop_duplicates()
    counts = {
        "dataset": len(datasets), "system": known["system"].nunique(),
        "language model": known["llm"].nunique(), "answer": len(answers),
    }  # fmt: skip
    said = ", ".join(f"{n:,} {what}{'' if n == 1 else 's'}" for what, n in counts.items())
    return said + (f"; k = {', '.join(named)}" if named else "")


def run(flags: argparse.Namespace) -> str:
    """The page of what ``parser`` takes. Raises ``UserError`` for a file that is not there."""
    results = read(flags.tables, schemas.RESULTS).drop_duplicates()
    numbers = ["task", "dataset", "dropped", "prompt_tokens", "completion_tokens", "finish_reason"]
    answers = read(flags.predictions, schemas.PREDICTIONS, [*sections.KEY, *numbers, "error"])
    order = list(dict.fromkeys([*results["system"], *answers["system"]]))
    scorers = headline.scorers(results, flags.scorers)
    first = results[results["scorer"] == scorers[0]] if scorers else results
    rows = shown.chosen(flags.predictions, flags.samples, flags.seed)
    reasons = browse.why(
        rows, flags.pool, flags.why, flags.bm25, flags.llm_scores, flags.reward_scores
    )
    sweep = sections.sweep(first, flags.plots)
    sums = read(flags.usage, schemas.USAGE)
    links = parquet.read(flags.chain, schemas.CHAIN).to_pandas() if flags.chain else pd.DataFrame()
    parts: list[tuple[str, str, Html]] = [
        ("results", "Results", sections.results(results, scorers)),
        ("charts", "Charts", sections.averages(first, flags.plots)),
        *([("k", "Number of demonstrations", sweep)] if sweep else []),
        ("significance", "Significance",
         details.comparisons(read(flags.comparisons, schemas.COMPARISONS), order, scorers)),
        ("labels", "Labels", details.labels(read(flags.labels, schemas.LABELS), order)),
        ("errors", "Errors", details.errors(read(flags.errors, schemas.ERRORS), order)),
        ("inference", "Inference", join([sections.inference(answers, order),
                                         *([usage.section(sums)] if len(sums) else [])])),
        ("predictions", "Predictions", browse.section(rows, order, reasons)),
        ("speed", "Speed", sections.speed(read(flags.speed, schemas.SPEED), flags.plots)),
        ("scoring", "Scoring", sections.scoring(read(flags.planned, schemas.PLANNED))),
        ("training", "Training", sections.training(flags.training, flags.pace, flags.plots)),
        ("learning", "Learning",
         learned.section(read(flags.learning, schemas.LEARNING), flags.plots)),
        *([("chain", "Where the gain is lost", chained.section(links, flags.plots))]
          if len(links) else []),
        ("data", "Data", sections.data(read(flags.data, schemas.REPORT))),
        ("provenance", "Provenance",
         provenance.section(flags.provenance, flags.config, flags.seed)),
    ]  # fmt: skip
    return document(flags.title, about(results, answers), parts)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    for name, what in {
        "tables": "RESULTS", "comparisons": "COMPARISONS", "labels": "LABELS", "errors": "ERRORS",
        "speed": "SPEED", "data": "REPORT", "planned": "PLANNED", "predictions": "PREDICTIONS",
        "learning": "LEARNING", "usage": "USAGE",
    }.items():  # fmt: skip
        p.add_argument(f"--{name}", nargs="*", default=[], type=Path, help=f"{what} tables")
    for name, what in {
        "training": "TRAINING tables", "pace": "PACE tables",
        "why": "each system's CANDIDATES; a name may come again",
    }.items():  # fmt: skip
        p.add_argument(
            f"--{name}", nargs="*", default=[], type=cli.named, metavar="NAME=FILE", help=what
        )
    p.add_argument("--pool", type=Path, help="EXAMPLES: the demonstrations' texts and answers")
    p.add_argument("--bm25", default="bm25", help="name of BM25 in --why (%(default)s)")
    p.add_argument("--llm-scores", type=Path, help="SCORES of the shown pairs (ruie.explain)")
    p.add_argument("--reward-scores", type=Path, help="REWARDS of the shown pairs (ruie.explain)")
    p.add_argument("--scorers", nargs="*", default=[], help="their order; the first is headline")
    p.add_argument("--chain", type=Path, help="CHAIN: where the gain is lost")
    p.add_argument("--title", default="RUIE report")
    p.add_argument("--config", type=Path, help="the run's configuration, shown as text")
    p.add_argument("--provenance", type=Path, help="JSON file of ruie.provenance")
    p.add_argument(
        "--samples", type=cli.positive, default=3, help="queries to show of a dataset (%(default)s)"
    )
    p.add_argument("--seed", type=int, default=0, help="of the queries to show")
    p.add_argument("--out", type=Path, help="HTML page to write; needed without --print")
    p.add_argument("--plots", type=Path, help="folder for the charts as PNG and SVG")
    p.add_argument(
        "--print", dest="printed", nargs="+", type=Path, metavar="TABLE",
        help="print RESULTS tables, and the sums of --usage, and write nothing",
    )  # fmt: skip
    p.add_argument("--html", help="with --print: where the page is, for a last line")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if args.printed:
        results = read(args.printed, schemas.RESULTS)
        for held_out, heading in headline.HEADINGS:
            part = results[results["held_out"] == held_out]
            if len(part):
                print_table(part, heading)
                print()
        if args.usage:
            print(f"answers: {usage.said(read(args.usage, schemas.USAGE))}")
        if args.html:
            print(f"report: {args.html}")
        return
    if not args.out:
        p.error("--out is needed, or --print")
    text = run(args)
    with parquet.replacing(args.out) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    cli.log.info("%s: %d kB", args.out, len(text) // 1000)


if __name__ == "__main__":
    cli.run(main)
