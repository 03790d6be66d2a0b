"""Put the shards of a scoring run together, and check that every planned pair has one score."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ruie import cli, parquet, schemas


def run(plan: pa.Table, shards: list[pa.Table]) -> pa.Table:
    """SCORES of all shards in the candidates' order.

    Raises ``UserError`` where the shards are not those of the plan, whole and in order.
    """
    whole = pa.concat_tables(shards)
    keys = ["query_id", "demonstration_id"]
    if not whole.select(keys).equals(plan.select(keys)):
        raise cli.UserError(
            f"the shards do not fit the plan: {whole.num_rows} scores of {plan.num_rows} pairs, "
            "or in another order; delete the shards and score again"
        )
    return whole.take(pc.sort_indices(plan["row"]))


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--plan", required=True, type=Path, help="PLAN table")
    p.add_argument("--shards", required=True, nargs="+", type=Path, help="SCORES tables, in order")
    p.add_argument("--out", required=True, type=Path, help="SCORES table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    scores = run(
        parquet.read(args.plan, schemas.PLAN),
        [parquet.read(path, schemas.SCORES) for path in args.shards],
    )
    cli.log.info("%d scores from %d shards", scores.num_rows, len(args.shards))
    parquet.write(scores, schemas.SCORES, args.out)


if __name__ == "__main__":
    cli.run(main)
