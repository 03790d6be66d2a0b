"""What the trainings have learned, measured on queries that no training has seen.

Each ranker orders a query's scored candidates: by the LLM's scores AUC, MRR, rank correlation and
the gain of the demonstration picked are taken, by each reward model's the recall of its best and
the correlation; means over the queries that --watch and --seed hold aside, as in training, with
95 % bootstrap intervals over these. --seed is also that of the resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import rankdata

from ruie import aside, bootstrap, cli, devices, encoders, examples, parquet, schemas
from ruie.cli import UserError
from ruie.examples import TASKS, Example

Floats = NDArray[np.float64]
#: Query -> demonstration -> value.
Values = dict[str, dict[str, float]]
#: Ranker, whose ranking it is measured against, and the measure.
Key = tuple[str, str, str]
LLM, CHANCE, BM25, UNTRAINED = "llm", "chance", "BM25", "untrained"
ALL = "all"


def auc(best: Floats, last: Floats) -> float:
    """The chance that one of ``best`` is above one of ``last``; ties count a half."""
    above, alike = best[:, None] > last, best[:, None] == last
    return float(above.mean() + alike.mean() / 2)


def recall(reference: Floats, scores: Floats, k: int) -> float:
    """Share of the ``k`` best by ``reference`` (ties: the first) that are among the ``k`` best by
    ``scores``; those that share its last places by chance are counted by that chance."""
    wanted = np.argsort(-reference, kind="stable")[:k]
    least = np.sort(scores)[-k]
    above, alike = scores > least, scores == least
    within = above + alike * ((k - above.sum()) / alike.sum())
    return float(within[wanted].sum() / k)


def correlation(a: Floats, b: Floats) -> float:
    """Spearman's, ties at their mean rank; 0 where one of the two tells nothing apart."""
    if not (np.ptp(a) and np.ptp(b)):
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def gain(llm: Floats, scores: Floats) -> float:
    """The LLM's score of the candidate that a ranker puts first (the mean of those that share the
    place), over the mean of all candidates: nats a token."""
    return float(llm[scores == scores.max()].mean() - llm.mean())


def measures(
    llm: Floats, given: dict[str, Floats], rewards: Sequence[str], positives: int, last: int, k: int
) -> dict[Key, float]:
    """What holds of one query. ``llm``: the scores of its candidates, best first; ``given``: what
    each ranker gives these, ``rewards`` among them. Chance is the expected value. A reward model's
    ``k`` best are no question where there are no more, or where it gives all the same."""
    n = len(llm)
    out = {
        (CHANCE, LLM, "auc"): 0.5,
        (CHANCE, LLM, "mrr"): sum(1 / rank for rank in range(1, n + 1)) / n,
        (CHANCE, LLM, "correlation"): 0.0,
        (CHANCE, LLM, "gain"): 0.0,
        (LLM, LLM, "gain"): gain(llm, llm),  # what the best ranker would reach
    }
    for ranker, mine in given.items():
        out[ranker, LLM, "auc"] = auc(mine[:positives], mine[max(positives, n - last) :])
        out[ranker, LLM, "mrr"] = aside.reciprocal_rank(llm.tolist(), mine.tolist())
        out[ranker, LLM, "correlation"] = correlation(llm, mine)
        out[ranker, LLM, "gain"] = gain(llm, mine)
    for name in rewards:
        reference = given[name]
        if n > k and np.ptp(reference):
            out[CHANCE, name, f"recall@{k}"] = k / n
            out[CHANCE, name, "correlation"] = 0.0
            for ranker, mine in given.items():
                if ranker != name:
                    out[ranker, name, f"recall@{k}"] = recall(reference, mine, k)
                    out[ranker, name, "correlation"] = correlation(reference, mine)
    return out


