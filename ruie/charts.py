"""The charts of the report, drawn by matplotlib without a display; same numbers, same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruie.parquet import replacing

if TYPE_CHECKING:
    import pandas as pd

#: Text and lines; the page puts its own text colour in this one's place, for the dark scheme.
INK = "#010203"
#: Told apart by the colour-blind (Okabe and Ito), visible on white and on black.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c")
HATCHES = ("", "///", "...", "xxx", "\\\\\\")
#: Beyond these numbers a step line gets a running mean, a chart no numbers on its bars.
MANY_STEPS, MANY_BARS = 40, 28
#: Inches that the names in a row of a legend may take, below one panel and below one of two.
WHOLE, HALF = 8.6, 4.3


@contextmanager
def style() -> Iterator[None]:
    """Settings of our own, whatever the user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": "ruie",
                "svg.fonttype": "none",
                # a system may have a $ in its name
                "text.parse_math": False,
                "font.size": 10,
                "hatch.linewidth": 0.5,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.grid": True,
                "axes.axisbelow": True,
                "grid.alpha": 0.15,
                **dict.fromkeys(
                    ["text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor",
                     "xtick.color", "ytick.color", "grid.color"], INK
                ),
            }
        )  # fmt: skip
        yield


@dataclass(frozen=True)
class Panel:
    """``values``: a row for each system; a column for each group of bars, or for each place on the
    x axis. ``low``, ``high``: the ends of the intervals, in the same rows and columns (NaN where
    there is none)."""

    title: str
    values: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame

    def whiskers(self, row: int) -> list[list[float]]:
        """How far a row's intervals reach below and above its values."""
        values, low, high = (frame.iloc[row] for frame in (self.values, self.low, self.high))
        return [list((values - low).clip(lower=0)), list((high - values).clip(lower=0))]

    @property
    def top(self) -> float:
        """The highest value or end of an interval; 0 where there is none."""
        return float(max(0.0, self.values.max().max(), self.high.fillna(0).max().max()))


