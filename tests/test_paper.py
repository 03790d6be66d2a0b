"""The paper's tables with our numbers in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_help import by_place, frame, result, write_run

from ruie import figures, paper, paper_data, paper_render, parquet, schemas
from ruie.cli import UserError

TABLES = {number: paper_data.load(number) for number in ("7", "8", "figure3")}
CROSSNER = ("ai", "literature", "music", "politics", "science")


def cells_of(number: str, *rows: dict, scoring: str = "llama-3-8b") -> dict[Any, dict[str, Any]]:
    found = paper_data.numbers([(scoring, frame(*rows))], None, {})
    return by_place(paper.results_cells(number, paper_data.load(number), found, "llama-3-8b"))


def ner(system: str, **f1: float) -> list[dict]:
    return [result(system, name, value, task="NER") for name, value in f1.items()]


def test_a_mean_is_of_what_was_found() -> None:
    """Of the two for relations one is there; of CrossNER five three: (60 + 66 + 72) / 3 = 66."""
    some = dict(zip((f"crossner_{n}" for n in CROSSNER), (60.0, 66.0, 72.0), strict=False))
    low = {"f1_low": 45.0, "f1_high": 51.0}
    got = cells_of("1", *ner("ruie", **some), result("ruie", "wiki_zsl", 48.0, **low))
    crossner = got["RUIE", "NER CrossNER"]
    assert (crossner["ours"], crossner["found"], crossner["wanted"]) == (66.0, 3, 5)
    assert crossner["paper"] == 65.41
    assert crossner["difference"] is None  # three datasets' mean is no mean of five
    assert (crossner["low"], crossner["high"]) == (None, None)
    with_mit = got["RUIE", "NER with MIT"]
    assert (with_mit["ours"], with_mit["found"], with_mit["wanted"]) == (66.0, 3, 7)
    assert (with_mit["paper"], with_mit["difference"]) == (None, None)
    wiki, average = got["RUIE", "RE Wiki-ZSL"], got["RUIE", "RE average"]
    assert (wiki["ours"], wiki["low"], wiki["high"], wiki["found"]) == (48.0, 45.0, 51.0, 1)
    assert (average["ours"], average["low"], average["found"], average["wanted"]) == (
        48,
        None,
        1,
        2,
    )


def test_gaps_and_reported_numbers() -> None:
    got = cells_of("1", result())
    gap, reported = got["BM25", "RE FewRel"], got["UIE", "NER CrossNER"]
    assert (gap["ours"], gap["found"], gap["wanted"], gap["paper"]) == (None, 0, 1, 44.27)
    assert (reported["ours"], reported["found"], reported["wanted"]) == (None, None, None)
    assert reported["paper"] == 38.37
    assert all(c["found"] == 0 or c["wanted"] is None for c in cells_of("1").values())


@pytest.mark.parametrize(
    "other",
    [{"llm": "gemma"}, {"k": 4}, {"task": "NER"}, {"scorer": "soft"}, {"dataset": "average"},
     {"system": "ruie_no_distill"}],
)  # fmt: skip
def test_other_results_do_not_fill_a_cell(other: dict) -> None:
    got = cells_of("1", result("bm25"), {**result(f1=99.0), **other})
    assert got["RUIE", "RE FewRel"]["found"] == 0
    assert got["BM25", "RE FewRel"]["ours"] == 50.0


def test_another_scoring_llm_fills_no_cell_but_table_7s() -> None:
    assert cells_of("1", result(), scoring="gpt-neo-2.7b")["RUIE", "RE FewRel"]["found"] == 0
    got = cells_of("7", result(), scoring="gpt-neo-2.7b")
    assert (got["GPTNeo", "RE"]["ours"], got["GPTNeo", "RE"]["found"]) == (50.0, 1)
    assert got["LLaMA3", "RE"]["found"] == 0


def test_the_llm_of_a_row_is_its_own() -> None:
    got = cells_of("1", result(f1=1.0), result(f1=2.0, llm="deepseek-chat"))
    assert got["RUIE", "RE FewRel"]["ours"] == 1.0
    assert got["RUIE-Deepseek", "RE FewRel"]["ours"] == 2.0


def test_datasets_as_rows() -> None:
    """(70 + 80) / 2 = 75 of the eight."""
    got = cells_of("3", result("e5", "ade", 70.0), result("e5", "nyt", 80.0))
    assert got["ADE corpus", "E5"]["difference"] == pytest.approx(70 - 70.39)
    average = got["average", "E5"]
    assert (average["ours"], average["found"], average["wanted"]) == (75.0, 2, 8)
    assert got["ADE corpus", "SOTA"]["wanted"] is None


def test_ner_with_and_without_mit() -> None:
    """CrossNER 60 each; with MIT's 74 and 88 (5 * 60 + 74 + 88) / 7 = 66."""
    f1 = {f"crossner_{n}": 60.0 for n in CROSSNER} | {"mit_movie": 74.0, "mit_restaurant": 88.0}
    got = cells_of("6", *ner("ruie", **f1))
    assert got["RUIE", "NER"]["ours"] == pytest.approx(66)
    assert got["RUIE", "NER"]["difference"] == pytest.approx(66 - 68.24)
    assert got["RUIE", "NER without MIT"]["ours"] == 60.0
    assert got["RUIE", "NER without MIT"]["paper"] == 65.41