def table(
    found: Sequence[tuple[str, dict[Key, float]]], keys: Sequence[Key], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """LEARNING rows of the (task, measures) of each query: of all, then of each task."""
    out = []
    for task in (ALL, *TASKS):
        some = [m for name, m in found if task in (ALL, name)]
        for key in keys:
            values = np.array([m[key] for m in some if key in m])
            if not len(values):
                continue
            drawn = None
            if resamples:
                sums = bootstrap.resampled(values[:, None], resamples, seed, task, "")
                drawn = sums[:, 0] / len(values)
            low, high = bootstrap.interval(drawn)
            row = dict(zip(("ranker", "against", "measure"), key, strict=True))
            out.append({**row, "task": task, "n": len(values), "value": float(values.mean()),
                        "low": low, "high": high})  # fmt: skip
    return out


def known_queries(path: Path) -> set[str]:
    """All queries of a SCORES table."""
    found: set[str] = set()
    for batch in parquet.batches(path, schemas.SCORES, ["query_id"], 100_000):
        if batch["query_id"].null_count:
            raise UserError(f"{path}: a row has no query; run the stage that writes it again")
        found |= set(batch["query_id"].unique().to_pylist())
    return found


def values(path: Path, schema: pa.Schema, column: str, wanted: set[str]) -> Values:
    """A table's ``column`` for the pairs of some queries. ``UserError`` for what is no number."""
    out: Values = {query: {} for query in wanted}
    names, asked = ["query_id", "demonstration_id", column], pa.array(sorted(wanted), pa.string())
    for batch in parquet.batches(path, schema, names, 100_000):
        rows = batch.filter(pc.is_in(batch["query_id"], asked))
        for query, demonstration, value in zip(*(rows[n].to_pylist() for n in names), strict=True):
            if demonstration is None or value is None or not np.isfinite(value):
                raise UserError(f"{path}: {query} with {demonstration}: {column} is {value}; run "
                                "the stage that writes it again")  # fmt: skip
            if demonstration in out[query]:
                raise UserError(f"{path}: {query} with {demonstration} comes twice; run the stage "
                                "that writes it again")  # fmt: skip
            out[query][demonstration] = float(value)
    return out


def ranked(scores: Values, positives: int) -> dict[str, list[str]]:
    """The candidates of each query, the LLM's best first, ties by id as in training. Left out, and
    counted in the log: queries without a candidate beside the positives, or with equal scores."""
    out, left = {}, Counter[str]()
    for query, mine in sorted(scores.items()):
        if len(mine) <= positives:
            left[f"{positives} candidates or fewer"] += 1
        elif len(set(mine.values())) == 1:
            left["equal scores"] += 1
        else:
            out[query] = sorted(mine, key=lambda d: (-mine[d], d))
    said = "".join(f"; left out with {why}: {n}" for why, n in sorted(left.items()))
    cli.log.info("%d of %d queries held aside are measured%s", len(out), len(scores), said)
    return out


def lined_up(path: Path, found: Values, order: dict[str, list[str]]) -> dict[str, Floats]:
    """Values in the order of each query's candidates. ``UserError`` where one lacks."""
    for query, demonstrations in order.items():
        if lacking := [d for d in demonstrations if d not in found[query]]:
            raise UserError(f"{path}: {query} with {lacking[0]} is missing; make it of the pairs "
                            "that the LLM has scored")  # fmt: skip
    return {q: np.array([found[q][d] for d in some]) for q, some in order.items()}


def samples(path: Path, wanted: Iterable[str]) -> dict[str, Example]:
    """The samples of these ids. ``UserError`` where one lacks."""
    ids = sorted(set(wanted))
    rows = parquet.read(path, schemas.EXAMPLES)
    rows = rows.filter(pc.is_in(rows["id"], pa.array(ids, pa.string())))
    found = examples.by_id(examples.from_table(rows))
    if lacking := [name for name in ids if name not in found]:
        raise UserError(f"{path}: no sample {lacking[0]}; give the samples that the LLM has scored")
    return found


def similarities(
    folder: Path, keywords: bool, order: dict[str, list[str]], queries: dict[str, Example],
    pool: dict[str, Example], args: Any,
) -> dict[str, Floats]:  # fmt: skip
    """What a bi-encoder gives each query's candidates (equation 3); ``keywords`` tags theirs."""
    encoder = encoders.BiEncoder(folder, args.pooling, not args.no_normalize, args.max_length)
    asked = encoders.text_form(args, "query", keywords=False)
    shown = encoders.text_form(args, "demonstration", keywords)
    at = {d: row for row, d in enumerate(pool)}
    sides = ([asked(queries[q]) for q in order], [shown(e) for e in pool.values()])
    (left, _), (right, cut) = (encoder.encode(texts, args.batch_tokens) for texts in sides)
    cli.log.info("%s: %d demonstrations encoded, %d cut", folder, len(at), cut)
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise UserError(f"{folder}: a vector is not finite; train it again")
    return {
        query: (right[[at[d] for d in order[query]]] @ vector).astype(np.float64)
        for query, vector in zip(order, left, strict=True)
    }


def run(args: Any) -> list[dict[str, Any]]:
    """LEARNING rows of what ``parser`` takes."""
    hidden = aside.held_aside(known_queries(args.scores), args.watch, args.seed)
    scores = values(args.scores, schemas.SCORES, "score", hidden)
    order = ranked(scores, args.positives)
    if not order:
        cli.log.warning("no query held aside can be measured: %d of them", len(hidden))
        return []
    ranks = values(args.candidates, schemas.CANDIDATES, "rank", hidden)
    given = {BM25: {q: -v for q, v in lined_up(args.candidates, ranks, order).items()}}
    queries = samples(args.queries, order)
    pool = samples(args.pool, (d for some in order.values() for d in some))
    if args.base:
        given[UNTRAINED] = similarities(args.base, False, order, queries, pool, args)
    for name, path in args.reward:
        found = values(path, schemas.REWARDS, "reward", hidden)
        given[name] = lined_up(path, found, order)
    for name, folder in args.retriever:
        tagged = name not in args.plain
        given[name] = similarities(folder, tagged, order, queries, pool, args)
    rewards = [name for name, _ in args.reward]
    found_of = []
    for query, llm in lined_up(args.scores, scores, order).items():
        mine = {ranker: v[query] for ranker, v in given.items()}
        said = measures(llm, mine, rewards, args.positives, args.last, args.k)
        found_of.append((queries[query].task, said))
    recalled = f"recall@{args.k}"
    for name in rewards:
        n = sum((CHANCE, name, recalled) not in m for _, m in found_of)
        cli.log.info("%s of %s: %d queries left out, with %d candidates or fewer or equal rewards",
                     recalled, name, n, args.k)  # fmt: skip
    asked = [(LLM, what) for what in ("auc", "mrr", "correlation", "gain")]
    asked += [(name, what) for name in rewards for what in (recalled, "correlation")]
    keys = [(ranker, *what) for what in asked for ranker in (CHANCE, *given, LLM)]
    return table(found_of, keys, args.resamples, args.seed)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--scores", required=True, type=Path, help="SCORES of the LLM")
    p.add_argument("--candidates", required=True, type=Path, help="CANDIDATES: BM25's ranks")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    for name, what in {"reward": "REWARDS", "retriever": "folder of a trained retriever"}.items():
        p.add_argument(
            f"--{name}", nargs="*", default=[], type=cli.named, metavar="NAME=PATH", help=what
        )
    p.add_argument("--plain", nargs="*", default=[], metavar="NAME",
                   help="retrievers trained without keyword tags")  # fmt: skip
    p.add_argument("--base", type=Path, help="folder of the untrained retriever")
    p.add_argument("--pooling", choices=encoders.POOLINGS, default="mean")
    p.add_argument("--no-normalize", action="store_true", help="keep the vectors' lengths")
    p.add_argument("--max-length", type=cli.positive, default=512, help="tokens (%(default)s)")
    devices.add_batch_tokens(p)
    encoders.add_text_arguments(p, "query", "demonstration")
    p.add_argument("--positives", type=cli.positive, default=3, help="the LLM's best (%(default)s)")
    p.add_argument("--last", type=cli.positive, default=16, help="its last (%(default)s)")
    p.add_argument("--k", type=cli.positive, default=8, help="of recall (%(default)s)")
    p.add_argument("--watch", type=cli.whole, default=64,
                   help="queries held aside, a tenth of all at most (%(default)s)")  # fmt: skip
    bootstrap.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="LEARNING table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    names = [LLM, CHANCE, BM25, UNTRAINED, *(name for name, _ in args.reward + args.retriever)]
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        p.error(f"the name {twice[0]} is taken; rename it")
    if unknown := set(args.plain) - {name for name, _ in args.retriever}:
        p.error(f"--plain {min(unknown)}: no such retriever is given")
    rows = run(args)
    parquet.write(rows, schemas.LEARNING, args.out)
    for row in rows:
        if row["task"] == ALL:
            cli.log.info("%(measure)s against %(against)s, %(ranker)s: %(value).3f, n %(n)d", row)


if __name__ == "__main__":
    cli.run(main)
