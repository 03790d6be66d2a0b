"""What the trainings have learned, measured on queries that none of them saw (held aside).

Rankers (BM25, reward models, retrievers, the untrained encoder) order each query's scored
candidates. Against the LLM's scores: ``auc``, the chance that one of its positives is ranked above
one of its negatives, and ``mrr``, the mean reciprocal rank of its best candidate. Against a reward
model: ``recall@8``, the share of its best 8 among the ranker's best 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruie import aside, bootstrap, cli, encode, encoders, examples, groups, parquet, schemas
from ruie.examples import Example

Scores = npt.NDArray[np.float64]
#: Demonstrations of a prompt (section 4.4), which a retriever is to find.
DEPTH = 8
CHANCE = "chance"


def auc(preference: Scores, scores: Scores, top: int, last: int) -> float:
    """The chance that ``scores`` puts one of the ``top`` preferred candidates above one of the
    ``last``; ties count half."""
    order = np.argsort(-preference, kind="stable")
    best, worst = scores[order[:top]], scores[order[max(top, len(order) - last) :]]
    above = best[:, None] > worst[None]
    return float((above + 0.5 * (best[:, None] == worst[None])).mean())


def recall(preference: Scores, scores: Scores, k: int = DEPTH) -> float:
    """The share of the ``k`` preferred candidates among the first ``k`` by ``scores``."""
    best, mine = (set(np.argsort(-s, kind="stable")[:k].tolist()) for s in (preference, scores))
    return len(best & mine) / k


def chance(n: int, k: int = DEPTH) -> dict[str, float]:
    """What an order drawn at random of ``n`` candidates is expected to reach."""
    ranks = np.arange(1, n + 1)
    return {"auc": 0.5, "mrr": float((1 / ranks).mean()), f"recall@{k}": min(1.0, k / n)}


def measured(
    queries: Mapping[str, Example], llm: Mapping[str, Scores],
    rewards: Mapping[str, Mapping[str, Scores]], rankers: Mapping[str, Mapping[str, Scores]],
    top: int, last: int, resamples: int, seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """LEARNING rows. All scores of a query are of the same candidates in the same order; every
    reward model is a ranker too."""
    out = []
    fair = {name: {q: chance(len(s))[name] for q, s in llm.items()}
            for name in ("auc", "mrr", f"recall@{DEPTH}")}  # fmt: skip

    def add(ranker: str, against: str, measure: str, values: Mapping[str, float]) -> None:
        for task in ("all", *sorted({queries[q].task for q in values})):
            some = np.array([v for q, v in values.items() if task in ("all", queries[q].task)])
            low, high = bootstrap.mean_interval(some, resamples, seed, task)
            out.append({"ranker": ranker, "against": against, "measure": measure, "task": task,
                        "n": len(some), "value": float(some.mean()), "low": low, "high": high,
                        })  # fmt: skip

    against_llm: dict[str, Callable[[Scores, Scores], float]] = {
        "auc": lambda a, b: auc(a, b, top, last),
        "mrr": lambda a, b: aside.reciprocal_rank(a.tolist(), b.tolist()),
    }
    for measure, of in against_llm.items():
        add(CHANCE, "llm", measure, fair[measure])
        for name, scores in {**rankers, **rewards}.items():
            add(name, "llm", measure, {q: of(llm[q], scores[q]) for q in llm})
    for teacher, taught in rewards.items():
        # of no more than 8 candidates every order finds all
        some = [q for q in llm if len(llm[q]) > DEPTH]
        if some:
            measure = f"recall@{DEPTH}"
            add(CHANCE, teacher, measure, {q: fair[measure][q] for q in some})
            for name, scores in rankers.items():
                add(name, teacher, measure, {q: recall(taught[q], scores[q]) for q in some})
    return out


def usable(llm: groups.Rankings, hidden: set[str], top: int) -> dict[str, groups.Ranked]:
    """The hidden queries' candidates by id; those without two kinds of candidates are left out."""
    found = {r.query_id: r for r in llm if r.query_id in hidden}
    kept = {q: r for q, r in found.items()
            if len(r.scores) > top and len(set(r.scores)) > 1}  # fmt: skip
    cli.log.info("%d queries held aside, %d left out: no more than %d candidates, or all alike",
                 len(found), len(found) - len(kept), top)  # fmt: skip
    return kept


