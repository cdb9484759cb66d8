"""Figures drawn with seaborn and written as SVG, byte-identical from one run to the next."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports.frames import shown
from energybench.reports.labels import name_points, shortened
from energybench.reports.numbers import prefix
from energybench.terminal import visible

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONTROLS = bytes(set(range(32)) - {9, 10, 13})

KINDS = {
    "measured": ("joules_per_sample", "o", "Measured"),
    "simulated": ("joules_per_sample", "D", "Simulated machine"),
    "estimated": ("estimated_joules_per_sample", "s", "Estimated: time × power model"),
    "modelled": ("modelled_joules_per_sample", "^", "Modelled: counts × energy table"),
}
"""Provenance → the metric that holds its joules, its marker, its panel's title."""

# The page shows figures as <img>, which no style sheet reaches: each is drawn for light and for dark.
INK: dict[bool, dict[str, Any]] = {
    False: {"ink": "#1c2430", "muted": "#5a6675", "grid": "#e3e7ec", "face": "#ffffff", "ramp": (0.0, 0.55)},
    True: {"ink": "#e8edf3", "muted": "#a3afbd", "grid": "#303a47", "face": "#171d26", "ramp": (0.42, 0.95)},
}
MOST_LABELS = 12


def points(table: "pd.DataFrame", hue: str | None) -> "pd.DataFrame":
    """One row a point to draw: kind, level (of `hue`), joules and accuracy with the low and high of each."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    if "accuracy" not in table:
        return pd.DataFrame()
    for record in table.to_dict("records"):
        for kind, (metric, _, _) in KINDS.items():
            if (
                record.get(f"{metric}.provenance") == kind
                and record[metric] > 0
                and record["accuracy"] == record["accuracy"]
            ):
                rows.append({"kind": kind, "level": shown(record[hue]) if hue else "all"} | _spans(record, metric))
    return pd.DataFrame(rows)


def level_column(table: "pd.DataFrame") -> str | None:
    """The parameter that colours the points: bits where there is one, else the first that varies."""
    settings = [str(name) for name in table.columns if str(name).startswith("param.")]
    varying = [name for name in settings if table[name].astype(str).nunique() > 1]
    bits = [name for name in settings if name.removeprefix("param.").startswith("bits")]
    return next(iter([name for name in bits if name in varying] + varying + bits), None)


def ordered(levels: Sequence[object]) -> list[str]:
    """Levels by the numbers in them: 8, 16, 32; W1A1, W2A2, W10A10."""

    def key(level: str) -> list[tuple[int, float, str]]:
        parts = re.split(r"(\d+(?:\.\d+)?)", level)
        return [(0, float(part), "") if part[:1].isdigit() else (1, 0.0, part) for part in parts if part]

    return sorted({str(level) for level in levels}, key=key)


def energy_accuracy(table: "pd.DataFrame", *, hue: str | None = None, dark: bool = False) -> "dict[str, Figure]":
    """Joules a sample (log) against accuracy: a figure for each kind of joule that has points.

    Args:
        table: rows of one workload on one machine, as `energybench.load` gives them.
        hue: the column that colours the points; `level_column` where None.
        dark: ink for a dark page.
    """
    hue = hue or level_column(table)
    drawn = points(table, hue)
    if drawn.empty:
        return {}
    levels = ordered(list(drawn["level"]))
    colours = dict(zip(levels, ramp(len(levels), dark=dark), strict=True))
    title = (hue or "").removeprefix("param.")
    return {
        kind: _figure(drawn[drawn["kind"] == kind], kind, colours, title, _accuracies(drawn), dark=dark)
        for kind in KINDS
        if (drawn["kind"] == kind).any()
    }


def save(figure: "Figure", path: Path, *, dark: bool = False) -> Path:
    """Write a figure as SVG without date or random ids, so that equal records give equal bytes."""
    import matplotlib as mpl
    from matplotlib.text import Text

    for words in figure.findobj(Text):
        words.set_text(visible(words.get_text()))
    with mpl.rc_context({"svg.hashsalt": "energybench", "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", facecolor=str(INK[dark]["face"]), metadata={"Date": None, "Creator": None})
    text = path.read_bytes()
    # A name may hold what XML may not.
    if (clean := text.translate(None, CONTROLS)) != text:
        path.write_bytes(clean)
    return path


def _spans(record: Mapping[Any, Any], metric: str) -> dict[str, float]:
    """A value and its interval; the value itself where no interval was stated, so that no bar is drawn."""
    row: dict[str, float] = {}
    for name, column in (("joules", metric), ("accuracy", "accuracy")):
        value, low, high = record[column], record.get(f"{column}.low"), record.get(f"{column}.high")
        row[name] = value
        row[f"{name}.low"] = value if low is None or low != low else low
        row[f"{name}.high"] = value if high is None or high != high else high
    return row


def _bars(row: Mapping[Any, Any]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The ends of both intervals of a point."""
    joules, accuracy, low = row["joules"], row["accuracy"], row["joules.low"]
    flat = (low if low > 0 else joules, accuracy), (row["joules.high"], accuracy)
    return [flat, ((joules, row["accuracy.low"]), (joules, row["accuracy.high"]))]


