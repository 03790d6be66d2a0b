"""Sections of the report that hold numbers of the run."""

from __future__ import annotations

import pandas as pd
from report_inputs import results

from ruie import sections


def test_several_k_are_drawn_for_each_task() -> None:
    rows = results()
    assert sections.sweep(rows, None) is None  # 4, and 0 of the zero shot, which is a level
    drawn = sections.sweep(pd.concat([rows, rows[rows["k"] == 4].assign(k=8)]), None)
    assert drawn is not None
    assert [drawn.count(f">{word}<") for word in ("NER, lm", "RE, lm")] == [1, 1]


def test_only_the_first_scorer_stands_open() -> None:
    rows = results()
    both = pd.concat([rows, rows.assign(scorer="soft", f1=rows["f1"] + 1)])
    text = str(sections.results(both, ["soft", "strict"]))
    assert "by the soft scorer" in text
    assert text.index("by the soft scorer") < text.index("The same by the strict scorer")
