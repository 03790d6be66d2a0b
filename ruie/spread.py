"""How far an LLM's scores of its best and worst candidates lie apart (Appendix C, Table 10).

Of each query the top 3 and the last 16 of the LLM's ranking (Table 9), ties by id as in training;
a query with fewer than 19 candidates has fewer last ones. Mean and population variance are taken
over the scores of all queries together. The scores are Equation 1's, in nats per token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ruie import cli, parquet, schemas
from ruie.cli import UserError

COLUMNS = ["query_id", "demonstration_id", "score"]


def sides(scores: pa.Table, top: int, last: int) -> dict[str, Any]:
    """The scores of the top and last candidates of all queries, as arrays."""
    values = scores["score"].to_numpy()
    query, demonstration = (_codes(scores[name]) for name in COLUMNS[:2])
    order = np.lexsort((demonstration, -values, query))
    values, query = values[order], query[order]
    starts = np.flatnonzero(np.r_[True, query[1:] != query[:-1]]) if len(query) else query
    sizes = np.diff(np.r_[starts, len(query)])
    rank = np.arange(len(query)) - np.repeat(starts, sizes)
    size = np.repeat(sizes, sizes)
    return {
        "positives": values[rank < top],
        "negatives": values[rank >= np.maximum(top, size - last)],
    }


def _codes(column: pa.ChunkedArray) -> Any:
    """Whole numbers in the order of the texts."""
    coded = column.combine_chunks().dictionary_encode()
    places = np.argsort(np.array(coded.dictionary.to_pylist(), dtype=object), kind="stable")
    code = np.empty(len(places), dtype=np.int64)
    code[places] = np.arange(len(places))
    return code[coded.indices.to_numpy()]


def run(scores: pa.Table, llm: str, top: int = 3, last: int = 16) -> list[dict[str, Any]]:
    """SPREAD rows of an LLM. ``UserError`` where a score is no number or nothing is left."""
    if any(scores[name].null_count for name in COLUMNS):
        raise UserError(f"scores of {llm}: a row is incomplete; gather the shards again")
    if not np.isfinite(scores["score"].to_numpy()).all():
        raise UserError(f"scores of {llm}: a score is not finite; score again")
    out = []
    for side, values in sides(scores, top, last).items():
        if not len(values):
            raise UserError(
                f"scores of {llm}: no query has {side}; they need more than {top} candidates"
            )
        out.append(
            {"llm": llm, "side": side, "n": len(values), "mean": float(values.mean()),
             "variance": float(values.var())}
        )  # fmt: skip
    return out


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--scores", required=True, nargs="+", metavar="LLM=FILE", help="SCORES tables")
    p.add_argument("--top", type=cli.positive, default=3, help="positives (%(default)s)")
    p.add_argument("--last", type=cli.positive, default=16, help="negatives (%(default)s)")
    p.add_argument("--out", required=True, type=Path, help="SPREAD table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    rows = []
    for word in args.scores:
        llm, _, path = word.partition("=")
        if not llm or not path:
            p.error(f"--scores {word}: is not of the form LLM=FILE")
        rows += run(parquet.read(path, schemas.SCORES, COLUMNS), llm, args.top, args.last)
    if len({r["llm"] for r in rows}) * 2 != len(rows):
        p.error("--scores names an LLM twice")
    parquet.write(rows, schemas.SPREAD, args.out, result=True)
    for row in rows:
        cli.log.info("%(llm)s, %(side)s: n %(n)d, mean %(mean).3f, variance %(variance).3f", row)


if __name__ == "__main__":
    cli.run(main)
