"""Figures for papers: the figures of the report by name, in the widths and sizes of type of a two-column paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from energybench.reports import (
    analog,
    bits,
    bits_figures,
    crossbar,
    figures,
    frames,
    labels,
    published,
    scaling,
    targets,
)
from energybench.reports import relaxation as relaxing
from energybench.reports.frames import Stored

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["pdf", "svg", "png"]
Draw: TypeAlias = "Callable[[Sequence[Stored], bool], Mapping[str, Figure]]"
INCHES = {1: 3.5, 2: 7.16}
"""Width of one column and of both: IEEE, Preparation of Articles for Transactions and Journals."""
POINTS = 8.0
"""The size of type that IEEE asks of figures; what a page has smaller than that stays smaller in proportion."""
SHRUNK = 0.86
"""Room around the axes is for type of 10 points and more on the page, and for ticks that stay as long."""
DOTS = 600
"""An inch of a PNG: what IEEE asks of line art."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure that has a name.

    Attributes:
        name: what it is asked for by.
        shows: in a few words.
        fill: what would fill it where there is no data.
        trained: whether it is of trainings to an accuracy; else of measured steps.
        draw: its panels by name, of records of one workload on one machine.
    """

    name: str
    shows: str
    fill: str
    trained: bool = False
    draw: Draw


def drawings() -> tuple[Drawing, ...]:
    """The figures of the report, in the order of its page."""
    return (
        Drawing(
            name="energy-accuracy",
            shows="accuracy against joules per sample, a panel for each kind of joule",
            fill="energybench run qnn-infer --bits 1,2,4,8",
            draw=_energy_accuracy,
        ),
        Drawing(
            name="bits",
            shows="accuracy, joules, bytes and speed against bit-width",
            fill="energybench run qnn-infer --bits 1,2,4,8",
            draw=_bits,
        ),
        Drawing(
            name="sweeps",
            shows="residual, active samples and joules against sweeps of a relaxation",
            fill="energybench run eqprop-relax",
            draw=lambda stored, dark: relaxing.figures(stored, dark=dark),
        ),
        Drawing(
            name="analog",
            shows="error against device mismatch, by way of training",
            fill="energybench run eqprop-analog",
            draw=lambda stored, dark: analog.figures(stored, dark=dark),
        ),
        Drawing(
            name="crossbar",
            shows="terms of a modelled crossbar with their ranges",
            fill="energybench run eqprop-analog",
            draw=lambda stored, dark: crossbar.figures(stored, dark=dark),
        ),
        Drawing(
            name="scaling",
            shows="time, bytes, joules and accuracy against nodes",
            fill="energybench run dist-train --nodes 1,2,4",
            draw=lambda stored, dark: scaling.figures(stored, dark=dark),
        ),
        Drawing(
            name="to-accuracy",
            shows="accuracy against joules so far, pass by pass of a training",
            fill="energybench run qnn-train --energy-to-accuracy 0.95",
            trained=True,
            draw=lambda stored, dark: targets.figures(stored, dark=dark),
        ),
    )


def groups(stored: Sequence[Stored], *, trained: bool) -> list[list[Stored]]:
    """The newest record of each point, of one workload and machine each (or of trainings to one accuracy)."""
    found = [frames.newest(group) for group in frames.grouped(stored)]
    return [group for group in found if targets.is_target(group) == trained]


def title(group: Sequence[Stored]) -> str:
    """What people call a group: its workload and machine."""
    record = group[-1].record
    what = targets.title(record) if "target" in record else str(record["workload"]["name"])
    return f"{what} on {frames.title(record)} ({frames.machine(record)})"


def fit(figure: "Figure", columns: int) -> "Figure":
    """Give a figure of the page the width of one or of both columns, with type of 8 points; its axes get lower."""
    from matplotlib.text import Text

    width, height = figure.get_size_inches()
    ratio, new_width = INCHES[1] / width, INCHES[columns]
    sides, lanes = _sides(figure), _lanes(figure)
    for text in figure.findobj(Text):
        text.set_fontsize(min(POINTS, text.get_fontsize() * ratio))
    _thin(figure, ratio)
    if figure.get_layout_engine() is not None:
        figure.set_size_inches(new_width, height * ratio)
        return figure
    left, right, bottom, top = (inches * SHRUNK for inches in sides)
    new_height = bottom + top + lanes * ratio
    figure.set_size_inches(new_width, new_height)
    figure.subplots_adjust(
        left=left / new_width, right=1 - right / new_width, bottom=bottom / new_height, top=1 - top / new_height
    )
    labels.without_collisions(figure)
    return figure


def save(figure: "Figure", path: Path, kind: Format, *, dark: bool = False) -> Path:
    """Write a figure with its type embedded (PDF: TrueType, Type 42; SVG: as outlines); equal records, equal bytes."""
    import matplotlib as mpl

    fixed: dict[Format, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }
    with mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "energybench"}):
        face = str(figures.INK[dark]["face"])
        figure.savefig(path, format=kind, facecolor=face, metadata=fixed[kind], dpi=DOTS if kind == "png" else 72)
    return path


def _sides(figure: "Figure") -> tuple[float, float, float, float]:
    """Inches at the left, the right, below and above the axes."""
    (width, height), room = figure.get_size_inches(), figure.subplotpars
    return room.left * width, (1 - room.right) * width, room.bottom * height, (1 - room.top) * height


def _lanes(figure: "Figure") -> float:
    """Inches that the axes are high."""
    return float((figure.subplotpars.top - figure.subplotpars.bottom) * figure.get_size_inches()[1])


def _thin(figure: "Figure", ratio: float) -> None:
    """Lines and marks in proportion."""
    from matplotlib.collections import Collection, PathCollection
    from matplotlib.lines import Line2D

    for line in figure.findobj(Line2D):
        line.set_linewidth(line.get_linewidth() * ratio)
        line.set_markersize(line.get_markersize() * ratio)
    for one in figure.findobj(Collection):
        one.set_linewidth([width * ratio for width in _each(one.get_linewidth())])
        if isinstance(one, PathCollection):
            one.set_sizes([size * ratio**2 for size in one.get_sizes()])


def _each(widths: Any) -> list[float]:
    return [float(one) for one in (widths if hasattr(widths, "__iter__") else [widths])]


def _energy_accuracy(stored: Sequence[Stored], dark: bool) -> "Mapping[str, Figure]":
    table = frames.frame(stored).dropna(axis="columns", how="all")
    found = {one.record["id"]: bits.widths(one.record) for one in stored}
    hue = None
    if len(bits.levels(stored)) > 1 and all(one and len(one) == 2 for one in found.values()):
        table, hue = table.assign(widths=[bits.level(found[one] or ()) for one in table["id"]]), "widths"
    return figures.energy_accuracy(table, hue=hue, dark=dark)


def _bits(stored: Sequence[Stored], dark: bool) -> "Mapping[str, Figure]":
    rows = published.rows(str(stored[-1].record["workload"]["name"]))
    same, other = published.split(rows, bits.data_names(stored))
    drawn = bits_figures.against_bits(stored, same, dark=dark)
    return drawn | ({"published": bits_figures.published_errors(other, dark=dark)} if drawn and other else {})
