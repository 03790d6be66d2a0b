"""Where the gain is lost: BM25's candidates of evaluated queries, ranked by each link of the chain.

The scoring LLM has scored them with the gold answer; its own ranking is the best possible. The
rankings of the reward models (with gold, too), retrievers, BM25 and chance are measured against it:
rank correlation within a query, and the LLM's score of the --k ranked first. Means over queries, of
each dataset and of all held-out or held-in ones, with 95 % bootstrap intervals; --seed draws the
resamples and the random order, and fewer --per-query candidates as scoring would have drawn them.
--rankings writes a ranking for inference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ruie import bootstrap, cli, parquet, plan, rankers, ranking, schemas
from ruie.cli import UserError
from ruie.examples import ALL, Example
from ruie.rankers import BM25, CHANCE, LLM, Floats, among_first, correlation
from ruie.ranking import Values

#: Ranking, measure and k (None where there is none).
Key = tuple[str, str, int | None]
RANDOM, ZERO_SHOT = "random", "zero_shot"


def top(llm: Floats, scores: Floats, k: int) -> float:
    """The LLM's mean score of the ``k`` candidates that a ranker puts first (of all, where there
    are fewer); those that share the last of these places count by the chance to be among them."""
    k = min(k, len(llm))
    return float(among_first(scores, k) @ llm / k)


def measures(
    llm: Floats, given: dict[str, Floats], zero_shot: float, ks: Sequence[int]
) -> dict[Key, float]:
    """What holds of one query. ``llm``: the scores of its candidates, ``given`` what each ranker
    gives these, BM25 among them; ``zero_shot``: the LLM's score without a demonstration. There is
    no correlation where the LLM tells nothing apart."""
    mean = float(llm.mean())
    out: dict[Key, float] = {(ZERO_SHOT, "score", 0): zero_shot}
    out[ZERO_SHOT, "over_chance", 0] = zero_shot - mean
    for name, mine in {LLM: llm, **given, CHANCE: np.zeros(len(llm))}.items():
        if np.ptp(llm):
            out[name, "correlation", None] = correlation(llm, mine)
        for k in ks:
            score = top(llm, mine, k)
            out[name, "score", k] = score
            out[name, "regret", k] = top(llm, llm, k) - score
            out[name, "over_zero_shot", k] = score - zero_shot
            out[name, "over_chance", k] = score - mean
            out[name, "over_BM25", k] = score - top(llm, given[BM25], k)
    return out


def table(
    found: Sequence[tuple[Example, dict[Key, float]]], held_out: Sequence[str], candidates: int,
    resamples: int, seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """CHAIN rows of the measures of each query: of held-out datasets, all together and each, then
    of held-in ones."""
    out = []
    for unseen in (True, False):
        side = [(q, m) for q, m in found if (q.dataset in held_out) == unseen]
        parts = [(ALL, ALL), *sorted({(q.task, q.dataset) for q, _ in side})]
        for task, dataset in parts if side else []:
            some = [(q, m) for q, m in side if dataset in (ALL, q.dataset)]
            split = "+".join(sorted({q.split for q, _ in some}))
            for key in dict.fromkeys(key for _, m in some for key in m):
                values = np.array([m[key] for _, m in some if key in m])
                mean = bootstrap.mean(values, resamples, seed, task, dataset)
                named = dict(zip(("ranking", "measure", "k"), key, strict=True))
                where = {"split": split, "held_out": unseen, "task": task, "dataset": dataset}
                out.append({**named, "candidates": candidates, **where, "n": len(values), **mean})
    return out


def drawn(scores: Values, m: int, seed: int) -> dict[str, list[str]]:
    """``m`` candidates of each query, as scoring draws them, by id."""
    pairs = sorted((q, d) for q, mine in scores.items() for d in mine)
    kept = plan.sampled([q for q, _ in pairs], [d for _, d in pairs], m, seed)
    out: dict[str, list[str]] = {}
    for query, demonstration in (pairs[i] for i in kept):
        out.setdefault(query, []).append(demonstration)
    return out


def at_random(order: dict[str, list[str]], seed: int) -> dict[str, Floats]:
    """A lot for each candidate. Not the one that drew it: the order would not be a new draw."""

    def lot(query: str, demonstration: str) -> float:
        name = f"{seed}\nrandom\n{query}\n{demonstration}".encode()
        return float(int.from_bytes(hashlib.blake2b(name, digest_size=6).digest()))

    return {q: np.array([lot(q, d) for d in some]) for q, some in order.items()}


def without(path: Path, order: dict[str, list[str]]) -> dict[str, float]:
    """The LLM's score of each query without a demonstration. ``UserError`` where one lacks."""
    found = ranking.values(path, schemas.SCORES, "score", set(order))
    for query in order:
        if len(found[query]) != 1:
            raise UserError(f"{path}: {len(found[query])} scores of {query} and not one; score "
                            "the queries again")  # fmt: skip
    return {query: next(iter(mine.values())) for query, mine in found.items()}