def test_our_own_models_have_rows_too() -> None:
    got = cells_of("8", result(llm="gemma"), result("bm25", llm="other"), result(llm="third", k=2))
    assert (got["gemma", "RE"]["ours"], got["gemma", "RE"]["paper"]) == (50.0, None)
    assert {row for row, _ in got} - {r["name"] for r in paper_data.load("8")["rows"]} == {"gemma"}
    assert ("mine", "RE") in cells_of("7", result(), scoring="mine")


def test_table_10() -> None:
    rows = [
        {"llm": llm, "side": side, "n": 9, "mean": mean, "variance": variance}
        for llm, side, mean, variance in [
            ("llama-3-8b", "positives", -0.5, 0.25), ("mine", "negatives", -2.0, 1.5),
        ]
    ]  # fmt: skip
    spread = pd.DataFrame(rows, columns=schemas.SPREAD.names)
    got = by_place(paper.spread_cells("10", paper_data.load("10"), spread))
    assert got["base", "positives mean"]["difference"] == pytest.approx(-0.11)
    assert got["base", "positives variance"]["ours"] == 0.25
    assert (got["base", "negatives mean"]["found"], got["base", "negatives mean"]["wanted"]) == (
        0,
        1,
    )
    assert got["instruct", "positives mean"]["paper"] == -0.36
    assert got["mine", "negatives variance"]["ours"] == 1.5


def test_table_11() -> None:
    def size(dataset: str, what: str, ours: int, printed: int | None, held_out: bool) -> dict:
        return {"dataset": dataset, "what": what, "ours": ours, "paper": printed,
                "held_out": held_out}  # fmt: skip

    rows = [
        size("ade", "labels", 1, 1, False), size("ade", "train", 3000, 3417, False),
        size("wiki", "event types", 40, None, True),
        size("wiki", "event types in test", 34, 31, True),
        size("wiki", "type-role pairs", 99, None, True),
        size("wiki", "test", 400, None, True), size("wiki", "test sentences", 250, 249, True),
        size("wiki", "train", 4, None, True), size("wiki", "train sentences", 3, None, True),
    ]  # fmt: skip
    got = by_place(paper.size_cells("11", paper_data.load("11"), rows))
    values = {place: (c["ours"], c["paper"], c["difference"]) for place, c in got.items()}
    assert values["ade", "Train"] == (3000, 3417, -417)
    assert values["ade", "Test"] == (None, None, None)
    assert values["wiki †", "Schema"] == (34, 31, 3)
    assert values["wiki †", "Roles"] == (None, None, None)
    assert values["wiki †", "Test"] == (250, 249, 1)
    assert values["wiki †", "Train"] == (3, None, None)


odd = st.none() | st.sampled_from(["ruie", "fewrel", "RE", "strict", "", "llama-3.1-8b-instruct"])
measure = st.none() | st.floats()


@given(
    st.lists(
        st.fixed_dictionaries(
            dict.fromkeys(["system", "llm", "task", "dataset", "scorer"], odd)
            | dict.fromkeys(["precision", "recall", "f1", "f1_low", "f1_high"], measure)
            | {"k": st.none() | st.integers(0, 9), "held_out": st.none() | st.booleans()}
            | {"n": st.none() | st.integers(0, 9)}
        )
    )
)
@settings(max_examples=15)
def test_no_results_break_a_table(rows: list[dict[str, Any]]) -> None:
    """Empty cells, numbers that are none, names of other columns."""
    read = pa.Table.from_pylist([result(), *rows], schemas.RESULTS).to_pandas()
    found = paper_data.numbers([("llama-3-8b", read)], None, {})
    for number in ("7", "8"):
        table = TABLES[number]
        cells = paper.results_cells(number, table, found, "llama-3-8b")
        assert any(c["found"] for c in cells)
        assert paper_render.to_markdown(number, table, cells)
        assert paper_render.to_latex(number, table, cells)
    assert figures.by_shots(found, TABLES["figure3"], "ruie", "llama-3.1-8b-instruct", "llama-3-8b")


