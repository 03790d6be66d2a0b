"""Which predictions the report shows, and their demonstrations read from tables of any size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ruie import examples, parquet, schemas
from ruie.examples import Example


def chosen(paths: Sequence[Path], samples: int, seed: int) -> list[dict[str, Any]]:
    """The PREDICTIONS rows of ``samples`` queries of each dataset: by a seeded hash of the query's
    id, so that all systems show the same queries and the order of files does not matter."""
    kept: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for path in paths:
        whole = parquet.read(path, schemas.PREDICTIONS)
        names = whole.select(["task", "dataset", "llm", "k", "system", "query_id"]).to_pylist()
        lots = [hashlib.sha256(f"{seed}:{r['query_id']}".encode()).hexdigest() for r in names]
        for at in sorted(range(len(lots)), key=lots.__getitem__):
            group = kept.setdefault(tuple(names[at].values())[:-1], {})
            if lots[at] in group:
                continue
            worst = max(group) if len(group) >= samples else ""
            if lots[at] < worst:
                del group[worst]
            if len(group) < samples:
                group[lots[at]] = whole.slice(at, 1).to_pylist()[0]
    return [group[lot] for group in kept.values() for lot in sorted(group)]


def pairs(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """(query, demonstration) of all rows, each once, in the order of their ids."""
    return sorted({(r["query_id"], d) for r in rows for d in r["demonstrations"] or []})


def of_ids(
    paths: Iterable[Path], schema: pa.Schema, column: str, ids: Iterable[str]
) -> list[dict[str, Any]]:
    """Rows of tables whose ``column`` is one of ``ids``; no table is held in memory whole."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    rows: list[dict[str, Any]] = []
    for path in paths:
        for batch in parquet.batches(path, schema, schema.names):
            rows += batch.filter(pc.is_in(batch[column], wanted)).to_pylist()
    return rows


def by_id(paths: Iterable[Path], ids: Iterable[str]) -> dict[str, Example]:
    """Those examples of EXAMPLES tables that have one of ``ids``."""
    rows = of_ids(paths, schemas.EXAMPLES, "id", ids)
    return examples.by_id(examples.from_table(pa.Table.from_pylist(rows, schemas.EXAMPLES)))
