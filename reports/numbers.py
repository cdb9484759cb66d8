"""Numbers for people: SI prefixes, an interval in the same prefix, and where the number comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

PREFIXES = (
    (1e18, "E"),
    (1e15, "P"),
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
PREFIXED = frozenset({"J", "J·s", "s", "B", "W", "Hz", "FLOP", "op", "op/J"})
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
COVERAGE = 2.0
"""An interval that a record states only as a standard uncertainty is shown at k=2."""
EXACT, UNKNOWN = "exact", "interval not known"
"""What stands in place of an interval: the same work gives the same number; nothing tells how it scatters."""
MOST_DECIMALS = 5
FAR, FAR_CHANGES = 3.0, 100.0
"""Ends of an interval that are further apart, as a ratio, have decimals of their own."""


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
    """The SI prefix that leaves one to three digits before the point, as (divisor, letter); none above the last."""
    if value == 0 or not math.isfinite(value):
        return 1.0, ""
    # Rounded to the three digits that are printed, so that 999.96 mJ becomes 1.00 J and not 1000 mJ.
    rounded = abs(float(f"{value:.3g}"))
    if rounded >= 1e3 * PREFIXES[0][0]:
        return 1.0, ""
    return next(((size, letter) for size, letter in PREFIXES if rounded >= size * (1 - 1e-9)), PREFIXES[-1])


def digits(value: float) -> str:
    """Three significant digits, as a power of ten where there is no other way: `0.0123`, `1230`, `5.20 × 10⁻⁴`."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    decimals = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))))
    if decimals > 5 or abs(value) >= 1e6:
        return power(value, 2)
    return f"{value:.{decimals}f}".replace("-", "−")


def power(value: float, decimals: int) -> str:
    """A number with a power of ten: `5.20 × 10⁻⁴`."""
    mantissa, _, exponent = f"{value:.{decimals}e}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(RAISED)}".replace("-", "−")


def quantity(value: float, unit: str) -> str:
    """A number with its unit: `12.3 mJ`, `97.8 %`, `0.412`."""
    if unit == "%":
        return f"{100 * value:.2f} %".replace("-", "−")
    divisor, letter = prefix(value) if unit in PREFIXED else (1.0, "")
    return f"{digits(value / divisor)} {letter}{unit}".rstrip()


def span(low: float, high: float, unit: str, *, like: float) -> str:
    """An interval in the prefix of the number it belongs to: `11.9 to 12.8 mJ`."""
    return stated(like, (low, high), unit)[1]


def stated(value: float, limits: tuple[float, float], unit: str) -> tuple[str, str]:
    """A number and its interval, in one prefix and as precise as each other: `12.343 mJ`, `12.341 to 12.345 mJ`."""
    if unit == "%":
        return quantity(value, unit), " to ".join(fixed(100 * limit, 2) for limit in limits) + " %"
    divisor, letter = prefix(value) if unit in PREFIXED else (1.0, "")
    low, high = (limit / divisor for limit in limits)
    end, decimals = f" {letter}{unit}".rstrip(), _common(low, high)
    if decimals is None:
        return quantity(value, unit), f"{digits(low)} to {digits(high)}{end}"
    own = _common(value / divisor, value / divisor)
    text = quantity(value, unit) if own is None else fixed(value / divisor, max(own, decimals)) + end
    return text, f"{fixed(low, decimals)} to {fixed(high, decimals)}{end}"


def change(value: float, limits: tuple[float, float] | None, unit: str) -> tuple[str, str]:
    """A change and its interval with their signs: `+5.2 %`, `+3.1 to +7.2 %`; the latter is empty without limits.

    Args:
        value: a share where `unit` is `%` or `points`.
        limits: of the interval, in the same unit; None where there are none.
        unit: of all three.
    """
    size, unit = _shared(value, max(limits or (0.0,), key=abs), unit)
    if limits is None:
        return f"{_signed(value / size, None)} {unit}".rstrip(), ""
    low, high = (limit / size for limit in limits)
    decimals = _common(low, high, FAR_CHANGES)
    texts = [_signed(one, decimals) for one in (value / size, low, high)]
    return f"{texts[0]} {unit}".rstrip(), f"{texts[1]} to {texts[2]} {unit}".rstrip()


def plus_minus(value: float, half: float, unit: str, *, signed: bool = False) -> str:
    """A number and half the width of its interval to the same decimals, two digits of the latter: `+0.20 ± 0.82 %`.

    Args:
        value: a share where `unit` is `%` or `points`.
        half: in the same unit.
        unit: of both.
        signed: also put a plus before what is above 0.
    """
    size, unit = _shared(value, half, unit)
    value, half = value / size, abs(half) / size
    sign = _sign(value) if signed or value < 0 else ""
    if not (half > 0 and math.isfinite(half) and math.isfinite(value)):
        return f"{sign}{digits(abs(value))} {unit}".rstrip()
    place = math.floor(math.log10(float(f"{half:.2g}"))) - 1
    if -place > MOST_DECIMALS:
        return f"{sign}{digits(abs(value))} ± {digits(half)} {unit}".rstrip()
    texts = [fixed(round(one, -place), max(0, -place)) for one in (abs(value), half)]
    return f"{sign if texts[0].strip('0.') else ''}{texts[0]} ± {texts[1]} {unit}".rstrip()


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, and no minus before a rounded 0."""
    text = f"{value:.{decimals}f}"
    return (text if float(text) else text.removeprefix("-")).replace("-", "−")


def _shared(value: float, other: float, unit: str) -> tuple[float, str]:
    """What two numbers that are printed together are divided by, and their unit."""
    if unit in ("%", "points"):
        return 0.01, unit
    size, letter = prefix(max(abs(value), abs(other))) if unit in PREFIXED else (1.0, "")
    return size, f"{letter}{unit}"


def _signed(value: float, decimals: int | None) -> str:
    """A number with its sign, to so many decimals; to three digits where these are not told or too few for it."""
    own = _common(value, value)
    text = digits(abs(value)) if own is None or decimals is None else fixed(abs(value), decimals)
    return f"{_sign(value) if text.strip('0.') else ''}{text}"


def _sign(value: float) -> str:
    return "−" if value < 0 else "+" if value > 0 else ""


def _common(low: float, high: float, apart: float = FAR) -> int | None:
    """Decimals for both ends: three digits of the larger, and one of half the width; None where nothing suits both."""
    near, far = sorted((abs(low), abs(high)))
    if not math.isfinite(far) or far >= 1e6 or not near or (low * high > 0 and far > apart * near):
        return None
    least = 2 - math.floor(math.log10(float(f"{far:.3g}")))
    width = -math.floor(math.log10(float(f"{(high - low) / 2:.1g}"))) if high > low else 0
    decimals = max(0, least, width)
    return decimals if decimals <= MOST_DECIMALS else None


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
    text, interval = stated(value, limits, unit) if limits and limits[0] != limits[1] else (quantity(value, unit), "")
    provenance = str(result.get("provenance", "measured"))
    return Shown(text=text, interval=interval, provenance=provenance, value=value)


def short(unit: str) -> str:
    """`joules` or `joules/sample` as a symbol: `J`; what has no symbol stays a word."""
    head = unit.removesuffix("/sample").removesuffix(" per sample").strip()
    return UNITS.get(head, "" if head in {"1", "fraction", "ratio", "dimensionless"} else head)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
