"""How likely a language model finds the gold answers after what a system shows it.

The mean log-likelihood of the answer's tokens (equation 1), given the very prompt of inference with
its k demonstrations. It tells systems apart also where no answer comes out right. A prompt over
--max-input loses whole demonstrations, as in inference; a query that is too long without any has no
score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ruie import cli, devices, examples, infer, parquet, prompt, ranking, schemas, score
from ruie.backends import Request
from ruie.examples import Example
from ruie.pieces import Pair, Pieces


class Model(Protocol):
    """What is asked of a ``lm.LanguageModel``."""

    pieces: Pieces

    def score(self, pairs: Sequence[Pair]) -> Iterator[tuple[list[int], list[float]]]: ...
    def reference(self, pair: Pair) -> float: ...


def rows(
    model: Model, queries: Sequence[Example], asked: Sequence[Request], max_input: int,
    key: dict[str, Any], dtype: str = "float32", positions: int | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """LIKELIHOOD rows, one for each query; ``key`` holds system, llm and k, ``positions`` what the
    model reads at most. ``UserError`` for a longer prompt, for a score that is not finite, and
    where the first scores are not those of the whole model (as in ruie.score)."""
    out: list[dict[str, Any]] = []
    pairs: list[Pair] = []
    scored: list[dict[str, Any]] = []

    def tokens(text: str) -> int:
        return len(model.pieces.whole(text, "").ids)

    for q, r in zip(queries, asked, strict=True):
        text, used = prompt.fit(r.instruction, r.demonstrations, r.query, tokens, max_input)
        pair = model.pieces.whole(text, prompt.answer(q))
        out.append({
            "query_id": q.id, **key, "task": q.task, "dataset": q.dataset,
            "answered": bool(q.annotations), "used": used, "prompt_tokens": pair.start,
            "tokens": len(pair.ids) - pair.start, "score": None,
        })  # fmt: skip
        if tokens(text) > max_input:
            continue
        if positions and len(pair.ids) > positions:
            raise cli.UserError(f"{q.id}: prompt and answer take {len(pair.ids)} tokens, the model "
                                f"reads {positions}; lower --max-input")  # fmt: skip
        pairs.append(pair)
        scored.append(out[-1])
    for batch, means in cli.progress(model.score(pairs), len(pairs), "prompts", weigh=_size):
        for at, mean in zip(batch, means, strict=True):
            name = scored[at]["query_id"]
            if not math.isfinite(mean):
                raise cli.UserError(f"{name}: its score is {mean}; use another --dtype")
            if at < score.CHECKED:
                score.compare(name, mean, model.reference(pairs[at]), dtype)
            scored[at]["score"] = mean
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
    asked, named = infer.requests(queries, pool, found, args.k, args.quotes)
    if short := sum(len(ids) < args.k for ids in named):
        cli.log.warning("%d queries have fewer than k = %d demonstrations", short, args.k)
    from ruie.lm import LanguageModel

    dtype = devices.arithmetic(args.dtype)
    model = LanguageModel(args.model, dtype, args.chat, args.batch_tokens, args.cache_mb)
    most = getattr(model.model.config.get_text_config(), "max_position_embeddings", None)
    key = {"system": args.system, "llm": args.llm, "k": args.k}
    table = rows(model, queries, asked, args.max_input, key, dtype, most)
    lost = sum(len(ids) - t["used"] for ids, t in zip(named, table, strict=True))
    without = sum(t["score"] is None for t in table)
    cli.log.info("%d queries; %d demonstrations dropped to fit %d tokens; %d queries too long for "
                 "a score", len(table), lost, args.max_input, without)  # fmt: skip
    parquet.write(table, schemas.LIKELIHOOD, args.out)


if __name__ == "__main__":
    cli.run(main)
