"""What `measure -- CMD` says of its runs: one JSON object, or lines for people."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from energybench.launch import Run
from energybench.terminal import interval, quantity


def to_json(command: Sequence[str], runs: Sequence[Run]) -> dict[str, Any]:
    """The window of the one run, or the medians over several with `low` and `high`, the runs beside them."""
    tail = {"command": list(command), "exit_code": runs[-1].exit_code, "exclusive": False}
    if len(runs) == 1:
        return runs[0].reading | tail
    readings = [run.reading for run in runs]
    return {"schema": 1} | summarise(readings) | tail | {"runs": readings}


def summarise(readings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over repeated windows. What not every run has, is left out."""
    summary: dict[str, Any] = {"seconds": statistics.median(reading["seconds"] for reading in readings)}
    low, high = (edge(reading["seconds"] for reading in readings) for edge in (min, max))
    summary["spread_seconds"] = {"low": low, "high": high}
    domains = {name: _median_energy([r["domains"][name] for r in readings]) for name in _shared(readings, "domains")}
    summary["domains"] = domains
    totals = [reading["total"] for reading in readings if "total" in reading]
    if len(totals) == len(readings) and len({tuple(total["domains"]) for total in totals}) == 1:
        summary["total"] = _median_energy(totals)
    traffic = {name: statistics.median(r["traffic"][name] for r in readings) for name in _shared(readings, "traffic")}
    estimates = [reading["estimated"] for reading in readings if "estimated" in reading]
    if len(estimates) == len(readings):
        middles = {key: statistics.median(entry[key] for entry in estimates) for key in ("joules", "low", "high")}
        summary["estimated"] = estimates[0] | middles
    return summary | ({"traffic": traffic} if traffic else {})


def _shared(readings: Sequence[Mapping[str, Any]], part: str) -> list[str]:
    first, *others = (reading.get(part, {}) for reading in readings)
    return [name for name in first if all(name in other for other in others)]


def _median_energy(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Median, spread, and the repeats' scatter combined with the windows' own uncertainty."""
    failed = [entry for entry in entries if "unavailable" in entry]
    if failed:
        return dict(failed[0])
    joules = [entry["joules"] for entry in entries]
    # Not divided by the number of runs: a sensor's gain is common to all.
    type_b = statistics.median(entry["standard_uncertainty"] for entry in entries)
    # The median of n normal values scatters 1.2533 times as much as their mean.
    type_a = 1.2533 * statistics.stdev(joules) / len(joules) ** 0.5
    flags = sorted({flag for entry in entries for flag in entry.get("flags", ())})
    middle = {
        "joules": statistics.median(joules),
        "standard_uncertainty": (type_a**2 + type_b**2) ** 0.5,
        "low": min(joules),
        "high": max(joules),
    }
    return dict(entries[0]) | middle | ({"flags": flags} if "flags" in entries[0] else {})


def lines(command: Sequence[str], runs: Sequence[Run], data: Mapping[str, Any]) -> list[str]:
    """What `measure` prints for people: a number a line, each with where it comes from.

    Probes that this machine has nothing for are `doctor`'s to list; a part that failed stands among the numbers.
    """
    count = f", median of {len(runs)} runs" if len(runs) > 1 else ""
    shown = {name: entry for name, entry in data.get("domains", {}).items() if "joules" in entry or "." in name}
    rows = [(_energy_text(entry), name, _origin(entry)) for name, entry in shown.items()]
    if "total" in data:
        total = data["total"]
        missing = f"; not in it: {', '.join(total['missing'])}" if total.get("missing") else ""
        what = f"{total['provenance']}, {' + '.join(total['domains'])}{missing}"
        rows.append((_energy_text(total), "total", what + _spread(total)))
    if "estimated" in data:
        entry = data["estimated"]
        rows.append((interval(entry["joules"], entry["low"], entry["high"], "J"), "estimated", entry["model"]))
    rows += [_traffic_row(name, value, runs[-1].reading) for name, value in data.get("traffic", {}).items()]
    seconds = data.get("spread_seconds")
    spread = f"{quantity(seconds['low'], 's')} to {quantity(seconds['high'], 's')}; " if seconds else ""
    user, system = (statistics.median(getattr(run, f"{kind}_seconds") for run in runs) for kind in ("user", "system"))
    rows.append((quantity(data["seconds"], "s"), "elapsed", f"{spread}{user:.3f} s user, {system:.3f} s system"))
    width, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    body = [f"  {value:>{width}}  {name:<{second}}  {origin}".rstrip() for value, name, origin in rows]
    return [
        "",
        f"The machine while {' '.join(command)!r} ran{count} (± at k=2, other processes included):",
        "",
        *body,
        *(
            []
            if "total" in data
            else ["", "No energy counter could be read; `energybench doctor` says what is missing."]
        ),
        "",
    ]


def _energy_text(entry: Mapping[str, Any]) -> str:
    return "unavailable" if "unavailable" in entry else quantity(entry["joules"], "J", entry["standard_uncertainty"])


def _origin(entry: Mapping[str, Any]) -> str:
    if "unavailable" in entry:
        return f"{entry['unavailable']}; {entry['remedy']}"
    return ", ".join(dict.fromkeys([entry["provenance"], entry["probe"], *entry.get("flags", ())]))


def _traffic_row(name: str, value: float, reading: Mapping[str, Any]) -> tuple[str, str, str]:
    """Bytes of one kind; where they come from is the same in every run."""
    detail = reading["traffic_detail"][name]
    return quantity(value, "B"), name, ", ".join([detail["provenance"], *detail["domains"]])


def _spread(entry: Mapping[str, Any]) -> str:
    return f"; {quantity(entry['low'], 'J')} to {quantity(entry['high'], 'J')}" if "low" in entry else ""
