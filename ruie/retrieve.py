"""Find the demonstrations of queries: at random, by BM25 or by a dense retriever.

Also makes the candidates that the language model scores (section 3.2: BM25, 100 each). The
table holds the best --depth of each query whatever k is used later, without the query itself and
without repetitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ruie import bm25, cli, encode, encoders, examples, parquet, schemas
from ruie.examples import Example
from ruie.ranking import RANGES, Pool, rows

Rows = list[dict[str, Any]]


def at_random(queries: list[Example], pool: Pool, within: str, depth: int, seed: int) -> Rows:
    """A seeded draw for each query; it does not depend on the other queries."""
    parts, out = pool.parts(within), []
    for q in queries:
        members = parts.get(pool.part(q, within), [])
        drawn = _shuffled(Random(f"{seed}:{q.id}"), len(members))
        out += rows(q, pool.distinct(q, ((members[i].id, 0.0) for i in drawn), depth))
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
    by_part: dict[str, list[Example]] = {}
    for q in queries:
        by_part.setdefault(pool.part(q, within), []).append(q)
    found: dict[str, list[tuple[str, float]]] = {}
    for part, left in by_part.items():
        if not (index / part).is_dir():
            raise cli.UserError(
                f"{index / part}: no such index: the pool holds nothing in this range; "
                "widen the range or add a training set"
            )
        k = depth
        while left:
            k = 2 * k + 8  # more than the depth, since the query and repetitions fall away
            hits = bm25.search(index / part, left, k, **bm25_options)
            found |= {q.id: pool.distinct(q, hits[q.id], depth) for q in left}
            left = [q for q in left if len(found[q.id]) < depth and len(hits[q.id]) == k]
    return [row for q in queries for row in rows(q, found[q.id])]


def dense(
    queries: list[Example],
    pool: Pool,
    within: str,
    depth: int,
    query_vectors: np.ndarray,
    pool_ids: list[str],
    pool_vectors: np.ndarray,
    own_dataset_first: bool = False,
) -> Rows:
    """Exact search by dot product (equation 3); ties by id.

    ``own_dataset_first`` puts those of the ``depth`` best that are of the query's own dataset
    before the others, as the published code does; the scores stay what they are.

    ``query_vectors`` [queries, width]; ``pool_vectors`` [pool, width], one row for each of
    ``pool_ids``. Raises ``UserError`` where the vectors are of another pool.
    """
    if set(pool_ids) != set(pool.by_id):
        raise cli.UserError("the vectors belong to another pool; encode this pool again")
    by_id = np.argsort(np.array(pool_ids))  # a stable sort by score then breaks ties by id
    ids, vectors = [pool_ids[i] for i in by_id], pool_vectors[by_id]
    part = np.array([pool.part(pool.by_id[i], within) for i in ids])
    out: Rows = []
    for q, vector in zip(queries, query_vectors, strict=True):
        members = np.flatnonzero(part == pool.part(q, within))
        scores = vectors[members] @ vector
        order = np.argsort(-scores, kind="stable")
        hits = ((ids[members[i]], float(scores[i])) for i in order)
        best = pool.distinct(q, hits, depth)
        if own_dataset_first:
            best.sort(key=lambda hit: pool.by_id[hit[0]].dataset != q.dataset)
        out += rows(q, best)
    return out


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
    d = p.add_argument_group("dense")
    encode.add_encoder_arguments(d, required=False)
    encoders.add_text_arguments(d, "query")
    d.add_argument("--vectors", type=Path, help="the pool's vectors, from ruie.encode")
    d.add_argument("--own-dataset-first", action="store_true",
                   help="the query's own dataset before others among the --depth best")  # fmt: skip
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    queries, pool = examples.read(args.queries), Pool(examples.read(args.pool))
    common = (queries, pool, args.range, args.depth)
    if args.retriever == "random":
        found = at_random(*common, seed=args.seed)
    elif args.retriever == "bm25":
        if not args.index:
            p.error("--retriever bm25 needs --index")
        found = sparse(*common, index=args.index, k1=args.k1, b=args.b, threads=args.threads)
    else:
        if not args.model or not args.vectors:
            p.error("--retriever dense needs --model and --vectors")
        encoder = encode.load_encoder(args)
        form = encoders.text_form(args, "query", keywords=False)  # the plain query x of 3.4
        vectors, cut = encoder.encode([form(q) for q in queries], args.batch_tokens)
        cli.log.info("%d queries, %d cut to %d tokens", len(queries), cut, args.max_length)
        found = dense(*common, vectors, *encode.read_vectors(args.vectors), args.own_dataset_first)
    cli.log.info("%d queries, %d demonstrations", len(queries), len(found))
    parquet.write(found, schemas.CANDIDATES, args.out)


if __name__ == "__main__":
    cli.run(main)
