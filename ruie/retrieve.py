"""Find the demonstrations of queries: at random, by BM25 or by a dense retriever.

Also makes the candidates that the language model scores (section 3.2: BM25, 100 each). The
table holds the best --depth of each query whatever k is used later, without the query itself and
without repetitions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from ruie import (
    bm25,
    choose,
    cli,
    encode,
    encoders,
    examples,
    parquet,
    ranking,
    schemas,
    search,
    vectors,
)
from ruie.examples import Example
from ruie.ranking import RANGES, Pool, part
from ruie.vectors import Floats

Rows = list[dict[str, Any]]
#: Queries whose hits are in memory at once; a dense search takes all, for it reads all vectors.
AT_ONCE = 2_000


def at_random(queries: list[Example], pool: Pool, within: str, depth: int, seed: int) -> Rows:
    """A seeded draw for each query; it does not depend on the other queries."""
    parts, out = pool.parts(within), []
    for q in queries:
        members = parts.get(part(q, within), ())
        drawn = _shuffled(Random(f"{seed}:{q.id}"), len(members))
        out += pool.candidates(q, pool.distinct(q, ((int(members[i]), 0.0) for i in drawn), depth))
    return out


def _shuffled(lots: Random, n: int) -> Iterator[int]:
    """The numbers below ``n`` in random order, each drawn only when it is asked for."""
    swapped: dict[int, int] = {}
    for i in range(n):
        j = lots.randrange(i, n)
        yield swapped.get(j, j)
        swapped[j] = swapped.get(i, i)


def sparse(
    queries: list[Example], pool: Pool, within: str, depth: int, index: Path, **bm25_options: Any
) -> Rows:
    """BM25 in the part of the pool that the range leaves to each query."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name, left in _by_part(queries, within).items():
        k = depth
        while left:
            k = 2 * k + 8  # more than the depth, since the query and repetitions fall away
            hits = bm25.search(index / name, left, k, **bm25_options)
            row = pool.rows(d for some in hits.values() for d, _ in some)
            for q in left:
                found[q.id] = pool.distinct(q, ((row[d], s) for d, s in hits[q.id]), depth)
            left = [q for q in left if len(found[q.id]) < depth and len(hits[q.id]) == k]
    return [row for q in queries for row in pool.candidates(q, found[q.id])]


def check_indexes(queries: Iterable[Example], within: str, index: Path) -> None:
    """``UserError`` where a query's part of the pool has no index."""
    for name in sorted({part(q, within) for q in queries}):
        if not (index / name).is_dir():
            raise cli.UserError(
                f"{index / name}: no such index: the pool holds nothing in this range; "
                "widen the range or add a training set"
            )


def _by_part(queries: list[Example], within: str) -> dict[str, list[Example]]:
    out: dict[str, list[Example]] = {}
    for q in queries:
        out.setdefault(part(q, within), []).append(q)
    return out


def dense(
    queries: list[Example],
    pool: Pool,
    within: str,
    depth: int,
    query_vectors: Floats,
    pool_vectors: Path,
    own_dataset_first: bool = False,
    block_mb: int = search.BLOCK_MB,
    among: Mapping[str, Mapping[str, float]] | None = None,
    among_weight: float = 0.0,
) -> Rows:
    """Exact search by dot product (equation 3); ties by id.

    ``among``: for each query the ids of all that is searched, another retriever's finds with its
    scores, in place of its part of the pool; with an ``among_weight`` those scores count
    (``blended``). ``own_dataset_first`` puts those of the ``depth`` best that are of the query's
    own dataset before the others, as the published code does; the scores stay what they are.

    ``query_vectors`` [queries, width]; ``pool_vectors`` is what ``ruie.encode`` wrote. Raises
    ``UserError`` where the vectors are of another pool.
    """
    vectors.check(pool_vectors, pool.ids)
    if among is None:
        found = _searched(queries, pool, within, depth, query_vectors, pool_vectors, block_mb)
    else:
        hits = _ranked(queries, pool, among, query_vectors, pool_vectors, among_weight, block_mb)
        found = {q.id: pool.distinct(q, hits[q.id], depth) for q in queries}
    if own_dataset_first:
        for q in queries:
            found[q.id].sort(key=lambda hit: pool.dataset(hit[0]) != q.dataset)  # noqa: B023
    return [row for q in queries for row in pool.candidates(q, found[q.id])]


def _searched(
    queries: list[Example], pool: Pool, within: str, depth: int, query_vectors: Floats,
    pool_vectors: Path, block_mb: int,
) -> dict[str, list[tuple[int, float]]]:  # fmt: skip
    """The best of each query's part of the pool."""
    vector = {q.id: v for q, v in zip(queries, query_vectors, strict=True)}
    parts = pool.parts(within)
    found: dict[str, list[tuple[int, float]]] = {q.id: [] for q in queries}
    for name, left in _by_part(queries, within).items():
        wanted = np.zeros(len(pool), bool)
        wanted[parts.get(name, [])] = True
        members, keep = int(wanted.sum()), 2 * depth + 8
        while left and members:
            asked = np.stack([vector[q.id] for q in left])
            rows, scores = search.best(pool_vectors, wanted, pool.ranks, asked, keep, block_mb)
            for q, r, s in zip(left, rows, scores, strict=True):
                hits = zip(r.tolist(), s.tolist(), strict=True)
                found[q.id] = pool.distinct(q, hits, depth)
            left = [q for q in left if len(found[q.id]) < depth and keep < members]
            keep *= 4  # each search reads all vectors: few searches
    return found


