"""What the trainings have learned, measured on queries that no training has seen.

Each ranker orders a query's scored candidates: by the LLM's scores AUC, MRR, rank correlation and
the gain of the demonstration picked are taken, by each reward model's the recall of its best and
the correlation; means over the queries that --watch and --seed hold aside, as in training, with
95 % bootstrap intervals over these. --seed is also that of the resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ruie import aside, bootstrap, cli, parquet, rankers, ranking, schemas
from ruie.cli import UserError
from ruie.examples import ALL, TASKS
from ruie.rankers import CHANCE, LLM, Floats, among_first, correlation
from ruie.ranking import Values

#: Ranker, whose ranking it is measured against, and the measure.
Key = tuple[str, str, str]


def auc(best: Floats, last: Floats) -> float:
    """The chance that one of ``best`` is above one of ``last``; ties count a half."""
    above, alike = best[:, None] > last, best[:, None] == last
    return float(above.mean() + alike.mean() / 2)


def recall(reference: Floats, scores: Floats, k: int) -> float:
    """Share of the ``k`` best by ``reference`` (ties: the first) that are among the ``k`` best by
    ``scores``; those that share its last places by chance are counted by that chance."""
    wanted = np.argsort(-reference, kind="stable")[:k]
    return float(among_first(scores, k)[wanted].sum() / k)


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
            row = dict(zip(("ranker", "against", "measure"), key, strict=True))
            mean = bootstrap.mean(values, resamples, seed, task, "")
            out.append({**row, "task": task, "n": len(values), **mean})
    return out


def known_queries(path: Path) -> set[str]:
    """All queries of a SCORES table."""
    found: set[str] = set()
    for batch in parquet.batches(path, schemas.SCORES, ["query_id"], 100_000):
        if batch["query_id"].null_count:
            raise UserError(f"{path}: a row has no query; run the stage that writes it again")
        found |= set(batch["query_id"].unique().to_pylist())
    return found


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


def run(args: Any) -> list[dict[str, Any]]:
    """LEARNING rows of what ``parser`` takes."""
    hidden = aside.held_aside(known_queries(args.scores), args.watch, args.seed)
    scores = ranking.values(args.scores, schemas.SCORES, "score", hidden)
    order = ranked(scores, args.positives)
    if not order:
        cli.log.warning("no query held aside can be measured: %d of them", len(hidden))
        return []
    queries = rankers.samples(args.queries, order)
    pool = rankers.samples(args.pool, (d for some in order.values() for d in some))
    given = rankers.given(args, order, queries, pool)
    rewards = [name for name, _ in args.reward]
    found_of = []
    for query, llm in rankers.lined_up(args.scores, scores, order).items():
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
    rankers.add_arguments(p)
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
    rankers.check_names(p, args, [LLM, CHANCE])
    rows = run(args)
    parquet.write(rows, schemas.LEARNING, args.out, result=True)
    for row in rows:
        if row["task"] == ALL:
            cli.log.info("%(measure)s against %(against)s, %(ranker)s: %(value).3f, n %(n)d", row)


if __name__ == "__main__":
    cli.run(main)
