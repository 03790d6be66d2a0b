"""Charts: the same inputs give the same bytes, and what is drawn."""

from __future__ import annotations

from pathlib import Path

from report_inputs import make

from ruie import charts


def test_same_inputs_same_bytes(inputs: list[str], tmp_path: Path) -> None:
    texts = [make(inputs, tmp_path / name, plots=True) for name in "ab"]
    assert texts[0] == texts[1]
    first, second = (sorted((tmp_path / name / "plots").iterdir()) for name in "ab")
    # two training names of the same table, and the averages; each as PNG and SVG
    assert len(first) == 6
    assert [f.name for f in first] == [f.name for f in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        assert one.read_bytes().startswith(b"\x89PNG" if one.suffix == ".png" else b"<?xml")


def test_the_chart_shows_the_averages_in_the_text_colour(inputs: list[str], tmp_path: Path) -> None:
    text = make(inputs, tmp_path)
    drawn = text[text.index("<svg") : text.index("</svg>")]
    assert [f">{n}<" in drawn for n in ("15.0", "50.6", "bm25, k = 4", "NER", "RE")] == [True] * 5
    assert "currentColor" in drawn
    assert charts.INK not in text