def _ranked(
    queries: list[Example], pool: Pool, among: Mapping[str, Mapping[str, float]],
    query_vectors: Floats, pool_vectors: Path, weight: float, block_mb: int,
) -> dict[str, list[tuple[int, float]]]:  # fmt: skip
    """All that another retriever has found for each query, the best first."""
    if lacking := [q.id for q in queries if not among.get(q.id)]:
        raise cli.UserError(f"{lacking[0]}: --among holds nothing for it; make that table of the "
                            "same queries")  # fmt: skip
    row = pool.rows(d for q in queries for d in among[q.id])
    rows = [np.array([row[d] for d in among[q.id]]) for q in queries]
    hits = search.among(pool_vectors, rows, pool.ranks, query_vectors, block_mb)
    found = {}
    for q, (r, s) in zip(queries, hits, strict=True):
        scores = s.astype(np.float64)
        if weight:
            of = {row[d]: score for d, score in among[q.id].items()}
            scores = blended(scores, np.array([of[at] for at in r.tolist()]), weight)
            order = np.lexsort((pool.ranks[r], -scores))
            r, scores = r[order], scores[order]
        found[q.id] = list(zip(r.tolist(), scores.tolist(), strict=True))
    return found


def blended(scores: choose.Floats64, others: choose.Floats64, weight: float) -> choose.Floats64:
    """The scores of a query's hits and ``weight`` times another retriever's scores of them, each
    first brought to mean 0 and variance 1 over these hits; equal ones become 0."""

    def standard(values: choose.Floats64) -> choose.Floats64:
        away: choose.Floats64 = values - values.mean()
        return away / values.std() if np.ptp(values) else np.zeros(len(values))

    return standard(scores) + weight * standard(others)


def _found(args: Any, queries: Iterable[Example]) -> ranking.Values:
    """What --among holds for the queries, by its scores where these count."""
    column = "score" if args.among_weight else "rank"
    return ranking.values(args.among, schemas.CANDIDATES, column, {q.id for q in queries})


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--retriever", required=True, choices=["random", "bm25", "dense"])
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--range", choices=RANGES, default="mixed", help="where to look (%(default)s)")
    p.add_argument("--depth", type=cli.positive, default=100, help="kept for a query (%(default)s)")
    p.add_argument("--out", required=True, type=Path, help="CANDIDATES table to write")
    r = p.add_argument_group("random")
    r.add_argument("--seed", type=int, default=0)
    b = p.add_argument_group("bm25")
    b.add_argument("--index", type=Path, help="folder that ruie.bm25 wrote")
    b.add_argument("--k1", type=float, default=0.9, help="Lucene's k1 (%(default)s)")
    b.add_argument("--b", type=float, default=0.4, help="Lucene's b (%(default)s)")
    b.add_argument("--threads", type=cli.positive, default=1)
    encoders.add_text_arguments(p.add_argument_group("bm25 and dense"), "query")
    d = p.add_argument_group("dense")
    encode.add_encoder_arguments(d, required=False)
    d.add_argument("--vectors", type=Path, help="the pool's vectors, from ruie.encode")
    d.add_argument("--own-dataset-first", action="store_true",
                   help="the query's own dataset before others among the --depth best")  # fmt: skip
    d.add_argument("--among", type=Path, metavar="CANDIDATES",
                   help="what is ranked for each query, in place of the --range")  # fmt: skip
    d.add_argument("--among-weight", type=cli.not_negative, default=0.0, metavar="W",
                   help="rank by the standardised score and W times that of --among")  # fmt: skip
    d.add_argument("--block-mb", type=cli.positive, default=search.BLOCK_MB,
                   help="MiB of vectors in memory at once (%(default)s)")  # fmt: skip
    choose.add_arguments(p.add_argument_group("other than the first --depth"))
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    choose.check(p, args)
    if args.among_weight and not (args.retriever == "dense" and args.among):
        p.error("--among-weight needs --retriever dense and --among")
    queries, pool = examples.read(args.queries), Pool.read(args.pool)
    at_once = AT_ONCE
    find: Callable[[list[Example]], Rows]
    where: dict[str, Any] = {"pool": pool, "within": args.range, "depth": args.first or args.depth}
    if args.retriever == "random":
        find = functools.partial(at_random, **where, seed=args.seed)
    elif args.retriever == "bm25":
        if not args.index:
            p.error("--retriever bm25 needs --index")
        check_indexes(queries, args.range, args.index)
        find = functools.partial(
            sparse, **where, index=args.index, k1=args.k1, b=args.b, threads=args.threads,
            fields=args.query_fields,
        )  # fmt: skip
    else:
        if not args.model or not args.vectors:
            p.error("--retriever dense needs --model and --vectors")
        encoder = encode.load_encoder(args)
        form = encoders.text_form(args, "query", keywords=False)  # the plain query x of 3.4
        asked, cut = encoder.encode([form(q) for q in queries], args.batch_tokens)
        cli.log.info("%d queries, %d cut to %d tokens", len(queries), cut, args.max_length)
        at_once = max(1, len(queries))
        find = functools.partial(
            dense, **where, query_vectors=asked, pool_vectors=args.vectors,
            own_dataset_first=args.own_dataset_first, block_mb=args.block_mb,
            among=args.among and _found(args, queries), among_weight=args.among_weight,
        )  # fmt: skip
    parts = [queries[i : i + at_once] for i in range(0, len(queries), at_once)]
    found = 0
    with parquet.writing(schemas.CANDIDATES, args.out) as add:
        for some in cli.progress(parts, len(queries), "queries", weigh=len):
            rows = find(some)
            if args.choose:
                rows = choose.run(rows, some, pool, args)
            found += len(rows)
            add(pa.Table.from_pylist(rows, schemas.CANDIDATES))
    cli.log.info("%d queries, %d demonstrations", len(queries), found)


if __name__ == "__main__":
    cli.run(main)
