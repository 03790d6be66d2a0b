"""The report: one page from whatever inputs there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_inputs import BAD, Page, make, results, write_results

from ruie import cli, headline, report

SECTIONS = [
    "results", "charts", "significance", "labels", "errors", "inference", "predictions", "speed",
    "scoring", "training", "learning", "data", "provenance",
]  # fmt: skip


def test_page_holds_the_numbers(inputs: list[str], tmp_path: Path) -> None:
    read = Page(make(inputs, tmp_path))
    values = [10, 20, 15, 5, 5]
    row = [f"{v:.2f}[{v - 2:.1f}, {v + 3:.1f}]" for v in values]
    assert ["none", "0", *row] in read.rows
    # equal values are not marked: neither is the best
    assert read.marked("best") == ["40.00", "61.25", "50.62"]
    header = ["filmn = 20 †", "newsn = 60", "averagen = 80", "filmn = 20 †", "averagen = 20 †"]
    assert header in read.rows
    assert headline.NOISE in read.text
    assert ["NER", "film", "train", "-", "-", "-", "7", "9", "-", "-", "3"] in read.rows
    what = "wrong offsets (found by literal search)"
    assert ["NER", "film", "train", what, "mended", "3", f"a.json#0: {BAD}"] in read.rows
    # of two answers both lost a demonstration, and one was cut
    assert ["lm", "4", "bm25", "2", "1", "150.5", "6.0", "12", "2", "2", "film 2", "1",
            "length 1, stop 1", "0"] in read.rows  # fmt: skip
    assert ["lm", "0", "none", "1", "1", "100.0", "6.0", "6", "0", "0", "", "0", "stop 1", "1"] \
        in read.rows  # fmt: skip
    # 1500 of 4000 tokens are computed
    assert ["NER", "film", "6", "48", "31", "5", "8", "1", "4,000", "1,500", "62.5"] in read.rows
    assert "48 candidates, 31 prompts; 5 without their demonstration, 8 skipped" in read.text
    assert "reward: 50 steps; loss 0.913 in the first tenth of the steps, 0.042" in read.text
    assert "MRR 0.250 when first measured, 0.500 at last; 25.5 samples/s (median)" in read.text
    assert [BAD, "0.750[0.62, 0.88]"] in read.rows
    assert "3 datasets, 2 systems, 1 language model, 3 answers; k = 4" in read.text


def test_page_holds_speed_and_provenance(inputs: list[str], tmp_path: Path) -> None:
    read = Page(make(inputs, tmp_path))
    # 5 and 10 seconds for 20 answers; 2000 / 20 tokens; 100 tokens in that time
    assert ["lm", "vllm", "NER", "0", "20", "5.0", "250.0", "100.0", "20.0"] in read.rows
    assert ["lm", "vllm", "NER", "4", "20", "10.0", "500.0", "100.0", "10.0"] in read.rows
    assert ["commit", "abc123"] in read.rows
    assert ["lm", "models/lm", "config.json", "12", "file", "00ff"] in read.rows
    assert "seed = 42; of the queries shown on this page: 0." in read.text


@pytest.mark.parametrize(
    "missing",
    ["tables", "training", "data", "predictions", "config", "provenance", "comparisons", "labels",
     "errors", "speed", "planned", "learning"],
)  # fmt: skip
def test_each_input_may_be_missing(missing: str, inputs: list[str], tmp_path: Path) -> None:
    at = inputs.index(f"--{missing}")
    end = next((i for i in range(at + 1, len(inputs)) if inputs[i].startswith("--")), len(inputs))
    read = Page(make([*inputs[:at], *inputs[end:]], tmp_path))
    said = read.text.count("There is nothing here")
    assert said == {"tables": 2, "predictions": 2}.get(missing, 1)


def test_nothing_at_all_is_a_page(tmp_path: Path) -> None:
    read = Page(make(["--tables", "--training", "--data", "--predictions"], tmp_path, True))
    assert read.text.count("There is nothing here") == len(SECTIONS) + 1  # provenance lacks two
    assert read.ids == SECTIONS
    assert not (tmp_path / "plots").exists()


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    for flag in ("--tables", "--data", "--predictions", "--config", "--provenance", "--labels"):
        with pytest.raises(cli.UserError, match="no such file"):
            make([flag, str(tmp_path / "none")], tmp_path)
    for flag in ("--training", "--why"):
        with pytest.raises(SystemExit):
            make([flag, "without-a-name"], tmp_path)
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
