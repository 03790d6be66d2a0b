"""The report's section on where the gain is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from report_inputs import BAD, Page

from ruie import chained, parquet, report, schemas

NAN = float("nan")


def row(ranking: str, measure: str, k: int | None, value: float, **changes: Any) -> dict[str, Any]:
    return {"ranking": ranking, "measure": measure, "k": k, "candidates": 8, "split": "test",
            "held_out": True, "task": "all", "dataset": "all", "n": 40, "value": value,
            "low": value - 0.125, "high": value + 0.125, **changes}  # fmt: skip


ROWS = [
    row("zero_shot", "over_chance", 0, -0.75),
    row("llm", "over_chance", 1, 1.5), row("llm", "over_chance", 4, 1.25),
    row(BAD, "correlation", None, 0.25), row(BAD, "over_chance", 1, -0.5, low=NAN, high=NAN),
    row(BAD, "over_chance", 4, 0.5),
    row(BAD, "over_chance", 1, 2.5, task="NER", dataset="film", n=7),
    row(BAD, "over_chance", 1, 0.875, held_out=False, candidates=4, n=9),
]  # fmt: skip


def test_section_shows_a_table_for_each_side_and_dataset(tmp_path: Path) -> None:
    text = chained.section(pd.DataFrame(ROWS, columns=schemas.CHAIN.names), tmp_path)
    read = Page(text)
    assert read.rows == [
        ["Ranker", "over chance, k = 1n = 40", "over chance, k = 4n = 40", "correlationn = 40"],
        ["llm", "1.500[1.38, 1.62]", "1.250[1.12, 1.38]", "-"],
        [BAD, "-0.500", "0.500[0.38, 0.62]", "0.250[0.12, 0.38]"],
        ["zero_shot", "-0.750[-0.88, -0.62]", "-0.750[-0.88, -0.62]", "-"],
        ["Ranker", "over chance, k = 1n = 9"],
        [BAD, "0.875[0.75, 1.00]"],
        ["Ranker", "over chance, k = 1n = 7"],
        [BAD, "2.500[2.38, 2.62]"],
    ]
    assert "film: held out, test, 8 candidates" in read.text
    assert "held in, test, 4 candidates" in read.text
    assert sorted(f.name for f in tmp_path.iterdir()) == ["chain.png", "chain.svg"]
    drawn = text[text.index("<svg") : text.index("</svg>")]
    assert [f">{n}<" in drawn for n in ("k = 1", "k = 4", "llm", "zero_shot")] == [True] * 4


def test_report_has_the_section_where_there_is_a_table(tmp_path: Path) -> None:
    parquet.write(ROWS, schemas.CHAIN, tmp_path / "chain.parquet")
    for given, n in (([], 0), (["--chain", str(tmp_path / "chain.parquet")], 1)):
        report.main([*given, "--out", str(tmp_path / "report.html")])
        assert (tmp_path / "report.html").read_text().count('<section id="chain"') == n
