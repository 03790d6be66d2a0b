"""Checked, atomic reading and writing of the tables that cross stages (ruie/schemas.py).

A file is written beside its place and moved there, so a killed job leaves no half table. Pages have
checksums, and what made the table stands in its metadata (ruie/stamp.py). Nothing that changes
from run to run (time, host, path) is stored: same rows, same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ruie import cli, stamp
from ruie.cli import UserError

#: Rows that are written at once.
ROW_GROUP = 10_000


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield an empty file beside ``path``; on success it takes its place, on failure it is removed.

    ``UserError`` where nothing can be written there, before anything is."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: cannot be written: it is a folder")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except (FileExistsError, NotADirectoryError):
        raise UserError(
            f"{path}: cannot be written: a file is in the place of its folder"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writer(
    path: str | Path, schema: pa.Schema, result: bool = False, **how: Any
) -> Iterator[pq.ParquetWriter]:
    """A stamped file with page checksums, which takes its place when it is whole. ``UserError``
    where the disk takes no more."""
    try:
        with (
            replacing(path) as part,
            pq.ParquetWriter(part, schema, write_page_checksum=True, **how) as file,
        ):
            yield file
            # at the end: what is read meanwhile counts
            if about := stamp.of_table(result):
                file.add_key_value_metadata(about)
    except OSError as error:
        if error.errno not in cli.NO_WRITING:
            raise
        why = os.strerror(error.errno)
        raise UserError(f"{path}: cannot be written: {why}; mend that, and start again") from None


def write(
    rows: pa.Table | list[dict[str, Any]],
    schema: pa.Schema,
    path: str | Path,
    result: bool = False,
) -> pa.Table:
    """Write rows of exactly ``schema``; a missing, extra or mistyped column is a ``ValueError``.
    ``result``: its stamp names the run's configuration."""
    names = set(schema.names)
    found = [set(rows.column_names)] if isinstance(rows, pa.Table) else map(set, rows)
    odd = next((columns ^ names for columns in found if columns != names), None)
    if odd:
        raise ValueError(f"{path}: columns {sorted(odd)} do not match the table's schema")
    if isinstance(rows, list):
        table = pa.Table.from_pylist(rows, schema=schema)
    else:
        table = rows.select(schema.names).cast(schema)
    with _writer(path, schema, result, compression="zstd") as file:
        file.write_table(table)
    return table


@contextmanager
def writing(
    schema: pa.Schema, path: str | Path, rows: int = ROW_GROUP, **how: Any
) -> Iterator[Callable[[pa.Table], None]]:
    """Yield a function that adds tables of ``schema`` to the file; it takes its place when all are
    written. Small tables are gathered: the size of row groups does not depend on theirs. ``rows``
    are written at once; ``how``: options of ``pq.ParquetWriter`` beside or instead of zstd."""
    held: list[pa.Table] = []

    def add(table: pa.Table) -> None:
        held.append(table)
        if sum(map(len, held)) >= rows:
            flush()

    def flush() -> None:
        file.write_table(pa.concat_tables(held), row_group_size=rows)
        held.clear()

    with _writer(path, schema, **{"compression": "zstd", **how}) as file:
        yield add
        if held:
            flush()


@contextmanager
def opened(
    path: str | Path, remedy: str = "delete it and rerun the stage", **how: Any
) -> Iterator[pq.ParquetFile]:
    """A Parquet file, whose pages are checked as they are read; the stage inherits its stamp.

    ``UserError`` where it is missing, or cannot be read, now or inside the ``with``; ``remedy``
    ends the line. ``how``: options of ``pq.ParquetFile``."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; run the stage that writes it, or mend the path")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, **how) as file:
            stamp.inherit(file.metadata.metadata)
            yield file
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable Parquet file ({line}); {remedy}") from None


def _complete(path: str | Path, file: pq.ParquetFile, rows: int) -> None:
    if rows != file.metadata.num_rows:
        raise UserError(
            f"{path}: not a readable Parquet file ({rows} rows of {file.metadata.num_rows}); "
            "delete it and rerun the stage"
        )


def read_any(path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """A table of any columns. ``UserError`` where the file is missing or is not Parquet."""
    with opened(path) as file:
        table = file.read(columns)
        _complete(path, file, len(table))
    return table


def batches(
    path: str | Path, schema: pa.Schema, columns: list[str], size: int = 10_000
) -> Iterator[pa.RecordBatch]:
    """Some columns of a large table of ``schema``, piece by piece; raises what ``read`` raises."""
    wanted = pa.schema([f for f in schema if f.name in columns])
    with opened(path) as file:
        found = file.schema_arrow
        if odd := [
            f.name
            for f in wanted
            if f.name not in found.names or found.field(f.name).type != f.type
        ]:
            raise UserError(
                f"{path}: columns {odd} are missing or of another type; was it written by "
                "another stage?"
            )
        rows = 0
        for batch in file.iter_batches(size, columns=wanted.names):
            rows += len(batch)
            yield batch
        _complete(path, file, rows)


def read(path: str | Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """A table of ``schema``, or those of its columns that are named, in the schema's order.

    Raises ``UserError`` where the file is missing, is not Parquet or has other columns.
    """
    table = read_any(path)
    wanted = [f for f in schema if columns is None or f.name in columns]
    missing = [f.name for f in wanted if f.name not in table.column_names]
    if missing:
        raise UserError(f"{path}: columns {missing} are missing; was it written by another stage?")
    try:
        return table.select([f.name for f in wanted]).cast(pa.schema(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{path}: a column has another type than it should ({line})") from None
