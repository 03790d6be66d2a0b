"""Sections behind the results: significance, labels, kinds of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_inputs import BAD, Page, write_details

from ruie import details, parquet, schemas
from ruie.page import Html, document


@pytest.fixture
def given(tmp_path: Path) -> dict[str, pd.DataFrame]:
    write_details(tmp_path)
    kinds = {"comparisons": schemas.COMPARISONS, "labels": schemas.LABELS, "errors": schemas.ERRORS}
    return {n: parquet.read(tmp_path / f"{n}.parquet", s).to_pandas() for n, s in kinds.items()}


def page(section: Html) -> Any:
    return Page(document("t", "", [("s", "S", section)]))


def test_differences_stand_under_the_side_of_their_datasets(given) -> None:
    read = page(details.comparisons(given["comparisons"], ["none", "bm25"], ["strict"]))
    held_out, held_in = read.text.index("Held-out datasets"), read.text.index("Held-in datasets")
    assert held_out < read.text.index("0.250") < held_in < read.text.index("0.500")
    compared = ["lm", "4", "NER", "film", "bm25", "none", "20", "+30.00", "[+12.2, +44.0]"]
    assert [*compared, "< 0.001"] in read.rows
    average = ["average", *compared[4:], "0.250"]
    # of a task, then of all tasks
    assert [["lm", "4", task, *average] for task in ("NER", "all")] == [
        row for row in read.rows if row[3:] == average
    ]
    assert read.marked("sure") == ["+30.00", "< 0.001"]


def test_labels_with_what_has_none(given) -> None:
    rows = page(details.labels(given["labels"], ["bm25"])).rows
    assert ["place", "3", "66.7"] in rows  # 2 + 1 gold items of the label
    assert ["(none of the schema)", "3", "66.7"] in rows


def test_errors_of_all_datasets_then_of_each(given) -> None:
    rows = page(details.errors(given["errors"], ["bm25"])).rows
    assert ["wrong label", "6"] in rows
    assert ["wrong label", "3", "3"] in rows  # film and news
    assert ["person for place", "4"] in rows
    assert [BAD, "2"] in rows
    assert ["film/test/000001", "person: Rome", BAD] in rows


def test_kinds_of_errors_are_grouped(given) -> None:
    more = [given["errors"].assign(kind=kind) for kind in ("said", "missed", "spurious")]
    text = details.errors(pd.concat([*more, given["errors"]]), ["bm25"])
    said = (
        ">Wrong items", ">wrong label<", ">spurious<", ">Missed items", ">missed<", ">Beside",
        ">said<",
    )  # fmt: skip
    places = [text.index(word) for word in said]
    assert places == sorted(places)
