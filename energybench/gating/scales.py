"""The scale that a row of values is judged on: as they are, their logarithms, or in units of the largest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A scale, and the way back from it; `unit` is what values are divided by."""

    kind: Literal["absolute", "log", "unit"]
    unit: float = 1.0

    def of(self, value: float) -> float:
        """A value on the scale."""
        return math.log(value) if self.kind == "log" else value / self.unit

    def back(self, place: float) -> float:
        """The value at a place of the scale."""
        return math.exp(place) if self.kind == "log" else place * self.unit

    def error(self, value: float, error: float) -> float:
        """A standard error of a value, on the scale."""
        return error / (abs(value) if self.kind == "log" else self.unit)

    def change(self, step: float, old: float) -> float:
        """What a step on the scale is from the value `old` on: a share of it, or a difference on the absolute scale."""
        if self.kind == "log":
            return math.expm1(step)
        return step if self.kind == "absolute" else step * self.unit / old


def scale_of(values: Sequence[float], *, absolute: bool) -> Scale:
    """The scale for these values; shares of what is not above 0 have no logarithms."""
    if absolute:
        return Scale(kind="absolute")
    if min(values) > 0:
        return Scale(kind="log")
    return Scale(kind="unit", unit=max(abs(value) for value in values) or 1.0)
