"""Charts: the same inputs give the same bytes, and what is drawn."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from report_inputs import make

from ruie import charts
from ruie.charts import Panel

NAN = float("nan")


def test_same_inputs_same_bytes(inputs: list[str], tmp_path: Path) -> None:
    texts = [make(inputs, tmp_path / name, plots=True) for name in "ab"]
    assert texts[0] == texts[1]
    first, second = (sorted((tmp_path / name / "plots").iterdir()) for name in "ab")
    # two training names of the same table, the averages, the two datasets of NER (RE has one, which
    # is its average), the speed and what was learned; each as PNG and SVG
    assert len(first) == 12
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


def panel(values: list[list[float]], low: list[list[float]], high: list[list[float]]) -> Panel:
    return Panel("a", *(pd.DataFrame(rows, columns=[0, 4]) for rows in (values, low, high)))


def test_whiskers_reach_to_the_ends_of_the_intervals() -> None:
    # a value outside of its interval (a bootstrap may do that) has no whisker on that side
    one = panel([[10.0, 50.0], [5.0, NAN]], [[8.0, 51.0], [NAN, NAN]], [[13.0, 60.0], [NAN, NAN]])
    assert one.whiskers(0) == [[2.0, 0.0], [3.0, 10.0]]
    assert one.top == 60.0
    figure = charts.bars([one])
    ends = [line.get_paths() for line in figure.axes[0].collections]
    reach = [[float(y) for y in p.vertices[:, 1]] for p in ends[0]]
    assert reach == [[8.0, 13.0], [50.0, 60.0]]
    assert figure.axes[0].get_ylim()[1] > 60
    assert panel([[NAN, NAN]], [[NAN, NAN]], [[NAN, NAN]]).top == 0


@pytest.mark.parametrize("draw", [charts.bars, lambda p: charts.lines(p, "k", "F1")])
@pytest.mark.parametrize("longest", [4, 26, 40])
def test_a_legend_of_many_systems_stays_in_the_figure(draw: Any, longest: int) -> None:
    names = [f"{n:0{longest}d}" for n in range(14)]
    frames = [pd.DataFrame(9.0, names, [0, 4]) for _ in range(3)]
    figure = draw([Panel("a", *frames)] * 2)
    with warnings.catch_warnings(), charts.style():
        warnings.simplefilter("error")  # the layout's, where no room is left for the axes
        FigureCanvasAgg(figure).draw()
    outer = figure.bbox
    for axes in figure.axes:
        legend = axes.get_legend().get_window_extent()
        assert outer.x0 <= legend.x0 < legend.x1 <= outer.x1
        assert outer.y0 <= legend.y0 < legend.y1 <= outer.y1
        assert axes.bbox.height > 100


def test_a_system_with_one_k_is_a_level_and_missing_values_are_left_out() -> None:
    none = [[NAN, NAN]] * 2
    figure = charts.lines([panel([[7.0, NAN], [1.0, 2.0]], none, none)], "k", "F1")
    level, line = figure.axes[0].lines[:2]
    assert list(level.get_ydata()) == [7.0, 7.0]
    assert list(line.get_ydata()) == [1.0, 2.0]
    # an odd panel leaves its neighbour empty
    assert not figure.axes[1].axison
    assert charts.render(figure, "svg").startswith(b"<?xml")
