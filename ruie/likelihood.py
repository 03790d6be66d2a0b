"""How likely a language model finds the gold answers after what a system shows it.

The mean log-likelihood of the answer's tokens (equation 1), given the very prompt of inference with
its k demonstrations. Where few answers come out right, it still tells systems apart, and on fewer
queries than F1 needs. A prompt over --max-input loses whole demonstrations, as in inference; a
query that is too long without any has no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ruie import cli, devices, examples, infer, parquet, prompt, ranking, schemas, score
from ruie.backends import Request
from ruie.examples import Example
from ruie.pieces import Pair, Pieces


class Scored(Protocol):
    """What is asked of a ``lm.LanguageModel``."""

    pieces: Pieces

    def score(self, pairs: Sequence[Pair]) -> Any: ...


def rows(
    model: Scored, queries: Sequence[Example], asked: Sequence[Request], max_input: int,
    key: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    """LIKELIHOOD rows, one for each query; ``key`` holds system, llm and k. ``UserError`` for a
    score that is not finite."""
    out: list[dict[str, Any]] = []
    pairs: list[Pair] = []
    scored: list[int] = []
    for q, r in zip(queries, asked, strict=True):
        text, used = prompt.fit(
            r.instruction, r.demonstrations, r.query,
            lambda t: len(model.pieces.whole(t, "").ids), max_input,
        )  # fmt: skip
        pair = model.pieces.whole(text, prompt.answer(q))
        fits = len(model.pieces.whole(text, "").ids) <= max_input
        if fits:
            scored.append(len(out))
            pairs.append(pair)
        out.append({
            "query_id": q.id, **key, "task": q.task, "dataset": q.dataset,
            "answered": bool(q.annotations), "used": used, "prompt_tokens": pair.start,
            "tokens": len(pair.ids) - pair.start, "score": None,
        })  # fmt: skip
    for batch, means in cli.progress(model.score(pairs), len(pairs), "prompts", weigh=_size):
        for at, mean in zip(batch, means, strict=True):
            row = out[scored[at]]
            if not abs(mean) < float("inf"):
                raise cli.UserError(f"{row['query_id']}: its score is {mean}; use another --dtype")
            row["score"] = mean
    return out


def _size(batch: tuple[list[int], list[float]]) -> int:
    return len(batch[0])


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--demonstrations", required=True, type=Path, help="CANDIDATES table")
    p.add_argument("--k", type=cli.positive, required=True, help="demonstrations in a prompt")
    p.add_argument("--quotes", action="store_true", help='prompts say Input: "..."')
    p.add_argument("--chat", action="store_true", help="in the tokenizer's chat template")
    p.add_argument("--by-score", action="store_true",
                   help="the k demonstrations stand by score, not by rank")  # fmt: skip
    p.add_argument("--system", default="", help="name of the retrieval system, for the table")
    p.add_argument("--llm", default="", help="name of the language model, for the table")
    p.add_argument("--model", required=True, type=Path, help="folder of the LLM")
    p.add_argument("--dtype", choices=list(score.TOLERANCE), default="bfloat16")
    p.add_argument("--max-input", type=cli.positive, default=1792, help="tokens (%(default)s)")
    p.add_argument("--batch-tokens", type=cli.positive, default=16384, help="padded, in a batch")
    p.add_argument(
        "--cache-mb", type=cli.positive, default=4096, help="MiB for shared prefixes (%(default)s)"
    )
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    p.add_argument("--out", required=True, type=Path, help="LIKELIHOOD table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    queries = examples.read(args.queries)
    found = ranking.ranked([args.demonstrations], args.k if args.by_score else None)
    pool = infer.shown(args.pool, queries, found, args.k)
    asked, _ = infer.requests(queries, pool, found, args.k, args.quotes)
    from ruie.lm import LanguageModel

    model = LanguageModel(args.model, devices.arithmetic(args.dtype), args.chat, args.batch_tokens,
                          args.cache_mb)  # fmt: skip
    key = {"system": args.system, "llm": args.llm, "k": args.k}
    table = rows(model, queries, asked, args.max_input, key)
    lost = sum(len(r.demonstrations) - t["used"] for r, t in zip(asked, table, strict=True))
    without = sum(t["score"] is None for t in table)
    cli.log.info("%d queries; %d demonstrations dropped to fit %d tokens; %d queries too long for "
                 "a score", len(table), lost, args.max_input, without)  # fmt: skip
    parquet.write(table, schemas.LIKELIHOOD, args.out)


if __name__ == "__main__":
    cli.run(main)
