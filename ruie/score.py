"""Score candidates by how much they help a frozen language model to produce the gold answer.

Equation 1: the token-level average log-likelihood of y given the instruction, one demonstration
and x, in the very prompt that inference uses (section 3.2). One shard of the candidates a run;
ruie.gather puts the shards together.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ruie import cli, examples, parquet, prompt, schemas
from ruie.examples import Example

LONG_SUMMARY = "%d pairs, %d answer tokens; %d over the limit scored without a demonstration"


def shard(n: int, i: int, of: int) -> slice:
    """Rows of shard ``i`` of ``of``: contiguous, covering, of nearly equal size."""
    return slice(i * n // of, (i + 1) * n // of)


def run(
    candidates: list[dict[str, Any]],
    queries: dict[str, Example],
    pool: dict[str, Example],
    model: Any,
    max_length: int,
    batch_tokens: int,
) -> list[dict[str, Any]]:
    """SCORES rows, in the candidates' order.

    A demonstration that does not fit into ``max_length`` tokens is dropped whole, as inference
    would drop it, and counted. Raises ``UserError`` for a query that does not fit even alone and
    for a score that is not finite.
    """
    contexts: list[str] = []
    dropped = 0

    for c in candidates:
        q, d = queries[c["query_id"]], pool[c["demonstration_id"]]
        instruction, demonstration = prompt.INSTRUCTIONS[q.task], prompt.render(d)
        contexts.append(prompt.build(instruction, [demonstration], prompt.query(q)))
    answers = [" " + prompt.answer(queries[c["query_id"]]) for c in candidates]
    pairs = model.pairs(contexts, answers)
    for i, pair in enumerate(pairs):
        if len(pair.ids) > max_length:
            q = queries[candidates[i]["query_id"]]
            bare = prompt.build(prompt.INSTRUCTIONS[q.task], [], prompt.query(q))
            pairs[i] = model.pairs([bare], [answers[i]])[0]
            dropped += 1
            if len(pairs[i].ids) > max_length:
                raise cli.UserError(
                    f"{q.id} ({q.source}): instruction, query and answer take {len(pairs[i].ids)} "
                    f"tokens, over --max-length {max_length}; raise it or take the record out"
                )
    means = [math.nan] * len(pairs)
    by_task: dict[str, list[int]] = {}
    for i, c in enumerate(candidates):
        by_task.setdefault(queries[c["query_id"]].task, []).append(i)
    for task, members in by_task.items():
        batches = model.score([pairs[i] for i in members], batch_tokens)
        done = cli.progress(_each(batches), len(members), f"{task} pairs scored")
        for position, mean in done:
            means[members[position]] = mean
    rows = []
    for c, pair, mean in zip(candidates, pairs, means, strict=True):
        key = {name: c[name] for name in ("query_id", "demonstration_id")}
        if not math.isfinite(mean):
            raise cli.UserError(
                f"{key['query_id']} with {key['demonstration_id']}: the score is {mean}; "
                "use another --dtype, the model's numbers overflow in this one"
            )
        rows.append({**key, "score": mean, "tokens": len(pair.ids) - pair.start})
    cli.log.info(LONG_SUMMARY, len(rows), sum(r["tokens"] for r in rows), dropped)
    return rows


def _each(batches: Any) -> Any:
    for positions, means in batches:
        yield from zip(positions, means, strict=True)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--candidates", required=True, type=Path, help="CANDIDATES table")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--model", required=True, help="folder or Hugging Face id of the scoring LLM")
    p.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    p.add_argument("--max-length", type=cli.positive, default=1792, help="tokens (%(default)s)")
    p.add_argument("--batch-tokens", type=cli.positive, default=16384, help="padded, in a batch")
    p.add_argument("--shard", type=int, default=0, help="which shard, from 0")
    p.add_argument("--shards", type=cli.positive, default=1)
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    p.add_argument("--out", required=True, type=Path, help="SCORES table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    if not 0 <= args.shard < args.shards:
        raise cli.UserError(f"--shard {args.shard} is not one of {args.shards} shards (from 0)")
    candidates = parquet.read(args.candidates, schemas.CANDIDATES).to_pylist()
    part = candidates[shard(len(candidates), args.shard, args.shards)]
    queries = examples.by_id(examples.read(args.queries))
    pool = examples.by_id(examples.read(args.pool))
    rows: list[dict[str, Any]] = []
    if part:
        from ruie.lm import LanguageModel

        model = LanguageModel(args.model, args.dtype)
        rows = run(part, queries, pool, model, args.max_length, args.batch_tokens)
    parquet.write(rows, schemas.SCORES, args.out)


if __name__ == "__main__":
    cli.run(main)
