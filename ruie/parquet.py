"""The tables that cross stages: their pyarrow schemas, and checked, atomic reading and writing.

A file is written beside its place and moved there, so a killed job leaves no half table. Nothing
that changes from run to run (time, host, path) is stored: same rows, same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ruie.cli import UserError

_span = pa.struct([("text", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
_annotation = pa.struct([("label", pa.string()), ("spans", pa.list_(_span))])
_event = pa.struct([("type", pa.string()), ("trigger", _span)])
_reason = pa.struct(
    [
        ("what", pa.string()),
        ("count", pa.int64()),
        ("outcome", pa.string()),
        ("example", pa.string()),
    ]
)
_pair = pa.struct(
    [("test_id", pa.string()), ("train_id", pa.string()), ("similarity", pa.float64())]
)

#: One instance of one dataset. ``spans`` of an annotation: NER the entity; RE head, tail; EET the
#: trigger; EEA the argument. ``event`` is the given event of an EEA instance, else null. Offsets
#: count characters; ``source`` is ``file#record``, records from 0.
EXAMPLES = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("text", pa.string()),
        ("schema", pa.list_(pa.string())),
        ("annotations", pa.list_(_annotation)),
        ("event", _event),
        ("answer", pa.string()),
        ("source", pa.string()),
    ]
)
#: What was counted while one dataset split was read; ``example`` names the first of the kind.
#: ``outcome``: "" for a fact (records = instances + records left out; bad records lost something
#: to a fault, themselves or an annotation), else what became of it: record left out, annotation
#: left out, mended, noted.
REPORT = pa.schema(
    [
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("what", pa.string()),
        ("count", pa.int64()),
        ("outcome", pa.string()),
        ("example", pa.string()),
    ]
)
#: The REPORT tables of a run: one row for each dataset split. ``instances``: records kept;
#: ``share_bad``: of the records; ``mended``: faults mended; ``reasons``: REPORT rows that are no
#: facts; ``first_bad``: file and record of the first bad record.
VALIDATION = pa.schema(
    [
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("records", pa.int64()),
        ("instances", pa.int64()),
        ("left_out", pa.int64()),
        ("bad", pa.int64()),
        ("share_bad", pa.float64()),
        ("mended", pa.int64()),
        ("duplicates", pa.int64()),
        ("first_bad", pa.string()),
        ("reasons", pa.list_(_reason)),
    ]
)
#: Table 11, number by number: ``what`` is counted in our tables (``ours``); ``paper`` is null where
#: the paper gives no such number; ``difference`` is ours - paper.
STATISTICS = pa.schema(
    [
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("held_out", pa.bool_()),
        ("what", pa.string()),
        ("ours", pa.int64()),
        ("paper", pa.int64()),
        ("difference", pa.int64()),
    ]
)
#: Test instances that also stand in training data. ``n``: instances of the dataset's test set;
#: ``trained_on``: the dataset whose training set holds them, null for all together (one such row
#: for each test set, also where nothing was found); ``exact``: instances whose evened text
#: (``text_hash``) is there; ``near``: others with a near-duplicate there; ``examples``: the first
#: of both, each with the most similar training instance (Jaccard similarity).
OVERLAP = pa.schema(
    [
        ("dataset", pa.string()),
        ("held_out", pa.bool_()),
        ("n", pa.int64()),
        ("trained_on", pa.string()),
        ("exact", pa.int64()),
        ("near", pa.int64()),
        ("examples", pa.list_(_pair)),
    ]
)
#: Ranked demonstrations of queries, from any retriever; ``rank`` from 0, ``score`` its own scale.
CANDIDATES = pa.schema(
    [
        ("query_id", pa.string()),
        ("demonstration_id", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
    ]
)
#: Equation 1: mean log p of the answer's tokens, in nats; ``tokens`` how many were averaged.
SCORES = pa.schema(
    [
        ("query_id", pa.string()),
        ("demonstration_id", pa.string()),
        ("score", pa.float64()),
        ("tokens", pa.int32()),
    ]
)
#: What the reward model thinks of a pair (a logit; only differences within a query mean anything).
REWARDS = pa.schema(
    [("query_id", pa.string()), ("demonstration_id", pa.string()), ("reward", pa.float64())]
)
#: One training step. ``accuracy``: share of groups whose positive is ranked first.
TRAINING = pa.schema(
    [
        ("step", pa.int32()),
        ("loss", pa.float64()),
        ("distill", pa.float64()),
        ("contrastive", pa.float64()),
        ("accuracy", pa.float64()),
        ("learning_rate", pa.float64()),
    ]
)
#: What the language model answered. ``demonstrations``: ids in prompt order, the best last;
#: ``dropped``: demonstrations left out to keep the prompt within its budget.
PREDICTIONS = pa.schema(
    [
        ("query_id", pa.string()),
        ("system", pa.string()),
        ("llm", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("schema", pa.list_(pa.string())),
        ("text", pa.string()),
        ("query", pa.string()),
        ("gold", pa.string()),
        ("prediction", pa.string()),
        ("demonstrations", pa.list_(pa.string())),
        ("dropped", pa.int32()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("finish_reason", pa.string()),
        ("error", pa.string()),
    ]
)
#: Counts of one dataset under one system; precision, recall and F1 in percent.
METRICS = pa.schema(
    [
        ("system", pa.string()),
        ("llm", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("scorer", pa.string()),
        ("n", pa.int64()),
        ("tp", pa.int64()),
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("precision", pa.float64()),
        ("recall", pa.float64()),
        ("f1", pa.float64()),
    ]
)
#: A result table: one row per dataset and one ``average`` row per task (the mean of its datasets).
RESULTS = pa.schema(
    [
        ("system", pa.string()),
        ("llm", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("held_out", pa.bool_()),
        ("n", pa.int64()),
        ("precision", pa.float64()),
        ("recall", pa.float64()),
        ("f1", pa.float64()),
    ]
)

#: Where each dataset's files come from, one row a file; no ``url`` where there is none to fetch.
#: ``state``: in place, to fetch, by hand, failed; ``file`` and ``folder`` as in the registry, below
#: the root that is filled; ``bytes`` and ``sha256`` of what came, null for data put there by hand;
#: ``todo`` what is left to the user.
DOWNLOADS = pa.schema(
    [
        ("dataset", pa.string()),
        ("state", pa.string()),
        ("folder", pa.string()),
        ("url", pa.string()),
        ("file", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("licence", pa.string()),
        ("todo", pa.string()),
    ]
)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path``; on success it takes its place, on failure it is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write(rows: pa.Table | list[dict[str, Any]], schema: pa.Schema, path: str | Path) -> pa.Table:
    """Write rows of exactly ``schema``; a missing, extra or mistyped column is a ``ValueError``."""
    names = set(schema.names)
    found = [set(rows.column_names)] if isinstance(rows, pa.Table) else map(set, rows)
    odd = next((columns ^ names for columns in found if columns != names), None)
    if odd:
        raise ValueError(f"{path}: columns {sorted(odd)} do not match the table's schema")
    if isinstance(rows, list):
        table = pa.Table.from_pylist(rows, schema=schema)
    else:
        table = rows.select(schema.names).cast(schema)
    with replacing(path) as part:
        pq.write_table(table, part, compression="zstd")
    return table


@contextmanager
def writing(schema: pa.Schema, path: str | Path) -> Iterator[Callable[[pa.Table], None]]:
    """Yield a function that adds tables of ``schema`` to the file; it takes its place when all are
    written."""
    with replacing(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as file:
        yield file.write_table


def read_any(path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """A table of any columns. ``UserError`` where the file is missing or is not Parquet."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; run the stage that writes it, or mend the path")
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns)
    except (pa.ArrowInvalid, OSError) as error:
        line = " ".join(str(error).split())
        raise UserError(
            f"{path}: not a readable Parquet file ({line}); delete it and rerun the stage"
        ) from None


def batches(
    path: str | Path, schema: pa.Schema, columns: list[str], size: int = 10_000
) -> Iterator[pa.RecordBatch]:
    """Some columns of a large table of ``schema``, piece by piece; raises what ``read`` raises."""
    wanted = pa.schema([f for f in schema if f.name in columns])
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; run the stage that writes it, or mend the path")
    try:
        with pq.ParquetFile(path) as file:
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
            yield from file.iter_batches(size, columns=wanted.names)
    except (pa.ArrowInvalid, OSError) as error:
        line = " ".join(str(error).split())
        raise UserError(
            f"{path}: not a readable Parquet file ({line}); delete it and rerun the stage"
        ) from None


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
