"""The table at the end of `run` and `report`: a row a record, every joule with where it comes from."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.terminal import plus_minus, quantity, table

if TYPE_CHECKING:
    from rich.table import Table

JOULES = ("joules_per_sample", "estimated_joules_per_sample")
BYTES = ("dram_bytes_per_sample", "operand_bytes_per_sample")


def result_tables(records: Sequence[Mapping[str, Any]]) -> "list[Table]":
    """Records (plain values, as on disk): a table for each workload, headed by what its points share."""
    names = dict.fromkeys(one["workload"]["name"] for one in records)
    return [workload_table(name, [one for one in records if one["workload"]["name"] == name]) for name in names]


def workload_table(name: str, records: Sequence[Mapping[str, Any]]) -> "Table":
    """One table, headed by `name` and by what its points share."""
    shared = _shared([one["parameters"] for one in records])
    title = f"{name}, per sample" + (f" ({_text(shared)})" if shared else "")
    headings = ("parameters", "energy", "modelled", "bytes", "accuracy", "time")
    drawn = table(*headings, title=title)
    for record in sorted(records, key=_by_parameters):
        results = record["results"]
        drawn.add_row(
            _text({key: value for key, value in record["parameters"].items() if key not in shared}),
            _energy(results),
            _plain(results.get("modelled_joules_per_sample"), "J"),
            _bytes(results),
            "–" if "accuracy" not in results else f"{results['accuracy']['value']:.2%}",
            _value(results["seconds_per_sample"], "s") if "seconds_per_sample" in results else "–",
        )
    return drawn


def _by_parameters(record: Mapping[str, Any]) -> list[tuple[bool, Any]]:
    """8 before 16, and words after numbers."""
    return [(isinstance(value, str), value) for value in record["parameters"].values()]


def _shared(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What has one value in all of several points."""
    first, *others = parameters
    return {key: value for key, value in first.items() if others and all(one.get(key) == value for one in others)}


def _text(parameters: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters.items() if value != "")


def _energy(results: Mapping[str, Any]) -> str:
    """Measured or simulated joules, else the estimate with its bounds; always with where they come from."""
    metric = next((results[name] for name in JOULES if name in results), None)
    return "–" if metric is None else f"{_value(metric, 'J')} ({metric['provenance']})"


def _bytes(results: Mapping[str, Any]) -> str:
    name = next((name for name in BYTES if name in results), None)
    if name is None:
        return "–"
    kind = name.removesuffix("_bytes_per_sample")
    return f"{_plain(results[name], 'B')} ({kind}, {results[name]['provenance']})"


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
