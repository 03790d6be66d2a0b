"""Let the reward model score every candidate: the teacher of the retriever (section 3.4)."""

from __future__ import annotations

from pathlib import Path

from ruie import cli, devices, encoders, examples, parquet, prompt, schemas


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    pairs = p.add_mutually_exclusive_group(required=True)
    pairs.add_argument("--scores", type=Path, help="SCORES: the pairs to score")
    pairs.add_argument("--candidates", type=Path, help="CANDIDATES: the pairs to score")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--model", required=True, help="folder of the reward model")
    encoders.add_text_arguments(p, "query", "demonstration")
    p.set_defaults(query_fields=list(prompt.FIELDS))
    p.add_argument("--no-keywords", action="store_true", help="Table 6: without keyword tags")
    p.add_argument("--max-length", type=cli.positive, default=512, help="tokens (%(default)s)")
    p.add_argument("--batch-tokens", type=cli.positive, default=16384, help="padded, in a batch")
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    p.add_argument("--out", required=True, type=Path, help="REWARDS table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    table = (
        parquet.read(args.candidates, schemas.CANDIDATES)
        if args.candidates
        else parquet.read(args.scores, schemas.SCORES)
    )
    pairs = table.to_pylist()
    queries = examples.by_id(examples.read(args.queries))
    pool = examples.by_id(examples.read(args.pool))
    query_form = encoders.text_form(args, "query", not args.no_keywords)
    demonstration_form = encoders.text_form(args, "demonstration", not args.no_keywords)
    left = [query_form(queries[p["query_id"]]) for p in pairs]
    right = [demonstration_form(pool[p["demonstration_id"]]) for p in pairs]

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = encoders.from_pretrained(AutoTokenizer, args.model)
    model = encoders.from_pretrained(AutoModelForSequenceClassification, args.model)
    model.eval().to(devices.device())
    lengths = [len(ids) for ids in encoders.tokenize(tokenizer, left, right)]
    cut = sum(n > args.max_length for n in lengths)
    todo = list(encoders.batches([min(n, args.max_length) for n in lengths], args.batch_tokens))
    rewards = [0.0] * len(pairs)
    with torch.inference_mode():
        for rows in cli.progress(todo, len(todo), "reward batches"):
            inputs = tokenizer(
                [left[r] for r in rows], [right[r] for r in rows], truncation="longest_first",
                max_length=args.max_length, padding=True, return_tensors="pt",
            ).to(model.device)  # fmt: skip
            for r, reward in zip(rows, model(**inputs).logits[:, 0].tolist(), strict=True):
                rewards[r] = reward
    cli.log.info("%d pairs, %d cut to %d tokens", len(pairs), cut, args.max_length)
    keys = ("query_id", "demonstration_id")
    found = [{**{k: p[k] for k in keys}, "reward": r} for p, r in zip(pairs, rewards, strict=True)]
    parquet.write(found, schemas.REWARDS, args.out)


if __name__ == "__main__":
    cli.run(main)
