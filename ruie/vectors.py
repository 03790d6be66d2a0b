"""The table of a pool's vectors, which is larger than memory should be: written and read in pieces.

Columns: id, and the vector as the bytes of its float32 numbers, the lowest byte first. Lists of
numbers would take five times as long to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ruie import cli, parquet

Floats = npt.NDArray[np.float32]
Write = Callable[[list[str] | pa.ChunkedArray, Floats], None]
#: Bytes of vectors in a row group, the least that can be read.
ROW_GROUP = 16 << 20


@contextmanager
def writing(path: str | Path, width: int) -> Iterator[Write]:
    """Yield a function that adds ids and their vectors [ids, width]; the file takes its place when
    all are written."""
    schema = pa.schema([("id", pa.string()), ("vector", pa.binary(4 * width))])
    rows = max(1, ROW_GROUP // (4 * width))
    # numbers that differ everywhere are not made smaller by compression, only slower to read
    plain: dict[str, Any] = {
        "compression": "none",
        "use_dictionary": False,
        "write_statistics": False,
    }
    with parquet.writing(schema, path, rows, **plain) as write:

        def add(ids: list[str] | pa.ChunkedArray, vectors: Floats) -> None:
            if vectors.shape != (len(ids), width):
                raise ValueError(f"vectors {vectors.shape} of {len(ids)} ids of width {width}")
            flat = pa.py_buffer(np.ascontiguousarray(vectors, "<f4"))
            column = pa.Array.from_buffers(schema.field("vector").type, len(ids), [None, flat])
            write(pa.table({"id": ids, "vector": column}, schema=schema))

        yield add


def _is_ours(schema: pa.Schema) -> bool:
    kinds = {f.name: f.type for f in schema}
    kind: Any = kinds.get("vector", pa.null())
    return bool(
        kinds.get("id") == pa.string()
        and pa.types.is_fixed_size_binary(kind)
        and kind.byte_width > 0
        and kind.byte_width % 4 == 0
    )


@contextmanager
def _opened(path: str | Path) -> Iterator[pq.ParquetFile]:
    # without a buffer of its own, Arrow holds whole row groups and reads ahead of itself
    with parquet.opened(
        path, "encode the pool again", pre_buffer=False, buffer_size=1 << 20
    ) as file:
        if not _is_ours(file.schema_arrow):
            raise cli.UserError(
                f"{path}: not a table of vectors as ruie.encode writes it; encode the pool again"
            )
        yield file


def width(path: str | Path) -> int:
    with _opened(path) as file:
        return int(file.schema_arrow.field("vector").type.byte_width) // 4


def ids(path: str | Path) -> pa.Array:
    with _opened(path) as file:
        return file.read(["id"])["id"].combine_chunks()


def check(path: str | Path, pool_ids: pa.Array) -> None:
    """``UserError`` unless the vectors are those of these ids, in this order."""
    if not ids(path).equals(pool_ids):
        raise _of_another_pool(path)


def _of_another_pool(path: str | Path) -> cli.UserError:
    return cli.UserError(f"{path}: the vectors belong to another pool; encode this pool again")


def blocks(
    path: str | Path, wanted: npt.NDArray[np.bool_], rows: int
) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
    """Row numbers and vectors of at most ``rows`` rows at a time, in order: those that are
    ``wanted``, a flag for each row of the table. Row groups without any are not read."""
    with _opened(path) as file:
        if file.metadata.num_rows != len(wanted):
            raise _of_another_pool(path)
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        spans = np.split(np.arange(len(wanted)), np.cumsum(sizes)[:-1])
        groups = [g for g, span in enumerate(spans) if wanted[span].any()]
        if not groups:
            return
        numbers = np.concatenate([spans[g] for g in groups])
        size = int(file.schema_arrow.field("vector").type.byte_width)
        at = 0
        for batch in file.iter_batches(rows, row_groups=groups, columns=["vector"]):
            column, here = batch.column(0), numbers[at : at + len(batch)]
            at += len(batch)
            if column.null_count:
                raise cli.UserError(f"{path}: a vector is missing; encode the pool again")
            flat = np.frombuffer(column.buffers()[1], "<f4", offset=column.offset * size,
                                 count=len(batch) * size // 4)  # fmt: skip
            vectors, inside = flat.reshape(len(batch), -1), wanted[here]
            if inside.all():
                yield here, vectors
            elif inside.any():
                yield here[inside], vectors[inside]


def read(path: str | Path) -> tuple[list[str], Floats]:
    """All ids and vectors [pool, width], for pools that fit in memory."""
    names = ids(path).to_pylist()
    found = [v for _, v in blocks(path, np.ones(len(names), bool), max(1, len(names)))]
    return names, np.concatenate(found) if found else np.empty((0, width(path)), np.float32)
