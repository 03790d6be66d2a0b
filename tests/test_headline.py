"""The headline tables, on the page and in a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from report_inputs import Page, averaged, make, metrics, results, write_results

from ruie import cli, headline, report


def test_large_datasets_are_not_called_noise(tmp_path: Path) -> None:
    frame = results().assign(n=50)
    write_results(frame, tmp_path / "t.parquet")
    assert headline.NOISE not in make(["--tables", str(tmp_path / "t.parquet")], tmp_path)


def test_results_that_contradict_are_refused() -> None:
    twice = pd.concat([results(), results().assign(f1=1.0)])
    with pytest.raises(cli.UserError, match="two different results"):
        list(headline.panels(twice))
    assert len(list(headline.panels(pd.concat([results(), results()])))) == 1


def test_intervals_stand_below_the_values_where_there_are_any(tmp_path: Path) -> None:
    without = results().assign(f1_low=float("nan"), f1_high=float("nan"))
    for frame, value in ((results(), "61.25[59.2, 64.2]"), (without, "61.25")):
        write_results(frame, tmp_path / "t.parquet")
        rows = Page(make(["--tables", str(tmp_path / "t.parquet")], tmp_path)).rows
        assert any(value in row for row in rows), value


def test_other_scorers_are_folded_and_do_not_count_as_contradictions(tmp_path: Path) -> None:
    both = pd.concat([results(), results().assign(scorer="soft", f1=99.0)])
    write_results(both, tmp_path / "t.parquet")
    flags = ["--tables", str(tmp_path / "t.parquet")]
    text = make(flags, tmp_path)
    fold = text.index("The same by the soft scorer")
    assert text.index("61.25") < fold < text.index("99.00")
    assert headline.scorers(both) == ["strict", "soft"]
    # named the other way round
    text = make([*flags, "--scorers", "soft", "strict", "unknown"], tmp_path)
    assert "by the soft scorer, one row" in text
    assert text.index("99.00") < text.index("The same by the strict scorer")
    out = io.StringIO()
    report.print_table(both, "x", file=out)
    assert "scorer strict" in out.getvalue()
    assert "99.00" not in out.getvalue()


def test_print_table(tmp_path: Path) -> None:
    out = io.StringIO()
    report.print_table(results(), "Held-out", file=out)
    lines = [line.split() for line in out.getvalue().split("\n")]
    assert lines[0] == ["Held-out:", "F1", "in", "percent,", "scorer", "strict"]
    assert ["NER", "RE"] in lines
    assert ["film", "news", "avg", "film", "avg"] in lines
    assert ["system", "range", "k", "n=20", "n=60", "n=80", "n=20", "n=20"] in lines
    assert ["none", "-", "0", "10.00", "20.00", "15.00", "5.00", "5.00"] in lines
    assert ["bm25", "same-task", "4", "40.00*", "61.25*", "50.62*", "5.00", "5.00"] in lines


def test_the_range_is_shown_where_it_is_known(tmp_path: Path) -> None:
    path = write_results(results(), tmp_path / "t.parquet")
    rows = Page(make(["--tables", str(path)], tmp_path)).rows
    assert {row[0] for row in rows if row[1:2] in (["0"], ["4"])} == {"none", "bm25same-task"}
    without = results().assign(range=None)
    assert headline.ranges(without) == {}
    out = io.StringIO()
    report.print_table(without, "x", file=out)
    lines = [line.split() for line in out.getvalue().split("\n")]
    assert ["system", "k", "n=20", "n=60", "n=80", "n=20", "n=20"] in lines


def test_print_table_keeps_to_the_width() -> None:
    rows = [
        metrics(system, 4, task, f"some_long-name_of_set{i}", 10.0 * i + len(task))
        for system in ("one", "two")
        for task in ("NER", "RE", "EET", "EEA")
        for i in range(9)
    ]
    frame = averaged(rows, False)
    printed = {}
    for width in (60, 100):
        out = io.StringIO()
        report.print_table(frame, "x", file=out, width=width)
        table = out.getvalue().split("\n\n*")[0]
        assert max(map(len, table.split("\n"))) <= width
        values = [line.split()[3:] for line in table.split("\n") if line.startswith("one")]
        printed[width] = [value for block in values for value in block]
    assert len(printed[60]) == 4 * 10
    assert printed[60] == printed[100]
