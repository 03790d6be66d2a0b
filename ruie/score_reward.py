"""Let the reward model score every candidate: the teacher of the retriever (section 3.4).

Blocks of pairs that are done are kept beside the output, in a folder that goes when the output is
written: a killed run goes on from there.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ruie import cli, devices, encoders, examples, feeding, parquet, prompt, schemas, store

#: Pairs whose token ids are held, and whose rewards are kept, at once.
BLOCK = 4096
KEPT = pa.schema([pa.field("reward", pa.float64(), nullable=False)])


@dataclass
class Side:
    """Queries or demonstrations: for each pair a place, and digest and token ids at the places."""

    codes: list[int]
    digests: list[bytes]
    ids: list[feeding.Ids]


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    pairs = p.add_mutually_exclusive_group(required=True)
    pairs.add_argument("--scores", type=Path, help="SCORES: the pairs to score")
    pairs.add_argument("--candidates", type=Path, help="CANDIDATES: the pairs to score")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--model", required=True, help="folder of the reward model")
    encoders.add_text_arguments(p, "query", "demonstration")
    p.set_defaults(query_fields=list(prompt.ENCODED))
    p.add_argument("--no-keywords", action="store_true", help="Table 6: without keyword tags")
    p.add_argument("--max-length", type=cli.positive, default=512, help="tokens (%(default)s)")
    encoders.add_dtype_argument(p)
    devices.add_batch_tokens(p)
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
    if model.config.num_labels != 1:
        raise cli.UserError(f"--model {args.model}: gives {model.config.num_labels} numbers for a "
                            "pair and no reward; give what ruie.train_reward wrote")  # fmt: skip
    encoders.check_length(model, args.max_length)
    model.eval().to(devices.device())
    tokenizer = encoders.from_pretrained(AutoTokenizer, args.model)
    feeder = feeding.Feeder(tokenizer, args.max_length)
    sides = []
    for side, column, known in (("query", "query_id", queries),
                                ("demonstration", "demonstration_id", pool)):  # fmt: skip
        form = encoders.text_form(args, side, not args.no_keywords)
        codes, members = examples.coded(pairs[column], known, side, path)
        texts = [form(e) for e in members]
        sides.append(Side(codes, list(map(store.digest, texts)), feeder.tokens(texts)))
    dtype = devices.arithmetic(args.dtype)
    kept = args.out.with_name(args.out.name + ".kept")
    scored_by = store.key(store.digest(str(args.max_length)),
                          store.digest(store.fingerprint(Path(args.model), dtype)))  # fmt: skip
    with encoders.products(dtype):
        found = rewards(model, feeder, sides[0], sides[1],
                        devices.batch_tokens(args.batch_tokens), kept, scored_by)  # fmt: skip
    cli.log.info("%d pairs, %d cut to %d tokens", len(pairs), feeder.cut, args.max_length)
    table = pairs.append_column("reward", pa.array(found, pa.float64()))
    parquet.write(table, schemas.REWARDS, args.out)
    shutil.rmtree(kept, ignore_errors=True)


def rewards(
    model: Any, feeder: feeding.Feeder, left: Side, right: Side, budget: int, kept: Path,
    scored_by: bytes = b"",
) -> npt.NDArray[np.float64]:  # fmt: skip
    """The reward of each pair [pairs]. A block is kept in a file whose name stands for its texts
    and for what scores them; one that is there already is not computed again."""
    out = np.zeros(len(left.codes))
    starts = range(0, len(out), BLOCK)
    for low in cli.progress(starts, len(starts), "reward blocks"):
        part = slice(low, low + BLOCK)
        pairs = list(zip(left.codes[part], right.codes[part], strict=True))
        texts = [d for a, b in pairs for d in (left.digests[a], right.digests[b])]
        path = kept / f"{store.key(scored_by, *texts).hex()}.parquet"
        found = _read(path)
        if len(found) != len(pairs):
            found = block(model, feeder, [feeder.two(left.ids[a], right.ids[b]) for a, b in pairs],
                          budget)  # fmt: skip
            if odd := [n for n, r in enumerate(found) if not math.isfinite(r)]:
                raise cli.UserError(f"pair {low + odd[0] + 1} of the table: its reward is "
                                    f"{found[odd[0]]}; train the reward model again")  # fmt: skip
            parquet.write([{"reward": r} for r in found], KEPT, path)
        out[part] = found
    return out


def _read(path: Path) -> list[float]:
    """The rewards that a stopped run has kept; none where it did not come so far."""
    if not path.is_file():
        return []
    try:
        found: list[float] = parquet.read(path, KEPT)["reward"].to_pylist()
    except cli.UserError as error:
        cli.log.warning("%s; its pairs are scored again", error)
        return []
    return found


def block(
    model: Any, feeder: feeding.Feeder, pairs: list[feeding.Tokens], budget: int
) -> list[float]:
    import torch

    out = np.zeros(len(pairs))
    for rows in feeding.parts([len(t.ids) for t in pairs], budget):
        inputs = feeder.tensors([pairs[r] for r in rows], model.device)
        with torch.inference_mode():
            out[rows] = model(**inputs).logits[:, 0].double().cpu().numpy()
    found: list[float] = out.tolist()
    return found


if __name__ == "__main__":
    cli.run(main)
