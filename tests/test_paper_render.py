"""Tables for people: what is shown, and that no name can break them."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ruie import paper_data, paper_render
from ruie.paper_data import cell

TABLE: dict[str, Any] = {
    "caption": "Some & all.", "best": "column", "notes": ["A slip of 5 %."],
    "columns": [
        {"name": "fewrel", "group": "RE"}, {"name": "average", "group": "RE", "note": "A mean."},
    ],
    "rows": [
        {"name": "UIE", "group": "reported", "values": []},
        {"name": "BM25*", "group": "retrieved", "values": []},
        {"name": "RUIE", "group": "retrieved", "note": "Ours.", "values": []},
    ],
}  # fmt: skip


def whole(ours: float) -> dict[str, Any]:
    return {"ours": ours, "found": 1, "wanted": 1}


CELLS = [
    cell("1", "UIE", "RE fewrel", 39.5, {}),
    cell("1", "UIE", "RE average", None, {}),
    cell("1", "BM25*", "RE fewrel", 44.0, whole(41.25)),
    cell("1", "BM25*", "RE average", 45.0, {"ours": 60.0, "found": 1, "wanted": 2}),
    cell("1", "RUIE", "RE fewrel", 49.0, whole(50.0)),
    cell("1", "RUIE", "RE average", None, {"found": 0, "wanted": 2}),
]


def test_markdown() -> None:
    text = paper_render.to_markdown("1", TABLE, CELLS)
    assert text.startswith("# Table 1\n\nSome & all.\n\n")
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert lines == [
        "|  |  | RE fewrel | RE average¹ |",
        "| --- | --- | ---: | ---: |",
        "| *reported* |  |  |  |",
        "| UIE | paper | 39.50 |  |",
        "| *retrieved* |  |  |  |",
        r"| BM25\* | ours | 41.25 | 60.00 (1/2) |",
        "|  | paper | 44.00 | 45.00 |",
        "|  | difference | −2.75 |  |",
        "| RUIE² | ours | **50.00** | – |",
        "|  | paper | 49.00 |  |",
        "|  | difference | +1.00 |  |",
    ]
    assert text.endswith("A slip of 5 %.\n\n¹ A mean.\n\n² Ours.\n")


def test_latex() -> None:
    lines = paper_render.to_latex("1", TABLE, CELLS).split("\n")
    assert lines[3] == r"\begin{tabular}{llrr}"
    assert r" &  & \multicolumn{2}{c}{RE} \\" in lines
    assert r"\cmidrule(lr){3-4}" in lines
    assert r" &  & fewrel & average\textsuperscript{1} \\" in lines
    assert r"\multicolumn{4}{l}{\textit{retrieved}} \\" in lines
    assert r"BM25* & ours & 41.25 & 60.00 (1/2) \\" in lines
    assert r" & difference & $-$2.75 &  \\" in lines
    assert r"RUIE\textsuperscript{2} & ours & \textbf{50.00} & -- \\" in lines
    assert "Some \\& all." in lines[-3]
    assert r"A slip of 5 \%." in lines[-3]


def test_the_best_of_incomplete_or_equal_numbers_is_not_bold() -> None:
    assert paper_render._best("column", CELLS) == {4}
    assert paper_render._best("row", CELLS) == set()
    assert paper_render._best(None, CELLS) == set()
    equal = [cell("1", name, "RE", None, whole(5.001)) for name in ("a", "b")]
    assert paper_render._best("column", equal) == set()
    two = [*equal, cell("1", "c", "RE", None, whole(5.0)), cell("1", "d", "RE", None, whole(4.0))]
    assert paper_render._best("column", two) == {0, 1, 2}


def test_numbers() -> None:
    shown = [paper_render._number(v, 2, "+") for v in (None, 0.004, -0.004, -1.005, 1234.5)]
    assert shown == ["", "0.00", "0.00", "−1.00", "+1,234.50"]
    assert paper_render._number(1234.0, 0) == "1,234"


def test_every_table_of_the_paper_is_rendered() -> None:
    for number in ("1", "2", "3", "4", "5", "6", "7", "8", "10"):
        table = paper_data.load(number)
        cells = [
            cell(number, row["name"], paper_data.column_id(column), value, {})
            for row in table["rows"]
            for column, value in zip(table["columns"], row["values"], strict=True)
        ]
        text = paper_render.to_markdown(number, table, cells)
        for row in table["rows"]:
            for value in row["values"]:
                assert value is None or f"| {value:.2f} |".replace("-", "−") in text
        assert_sound(paper_render.to_latex(number, table, cells), len(table["columns"]) + 2)


def assert_sound(latex: str, columns: int) -> None:
    """Braces balance outside of escapes; each line of the table has its number of cells."""
    bare = re.sub(r"\\[\\{}&%$#_]", "", latex)
    depth = 0
    for sign in bare:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    body = latex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    for line in body.split("\n"):
        if line.endswith(r"\\"):
            cells = re.sub(r"\\[&\\]", "", line).count("&") + 1
            spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert cells + sum(spans) == columns


@given(st.lists(st.text(), min_size=1, max_size=3, unique=True), st.text(), st.text())
def test_no_name_breaks_a_table(names: list[str], group: str, note: str) -> None:
    table = {
        "caption": note, "columns": [{"name": n, "group": group, "note": note} for n in names],
        "rows": [{"name": group, "values": []}],
    }  # fmt: skip
    cells = [cell("1", group, paper_data.column_id(c), None, whole(1.5)) for c in table["columns"]]
    count = len({c["column"] for c in cells})
    if count < len(names):
        return
    assert_sound(paper_render.to_latex("1", table, cells), count + 2)
    lines = paper_render.to_markdown("1", table, cells).split("\n")
    rows = [line for line in lines if line.startswith("| ")]
    bars = {re.sub(r"\\.", "", line).count("|") for line in rows}
    assert bars == {count + 3}


def test_reported_figures_are_called_so() -> None:
    table = {**TABLE, "rows": [{**TABLE["rows"][0], "reported": True}, *TABLE["rows"][1:]]}
    text = paper_render.to_markdown("1", table, CELLS)
    assert "| UIE | reported | 39.50 |  |" in text
    assert "|  | paper | 44.00 | 45.00 |" in text
    assert "UIE & reported & 39.50" in paper_render.to_latex("1", table, CELLS)
    measured = [cell("1", "UIE", "RE fewrel", 39.5, whole(41.5)), *CELLS[1:]]
    lines = paper_render.to_markdown("1", table, measured).split("\n")
    at = lines.index("| UIE | ours | 41.50 |  |")
    assert lines[at + 1 : at + 3] == ["|  | reported | 39.50 |  |", "|  | difference | +2.00 |  |"]
