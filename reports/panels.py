"""Figures into files for light and dark pages, and what the page's template must know of each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.reports import analog, bits, bits_figures, crossbar, figures, relaxation, scaling, targets
from energybench.reports.frames import Stored
from energybench.reports.numbers import quantity
from energybench.reports.published import Row

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ENERGY, BITS, RELAXATION, ANALOG, TARGET, SCALING = (
    "energy-accuracy-",
    "against-bits-",
    "relaxation-",
    "analog-",
    "to-accuracy-",
    "scaling-",
)
"""How the names of files begin."""


def energy_accuracy(
    table: "pd.DataFrame", hue: str | None, name: str, workload: str, site: Path
) -> list[dict[str, Any]]:
    """Accuracy against each kind of joule."""

    def draw(dark: bool) -> "dict[str, Figure]":
        return figures.energy_accuracy(table, hue=hue, dark=dark)

    return _both(draw, f"{ENERGY}{name}", site, lambda kind: _energy_alt(table, kind, workload))


def against_bits(
    stored: Sequence[Stored], same: Sequence[Row], other: Sequence[Row], name: str, site: Path
) -> list[dict[str, Any]]:
    """What was found against bits, then published errors on other data."""
    found = bits.points(stored)
    if not found:
        return []

    def draw(dark: bool) -> "dict[str, Figure]":
        drawn = bits_figures.against_bits(stored, same, dark=dark)
        return drawn | ({"published": bits_figures.published_errors(other, dark=dark)} if other else {})

    def alt(panel: str) -> str:
        return _published_alt(other) if panel == "published" else _bits_alt(panel, found[panel], same)

    return _both(draw, f"{BITS}{name}", site, alt)


def relaxing(stored: Sequence[Stored], name: str, site: Path) -> list[dict[str, Any]]:
    """Residual, active samples and joules so far, sweep by sweep."""
    kept = relaxation.spread([one for one in stored if relaxation.trace(one.record)])

    def draw(dark: bool) -> "dict[str, Figure]":
        return relaxation.figures(kept, dark=dark)

    return _both(draw, f"{RELAXATION}{name}", site, lambda panel: relaxation.alt(kept, panel))


def against_mismatch(stored: Sequence[Stored], name: str, site: Path) -> list[dict[str, Any]]:
    """Error against mismatch by arm."""

    def draw(dark: bool) -> "dict[str, Figure]":
        return analog.figures(stored, dark=dark)

    return _both(draw, f"{ANALOG}{name}", site, lambda panel: analog.alt(stored, panel))


def crossbar_terms(stored: Sequence[Stored], name: str, site: Path) -> list[dict[str, Any]]:
    """The terms of a modelled crossbar with their ranges."""

    def draw(dark: bool) -> "dict[str, Figure]":
        return crossbar.figures(stored, dark=dark)

    return _both(draw, f"{ANALOG}{name}", site, lambda panel: crossbar.alt(stored, panel))


def against_nodes(stored: Sequence[Stored], name: str, site: Path) -> list[dict[str, Any]]:
    """Time, bytes, joules and accuracy as nodes are added, measured and modelled."""

    def draw(dark: bool) -> "dict[str, Figure]":
        return scaling.figures(stored, dark=dark)

    return _both(draw, f"{SCALING}{name}", site, lambda panel: scaling.alt(stored, panel))


def to_accuracy(stored: Sequence[Stored], name: str, site: Path) -> list[dict[str, Any]]:
    """Accuracy against joules so far, pass by pass."""

    def draw(dark: bool) -> "dict[str, Figure]":
        return targets.figures(stored, dark=dark)

    return _both(draw, f"{TARGET}{name}", site, lambda kind: targets.alt(stored, kind))


def _both(
    draw: "Callable[[bool], Mapping[str, Figure]]", start: str, site: Path, alt: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Draw for light and for dark."""
    shown: dict[str, dict[str, Any]] = {}
    for dark in (False, True):
        for key, figure in draw(dark).items():
            file = f"figures/{start}-{key}{'-dark' if dark else ''}.svg"
            figures.save(figure, site / file, dark=dark)
            width, height = (round(96 * inches) for inches in figure.get_size_inches())
            one = shown.setdefault(key, {"width": width, "height": height, "kind": key, "alt": alt(key)})
            one["dark" if dark else "light"] = file
    return list(shown.values())


def _energy_alt(table: "pd.DataFrame", kind: str, workload: str) -> str:
    """What a figure shows, in a sentence: the table below it has every number."""
    drawn = figures.points(table, None)
    drawn = drawn[drawn["kind"] == kind]
    (less, more), (worst, best) = ((drawn[name].min(), drawn[name].max()) for name in ("joules", "accuracy"))
    points = f"{len(drawn)} point{'s' if len(drawn) != 1 else ''}"
    return (
        f"Accuracy against {kind} joules per sample of {workload}: {points}, {quantity(less, 'J')} to "
        f"{quantity(more, 'J')} per sample, accuracy {quantity(worst, '%')} to {quantity(best, '%')}."
    )


def _bits_alt(name: str, found: Sequence[bits.Point], same: Sequence[Row]) -> str:
    """The values at the narrowest and the widest width; both terms of modelled joules."""
    panel = next(one for one in bits.PANELS if one.name == name)
    levels = figures.ordered([point.level for point in found])
    parts = []
    for term in dict.fromkeys(point.term for point in found):
        ends = [_range(panel, [p for p in found if (p.level, p.term) == (at, term)]) for at in (levels[0], levels[-1])]
        of = f"{term} term " if term else ""
        parts.append(f"{of}{ends[0]} at {levels[0]}, {ends[1]} at {levels[-1]}")
    beside = f" Beside it {len(same)} published results, marked as such." if same and name == "accuracy" else ""
    return f"{panel.label} against bits, {len(levels)} widths: {'; '.join(parts)}.{beside}".replace(
        panel.label[0], panel.label[0].upper(), 1
    )


def _range(panel: bits.Panel, found: Sequence[bits.Point]) -> str:
    values = [point.value for point in found]
    if not values:
        return "nothing"
    low, high = quantity(min(values), panel.unit), quantity(max(values), panel.unit)
    return low if low == high else f"{low} to {high}"


def _published_alt(other: Sequence[Row]) -> str:
    data = ", ".join(dict.fromkeys(row.data_title for row in other))
    return f"Published error against bits on other data, {len(other)} results on {data}; the table of sources has each."