def run(args: Any) -> tuple[list[dict[str, Any]], dict[str, dict[str, list[dict[str, Any]]]]]:
    """CHAIN rows of what ``parser`` takes, and CANDIDATES rows by ranking and dataset."""
    asked = parquet.read(args.queries, schemas.EXAMPLES, ["id"])["id"].to_pylist()
    scores = ranking.values(args.scores, schemas.SCORES, "score", set(asked))
    order = {q: sorted(mine) for q, mine in sorted(scores.items()) if mine}
    cli.log.info("%d of %d queries are measured; the others are too long", len(order), len(asked))
    if not order:
        raise UserError(f"{args.scores}: no score of any query of {args.queries}; give what was "
                        "scored of them")  # fmt: skip
    queries = rankers.samples(args.queries, order)
    pool = rankers.samples(args.pool, (d for some in order.values() for d in some))
    alone = without(args.zero_shot, order)
    llm = rankers.lined_up(args.scores, scores, order)
    given = rankers.given(args, order, queries, pool) | {RANDOM: at_random(order, args.seed)}
    rows = []
    for m in args.per_query or [max(map(len, order.values()))]:
        some, found = drawn(scores, m, args.seed), []
        for query, kept in some.items():
            at = [order[query].index(d) for d in kept]
            mine = {name: values[query][at] for name, values in given.items()}
            found.append((queries[query], measures(llm[query][at], mine, alone[query], args.k)))
        rows += table(found, args.held_out, m, args.resamples, args.seed)
    rankings = {LLM: llm, **given}
    # a query that is too long for the LLM is asked all the same: in BM25's order
    lost = set(asked) - set(order)
    ranks = ranking.values(args.candidates, schemas.CANDIDATES, "rank", lost)
    order |= {q: list(mine) for q, mine in ranks.items()}
    for values in rankings.values():
        values.update({q: -np.array(list(mine.values())) for q, mine in ranks.items()})
    return rows, ranked(rankings, order, queries | rankers.samples(args.queries, lost))


def ranked(
    given: dict[str, dict[str, Floats]], order: dict[str, list[str]], queries: dict[str, Example]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """CANDIDATES rows by ranking and dataset: each query's candidates, ties by id."""
    out: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, values in given.items():
        parts = out.setdefault(name, {})
        for query, mine in values.items():
            pairs = sorted(zip(-mine, order[query], strict=True))
            parts.setdefault(queries[query].dataset, []).extend(
                {"query_id": query, "demonstration_id": d, "rank": rank, "score": -negative}
                for rank, (negative, d) in enumerate(pairs)
            )
    return out


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    rankers.add_arguments(p)
    p.add_argument("--zero-shot", required=True, type=Path, help="SCORES without demonstrations")
    p.add_argument("--k", nargs="+", type=cli.positive, default=[1, 8],
                   help="first ones whose scores are averaged (%(default)s)")  # fmt: skip
    p.add_argument("--per-query", nargs="+", type=cli.positive, metavar="M",
                   help="candidates of a query, several times over (all)")  # fmt: skip
    p.add_argument("--held-out", nargs="*", default=[], metavar="DATASET", help="which they are")
    p.add_argument("--rankings", nargs="*", default=[], type=cli.named, metavar="RANKING=FOLDER",
                   help="CANDIDATES of each dataset to write there")  # fmt: skip
    bootstrap.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="CHAIN table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    rankers.check_names(p, args, [LLM, CHANCE, RANDOM, ZERO_SHOT])
    known = {LLM, RANDOM, *rankers.names(args)}
    for name, _ in args.rankings:
        if name not in known:
            raise UserError(f"--rankings {name}: no such ranking; one of {sorted(known)}")
    rows, orders = run(args)
    for name, folder in args.rankings:
        for dataset, mine in orders[name].items():
            parquet.write(mine, schemas.CANDIDATES, folder / f"{dataset}.parquet")
    parquet.write(rows, schemas.CHAIN, args.out, result=True)
    for row in rows:
        if row["dataset"] == ALL and row["measure"] in ("correlation", "over_chance"):
            cli.log.info("%(candidates)d candidates, %(measure)s of %(ranking)s, k %(k)s: "
                         "%(value).3f, n %(n)d", row)  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
