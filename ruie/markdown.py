"""Pages in Markdown, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ruie import parquet


def cell(value: object) -> str:
    """Numbers with thousands separators, None as a dash; nothing can break the table."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    words = " ".join(str(value).split())
    for sign in "\\|<*`[":
        words = words.replace(sign, f"\\{sign}")
    return words


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [headers, ["---"] * len(headers), *([cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(text: str, path: Path) -> None:
    with parquet.replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