def _accuracies(drawn: "pd.DataFrame") -> tuple[float, float]:
    """The span of all accuracies and a margin: figures that stand side by side share their vertical axis."""
    low, high = float(drawn["accuracy.low"].min()), float(drawn["accuracy.high"].max())
    margin = max(0.12 * (high - low), 0.005)
    return low - margin, high + margin


def _figure(
    drawn: "pd.DataFrame",
    kind: str,
    colours: dict[str, Any],
    title: str,
    spread: tuple[float, float],
    *,
    dark: bool,
) -> "Figure":
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure

    _, marker, heading = KINDS[kind]
    with mpl.rc_context(sns.axes_style("whitegrid") | style(dark=dark)):
        figure = Figure(figsize=(4.2, 3.5), layout="constrained")
        axis = figure.subplots()
        _error_bars(axis, drawn, colours)
        sns.scatterplot(
            data=drawn,
            x="joules",
            y="accuracy",
            hue="level",
            palette=colours,
            hue_order=list(colours),
            marker=marker,
            s=90,
            edgecolor=str(INK[dark]["face"]),
            linewidth=0.8,
            legend=False,
            zorder=3,
            ax=axis,
        )
        axis.set(title=heading, xlabel=f"{kind} joules per sample", ylabel="accuracy", xscale="log", ylim=spread)
        _log_joules(axis, drawn)
        _name_levels(figure, colours, marker, title, dark=dark)
        figure.draw_without_rendering()  # where things are is known only now
        if len(drawn) <= MOST_LABELS and len(set(drawn["level"])) > 1:
            rows = drawn.to_dict("records")
            name_points(axis, rows, str(INK[dark]["face"]), [bar for row in rows for bar in _bars(row)])
    return figure


def _error_bars(axis: "Axes", drawn: "pd.DataFrame", colours: dict[str, Any]) -> None:
    """The stated intervals, each in its point's colour: bars that overlap can still be told apart."""
    for level, colour in colours.items():
        own = drawn[drawn["level"] == level]
        for way, name in (("x", "joules"), ("y", "accuracy")):
            below = (own[name] - own[f"{name}.low"]).clip(lower=0.0)
            above = (own[f"{name}.high"] - own[name]).clip(lower=0.0)
            stated = (below > 0) | (above > 0)
            if stated.any():
                ends: dict[str, Any] = {f"{way}err": [below[stated], above[stated]]}
                at = own.loc[stated, "joules"], own.loc[stated, "accuracy"]
                axis.errorbar(*at, **ends, fmt="none", ecolor=colour, elinewidth=1.4, capsize=3.5)


def _log_joules(axis: "Axes", drawn: "pd.DataFrame") -> None:
    """A log axis of at least a decade and a bit around the points, its ticks in SI prefixes."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low = float(min(drawn["joules"].min(), drawn.loc[drawn["joules.low"] > 0, "joules.low"].min()))
    high = float(drawn["joules.high"].max())
    widen = max(1.25, (15 * low / high) ** 0.5)
    axis.set_xlim(low / widen, high * widen)
    narrow = high / low * widen**2 < 60
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if narrow else (1.0,), numticks=8))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda joules, _: _tick(joules)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))


def _tick(joules: float) -> str:
    divisor, letter = prefix(joules)
    return f"{joules / divisor:.3g} {letter}J"


def _name_levels(figure: "Figure", colours: dict[str, Any], marker: str, title: str, *, dark: bool) -> None:
    """The colour of each level, in order, below the axes; of very many levels the first and the last."""
    if len(colours) < 2:
        return
    from matplotlib.lines import Line2D

    names = list(colours) if len(colours) <= MOST_LABELS else [*list(colours)[:1], *list(colours)[-1:]]
    handles = [
        Line2D([], [], marker=marker, linestyle="", markersize=8, color=colours[name], label=shortened(name))
        for name in names
    ]
    figure.legend(
        handles=handles,
        title=shortened(title),
        loc="outside lower center",
        ncols=min(4, len(handles)),
        frameon=False,
        labelcolor=str(INK[dark]["ink"]),
        fontsize=10,
        columnspacing=1.2,
        handletextpad=0.3,
        title_fontsize=11,
    )


def ramp(count: int, *, dark: bool) -> list[Any]:
    """Ordered colours from viridis, without the end that would vanish on the page: contrast is 3:1 or more."""
    from matplotlib import colormaps

    start, end = INK[dark]["ramp"]
    steps = [float(start) + (float(end) - float(start)) * i / max(1, count - 1) for i in range(count)]
    return [colormaps["viridis"](step) for step in steps]


def style(*, dark: bool) -> dict[str, Any]:
    """Settings of matplotlib for a figure of the page: inks, no top and right edge, sizes to read on a phone."""
    tone = INK[dark]
    named = {
        "text.color": "ink",
        "axes.labelcolor": "ink",
        "axes.titlecolor": "ink",
        "xtick.color": "muted",
        "ytick.color": "muted",
        "axes.edgecolor": "grid",
        "grid.color": "grid",
        "axes.facecolor": "face",
        "figure.facecolor": "face",
    }
    # A parameter's value may hold a dollar sign: it is text, not mathematics.
    fixed = {
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "font.family": ["DejaVu Sans"],
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.labelsize": 12,
        "xtick.labelsize": 11,
        "ytick.labelsize": 11,
        "legend.fontsize": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    return {key: tone[name] for key, name in named.items()} | fixed
