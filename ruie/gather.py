"""Put the shards of a scoring run together, and check that every candidate has one score."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from ruie import cli, parquet, schemas


def run(candidates: pa.Table, shards: list[pa.Table]) -> pa.Table:
    """SCORES of all shards in the candidates' order.

    Raises ``UserError`` where a pair is missing, foreign or scored twice.
    """
    keys = ["query_id", "demonstration_id"]
    whole = pa.concat_tables(shards)
    wanted = list(zip(*(candidates[k].to_pylist() for k in keys), strict=True))
    got = list(zip(*(whole[k].to_pylist() for k in keys), strict=True))
    at = {pair: row for row, pair in enumerate(got)}
    missing, foreign = set(wanted) - set(at), set(at) - set(wanted)
    if missing or foreign or len(at) != len(got):
        raise cli.UserError(
            f"the shards do not fit the candidates: {len(missing)} pairs missing, {len(foreign)} "
            f"foreign, {len(got) - len(at)} scored twice; delete the shards and score again"
        )
    return whole.take(pa.array([at[pair] for pair in wanted], pa.int64()))


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--candidates", required=True, type=Path, help="CANDIDATES table")
    p.add_argument("--shards", required=True, nargs="+", type=Path, help="SCORES tables")
    p.add_argument("--out", required=True, type=Path, help="SCORES table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    candidates = parquet.read(args.candidates, schemas.CANDIDATES)
    scores = run(candidates, [parquet.read(path, schemas.SCORES) for path in args.shards])
    cli.log.info("%d scores from %d shards", scores.num_rows, len(args.shards))
    parquet.write(scores, schemas.SCORES, args.out)


if __name__ == "__main__":
    cli.run(main)
