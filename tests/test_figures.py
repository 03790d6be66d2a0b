"""Figures 3 and 4: their numbers, and that the same numbers draw the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from paper_help import by_place, frame, result

from ruie import figures, paper_data, parquet, schemas
from ruie.cli import UserError

SCORED = "llama-3-8b"
LLM = "llama-3.1-8b-instruct"


def shots(*rows: dict) -> dict[tuple[str, str], dict[str, Any]]:
    found = paper_data.numbers([(SCORED, frame(*rows))], None, {})
    return by_place(figures.by_shots(found, paper_data.load("figure3"), "ruie", LLM, SCORED))


SWEEP = [
    result("zero_shot", "fewrel", 2.0, k=0), result("zero_shot", "ade", 4.0, k=0, held_out=False),
    result("ruie", "fewrel", 40.0, k=2), result("ruie", "ade", 60.0, k=2, held_out=False),
    result("ruie", "fewrel", 48.0, k=16), result("bm25", "ade", 99.0, k=16, held_out=False),
    result("ruie", "ade", 99.0, k=16, llm="other"),
]  # fmt: skip


def test_means_by_k() -> None:
    got = shots(*SWEEP)
    assert list(dict.fromkeys(row for row, _ in got)) == ["k = 0", "k = 2", "k = 16"]
    values = {place: (c["ours"], c["found"], c["wanted"]) for place, c in got.items()}
    assert values["k = 0", "all RE"] == (3.0, 2, 2)
    assert values["k = 2", "all RE"] == (50.0, 2, 2)
    assert values["k = 2", "held-in RE"] == (60.0, 1, 1)
    assert values["k = 2", "held-out RE"] == (40.0, 1, 1)
    # ADE was not asked with k = 16 under ruie and this LLM
    assert values["k = 16", "all RE"] == (48.0, 1, 2)
    assert values["k = 16", "held-in RE"] == (None, 0, 1)
    assert values["k = 2", "all NER"] == (None, 0, 0)
    assert all(c["paper"] is None for c in got.values())


def timed(
    dataset: str, k: int, instances: int, seconds: float | None, **more: Any
) -> dict[str, Any]:
    return {"llm": "tiny", "backend": "vllm", "k": k, "task": "RE", "dataset": dataset,
            "instances": instances, "seconds": seconds, "prompt_tokens": 1,
            "completion_tokens": 1, **more}  # fmt: skip


def speeds(*rows: dict) -> list[dict[str, Any]]:
    made = pd.DataFrame(list(rows), columns=schemas.SPEED.names)
    return figures.by_speed(made, paper_data.load("figure4"))


def test_instances_a_second() -> None:
    """ADE 100 / 5 = 20 with k = 1 and 100 / 10 = 10 with k = 8: twice. With ACE2004's 50 in 5
    and 20 s, together 150 / 10 = 15 and 150 / 30 = 5: three times."""
    got = by_place(
        speeds(
            timed("ade", 1, 100, 5.0), timed("ade", 8, 100, 10.0), timed("ace2004", 1, 50, 5.0),
            timed("ace2004", 8, 50, 20.0), timed("own", 1, 9, 3.0),
        )
    )  # fmt: skip
    values = {place: (c["ours"], c["found"], c["wanted"]) for place, c in got.items()}
    ratio = "k = 1 over k = 8"
    assert values["k = 1", "ADE (RE)"] == (20.0, 1, 1)
    assert values["k = 8", "together"] == (5.0, 2, 4)
    assert values[ratio, "ADE (RE)"] == (2.0, 1, 1)
    assert values[ratio, "together"] == (3.0, 2, 4)
    assert got[ratio, "together"]["difference"] is None  # two of the paper's four datasets
    assert values["k = 1", "ACE2005 (ED)"] == (None, 0, 1)
    assert values["k = 1", "own"] == (3.0, 1, 1)
    assert values[ratio, "own"] == (None, 0, 1)


def test_back_ends_stand_one_below_the_other() -> None:
    """vLLM 10 / 1 and 10 / 4, transformers 10 / 2 and 10 / 10: ratios 4 and 5."""
    slow = {"backend": "transformers"}
    cells = speeds(
        timed("ade", 1, 10, 1.0), timed("ade", 8, 10, 4.0), timed("ade", 1, 10, 2.0, **slow),
        timed("ade", 8, 10, 10.0, **slow),
    )  # fmt: skip
    got = {row: c["ours"] for (row, column), c in by_place(cells).items() if column == "ADE (RE)"}
    assert got == {
        "vllm, k = 1": 10.0, "vllm, k = 8": 2.5, "vllm, k = 1 over k = 8": 4.0,
        "transformers, k = 1": 5.0, "transformers, k = 8": 1.0,
        "transformers, k = 1 over k = 8": 5.0,
    }  # fmt: skip
    line = figures.series(cells, "transformers, ")["ADE (RE)"]
    assert [(k, rate) for k, rate, _ in line] == [(1, 5.0), (8, 1.0)]
    assert figures.series(cells) == {}


def test_no_ratio_of_different_datasets() -> None:
    got = by_place(
        speeds(timed("ade", 1, 10, 1.0), timed("ade", 8, 10, 2.0), timed("ace2004", 8, 10, 1.0))
    )
    assert got["k = 1 over k = 8", "together"]["ours"] is None
    assert got["k = 1 over k = 8", "ADE (RE)"]["ours"] == 2.0


def test_nothing_timed_is_a_gap() -> None:
    got = speeds()
    assert {(c["row"], c["found"]) for c in got} == {("k = 1 over k = 8", 0)}
    assert figures.series(got) == {}
    assert speeds(timed("ade", 1, 0, 0.0))[1]["ours"] is None


def test_tables_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UserError, match="several models"):
        speeds(timed("ade", 1, 1, 1.0), timed("ade", 2, 1, 1.0, llm="another"))
    with pytest.raises(UserError, match="an empty cell"):
        speeds(timed("ade", 1, 1, None))
    with pytest.raises(UserError, match="twice with the same k"):
        speeds(timed("ade", 1, 1, 1.0), timed("ade", 1, 1, 2.0))


def test_the_command_draws_the_same_bytes(tmp_path: Path) -> None:
    results, seconds = tmp_path / "r.parquet", tmp_path / "s.parquet"
    parquet.write(SWEEP, schemas.RESULTS, results)
    parquet.write([timed("ade", 1, 9, 1.0)], schemas.SPEED, seconds)
    made = {}
    for name in "ab":
        out = tmp_path / name
        for figure, words in (("3", ["--results", results]), ("4", ["--speed", seconds])):
            words = ["--figure", figure, *words, "--out", out / f"f{figure}.parquet",
                     "--plots", out, "--markdown", out / f"f{figure}.md"]  # fmt: skip
            figures.main([str(w) for w in words])
        made[name] = {f.name: f.read_bytes() for f in sorted(out.iterdir())}
    assert made["a"] == made["b"]
    assert set(made["a"]) == {
        *(f"figure{n}.{end}" for n in "34" for end in ("svg", "png")),
        *(f"f{n}.{end}" for n in "34" for end in ("parquet", "md")),
    }
    drawn = made["a"]["figure3.svg"].decode()
    assert [f">{text}<" in drawn for text in ("all datasets", "held-in datasets", "RE", "NER")] == [
        True, True, True, False,
    ]  # fmt: skip
    assert "48.00 (1/2)" in made["a"]["f3.md"].decode()


def test_without_any_number_the_plot_says_so(tmp_path: Path) -> None:
    for figure in "34":
        out = tmp_path / "f.parquet"
        figures.main(["--figure", figure, "--out", str(out), "--plots", str(tmp_path)])
        assert ">nothing measured<" in (tmp_path / f"figure{figure}.svg").read_text()
