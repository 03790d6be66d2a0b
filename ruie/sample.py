"""Put EXAMPLES tables together, at most --limit instances of each dataset.

Makes the candidate pool (training sets of all datasets, section 4.1), the training queries
(held-in only, at most 10,000 each) and the test queries. Which instances are taken depends on
their ids and the seed alone, so adding a dataset changes nothing for the others, and a smaller
limit takes a subset of a larger one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from ruie import cli, parquet, schemas


def run(tables: list[pa.Table], limit: int | None, seed: int) -> pa.Table:
    """Rows of the tables in their order, each dataset cut to its ``limit`` (None: all).

    Raises ``UserError`` where an id occurs twice.
    """
    whole = pa.concat_tables(tables)
    ids = whole["id"].to_pylist()
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise cli.UserError(f"id {twice!r} occurs twice; give every dataset a name of its own")
    if limit is None:
        return whole
    members: dict[str, list[int]] = {}
    for row, dataset in enumerate(whole["dataset"].to_pylist()):
        members.setdefault(dataset, []).append(row)

    def lot(row: int) -> bytes:
        return hashlib.sha256(f"{seed}:{ids[row]}".encode()).digest()

    kept = [row for rows in members.values() for row in sorted(rows, key=lot)[:limit]]
    return whole.take(pa.array(sorted(kept), pa.int64()))


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--input", required=True, nargs="+", type=Path, help="EXAMPLES tables")
    p.add_argument("--limit", type=cli.positive, help="instances of each dataset (default: all)")
    p.add_argument("--seed", type=int, default=0, help="which instances are taken (%(default)s)")
    p.add_argument("--out", required=True, type=Path, help="EXAMPLES table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    tables = [parquet.read(path, schemas.EXAMPLES) for path in args.input]
    table = run(tables, args.limit, args.seed)
    for part in (
        table.group_by("dataset", use_threads=False).aggregate([("id", "count")]).to_pylist()
    ):
        cli.log.info("%s: %d instances", part["dataset"], part["id_count"])
    parquet.write(table, schemas.EXAMPLES, args.out)


if __name__ == "__main__":
    cli.run(main)
