"""How deep in BM25's list candidates that help are found: the LLM's score of a candidate, less the
mean of its query's other scored candidates, by the rank at which BM25 found it (section 3.2); and
where each query's best one stands.

Means over the candidates of a range of ranks, of all queries and of each dataset, with 95 %
bootstrap intervals over the queries. What counts is the difference between early and deep ranks:
where there is none, a deeper list holds as many good candidates as an early part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ruie import bootstrap, cli, parquet, ranking, schemas
from ruie.examples import ALL
from ruie.ranking import Values

#: Fewer queries than these give no interval.
FEW = 5


def ranges(ranks: int) -> list[tuple[int, int]]:
    """Ranges of ranks, each as long as all before it: 1, 2, 3 to 4, 5 to 8 ... ``ranks``."""
    out, last = [(1, 1)], 1
    while last < ranks:
        out.append((last + 1, min(2 * last, ranks)))
        last = out[-1][1]
    return out


def run(
    scores: Values, ranks: Values, of: Mapping[str, tuple[str, str]], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """DEPTH rows. ``ranks``: BM25's, from 0; ``of``: task and dataset of each query. A query with
    one scored candidate tells nothing and is left out. ``UserError`` for a query that ``of`` lacks,
    a scored pair without a rank, ranks that are none, and where no query has two."""
    if odd := sorted(scores.keys() - of.keys()):
        raise cli.UserError(
            f"{odd[0]}: was scored, but is no query; give the queries of the scores"
        )
    # sorted: sums in another order have other last digits
    told = {query: scores[query] for query in sorted(scores) if len(scores[query]) > 1}
    if not told:
        raise cli.UserError("no query has two scored candidates; score more of them")
    for query, mine in told.items():
        places = list(ranks.get(query, {}).values())
        if len(set(places)) < len(places) or min(places, default=0) < 0:
            raise cli.UserError(f"{query}: its candidates' ranks are not those of a list; retrieve "
                                "them again")  # fmt: skip
        if odd := sorted(mine.keys() - ranks.get(query, {}).keys()):
            raise cli.UserError(f"{query} with {odd[0]}: was scored, but is no candidate; give the "
                                "candidates that were scored")  # fmt: skip
    bounds = ranges(1 + max(int(ranks[q][d]) for q, mine in told.items() for d in mine))
    ends = np.array([last for _, last in bounds])
    # of each query and range: the candidates' sum, their number, whether the best is among them
    found: dict[str, bootstrap.Floats] = {}
    for query, mine in told.items():
        values = np.array(list(mine.values()))
        at = np.searchsorted(ends, [ranks[query][d] + 1 for d in mine])
        # from the mean of the others, which is further away than that of all
        away = (values - values.mean()) * len(values) / (len(values) - 1)
        found[query] = np.stack([
            np.bincount(at, away, len(bounds)), np.bincount(at, minlength=len(bounds)),
            np.arange(len(bounds)) == at[values.argmax()],
        ], axis=1)  # fmt: skip
    out = []
    for task, dataset in [(ALL, ALL), *sorted({of[query] for query in told})]:
        some = np.stack([found[q] for q in told if dataset == ALL or of[q] == (task, dataset)])
        for i, (first, last) in enumerate(bounds):
            total, n, best = some[:, i].sum(axis=0)
            if not n:
                continue
            row = {"task": task, "dataset": dataset, "first": first, "last": last, "n": int(n),
                   "queries": int((some[:, i, 1] > 0).sum()), "best": int(best),
                   "value": total / n}  # fmt: skip
            drawn = None
            if resamples and row["queries"] >= FEW:
                again = bootstrap.resampled(some[:, i, :2], resamples, seed, task, dataset)
                # a resample may hold none of them
                again = again[again[:, 1] > 0]
                drawn = again[:, 0] / again[:, 1]
            out.append(row | dict(zip(("low", "high"), bootstrap.interval(drawn), strict=True)))
    return out


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--scores", required=True, type=Path, help="SCORES of the LLM")
    p.add_argument("--candidates", required=True, type=Path, help="CANDIDATES: BM25's ranks")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    bootstrap.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="DEPTH table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    asked = parquet.read(args.queries, schemas.EXAMPLES, ["id", "task", "dataset"]).to_pylist()
    of = {row["id"]: (row["task"], row["dataset"]) for row in asked}
    scored = set(parquet.read(args.scores, schemas.SCORES, ["query_id"])["query_id"].to_pylist())
    scores = ranking.values(args.scores, schemas.SCORES, "score", scored)
    ranks = ranking.values(args.candidates, schemas.CANDIDATES, "rank", scored)
    rows = run(scores, ranks, of, args.resamples, args.seed)
    parquet.write(rows, schemas.DEPTH, args.out, result=True)
    for row in rows:
        if row["dataset"] == ALL:
            cli.log.info("ranks %(first)d to %(last)d: %(value).3f nats over the mean, %(n)d "
                         "candidates", row)  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
