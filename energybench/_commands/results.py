"""The table at the end of `run` and `report`: a row a record, every joule with where it comes from."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.settings import PARAMETER
from energybench.terminal import plus_minus, quantity, share, table

if TYPE_CHECKING:
    from rich.table import Table

JOULES = ("joules", "estimated_joules")
BYTES = ("dram_bytes", "operand_bytes")
NETWORK = ("payload_bytes", "tcp_bytes", "wire_bytes")
MOST_ROWS = 40
"""Of a table of a report on a terminal; the site's data has every point."""


def result_tables(records: Sequence[Mapping[str, Any]]) -> "list[Table]":
    """Records (plain values, as on disk): a table for each workload, headed by what its points share.

    Trainings to one accuracy stand in one table, whatever was trained: that is what they are for.
    """
    steps = [one for one in records if "target" not in one]
    names = dict.fromkeys(one["workload"]["name"] for one in steps)
    tables = [workload_table(name, [one for one in steps if one["workload"]["name"] == name]) for name in names]
    trained = [one for one in records if "target" in one]
    goals = dict.fromkeys(one["target"]["accuracy"] for one in trained)
    return tables + [target_table("", [one for one in trained if one["target"]["accuracy"] == goal]) for goal in goals]


def target_table(where: str, records: Sequence[Mapping[str, Any]], most: int | None = None) -> "Table":
    """What it took to an accuracy: a row a point, of any workload.

    Args:
        where: said after the accuracy.
        records: of the points.
        most: rows at most, and below them how many more there are; None for all.
    """
    shown = [_without_target(one["parameters"]) for one in records]
    shared = _shared(shown)
    title = f"to {share(records[0]['target']['accuracy'])} accuracy{where}" + (f" ({_text(shared)})" if shared else "")
    drawn = table("workload", "parameters", "energy", "modelled", "bytes", "passes", "accuracy", "time", title=title)
    _told_left(drawn, records, most)
    for record, parameters in list(zip(records, shown, strict=True))[:most]:
        results = record["results"]
        drawn.add_row(
            record["workload"]["name"],
            _text({key: value for key, value in parameters.items() if key not in shared}),
            _energy(results, "to_accuracy") if record["target"]["reached"] else "not reached",
            _plain(results.get("modelled_joules_to_accuracy"), "J"),
            _bytes(results, "to_accuracy"),
            _passes(results, record["target"]),
            f"{results['accuracy']['value']:.2%}" if "accuracy" in results else "–",
            _value(results["seconds_to_accuracy"], "s") if "seconds_to_accuracy" in results else "–",
        )
    return drawn


def _without_target(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key != PARAMETER}


def _reached(target: Mapping[str, Any]) -> str:
    return f"{target['reached']} of {len(target['repeats'])}"


def _passes(results: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    passes = results.get("passes_to_accuracy")
    if passes is None:
        return "–"
    low, high = passes.get("low", passes["value"]), passes.get("high", passes["value"])
    interval = f" [{low:.3g} to {high:.3g}]" if low < high else ""
    missed = target["reached"] < len(target["repeats"])
    return f"{passes['value']:.3g}{interval}{f', reached by {_reached(target)}' if missed else ''}"


def workload_table(name: str, records: Sequence[Mapping[str, Any]], most: int | None = None) -> "Table":
    """One table, headed by `name` and by what its points share; of `most` rows, as that of a target."""
    shared = _shared([one["parameters"] for one in records])
    title = f"{name}, per sample" + (f" ({_text(shared)})" if shared else "")
    talking = any(f"{kind}_per_step" in one["results"] for kind in NETWORK for one in records)
    network = ["network, a step and node"] if talking else []
    drawn = table("parameters", "energy", "modelled", "bytes", *network, "accuracy", "time", title=title)
    _told_left(drawn, records, most)
    for record in sorted(records, key=_by_parameters)[:most]:
        results = record["results"]
        drawn.add_row(
            _text({key: value for key, value in record["parameters"].items() if key not in shared}),
            _energy(results),
            _plain(results.get("modelled_joules_per_sample"), "J"),
            _bytes(results),
            *([_network(results)] if talking else []),
            "–" if "accuracy" not in results else f"{results['accuracy']['value']:.2%}",
            _value(results["seconds_per_sample"], "s") if "seconds_per_sample" in results else "–",
        )
    return drawn


def _told_left(drawn: "Table", records: Sequence[Mapping[str, Any]], most: int | None) -> None:
    """Below a table, how many points it leaves out."""
    if most is not None and len(records) > most:
        left = len(records) - most
        drawn.caption = f"… and {left:,} more point{'s' if left > 1 else ''}; the data of the site has all of them"
        drawn.caption_justify = "left"


def _by_parameters(record: Mapping[str, Any]) -> list[tuple[bool, Any]]:
    """8 before 16, and words after numbers."""
    return [(isinstance(value, str), value) for value in record["parameters"].values()]


def _shared(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What has one value in all of several points."""
    first, *others = parameters
    return {key: value for key, value in first.items() if others and all(one.get(key) == value for one in others)}


def _text(parameters: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters.items() if value != "")


def _energy(results: Mapping[str, Any], per: str = "per_sample") -> str:
    """Measured or simulated joules, else the estimate with its bounds; always with where they come from."""
    metric = next((results[f"{name}_{per}"] for name in JOULES if f"{name}_{per}" in results), None)
    return "–" if metric is None else f"{_value(metric, 'J')} ({metric['provenance']})"


def _bytes(results: Mapping[str, Any], per: str = "per_sample") -> str:
    name = next((name for name in BYTES if f"{name}_{per}" in results), None)
    if name is None:
        return "–"
    metric = results[f"{name}_{per}"]
    return f"{_plain(metric, 'B')} ({name.removesuffix('_bytes')}, {metric['provenance']})"


def _network(results: Mapping[str, Any]) -> str:
    """What a node sends in a step: its messages, what they are on TCP, and on the interface with every header."""
    found = [(kind, results[f"{kind}_per_step"]) for kind in NETWORK if f"{kind}_per_step" in results]
    return ", ".join(f"{_plain(metric, 'B')} {kind.removesuffix('_bytes')}" for kind, metric in found) or "–"


def _plain(metric: Mapping[str, Any] | None, unit: str) -> str:
    return "–" if metric is None else quantity(metric["value"], unit)


def _value(metric: Mapping[str, Any], unit: str) -> str:
    """The interval that the page shows too: `low` to `high`, and ±2u only where a record has neither."""
    value, low, high = metric["value"], metric.get("low"), metric.get("high")
    if low is None or high is None:
        return quantity(value, unit, metric.get("standard_uncertainty"))
    half = (high - low) / 2
    if abs(high - value - half) <= 1e-6 * half:
        return plus_minus(value, half, unit)
    return f"{quantity(value, unit)} [{quantity(low, unit)} to {quantity(high, unit)}]"
