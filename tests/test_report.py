"""The report: one page from whatever inputs there are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from report_inputs import BAD, Page, make, results, write_results

from ruie import cli, headline, report


def test_page_holds_the_numbers(inputs: list[str], tmp_path: Path) -> None:
    read = Page(make(inputs, tmp_path))
    assert ["none", "0", "10.00", "20.00", "15.00", "5.00", "5.00"] in read.rows
    assert ["bm25", "4", "40.00", "61.25", "50.62", "5.00", "5.00"] in read.rows
    # equal values are not marked: neither is the best
    assert read.marked("best") == ["40.00", "61.25", "50.62"]
    header = ["filmn = 20 †", "newsn = 60", "averagen = 80", "filmn = 20 †", "averagen = 20 †"]
    assert header in read.rows
    assert headline.NOISE in read.text
    assert ["NER", "film", "train", "7", "9", "-", "-", "3"] in read.rows
    what = "wrong offsets (found by literal search)"
    assert ["NER", "film", "train", what, "3", f"a.json#0: {BAD}"] in read.rows
    assert ["lm", "4", "bm25", "2", "1", "150.5", "6.0", "12", "2", "length 1, stop 1", "0"] \
        in read.rows  # fmt: skip
    assert ["lm", "0", "none", "1", "1", "100.0", "6.0", "6", "0", "stop 1", "1"] in read.rows
    assert "reward: 50 steps; loss 0.913 in the first tenth of the steps, 0.042" in read.text
    assert ["ruie", report.ruie.__version__] in read.rows
    assert ["pandas", pd.__version__] in read.rows


@pytest.mark.parametrize("missing", ["tables", "training", "data", "predictions", "config"])
def test_each_input_may_be_missing(missing: str, inputs: list[str], tmp_path: Path) -> None:
    at = inputs.index(f"--{missing}")
    end = next((i for i in range(at + 1, len(inputs)) if inputs[i].startswith("--")), len(inputs))
    read = Page(make([*inputs[:at], *inputs[end:]], tmp_path))
    said = read.text.count("There is nothing here")
    assert said == {"tables": 2, "predictions": 2}.get(missing, 1)


def test_nothing_at_all_is_a_page(tmp_path: Path) -> None:
    read = Page(make(["--tables", "--training", "--data", "--predictions"], tmp_path, True))
    assert read.text.count("There is nothing here") == 7
    sections = ["results", "averages", "training", "data", "inference", "predictions", "provenance"]
    assert read.ids == sections
    assert not (tmp_path / "plots").exists()


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    for flag in ("--tables", "--data", "--predictions", "--config"):
        with pytest.raises(cli.UserError, match="no such file"):
            make([flag, str(tmp_path / "none")], tmp_path)
    with pytest.raises(SystemExit):
        make(["--training", "without-a-name"], tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_print_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        str(write_results(results(held_out), tmp_path / f"{held_out}.parquet"))
        for held_out in (False, True)
    ]
    report.main(["--print", *names, "--html", "results/report.html"])
    said = capsys.readouterr().out
    assert said.index("Held-out datasets") < said.index("Held-in datasets")
    assert said.count("61.25*") == 2
    assert said.endswith("\nreport: results/report.html\n")
    report.main(["--print", names[0]])
    assert "report:" not in capsys.readouterr().out
