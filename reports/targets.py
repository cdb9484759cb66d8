"""Trainings to an accuracy: the table of what it took, and the figure of accuracy against joules, pass by pass."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from energybench.reports.bits import settings
from energybench.reports.figures import INK, KINDS, MOST_LABELS
from energybench.reports.frames import Stored, data_name, shown
from energybench.reports.numbers import quantity, show
from energybench.reports.origins import origin
from energybench.reports.plotting import LINES, colours, legend, logarithmic, panel_axes, percent, tick, widened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADINGS = {
    "joules_to_accuracy": "Energy",
    "net_joules_to_accuracy": "Energy above idle",
    "estimated_joules_to_accuracy": "Estimated energy",
    "modelled_joules_to_accuracy": "Modelled energy",
    "dram_bytes_to_accuracy": "DRAM traffic",
    "operand_bytes_to_accuracy": "Operand traffic",
    "seconds_to_accuracy": "Time of training",
    "passes_to_accuracy": "Passes",
    "samples_to_accuracy": "Samples",
    "accuracy": "Accuracy",
}
"""What it took, in this order."""
ALWAYS = ("joules_to_accuracy", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training: joules so far and accuracy after each pass; `reached` where it ends at the target."""

    name: str
    joules: list[float]
    accuracies: list[float]
    reached: bool


def is_target(stored: Sequence[Stored]) -> bool:
    """Whether these are trainings to an accuracy."""
    return bool(stored) and "target" in stored[0].record


def title(record: Mapping[str, Any]) -> str:
    """`Energy to 97 % accuracy, digits`."""
    data = shown(data_name(record))
    return f"Energy to {tick(record['target']['accuracy'], '%')} accuracy{f', {data}' if data else ''}"


def names(stored: Sequence[Stored]) -> list[tuple[str, str]]:
    """The workload of each record, and the parameters that tell it from others of the same workload, in words."""
    words: dict[str, str] = {}
    for workload in dict.fromkeys(one.record["workload"]["name"] for one in stored):
        own = [one.record for one in stored if one.record["workload"]["name"] == workload]
        told = settings([record["parameters"] for record in own], without=())
        words |= {record["id"]: setting for record, setting in zip(own, told, strict=True)}
    return [(one.record["workload"]["name"], words[one.record["id"]]) for one in stored]


def table(stored: Sequence[Stored]) -> dict[str, Any]:
    """`settings`, `columns` and `rows` for the page; a cell that is missing because nobody got there says so."""
    records, named = [one.record for one in stored], names(stored)
    heads = _heads(records, named)
    present = {metric for record in records for metric in record["results"]} | set(ALWAYS)
    metrics = [name for name in HEADINGS if name in present]
    return {
        "caption": "What all trainings took, over those that reached the accuracy; one row a parameter point",
        "settings": list(heads[0]),
        "fixed": [],
        "columns": [HEADINGS[name] for name in metrics],
        "has_origins": any(any(origin(record)) for record in records),
        "more": [],
        "rows": [_row(record, list(head.values()), metrics) for record, head in zip(records, heads, strict=True)],
        "cut": 0,
    }


