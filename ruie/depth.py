"""How deep in BM25's list candidates that help are found: the LLM's score of a candidate, less the
mean of its query's scored candidates, by the rank at which BM25 found it (section 3.2).

Where deep ranks are worth no less than early ones, more candidates bring more; where they are worth
nothing, `candidates.k`, or what `scoring.sample` draws of it, spends scores on them. Means over the
candidates of a range of ranks, of all queries and of each dataset, with 95 % bootstrap intervals
over the queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ruie import bootstrap, cli, parquet, ranking, schemas
from ruie.examples import ALL
from ruie.ranking import Values


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
    one scored candidate tells nothing and is left out. ``UserError`` for a scored pair without a
    rank, and where no query has two."""
    told = {query: mine for query, mine in scores.items() if len(mine) > 1}
    if not told:
        raise cli.UserError("no query has two scored candidates; score more of them")
    for query, mine in told.items():
        if odd := sorted(mine.keys() - ranks[query].keys()):
            raise cli.UserError(f"{query} with {odd[0]}: was scored, but is no candidate; give the "
                                "candidates that were scored")  # fmt: skip
    bounds = ranges(1 + max(int(ranks[q][d]) for q, mine in told.items() for d in mine))
    ends = np.array([last for _, last in bounds])
    # of each query, the sum over the candidates of each range, then their numbers
    found: dict[str, bootstrap.Floats] = {}
    for query, mine in told.items():
        values = np.array(list(mine.values()))
        at = np.searchsorted(ends, [ranks[query][d] + 1 for d in mine])
        sums = np.bincount(at, values - values.mean(), len(bounds))
        found[query] = np.stack([sums, np.bincount(at, minlength=len(bounds))], axis=1)
    out = []
    for task, dataset in [(ALL, ALL), *sorted({of[query] for query in told})]:
        some = np.stack([found[q] for q in told if dataset == ALL or of[q] == (task, dataset)])
        for i, (first, last) in enumerate(bounds):
            total, n = some[:, i].sum(axis=0)
            if not n:
                continue
            row = {"task": task, "dataset": dataset, "first": first, "last": last, "n": int(n),
                   "queries": int((some[:, i, 1] > 0).sum()), "value": total / n}  # fmt: skip
            drawn = None
            if resamples:
                again = bootstrap.resampled(some[:, i], resamples, seed, task, dataset)
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
    scores = ranking.values(args.scores, schemas.SCORES, "score", set(of))
    ranks = ranking.values(args.candidates, schemas.CANDIDATES, "rank", set(of))
    rows = run(scores, ranks, of, args.resamples, args.seed)
    parquet.write(rows, schemas.DEPTH, args.out, result=True)
    for row in rows:
        if row["dataset"] == ALL:
            cli.log.info("ranks %(first)d to %(last)d: %(value).3f nats over the mean, %(n)d "
                         "candidates", row)  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
