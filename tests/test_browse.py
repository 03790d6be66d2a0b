"""Predictions to look at: which are shown, and how they are marked."""

from __future__ import annotations

from pathlib import Path

from report_inputs import Page, make, prediction

from ruie import browse, parquet, schemas


def test_items_are_marked_as_the_scorer_counts_them(tmp_path: Path) -> None:
    parquet.write([prediction(3)], schemas.PREDICTIONS, tmp_path / "p.parquet")
    read = Page(make(["--predictions", str(tmp_path / "p.parquet")], tmp_path))
    assert read.marked("right") == ["✓ person: ada"]
    assert read.marked("wrong") == ["✗ place: rome"]
    assert read.marked("missed") == ["missed: person: bo"]
    assert read.marked("ids") == ["1. film/train/000007", "2. film/train/000001"]
    assert "Schema: [person, place]" in read.text


def test_an_error_is_shown_in_place_of_the_answer(inputs: list[str], tmp_path: Path) -> None:
    assert "no answer: too long" in Page(make(inputs, tmp_path)).marked("wrong")


def test_samples_are_the_same_queries_for_all_systems(tmp_path: Path) -> None:
    paths = []
    for system in ("none", "bm25"):
        paths.append(tmp_path / f"{system}.parquet")
        rows = [prediction(i, system) for i in range(20)]
        parquet.write(rows, schemas.PREDICTIONS, paths[-1])

    def queries(seed: int, order: int = 1) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in browse.chosen(paths[::order], 3, seed):
            found.setdefault(row["system"], set()).add(row["query_id"])
        return found

    first = queries(0)
    assert [len(ids) for ids in first.values()] == [3, 3]
    assert first["none"] == first["bm25"]
    assert first == queries(0, -1)
    assert len({tuple(sorted(queries(seed)["none"])) for seed in range(5)}) > 1
