"""What ranks the scored candidates of queries: BM25, reward models and retrievers, trained or not.

Shared by what measures them: ruie.learning on training queries, ruie.chain on others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import rankdata

from ruie import cli, devices, encoders, examples, parquet, schemas
from ruie.cli import UserError
from ruie.examples import Example
from ruie.ranking import Values, values

Floats = NDArray[np.float64]
LLM, CHANCE, BM25, UNTRAINED = "llm", "chance", "BM25", "untrained"


def correlation(a: Floats, b: Floats) -> float:
    """Spearman's, ties at their mean rank; 0 where one of the two tells nothing apart."""
    if not (np.ptp(a) and np.ptp(b)):
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def among_first(scores: Floats, k: int) -> Floats:
    """The chance of each candidate to be among the ``k`` first, where those that share the last
    of these places are drawn."""
    least = np.sort(scores)[-k]
    above, alike = scores > least, scores == least
    chances: Floats = above + alike * ((k - above.sum()) / alike.sum())
    return chances


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
    encoder = encoders.BiEncoder(
        folder, args.pooling, not args.no_normalize, args.max_length, args.dtype
    )
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


def names(args: Any) -> list[str]:
    """The rankers that ``given`` will have, known before any work."""
    untrained = [UNTRAINED] if args.base else []
    return [BM25, *untrained, *(name for name, _ in args.reward + args.retriever)]


def given(
    args: Any, order: dict[str, list[str]], queries: dict[str, Example], pool: dict[str, Example]
) -> dict[str, dict[str, Floats]]:
    """What each ranker that ``add_arguments`` takes gives the candidates of each query."""
    wanted = set(order)
    ranks = lined_up(
        args.candidates, values(args.candidates, schemas.CANDIDATES, "rank", wanted), order
    )
    out = {BM25: {query: -mine for query, mine in ranks.items()}}
    if args.base:
        out[UNTRAINED] = similarities(args.base, False, order, queries, pool, args)
    for name, path in args.reward:
        out[name] = lined_up(path, values(path, schemas.REWARDS, "reward", wanted), order)
    for name, folder in args.retriever:
        tagged = name not in args.plain
        out[name] = similarities(folder, tagged, order, queries, pool, args)
    return out


def add_arguments(p: cli.Parser) -> None:
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
    encoders.add_dtype_argument(p)
    devices.add_batch_tokens(p)
    encoders.add_text_arguments(p, "query", "demonstration")


def check_names(p: cli.Parser, args: Any, taken: Iterable[str]) -> None:
    """Usage errors: a name that is ``taken`` or comes twice, a plain retriever that is none."""
    names = [BM25, UNTRAINED, *taken, *(name for name, _ in args.reward + args.retriever)]
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        p.error(f"the name {twice[0]} is taken; rename it")
    if unknown := set(args.plain) - {name for name, _ in args.retriever}:
        p.error(f"--plain {min(unknown)}: no such retriever is given")
