"""The headline tables, on the page and in a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from report_inputs import make, metrics, results, write_results

from ruie import cli, headline, report, tables


def test_large_datasets_are_not_called_noise(tmp_path: Path) -> None:
    frame = results().assign(n=50)
    write_results(frame, tmp_path / "t.parquet")
    assert headline.NOISE not in make(["--tables", str(tmp_path / "t.parquet")], tmp_path)


def test_results_that_contradict_are_refused() -> None:
    twice = pd.concat([results(), results().assign(f1=1.0)])
    with pytest.raises(cli.UserError, match="two different results"):
        list(headline.panels(twice))
    assert len(list(headline.panels(pd.concat([results(), results()])))) == 1


def test_print_table(tmp_path: Path) -> None:
    out = io.StringIO()
    report.print_table(results(), "Held-out", file=out)
    lines = [line.split() for line in out.getvalue().split("\n")]
    assert lines[0] == ["Held-out:", "F1", "in", "percent"]
    assert ["NER", "RE"] in lines
    assert ["film", "news", "avg", "film", "avg"] in lines
    assert ["system", "k", "n=20", "n=60", "n=80", "n=20", "n=20"] in lines
    assert ["none", "0", "10.00", "20.00", "15.00", "5.00", "5.00"] in lines
    assert ["bm25", "4", "40.00*", "61.25*", "50.62*", "5.00", "5.00"] in lines


def test_print_table_keeps_to_the_width() -> None:
    rows = [
        metrics(system, 4, task, f"some_long-name_of_set{i}", 10.0 * i + len(task))
        for system in ("one", "two")
        for task in ("NER", "RE", "EET", "EEA")
        for i in range(9)
    ]
    frame = tables.run(pd.DataFrame(rows), False, [])
    printed = {}
    for width in (60, 100):
        out = io.StringIO()
        report.print_table(frame, "x", file=out, width=width)
        table = out.getvalue().split("\n\n*")[0]
        assert max(map(len, table.split("\n"))) <= width
        values = [line.split()[2:] for line in table.split("\n") if line.startswith("one")]
        printed[width] = [value for block in values for value in block]
    assert len(printed[60]) == 4 * 10
    assert printed[60] == printed[100]
