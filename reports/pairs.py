"""Two points of one workload beside each other: both values, and their ratio or difference with an interval."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from energybench.reports.numbers import bounds, digits, show

COVERED = frozenset({"measured", "simulated"})
"""Kinds whose intervals come from repeats and a counter: they combine in quadrature. The range of a model does not."""

LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A record that is compared and the one that it is compared with, alike in all but one parameter.

    Attributes:
        other: what is compared.
        base: what with.
        setting: the parameter that differs; `levels` are its values, in this order.
        at: the parameters that both share and other points do not.
    """

    other: Mapping[str, Any]
    base: Mapping[str, Any]
    setting: str
    levels: tuple[str, str]
    at: str

    def ratio(self, kind: str | None, metric: str) -> dict[str, Any] | None:
        """A tile with other / base, where both have the metric from the same kind of source and domains."""
        new, old = self.other["results"].get(metric), self.base["results"].get(metric)
        if new is None or old is None or new["provenance"] != old["provenance"]:
            return None
        if kind not in {None, new["provenance"]} or not old["value"]:
            return None
        if metric == "joules_per_sample" and _domains(self.other) != _domains(self.base):
            return None
        what = "time per sample" if kind is None else f"{kind} energy per sample"
        limits = ratio_limits(new, old)
        interval = f"{digits(limits[0])} to {digits(limits[1])} ×" if limits else ""
        told = _told(limits, alike=1.0)
        return self._tile(f"{digits(new['value'] / old['value'])} ×", interval, what, told, metric)

    def accuracy(self) -> dict[str, Any] | None:
        """A tile with the difference in points."""
        new, old = self.other["results"].get("accuracy"), self.base["results"].get("accuracy")
        if new is None or old is None:
            return None
        limits = difference_limits(new, old)
        interval = _signed(f"{100 * limits[0]:+.2f} to {100 * limits[1]:+.2f} points") if limits else ""
        big = _signed(f"{100 * (new['value'] - old['value']):+.2f} points")
        return self._tile(big, interval, "accuracy", _told(limits, alike=0.0), "accuracy")

    def _tile(self, big: str, interval: str, what: str, told: str, metric: str) -> dict[str, Any]:
        results = [record["results"][metric] for record in (self.other, self.base)]
        against = f"{self.setting} {self.levels[0]} against {self.levels[1]}"
        return {
            "big": big,
            "interval": interval,
            "label": f"{what}, {against}{f', {self.at}' if self.at else ''}",
            "values": [
                {"name": f"{self.setting} {level}", "shown": show(result, percent=metric == "accuracy")}
                for level, result in zip(self.levels, results, strict=True)
            ],
            "verdict": told,
            "provenance": str(results[0]["provenance"]),
        }


def ratio_limits(new: Mapping[str, Any], old: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of new / old; None where either states none, or one that reaches 0.

    Of measured values by MOVER on the log scale (Zou and Donner 2008), so that the doubts of both are added as
    independent ones are. Of modelled and estimated ones it goes from one end to the other: all that the models admit.
    """
    one, other = bounds(new), bounds(old)
    if one is None or other is None or min(*one, *other, new["value"], old["value"]) <= 0:
        return None
    (low, high), (least, most) = one, other
    if not {new["provenance"], old["provenance"]} <= COVERED:
        return low / most, high / least
    logs = [math.log(number) for number in (new["value"], low, high, old["value"], least, most)]
    value, low, high, compared, least, most = logs
    below, above = math.hypot(value - low, most - compared), math.hypot(high - value, compared - least)
    middle = value - compared
    return _power(middle - below), _power(middle + above)


def difference_limits(new: Mapping[str, Any], old: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of new − old, by MOVER as well; None where either states none."""
    one, other = bounds(new), bounds(old)
    if one is None or other is None:
        return None
    (low, high), (least, most) = one, other
    middle = new["value"] - old["value"]
    below = math.hypot(new["value"] - low, most - old["value"])
    return middle - below, middle + math.hypot(high - new["value"], old["value"] - least)


def _power(exponent: float) -> float:
    """Of e, where a float can hold it."""
    return math.exp(exponent) if exponent < LARGEST else math.inf


def _told(limits: tuple[float, float] | None, *, alike: float) -> str:
    if limits is None:
        return "no interval stated"
    return "not told apart" if limits[0] <= alike <= limits[1] else "told apart"


def _domains(record: Mapping[str, Any]) -> Any:
    return record.get("total", {}).get("domains")


def _signed(text: str) -> str:
    return text.replace("-", "−")