def test_a_file_that_is_no_table_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    parquet.write([result()], schemas.RESULTS, path)
    whole = path.read_bytes()
    for content in (whole[:-9], whole[: len(whole) // 2], b"", b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a readable Parquet file"):
            paper.main(["--table", "1", "--results", str(path), "--out", str(tmp_path / "t")])


def made(tmp_path: Path, *words: Any) -> tuple[dict[Any, dict[str, Any]], str, str]:
    out = tmp_path / "out"
    paths = ["--out", out / "t.parquet", "--markdown", out / "t.md", "--latex", out / "t.tex"]
    paper.main([str(word) for word in (*words, *paths)])
    rows = parquet.read(out / "t.parquet", schemas.PAPER).to_pylist()
    texts = [(out / f"t.{end}").read_text(encoding="utf-8") for end in ("md", "tex")]
    return by_place(rows), *texts


def test_several_runs(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", "llama-3-8b", frame(result(f1=51.0)))
    two = write_run(tmp_path / "two", "neo", frame(result(f1=49.0)))
    words = ["--table", "7", "--runs", one, two, "--rename", "neo=gpt-neo-2.7b"]
    got, markdown, latex = made(tmp_path, *words)
    assert got["LLaMA3", "RE"]["ours"] == 51.0
    assert got["GPTNeo", "RE"]["ours"] == 49.0
    assert "51.00 (1/2)" in markdown
    assert "51.00 (1/2)" in latex
    # the first run is the one whose results stand in the other tables
    got, *_ = made(tmp_path, "--table", "6", "--runs", two, one)
    assert got["RUIE", "RE"]["ours"] == 49.0


def test_metrics_of_a_run_that_is_still_going_on(tmp_path: Path) -> None:
    row = {k: v for k, v in result(llm="mine", k=4).items() if k in schemas.METRICS.names}
    row |= {"tp": 1.0, "fp": 1.0, "fn": 1.0}
    path = tmp_path / "m.parquet"
    parquet.write([row], schemas.METRICS, path)
    got, *_ = made(tmp_path, "--table", "1", "--metrics", path, "--llm", "mine", "--k", "4")
    assert got["RUIE", "RE FewRel"]["ours"] == 50.0
    got, *_ = made(tmp_path, "--table", "1", "--metrics", path)
    assert got["RUIE", "RE FewRel"]["found"] == 0


def test_nothing_at_all_is_a_table_of_gaps(tmp_path: Path) -> None:
    for number in paper.TABLES[:-1]:
        got, markdown, _ = made(tmp_path, "--table", number)
        assert not any(c["found"] for c in got.values())
        assert "| – |" in markdown


def test_what_a_table_is_made_from_must_be_said(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "r.parquet"
    parquet.write([result()], schemas.RESULTS, path)
    for words, says in (
        (["--table", "7", "--results", str(path)], "--table 7 goes by the scoring LLM"),
        (["--table", "11"], "--table 11 needs --statistics"),
    ):
        with pytest.raises(SystemExit):
            paper.main([*words, "--out", str(tmp_path / "t.parquet")])
        assert says in capsys.readouterr().err
    got, *_ = made(tmp_path, "--table", "7", "--results", path, "--scoring", "llama-3-8b")
    assert got["LLaMA3", "RE"]["found"] == 1


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    parquet.write([result()], schemas.RESULTS, path)
    for name in "ab":
        made(tmp_path / name, "--table", "1", "--results", path)
    for end in ("parquet", "md", "tex"):
        one, other = (tmp_path / name / f"out/t.{end}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_a_supervised_models_run_stands_beside_its_reported_figures() -> None:
    """Whatever its LLM is called: 45 measured, 39.55 reported, 5.45 more. Without a run only the
    reported figure is there."""
    own = {"llm": "my-flan", "k": 0}
    rows = [result("instructuie", f1=45.0, **own), result("instructuie", "wiki_zsl", 35.0, **own)]
    got = cells_of("1", *rows, result("instructuie", f1=1.0, llm="another", k=0))
    cell = got["InstructUIE", "RE FewRel"]
    assert (cell["ours"], cell["paper"], cell["wanted"]) == (45.0, 39.55, 1)
    assert cell["difference"] == pytest.approx(5.45)
    assert got["InstructUIE", "RE average"]["ours"] == 40.0
    assert got["InstructUIE", "NER CrossNER"]["wanted"] is None
    assert got["UIE", "RE FewRel"]["wanted"] is None
    # with demonstrations it is none
    assert cells_of("1", result("instructuie"))["InstructUIE", "RE FewRel"]["wanted"] is None
