"""A part of the scored pairs, to see how results depend on how many there are.

--limit queries of each dataset as ruie.sample draws them, --sample candidates of each as ruie.plan
does: a smaller part lies within a larger one, and within what a smaller run would have scored.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ruie import cli, parquet, plan, sample, schemas


def run(
    scores: pa.Table, queries: pa.Table, limit: int | None, m: int | None, seed: int
) -> pa.Table:
    """The SCORES of some queries and candidates, in their order. ``UserError`` where none is
    left."""
    kept = sample.run([queries], limit, seed)["id"].combine_chunks()
    some = scores.filter(pc.is_in(scores["query_id"], kept))
    if not some.num_rows:
        raise cli.UserError("no scored pair is left; give the queries that were scored")
    if m is not None:
        pairs = [some[c].to_pylist() for c in ("query_id", "demonstration_id")]
        some = some.take(pa.array(plan.sampled(pairs[0], pairs[1], m, seed), pa.int64()))
    return some


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--scores", required=True, type=Path, help="SCORES table")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--limit", type=cli.positive, help="queries of each dataset (all)")
    p.add_argument("--sample", type=cli.positive, help="candidates of a query (all)")
    p.add_argument("--seed", type=int, default=0, help="of both draws (%(default)s)")
    p.add_argument("--out", required=True, type=Path, help="SCORES table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    scores = parquet.read(args.scores, schemas.SCORES)
    queries = parquet.read(args.queries, schemas.EXAMPLES)
    table = run(scores, queries, args.limit, args.sample, args.seed)
    cli.log.info("%d of %d pairs, %d queries", len(table), len(scores),
                 pc.count_distinct(table["query_id"]).as_py())  # fmt: skip
    parquet.write(table, schemas.SCORES, args.out)


if __name__ == "__main__":
    cli.run(main)
