"""The report's section on what was learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from report_inputs import BAD, Page

from ruie import learned, schemas

NAN = float("nan")


def row(ranker: str, value: float, **changes: Any) -> dict[str, Any]:
    return {"ranker": ranker, "against": "llm", "measure": "auc", "task": "all", "n": 40,
            "value": value, "low": value - 0.125, "high": value + 0.125, **changes}  # fmt: skip


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=schemas.LEARNING.names)


def test_section_shows_a_row_for_each_ranker(tmp_path: Path) -> None:
    recall = {"against": "reward/plain", "measure": "recall@8", "n": 38, "low": 0.0,
              "high": 0.375}  # fmt: skip
    text = learned.section(
        frame(
            row("chance", 0.5), row(BAD, 0.75), row("reward/plain", 0.625, low=NAN, high=NAN),
            row("chance", 0.08, **recall), row(BAD, 0.25, **recall),
            row("llm", 1.5, measure="gain"), row(BAD, -0.25, measure="gain"),
            row("chance", 0.5, task="RE", n=7), row(BAD, 0.875, task="RE", n=7),
        ),
        tmp_path,
    )  # fmt: skip
    read = Page(text)
    assert read.rows == [
        ["Ranker", "AUCn = 40", "recall@8 of reward/plainn = 38", "gainn = 40"],
        ["chance", "0.500[0.38, 0.62]", "0.080[0.00, 0.38]", "-"],
        [BAD, "0.750[0.62, 0.88]", "0.250[0.00, 0.38]", "-0.250[-0.38, -0.12]"],
        ["reward/plain", "0.625", "-", "-"],
        ["llm", "-", "-", "1.500[1.38, 1.62]"],
        ["Ranker", "AUCn = 7"],
        ["chance", "0.500[0.38, 0.62]"],
        [BAD, "0.875[0.75, 1.00]"],
    ]
    assert "RE alone" in read.text
    assert sorted(f.name for f in tmp_path.iterdir()) == ["learning.png", "learning.svg"]
    # two digits on the bars, whose scale ends beyond 1
    assert all(f">{n}<" in text for n in ("0.50", "0.75", "0.62", "0.25"))
    assert not any(f">{n}<" in text for n in ("1.50", "-0.25"))  # gains are no bars


def test_an_empty_table_says_so() -> None:
    assert "There is nothing here" in learned.section(frame(), None)