def bars(panels: list[Panel], y: str = "F1 (%)", digits: int = 1) -> Any:
    """A figure with a panel of grouped bars below another, with whiskers for the intervals; the
    numbers on the bars have so many ``digits``."""
    from matplotlib.figure import Figure

    height = sum(2.6 + 0.22 * _rows(panel.values.index, WHOLE) for panel in panels)
    with style():
        figure = Figure(figsize=(9, height), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            numbers = panel.values
            width = 0.84 / len(numbers)
            for i, (name, values) in enumerate(numbers.iterrows()):
                places = [g + (i - (len(numbers) - 1) / 2) * width for g in range(len(values))]
                colour, hatch = COLOURS[i % len(COLOURS)], HATCHES[i // len(COLOURS) % len(HATCHES)]
                axes.bar(
                    places, values, 0.92 * width, label=name, color=colour, hatch=hatch,
                    edgecolor=INK, linewidth=0.4,
                )  # fmt: skip
                axes.errorbar(
                    places, values, panel.whiskers(i), fmt="none", ecolor=INK, elinewidth=0.8,
                    capsize=min(3.0, 20 * width),
                )  # fmt: skip
                if numbers.size <= MANY_BARS:
                    ends = panel.high.iloc[i].fillna(values)
                    for x, end, value in zip(places, ends, values, strict=True):
                        if value == value:
                            axes.annotate(
                                f"{value:.{digits}f}", (x, end), xytext=(0, 1.5), fontsize=8,
                                textcoords="offset points", ha="center", va="bottom",
                            )  # fmt: skip
            axes.set_xticks(range(numbers.shape[1]), list(numbers.columns))
            axes.tick_params(axis="x", length=0)
            axes.grid(axis="x", visible=False)
            axes.set_ylabel(y)
            axes.set_ylim(0, max(1.12 * panel.top, 1.0))
            axes.set_title(panel.title, loc="left", fontsize=10)
            _legend(axes, 0.27, WHOLE)
    return figure


def lines(panels: list[Panel], x: str, y: str) -> Any:
    """A figure with two panels beside each other in a row, a line for each system; a system with a
    single place is a dotted level."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // 2)
    below = 0.22 * max(_rows(p.values.index, HALF) for p in panels)
    with style():
        figure = Figure(figsize=(9, (2.7 + below) * rows), layout="constrained")
        grid = figure.subplots(rows, 2, squeeze=False).flat
        for axes, panel in zip(grid, [*panels, *[None] * (len(panels) % 2)], strict=True):
            if panel is None:
                axes.set_axis_off()
                continue
            places = [float(place) for place in panel.values.columns]
            apart = 0.012 * (max(places) - min(places))
            for i, (name, values) in enumerate(panel.values.iterrows()):
                colour = COLOURS[i % len(COLOURS)]
                if values.notna().sum() == 1:
                    level = values.dropna().iloc[0]
                    axes.axhline(level, color=colour, linestyle=":", label=name)
                    continue
                known = values.notna().tolist()
                reach = [[w for w, ok in zip(side, known, strict=True) if ok]
                         for side in panel.whiskers(i)]  # fmt: skip
                # whiskers beside each other
                beside = (i - (len(panel.values) - 1) / 2) * apart
                axes.errorbar(
                    [p + beside for p, ok in zip(places, known, strict=True) if ok],
                    values.dropna(), reach,
                    color=colour, label=name, marker="osD^v"[i % 5], markersize=4, linewidth=1.4,
                    elinewidth=0.7, capsize=2,
                )  # fmt: skip
            axes.set_xlabel(x)
            axes.set_xticks(places)
            axes.set_ylabel(y)
            axes.set_ylim(0, max(1.08 * panel.top, 1.0))
            axes.set_title(panel.title, loc="left", fontsize=10)
            _legend(axes, 0.45, HALF)
    return figure


def dots(panels: list[Panel], x: str) -> Any:
    """A figure with a panel below another: a level for each system, on it a point with its interval
    for each column. Values may be negative."""
    from matplotlib.figure import Figure

    heights = [0.9 + 0.24 * len(panel.values) for panel in panels]
    with style():
        figure = Figure(figsize=(9, sum(heights) + 0.3), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            names, series = list(panel.values.index), list(panel.values.columns)
            for i, column in enumerate(series):
                values = panel.values[column]
                reach = [(values - panel.low[column]).clip(lower=0).fillna(0),
                         (panel.high[column] - values).clip(lower=0).fillna(0)]  # fmt: skip
                beside = (i - (len(series) - 1) / 2) * 0.5 / len(series)
                axes.errorbar(
                    values, [level + beside for level in range(len(names))], xerr=reach,
                    color=COLOURS[i % len(COLOURS)], label=str(column), fmt="osD^v"[i % 5],
                    markersize=4, elinewidth=0.9, capsize=2,
                )  # fmt: skip
            axes.axvline(0, color=INK, linewidth=0.6)
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_xlabel(x)
            axes.set_title(panel.title, loc="left", fontsize=10)
            if len(series) > 1:
                axes.legend(frameon=False, fontsize=9)
    return figure


def columns(names: Iterable[object], inches: float) -> int:
    """Names in a row of a legend that is so wide: a letter takes about 0.08 inches, what stands
    beside a name 0.55."""
    lengths = [len(str(name)) for name in names]
    return max(min(len(lengths), int(inches / (0.55 + 0.08 * max(lengths, default=0)))), 1)


def _rows(names: pd.Index[Any], inches: float) -> int:
    return -(-len(names) // columns(names, inches))


def _legend(axes: Any, below: float, inches: float) -> None:
    """A legend so many inches ``below`` the axes: by their height it would move while the layout
    makes room for it."""
    from matplotlib.transforms import ScaledTranslation

    handles, names = axes.get_legend_handles_labels()
    down = ScaledTranslation(0, -below, axes.figure.dpi_scale_trans)
    axes.legend(
        handles, names, loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False, fontsize=9,
        bbox_transform=axes.transAxes + down, borderaxespad=0, ncols=columns(names, inches),
    )  # fmt: skip


#: What is drawn of a training, and its titles.
CURVES = {
    "loss": "loss", "accuracy": "accuracy", "mrr": "MRR, held aside",
    "learning_rate": "learning rate", "samples_per_s": "samples/s",
}  # fmt: skip


def curves(training: pd.DataFrame) -> Any:
    """A figure of one training: CURVES by step; beyond ``MANY_STEPS`` with a running mean over a
    twentieth of the steps. What was not recorded is left out, but for loss and accuracy."""
    from matplotlib.figure import Figure

    shown = [
        name for name in CURVES
        if name in ("loss", "accuracy") or (name in training and training[name].notna().any())
    ]  # fmt: skip
    with style():
        figure = Figure(figsize=(max(9, 3 * len(shown)), 2.7), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(shown)), shown, strict=True):
            found = training[["step", name]].astype(float)
            if name == "mrr":  # looked at now and then
                found = found.dropna()
            steps, values = found["step"], found[name]
            many = len(steps) > MANY_STEPS and name != "learning_rate"
            axes.plot(
                steps, values, color=COLOURS[0], linewidth=0.8 if many else 1.4,
                alpha=0.35 if many else 1.0, marker=None if len(steps) > MANY_STEPS else "o",
                markersize=3,
            )  # fmt: skip
            if many:
                mean = values.rolling(max(len(steps) // 20, 2), min_periods=1, center=True).mean()
                axes.plot(steps, mean, color=COLOURS[0], linewidth=1.8)
            axes.set_xlabel("step")
            axes.set_title(CURVES[name], loc="left", fontsize=10)
            axes.xaxis.get_major_locator().set_params(integer=True)
            if name in ("accuracy", "mrr"):
                axes.set_ylim(-0.03, 1.03)
            if values.isna().all():
                axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center")
    return figure


def render(figure: Any, form: str) -> bytes:
    """The figure as a ``png`` or ``svg`` file without any date or version in it."""
    out = io.BytesIO()
    nothing = ("Software",) if form == "png" else ("Date", "Creator", "Format", "Type")
    with style():
        figure.savefig(
            out, format=form, dpi=150, metadata=dict.fromkeys(nothing), facecolor="white"
        )
    return out.getvalue()


def save(figure: Any, folder: Path, name: str) -> None:
    """Write the figure as PNG and SVG."""
    for form in ("png", "svg"):
        with replacing(folder / f"{name}.{form}") as part:
            part.write_bytes(render(figure, form))


def inline(figure: Any, name: str, label: str) -> str:
    """The figure as an svg element of a page: no background, the page's text colour, ids that
    begin with ``name`` (a page may hold several figures). ``label`` is HTML."""
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    text = render(figure, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace(INK, "currentColor").replace(
        "<svg", f'<svg role="img" aria-label="{label}"', 1
    )
    return text.strip()