def _heads(records: Sequence[Mapping[str, Any]], named: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """What a row begins with: its workload, parameters where some vary, and how many got there where some did not."""
    targets = [record["target"] for record in records]
    told = [f"{target['reached']} of {len(target['repeats'])}" for target in targets]
    varies = any(setting for _, setting in named)
    short = any(target["reached"] < len(target["repeats"]) for target in targets)
    return [
        {
            "workload": workload,
            **({"parameters": setting} if varies else {}),
            **({"reached by": often} if short else {}),
        }
        for (workload, setting), often in zip(named, told, strict=True)
    ]


def curves(stored: Sequence[Stored]) -> dict[str, list[Curve]]:
    """The trainings by kind of joule."""
    found: dict[str, list[Curve]] = {}
    for one, name in zip(stored, names(stored), strict=True):
        for kind in KINDS:
            drawn = list(_curves(one.record, kind, ", ".join(part for part in name if part)))
            if drawn:
                found.setdefault(kind, []).extend(drawn)
    return found


def figures(stored: Sequence[Stored], *, dark: bool = False) -> "dict[str, Figure]":
    """Accuracy against joules so far: a panel for each kind of joule, a line for each training."""
    found, target = curves(stored), float(stored[0].record["target"]["accuracy"])
    return {kind: _figure(kind, found[kind], target, dark=dark) for kind in KINDS if kind in found}


def alt(stored: Sequence[Stored], kind: str) -> str:
    """What a panel shows, in a sentence."""
    drawn = curves(stored)[kind]
    parts = []
    for name in dict.fromkeys(curve.name for curve in drawn):
        own = [curve for curve in drawn if curve.name == name]
        ends = [curve.joules[-1] for curve in own]
        span = " to ".join(dict.fromkeys(quantity(joules, "J") for joules in (min(ends), max(ends))))
        parts.append(f"{name} {span}, {sum(curve.reached for curve in own)} of {len(own)} there")
    target = tick(stored[0].record["target"]["accuracy"], "%")
    return f"Held-out accuracy against {kind} joules so far, pass by pass, to {target}: {'; '.join(parts)}."


def _row(record: Mapping[str, Any], settings: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    results = record["results"]
    return {
        "settings": list(settings),
        "cells": [show(results[name], percent=name == "accuracy") if name in results else None for name in metrics],
        "more": [],
        "missed": "" if record["target"]["reached"] else "not reached",
        "flags": list(record.get("flags", ())),
        "origin": origin(record),
    }


def _curves(record: Mapping[str, Any], kind: str, name: str) -> Iterator[Curve]:
    """The trainings of a record whose every pass has joules of this kind."""
    for number, repeat in enumerate(record["target"]["repeats"]):
        windows = [window for window in record["windows"] if window.get("round", 0) == number]
        each = [_joules(record, window, kind) for window in windows]
        if each and all(joules is not None and joules > 0 for joules in each):
            sums = list(accumulate(joules for joules in each if joules is not None))
            accuracies = [float(share) for share in repeat["accuracies"]]
            if len(accuracies) != len(sums):  # a training that was cut, or put together by hand
                continue
            yield Curve(name=name, joules=sums, accuracies=accuracies, reached=bool(repeat["reached"]))


def _joules(record: Mapping[str, Any], window: Mapping[str, Any], kind: str) -> float | None:
    """Joules of one pass; modelled ones are those of the pass that was counted."""
    if kind == "modelled":
        return (
            float(record["modelled"]["joules"]) / record["steps"] if "modelled" in record and record["steps"] else None
        )
    if kind == "estimated":
        return float(window["estimated"]["joules"]) if "estimated" in window else None
    total = window.get("total")
    return float(total["joules"]) if total and total["provenance"] == kind else None


def _figure(kind: str, drawn: Sequence[Curve], target: float, *, dark: bool) -> "Figure":
    told = list(dict.fromkeys(curve.name for curve in drawn))
    inks = dict(zip(told, colours(len(told), dark=dark), strict=True))
    dashes = {name: LINES[number % len(LINES)] for number, name in enumerate(told)}
    with panel_axes(KINDS[kind][2], f"{kind} joules so far", "held-out accuracy", dark=dark) as (figure, axis):
        axis.axhline(target, color=str(INK[dark]["muted"]), linestyle=":", linewidth=1.5)
        for curve in drawn:
            _line(axis, curve, inks[curve.name], dashes[curve.name], KINDS[kind][1])
        _scale(axis, drawn, target)
        entries = [
            (name, {"color": inks[name], "marker": KINDS[kind][1], "linestyle": dashes[name]})
            for name in told[:MOST_LABELS]
        ]
        muted = {"color": str(INK[dark]["muted"]), "linestyle": ":", "marker": ""}
        legend(figure, [*entries, (f"target, {tick(target, '%')}", muted)], dark=dark)
    return figure


def _line(axis: "Axes", curve: Curve, ink: Any, dashes: Any, marker: str) -> None:
    """A thin line a training; its mark, at the end, is hollow where it fell short of the target."""
    face = ink if curve.reached else "none"
    axis.plot(curve.joules, curve.accuracies, color=ink, linestyle=dashes, linewidth=1.2, alpha=0.75, zorder=2)
    axis.plot(curve.joules[:-1], curve.accuracies[:-1], ".", color=ink, markersize=4, alpha=0.75, zorder=2)
    axis.plot(curve.joules[-1], curve.accuracies[-1], marker, mfc=face, mec=ink, mew=1.5, markersize=7, zorder=3)


def _scale(axis: "Axes", drawn: Sequence[Curve], target: float) -> None:
    joules = [value for curve in drawn for value in curve.joules]
    logarithmic(axis, "J", *widened(min(joules), max(joules)), way="x")
    shares = [share for curve in drawn for share in curve.accuracies]
    assert all(map(math.isfinite, shares))
    percent(axis, min(*shares, target), max(*shares, target))
