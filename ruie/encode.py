"""Encode the candidate pool with a bi-encoder, in advance (section 3.4).

Writes one Parquet table (ruie/vectors.py) in the pool's order. One window of samples is in memory
at a time, and batches hold samples of similar length of one window.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from ruie import cli, devices, encoders, examples, parquet, schemas, vectors

#: Samples in memory at once.
WINDOW = 8192


def add_encoder_arguments(p: Any, required: bool = True) -> None:
    p.add_argument("--model", required=required, help="folder or Hugging Face id of the bi-encoder")
    p.add_argument("--pooling", choices=encoders.POOLINGS, default="mean")
    p.add_argument("--no-normalize", action="store_true", help="keep the vectors' lengths")
    p.add_argument("--max-length", type=cli.positive, default=512, help="tokens (%(default)s)")
    encoders.add_dtype_argument(p)
    devices.add_batch_tokens(p)


def load_encoder(args: Any) -> encoders.BiEncoder:
    return encoders.BiEncoder(
        args.model, args.pooling, not args.no_normalize, args.max_length, args.dtype
    )


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    add_encoder_arguments(p)
    encoders.add_text_arguments(p, "demonstration")
    p.add_argument("--keywords", action="store_true", help="tag the gold spans (the pool of 3.4)")
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    p.add_argument("--out", required=True, type=Path)
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    ids = pa.chunked_array(
        [b["id"] for b in parquet.batches(args.pool, schemas.EXAMPLES, ["id"])], pa.string()
    )
    if not ids:
        raise cli.UserError(f"{args.pool}: holds no sample to encode; add a training set")
    encoder = load_encoder(args)
    form = encoders.text_form(args, "demonstration", args.keywords)
    texts = ([form(e) for e in window] for window in examples.batches(args.pool, WINDOW))
    done = cut = 0
    with vectors.writing(args.out, encoder.model.config.hidden_size) as add:
        for found, shorter in encoder.encode_windows(texts, len(ids), args.batch_tokens):
            add(ids[done : done + len(found)], found)
            done, cut = done + len(found), cut + shorter
    cli.log.info("%d samples encoded, %d cut to %d tokens", done, cut, args.max_length)


if __name__ == "__main__":
    cli.run(main)
