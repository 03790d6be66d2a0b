"""What the answers of a run took."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from report_inputs import Page, make, prediction, results, write_results

from ruie import parquet, report, schemas, usage

#: Of two datasets and two systems: 100 + 120, 50 and 300 prompt tokens, 6 + 8, 4 and 10 new ones.
ANSWERS = [
    prediction(0),
    prediction(1, prompt_tokens=120, completion_tokens=8, prediction=""),
    # given up: what was counted before it was sent is nobody's count
    prediction(2, prompt_tokens=999, completion_tokens=0, prediction="", finish_reason="error",
               error="HTTP 503"),
    # all tokens went into thinking: an error, and paid for
    prediction(0, dataset="news", prompt_tokens=50, completion_tokens=4, prediction="",
               finish_reason="length", error="the answer holds no text"),
    prediction(0, "none", k=0, llm="free", prompt_tokens=300, completion_tokens=10),
]  # fmt: skip


def written(folder: Path, *words: str) -> pd.DataFrame:
    """The USAGE table of the answers in two files."""
    for name, rows in (("a", ANSWERS[:2]), ("b", ANSWERS[2:])):
        parquet.write(rows, schemas.PREDICTIONS, folder / f"{name}.parquet")
    files = [str(folder / f"{name}.parquet") for name in "ab"]
    usage.main(["--predictions", *files, *words, "--out", str(folder / "u.parquet")])
    return parquet.read(folder / "u.parquet", schemas.USAGE).to_pandas()


def test_sums_by_run_over_files(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert found["cost"].isna().all()
    rows = found.drop(columns=["task", "cost"]).itertuples(index=False, name=None)
    assert list(rows) == [
        # system, llm, k, dataset; requests, prompt tokens, new tokens, errors, empty
        ("bm25", "lm", 4, "film", 3, 220, 14, 1, 1),
        ("bm25", "lm", 4, "news", 1, 50, 4, 1, 0),
        ("none", "free", 0, "film", 1, 300, 10, 0, 0),
    ]


def test_cost_where_prices_are_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ruie")
    found = written(tmp_path, "--prices", "lm=100,1000.5,7", "other=1,1")
    # 220 * 100 + 14 * 1000.5 = 36007; 50 * 100 + 4 * 1000.5 = 9002, of a million each
    assert found["cost"].tolist()[:2] == pytest.approx([0.036007, 0.009002])
    assert pd.isna(found["cost"].iloc[2])
    line = (
        "5 requests, 570 prompt tokens, 28 new tokens; errors: 2, empty answers: 1; "
        "cost: 0.0450 at most"
    )
    assert line in caplog.text
    sums = usage.totals(found).set_index("llm")
    assert sums.loc["lm", ["requests", "prompt_tokens"]].tolist() == [4, 270]
    assert sums.loc["lm", "cost"] == pytest.approx(0.045009)
    assert pd.isna(sums.loc["free", "cost"])


def test_the_report_shows_the_totals(tmp_path: Path) -> None:
    written(tmp_path, "--prices", "lm=100,1000.5")
    read = Page(make(["--usage", str(tmp_path / "u.parquet")], tmp_path))
    assert ["lm", "4", "270", "18", "2", "1", "0.0450"] in read.rows
    assert ["free", "1", "300", "10", "0", "0", "-"] in read.rows
    assert "In all: 5 requests, 570 prompt tokens" in read.text
    written(tmp_path)
    read = Page(make(["--usage", str(tmp_path / "u.parquet")], tmp_path))
    assert ["lm", "4", "270", "18", "2", "1"] in read.rows
    assert "cost" not in read.text.lower()


def test_a_terminal_shows_the_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    table = write_results(results(), tmp_path / "t.parquet")
    report.main(["--print", str(table), "--usage", str(tmp_path / "u.parquet")])
    said = capsys.readouterr().out
    assert said.endswith(
        "\nanswers: 5 requests, 570 prompt tokens, 28 new tokens; errors: 2, empty answers: 1\n"
    )
