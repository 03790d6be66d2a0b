"""Count right and wrong items of answers: one row for each system, LLM, k, task and dataset.

Reads Parquet or JSON lines (.jsonl) with the columns query_id, task, dataset, schema, text, query,
gold and prediction (strings in Appendix D's form), from this project or any other; the columns
system, llm, k and error are used where they exist. Scorers: strict, as section 4.2 has it
(ruie/scorers.py), or official, which counts as the published code does (ruie/official.py) and reads
the schema out of the query.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ruie import cli, parquet, schemas, scorers
from ruie.examples import TASKS
from ruie.official import official

REQUIRED = ("query_id", "task", "dataset", "schema", "text", "query", "gold", "prediction")
KEYS = ("system", "llm", "k", "task", "dataset")


def strict(r: dict[str, Any]) -> scorers.Counts:
    return scorers.strict(r["prediction"] or "", r["gold"], r["task"], r["schema"], r["text"])


def published(r: dict[str, Any]) -> scorers.Counts:
    return official(r["prediction"] or "", r["gold"], r["task"], r["query"])


SCORERS = {"strict": strict, "official": published}


def run(
    predictions: list[dict[str, Any]], scorer: str, allow_errors: bool = False
) -> list[dict[str, Any]]:
    """METRICS rows, sorted by their keys.

    Raises ``UserError`` where an answer is an error, unless ``allow_errors`` lets it count as an
    empty answer.
    """
    if not predictions:
        raise cli.UserError("there is no prediction to score; give a file that holds some")
    score = SCORERS[scorer]
    sums: dict[tuple[Any, ...], list[int]] = {}
    for r in predictions:
        if r.get("error") and not allow_errors:
            raise cli.UserError(
                f"{r['query_id']}: has no answer ({r['error']}); run inference again, or count "
                "such queries as unanswered with --allow-errors"
            )
        if r["task"] not in TASKS:
            raise cli.UserError(f"{r['query_id']}: task {r['task']!r} is none of {list(TASKS)}")
        counts = score(r)
        total = sums.setdefault(tuple(r.get(key) for key in KEYS), [0, 0, 0, 0])
        for i, n in enumerate((1, counts.tp, counts.fp, counts.fn)):
            total[i] += n
    rows = []
    for key in sorted(sums, key=lambda key: [(v is not None, v) for v in key]):
        n, tp, fp, fn = sums[key]
        precision, recall, f1 = scorers.measures(tp, fp, fn)
        rows.append(
            {**dict(zip(KEYS, key, strict=True)), "scorer": scorer, "n": n, "tp": tp, "fp": fp,
             "fn": fn, "precision": precision, "recall": recall, "f1": f1}
        )  # fmt: skip
    return rows


def read(path: Path) -> list[dict[str, Any]]:
    """Predictions of a Parquet or JSON-lines file, their columns checked."""
    if path.suffix != ".jsonl":
        if path.is_file() and not path.read_bytes().startswith(b"PAR1"):
            raise cli.UserError(f"{path}: neither Parquet nor named .jsonl; convert or rename it")
        table = parquet.read_any(path)
        missing = [c for c in REQUIRED if c not in table.column_names]
        if missing:
            raise cli.UserError(f"{path}: columns {missing} are missing")
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows
    try:
        # by line feeds alone: other line separators are legal inside a JSON string
        lines = path.read_bytes().decode("utf-8").split("\n")
    except FileNotFoundError:
        raise cli.UserError(f"{path}: no such file; run inference, or mend the path") from None
    except UnicodeDecodeError as error:
        raise cli.UserError(f"{path}: not UTF-8 text (byte {error.start}); convert it") from None
    rows = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            missing = [c for c in REQUIRED if c not in row]
        except (ValueError, TypeError, RecursionError) as error:
            raise cli.UserError(f"{path}#{number}: not a JSON object: {error}") from None
        if missing:
            raise cli.UserError(f"{path}#{number}: fields {missing} are missing")
        rows.append(row)
    return rows


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--predictions", required=True, type=Path)
    p.add_argument("--scorer", choices=list(SCORERS), default="strict")
    p.add_argument("--allow-errors", action="store_true", help="count errors as empty answers")
    p.add_argument("--out", required=True, type=Path, help="METRICS table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    rows = run(read(args.predictions), args.scorer, args.allow_errors)
    for r in rows:
        cli.log.info("%s %s: n %d, P %.2f, R %.2f, F1 %.2f", r["task"], r["dataset"], r["n"],
                     r["precision"], r["recall"], r["f1"])  # fmt: skip
    parquet.write(rows, schemas.METRICS, args.out)


if __name__ == "__main__":
    cli.run(main)
