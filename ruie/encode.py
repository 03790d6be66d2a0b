"""Encode the candidate pool with a bi-encoder, in advance (section 3.4).

Writes one Parquet table: id, and the vector as a list of float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ruie import cli, devices, encoders, examples, parquet


def write_vectors(ids: list[str], vectors: np.ndarray, path: Path) -> None:
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    with parquet.replacing(path) as part:
        pq.write_table(pa.table({"id": ids, "vector": column}), part)


def read_vectors(path: Path) -> tuple[list[str], np.ndarray]:
    """Ids, and vectors [pool, width] in float32."""
    schema = pq.read_schema(path)
    table = parquet.read(path, schema)
    width = schema.field("vector").type.list_size
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    return table["id"].to_pylist(), flat.reshape(-1, width)


def add_encoder_arguments(p: Any, required: bool = True) -> None:
    p.add_argument("--model", required=required, help="folder or Hugging Face id of the bi-encoder")
    p.add_argument("--pooling", choices=encoders.POOLINGS, default="mean")
    p.add_argument("--no-normalize", action="store_true", help="keep the vectors' lengths")
    p.add_argument("--max-length", type=cli.positive, default=512, help="tokens (%(default)s)")
    devices.add_batch_tokens(p)


def load_encoder(args: Any) -> encoders.BiEncoder:
    return encoders.BiEncoder(args.model, args.pooling, not args.no_normalize, args.max_length)


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
    pool = examples.read(args.pool)
    encoder = load_encoder(args)
    form = encoders.text_form(args, "demonstration", args.keywords)
    vectors, cut = encoder.encode([form(e) for e in pool], args.batch_tokens)
    cli.log.info("%d samples encoded, %d cut to %d tokens", len(pool), cut, args.max_length)
    write_vectors([e.id for e in pool], vectors, args.out)


if __name__ == "__main__":
    cli.run(main)
