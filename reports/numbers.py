"""Numbers for people: SI prefixes, an interval in the same prefix, and where the number comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)
UNITS = {"joules": "J", "seconds": "s", "bytes": "B", "watts": "W", "hertz": "Hz"}
PREFIXED = frozenset({"J", "s", "B", "W", "Hz", "FLOP", "op"})
COVERAGE = 2.0
"""An interval that a record states only as a standard uncertainty is shown at k=2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One number as a page prints it.

    Attributes:
        text: has its unit.
        interval: empty where none was stated.
        provenance: where it comes from.
        value: in plain SI units, by which a table is sorted; None where there is none.
    """

    text: str
    interval: str
    provenance: str
    value: float | None = None

    @property
    def plain(self) -> str:
        """The value for a page's markup; empty without one."""
        return "" if self.value is None else f"{self.value:.6g}"


def prefix(value: float) -> tuple[float, str]:
    """The SI prefix that leaves one to three digits before the point, as (divisor, letter)."""
    if value == 0 or not math.isfinite(value):
        return 1.0, ""
    # Rounded to the three digits that are printed, so that 999.96 mJ becomes 1.00 J and not 1000 mJ.
    rounded = abs(float(f"{value:.3g}"))
    return next(((size, letter) for size, letter in PREFIXES if rounded >= size * (1 - 1e-9)), PREFIXES[-1])


def digits(value: float) -> str:
    """Three significant digits, without an exponent where none is needed: `0.0123`, `12.3`, `1230`."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    decimals = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))))
    return f"{value:.{decimals}f}" if decimals <= 6 and abs(value) < 1e6 else f"{value:.2e}"


def quantity(value: float, unit: str) -> str:
    """A number with its unit: `12.3 mJ`, `97.8 %`, `0.412`."""
    if unit == "%":
        return f"{100 * value:.2f} %"
    divisor, letter = prefix(value) if unit in PREFIXED else (1.0, "")
    return f"{digits(value / divisor)} {letter}{unit}".rstrip()


def span(low: float, high: float, unit: str, *, like: float) -> str:
    """An interval in the prefix of the number it belongs to: `11.9 to 12.8 mJ`."""
    if unit == "%":
        return f"{100 * low:.2f} to {100 * high:.2f} %"
    divisor, letter = prefix(like) if unit in PREFIXED else (1.0, "")
    return f"{digits(low / divisor)} to {digits(high / divisor)} {letter}{unit}".rstrip()


def bounds(result: Mapping[str, object]) -> tuple[float, float] | None:
    """The interval of a stored result: as stated, or ±2 standard uncertainties; None where it has neither."""
    value, low, high = (_number(result.get(key)) for key in ("value", "low", "high"))
    if low is not None and high is not None:
        return low, high
    sigma = _number(result.get("standard_uncertainty"))
    if value is None or not sigma:
        return None
    return value - COVERAGE * sigma, value + COVERAGE * sigma


def show(result: Mapping[str, object], *, percent: bool = False) -> Shown:
    """A stored result as a page prints it.

    Args:
        result: `{"value", "unit", "provenance"}` and perhaps an interval, as a record's `results` keep it.
        percent: print a fraction as a percentage.
    """
    value = _number(result["value"])
    assert value is not None, "the store lets no result without a number pass"
    unit = "%" if percent else short(str(result.get("unit", "")))
    limits = bounds(result)
    interval = span(*limits, unit, like=value) if limits and limits[0] != limits[1] else ""
    provenance = str(result.get("provenance", "measured"))
    return Shown(text=quantity(value, unit), interval=interval, provenance=provenance, value=value)


def short(unit: str) -> str:
    """`joules` or `joules/sample` as a symbol: `J`; what has no symbol stays a word."""
    head = unit.removesuffix("/sample").removesuffix(" per sample").strip()
    return UNITS.get(head, "" if head in {"1", "fraction", "ratio", "dimensionless"} else head)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
