"""Predictions to look at: how they are marked, and why their demonstrations were chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_inputs import Page, make, prediction, write_reasons

from ruie import parquet, schemas


def page(tmp_path: Path, flags: list[str], **changes: object) -> Page:
    parquet.write([prediction(3, **changes)], schemas.PREDICTIONS, tmp_path / "p.parquet")
    return Page(make(["--predictions", str(tmp_path / "p.parquet"), *flags], tmp_path))


def test_spans_are_marked_in_the_text_as_the_scorer_counts_them(tmp_path: Path) -> None:
    read = page(tmp_path, [], prediction="person: Ada; place: Rome; place: Paris; ends here")
    # the first of each kind is in the legend
    assert read.marked("right")[1:] == ["Ada"]
    assert read.marked("wrong")[1:] == ["Rome", "✗ no item: ends here", "✗ place: paris"]
    assert read.marked("missed")[1:] == ["Bo"]
    assert read.marked("gold") == ["Ada", "Bo"]
    assert "1 right, 3 wrong, 1 missed" in read.text
    assert "Schema: [person, place]" in read.text
    assert read.marked("ids") == ["film/train/000007", "film/train/000001"]
    assert "no pool was given" in read.text
    assert "no retrieved candidates were given" in read.text


def test_an_error_is_shown_in_place_of_the_answer(tmp_path: Path) -> None:
    read = page(tmp_path, [], prediction=None, error="too long")
    assert read.marked("wrong")[1:] == ["no answer: too long"]
    assert read.marked("missed")[1:] == ["Ada", "Bo"]


def test_demonstrations_are_shown_with_their_ranks_and_scores(tmp_path: Path) -> None:
    read = page(tmp_path, write_reasons(tmp_path), system="ruie")
    head = ["In the prompt", "Demonstration", "Rank", "Score", "BM25 rank", "Reward*", "LLM score*"]
    assert head in read.rows
    rows = [row for row in read.rows if len(row) == len(head)][1:]
    # prompt order; own rank 1 is the better; BM25 kept one and it is the other
    assert [[row[0], *row[2:]] for row in rows] == [
        ["1", "2", "-0.500", "1", "1.125", "-0.250"],
        ["2", "1", "0.500", "> 1", "1.125", "-0.250"],
    ]
    assert "Output: person: Cy; place: Oslo." in rows[1][1]
    assert read.marked("gold") == ["Ada", "Bo", "Cy", "Oslo"]
    assert "Never shown" not in read.text
    assert "2 demonstrations, 1 dropped to fit" in read.text
    assert "look at the gold answer of the query" in read.text


def test_bm25_is_not_compared_with_itself(tmp_path: Path) -> None:
    read = page(tmp_path, write_reasons(tmp_path), system="bm25")
    assert ["In the prompt", "Demonstration", "Rank", "Score", "Reward*", "LLM score*"] in read.rows


@pytest.mark.parametrize("without", ["--pool", "--why", "--llm-scores", "--reward-scores"])
def test_each_reason_may_be_missing(without: str, tmp_path: Path) -> None:
    flags = write_reasons(tmp_path)
    at = flags.index(without)
    end = next((i for i in range(at + 1, len(flags)) if flags[i].startswith("--")), len(flags))
    read = page(tmp_path, [*flags[:at], *flags[end:]], system="ruie")
    head = next(row for row in read.rows if row[0] == "In the prompt")
    gone = {"--why": {"Rank", "Score", "BM25 rank"}, "--llm-scores": {"LLM score*"},
            "--reward-scores": {"Reward*"}}  # fmt: skip
    whole = {"Rank", "Score", "BM25 rank", "Reward*", "LLM score*"}
    assert set(head[2:]) == whole - gone.get(without, set())


def test_answers_say_what_the_filter_asks_for(inputs: list[str], tmp_path: Path) -> None:
    text = make(inputs, tmp_path)
    assert 'class="answer" data-system="none" data-wrong>' in text
    right = page(tmp_path, [], prediction="person: Ada; person: Bo")
    assert right.marked("wrong") == ["✗ wrong"]
    assert "data-wrong" not in (tmp_path / "report.html").read_text().split("<script")[0]
