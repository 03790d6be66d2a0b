"""What a system's demonstrations have in common with the queries that they are shown to.

It needs no model, and says what a retriever has learned: the right task and dataset, labels and
spans of the query's own answer, as many items as it has, demonstrations without an answer for
queries without. All are of the first k demonstrations, before any is dropped for the length of a
prompt. Queries with an answer and those without are counted apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ruie import cli, examples, parquet, schemas
from ruie.examples import TASKS, Example, evened


def pair(query: Example, shown: Example) -> dict[str, float]:
    """The measures of one demonstration; ``labels`` is the Jaccard similarity of the two answers'
    sets of labels, 1 where neither has any."""
    gold, given = ({a.label for a in e.annotations} for e in (query, shown))
    return {
        "own_task": shown.task == query.task,
        "own_dataset": shown.dataset == query.dataset,
        "labels": len(gold & given) / len(gold | given) if gold | given else 1.0,
        "items": len(shown.annotations),
        "unanswered": not shown.annotations,
    }


def known(asked: Iterable[tuple[Example, Example]]) -> float | None:
    """Of the queries' own spans, by their evened text, the share that is a span of a demonstration
    shown to the query: what an LLM could copy. Mean over the queries that have any."""
    gold: dict[str, set[str]] = {}
    given: dict[str, set[str]] = defaultdict(set)
    for query, shown in asked:
        gold[query.id] = _spans(query)
        given[query.id] |= _spans(shown)
    shares = [len(own & given[name]) / len(own) for name, own in gold.items() if own]
    return float(np.mean(shares)) if shares else None


def _spans(example: Example) -> set[str]:
    return {evened(span.text) for a in example.annotations for span in a.spans}


def run(
    system: str, found: Iterable[Mapping[str, Any]], queries: Mapping[str, Example],
    pool: Mapping[str, Example], ks: Sequence[int],
) -> list[dict[str, Any]]:  # fmt: skip
    """AGREEMENT rows of a system, from rows of CANDIDATES."""
    kinds: dict[tuple[int, str, bool], list[tuple[int, Example, Example]]] = defaultdict(list)
    for row in found:
        query = queries[row["query_id"]]
        kind = TASKS.index(query.task), query.dataset, not query.annotations
        kinds[kind].append((row["rank"], query, pool[row["demonstration_id"]]))
    rows = []
    for k in ks:
        for (task, dataset, unanswered), of in sorted(kinds.items(), key=lambda kind: kind[0]):
            first = [(query, shown) for rank, query, shown in of if rank < k]
            measures = [pair(query, shown) for query, shown in first]
            items = {query.id: len(query.annotations) for query, _ in first}
            rows.append({
                "system": system, "k": k, "task": TASKS[task], "dataset": dataset,
                "answered": not unanswered, "queries": len(items), "demonstrations": len(first),
                "gold_items": float(np.mean([*items.values()])), "spans": known(first),
                **{name: float(np.mean([m[name] for m in measures])) for name in measures[0]},
            })  # fmt: skip
    return rows


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--demonstrations", required=True, nargs="+", metavar="SYSTEM=FILE",
                   help="CANDIDATES tables; a system can have several")  # fmt: skip
    p.add_argument("--queries", required=True, nargs="+", type=Path, help="EXAMPLES tables")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--k", required=True, nargs="+", type=cli.positive, help="of the prompts")
    p.add_argument("--out", required=True, type=Path, help="AGREEMENT table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    files: dict[str, list[Path]] = defaultdict(list)
    for word in args.demonstrations:
        system, _, path = word.partition("=")
        if not system or not path:
            p.error(f"--demonstrations {word}: is not of the form SYSTEM=FILE")
        files[system].append(Path(path))
    queries = examples.by_id(examples.read(*args.queries))
    found = {
        system: [r for path in paths for r in parquet.read(path, schemas.CANDIDATES).to_pylist()]
        for system, paths in files.items()
    }
    for system, some in found.items():
        for row in some:
            if row["query_id"] not in queries:
                raise cli.UserError(f"{system}: {row['query_id']!r} is in none of the tables of "
                                    "queries; give those that it was found for")  # fmt: skip
    pool = examples.chosen(args.pool, {r["demonstration_id"] for some in found.values()
                                       for r in some})  # fmt: skip
    rows = [row for name, some in found.items() for row in run(name, some, queries, pool, args.k)]
    parquet.write(rows, schemas.AGREEMENT, args.out, result=True)
    cli.log.info("%d rows of %d systems", len(rows), len(files))


if __name__ == "__main__":
    cli.run(main)
