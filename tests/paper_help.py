"""What the tests of the paper's tables share: made-up results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from ruie import parquet, schemas


def result(system: str = "ruie", dataset: str = "fewrel", f1: float = 50.0, **more: Any) -> dict:
    return {
        "system": system, "llm": "llama-3.1-8b-instruct", "k": 8, "task": "RE", "dataset": dataset,
        "range": "mixed", "scorer": "strict", "held_out": True, "n": 10, "precision": f1,
        "recall": f1, "f1": f1, "f1_low": None, "f1_high": None, **more,
    }  # fmt: skip


def frame(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=schemas.RESULTS.names)


def write_run(folder: Path, scoring: str, rows: pd.DataFrame) -> Path:
    """A run's folder; beside its results a table of other columns."""
    parquet.write(rows.to_dict("records"), schemas.RESULTS, folder / "tables/heldout.parquet")
    parquet.write([], schemas.METRICS, folder / "tables/other.parquet")
    (folder / "config.json").write_text(json.dumps({"scoring": {"llm": scoring}}))
    return folder


def by_place(cells: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    found = {(c["row"], c["column"]): c for c in cells}
    assert len(found) == len(cells)
    return found