def aligned(found: Mapping[str, groups.Ranked], table: groups.Rankings) -> dict[str, Scores]:
    """A table's scores of the candidates, in their order. ``UserError`` where one lacks."""
    out = {}
    for r in table:
        if r.query_id not in found:
            continue
        known = dict(zip(r.demonstrations, r.scores, strict=True))
        wanted = found[r.query_id].demonstrations
        if lacking := [d for d in wanted if d not in known]:
            raise cli.UserError(f"{r.query_id}: {lacking[0]} is not in every table; run the stages "
                                "before again")  # fmt: skip
        out[r.query_id] = np.array([known[d] for d in wanted])
    if len(out) < len(found):
        raise cli.UserError(f"{min(set(found) - set(out))} is not in every table; run the stages "
                            "before again")  # fmt: skip
    return out


def similarities(
    folder: Path, args: Any, tagged: bool, found: Mapping[str, groups.Ranked],
    queries: Mapping[str, Example], pool: Mapping[str, Example],
) -> dict[str, Scores]:  # fmt: skip
    """What a bi-encoder makes of the candidates."""
    encoder = encoders.BiEncoder(folder, args.pooling, not args.no_normalize, args.max_length)
    ask = encoders.text_form(args, "query", keywords=False)
    show = encoders.text_form(args, "demonstration", keywords=tagged)
    shown = sorted({d for r in found.values() for d in r.demonstrations})
    place = {d: i for i, d in enumerate(shown)}
    vectors, _ = encoder.encode([show(pool[d]) for d in shown], args.batch_tokens)
    asked, _ = encoder.encode([ask(queries[q]) for q in found], args.batch_tokens)
    return {
        q: (vectors[[place[d] for d in r.demonstrations]] @ vector).astype(np.float64)
        for (q, r), vector in zip(found.items(), asked, strict=True)
    }


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    for name, what in {"scores": "SCORES of the LLM", "candidates": "CANDIDATES of BM25",
                       "queries": "EXAMPLES table", "pool": "EXAMPLES table"}.items():  # fmt: skip
        p.add_argument(f"--{name}", required=True, type=Path, help=what)
    p.add_argument("--rewards", nargs="*", default=[], type=cli.named, metavar="NAME=FILE",
                   help="REWARDS of the same pairs")  # fmt: skip
    p.add_argument("--retrievers", nargs="*", default=[], type=cli.named, metavar="NAME=FOLDER",
                   help="trained on keyword-tagged demonstrations")  # fmt: skip
    p.add_argument("--plain-retrievers", nargs="*", default=[], type=cli.named,
                   metavar="NAME=FOLDER", help="trained on plain ones")  # fmt: skip
    encode.add_encoder_arguments(p)  # --model is the untrained encoder
    encoders.add_text_arguments(p, "query", "demonstration")
    p.add_argument("--watch", type=cli.whole, default=64, help="queries held aside (%(default)s)")
    p.add_argument("--split-seed", type=int, default=0, help="of the trainings' --seed")
    p.add_argument("--positives", type=cli.positive, default=3, help="(%(default)s)")
    p.add_argument("--last", type=cli.positive, default=16, help="negatives (%(default)s)")
    bootstrap.add_arguments(p)
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    p.add_argument("--out", required=True, type=Path, help="LEARNING table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    llm = groups.Rankings(parquet.read(args.scores, schemas.SCORES), "score")
    hidden = aside.held_aside(llm.queries, args.watch, args.split_seed)
    found = usable(llm, hidden, args.positives)
    if not found:
        cli.log.warning("no query held aside says anything: the table is empty; raise --watch or "
                        "the number of queries")  # fmt: skip
        parquet.write([], schemas.LEARNING, args.out)
        return
    queries, pool = (examples.by_id(examples.read(p)) for p in (args.queries, args.pool))
    bm25 = groups.Rankings(parquet.read(args.candidates, schemas.CANDIDATES), "score")
    rewards = {
        name: aligned(found, groups.Rankings(parquet.read(path, schemas.REWARDS), "reward"))
        for name, path in args.rewards
    }
    rankers = {"bm25": aligned(found, bm25)}
    encoded = [("untrained", Path(args.model), False)]
    encoded += [(name, path, True) for name, path in args.retrievers]
    encoded += [(name, path, False) for name, path in args.plain_retrievers]
    for name, folder, tagged in encoded:
        rankers[name] = similarities(folder, args, tagged, found, queries, pool)
    preference = {q: np.array(r.scores) for q, r in found.items()}
    rows = measured(queries, preference, rewards, rankers, args.positives, args.last,
                    args.resamples, args.seed)  # fmt: skip
    parquet.write(rows, schemas.LEARNING, args.out)
    for r in rows:
        if r["task"] == "all":
            cli.log.info("%(ranker)s against %(against)s: %(measure)s %(value).3f, n %(n)d", r)


if __name__ == "__main__":
    cli.run(main)
