"""Take out the predictions that the report shows, so that the few pairs of query and demonstration
in them can be scored by the language model and by the reward model (report.explain).

Both scores look at the gold answer of the query; no demonstration was chosen by them.
"""

from __future__ import annotations

from pathlib import Path

from ruie import cli, examples, parquet, schemas, shown


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--predictions", required=True, nargs="+", type=Path, help="PREDICTIONS tables")
    p.add_argument("--queries", required=True, nargs="+", type=Path, help="EXAMPLES tables")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument(
        "--samples", type=cli.positive, default=3, help="queries of a dataset (%(default)s)"
    )
    p.add_argument("--seed", type=int, default=0, help="of the queries, as in the report")
    p.add_argument("--out", required=True, type=Path, help="CANDIDATES table to write")
    p.add_argument("--out-queries", required=True, type=Path, help="their EXAMPLES, to write")
    p.add_argument("--out-pool", required=True, type=Path, help="their EXAMPLES, to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    pairs = shown.pairs(shown.chosen(args.predictions, args.samples, args.seed))
    sides = (
        (args.queries, [q for q, _ in pairs], args.out_queries, "--queries"),
        ([args.pool], [d for _, d in pairs], args.out_pool, "--pool"),
    )
    for paths, ids, out, flag in sides:
        found = shown.by_id(paths, ids)
        missing = sorted(set(ids) - set(found))
        if missing:
            raise cli.UserError(
                f"{flag}: {missing[0]} is not there, but in the predictions; run infer again"
            )
        parquet.write(
            examples.to_table([found[i] for i in dict.fromkeys(ids)]), schemas.EXAMPLES, out
        )
    ranks: dict[str, int] = {}
    rows = []
    for query, demonstration in pairs:
        ranks[query] = ranks.get(query, -1) + 1
        rows.append(
            {"query_id": query, "demonstration_id": demonstration, "rank": ranks[query],
             "score": None}
        )  # fmt: skip
    parquet.write(rows, schemas.CANDIDATES, args.out)
    cli.log.info("%d pairs of %d queries", len(rows), len(ranks))


if __name__ == "__main__":
    cli.run(main)
