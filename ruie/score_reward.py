"""Let the reward model score every candidate: the teacher of the retriever (section 3.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ruie import cli, devices, encoders, examples, feeding, parquet, prompt, schemas

#: Pairs whose token ids are held at once.
BLOCK = 20_000
#: For each pair a place, and the token ids at the places.
Side = tuple[npt.NDArray[np.int32], list[feeding.Ids]]


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
    path, schema = (
        (args.candidates, schemas.CANDIDATES) if args.candidates else (args.scores, schemas.SCORES)
    )
    pairs = parquet.read(path, schema, ["query_id", "demonstration_id"])
    queries = examples.by_id(examples.read(args.queries))
    pool = examples.by_id(examples.read(args.pool))

    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = encoders.from_pretrained(AutoModelForSequenceClassification, args.model)
    model.eval().to(devices.device())
    tokenizer = encoders.from_pretrained(AutoTokenizer, args.model)
    feeder = feeding.Feeder(tokenizer, args.max_length)
    sides = []
    for side, column, known in (("query", "query_id", queries),
                                ("demonstration", "demonstration_id", pool)):  # fmt: skip
        form = encoders.text_form(args, side, not args.no_keywords)
        coded = pairs[column].combine_chunks().dictionary_encode()
        texts = [form(known[name]) for name in coded.dictionary.to_pylist()]
        sides.append((coded.indices.to_numpy(), feeder.tokens(texts)))
    found = rewards(model, feeder, sides[0], sides[1], args.batch_tokens)
    cli.log.info("%d pairs, %d cut to %d tokens", len(pairs), feeder.cut, args.max_length)
    table = pairs.append_column("reward", pa.array(found, pa.float64()))
    parquet.write(table, schemas.REWARDS, args.out)


def rewards(model: Any, feeder: feeding.Feeder, left: Side, right: Side, budget: int) -> Any:
    """The reward of each pair [pairs], in float64; a block of pairs is held at once."""
    import torch

    out = np.zeros(len(left[0]))
    for low in cli.progress(range(0, len(out), BLOCK), -(-len(out) // BLOCK), "reward blocks"):
        codes = zip(*(codes[low : low + BLOCK] for codes, _ in (left, right)), strict=True)
        todo = [feeder.two(left[1][a], right[1][b]) for a, b in codes]
        for rows in feeding.parts([len(t.ids) for t in todo], budget):
            inputs = feeder.tensors([todo[r] for r in rows], model.device)
            with torch.inference_mode():
                out[low + np.array(rows)] = model(**inputs).logits[:, 0].double().cpu().numpy()
    return out


if __name__ == "__main__":
    cli.run(main)
