"""Tables for people that no text can break."""

from __future__ import annotations

from ruie import markdown


def test_table():
    assert markdown.table(["a", "b"], [[12345, None], ["x", 0.5]]) == (
        "| a | b |\n| --- | --- |\n| 12,345 | – |\n| x | 0.5 |\n"
    )


def test_a_cell_stays_a_cell():
    assert markdown.cell("a|b\nc <i> [l](x) `d`") == "a\\|b c \\<i> \\[l](x) \\`d\\`"
