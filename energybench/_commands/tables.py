"""How `doctor` and `list` draw their tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.boundary import describe
from energybench.doctor import has_energy, remedies
from energybench.model import Parameter
from energybench.terminal import duration, quantity, table

if TYPE_CHECKING:
    from rich.console import RenderableType


def doctor_tables(report: Mapping[str, Any]) -> "list[RenderableType]":
    """What can be read, what cannot and what to do, the cross-check, and the state of the machine."""
    readable = {name: entry for name, entry in report["domains"].items() if "unit" in entry}
    parts: list[RenderableType] = []
    if readable:
        drawn = table("domain", "unit", "resolution", "tick", "wraps", "in total", "provenance", "probe", "remarks")
        for name, entry in readable.items():
            drawn.add_row(name, *_domain_cells(entry))
        parts += ["Readable here", drawn]
    if not has_energy(report):
        parts.append("No energy source can be read here: joules will be estimated from time, and labelled so.\n")
    missing = remedies(report)
    if missing:
        drawn = table("missing", "why", "what to do")
        for row in missing:
            drawn.add_row(*row)
        parts += ["Missing", drawn]
    parts += [_check_line(check) for check in report["checks"]]
    quiet = report["quiet"]
    parts.append(
        "The machine is quiet." if quiet["quiet"] else f"The machine is not quiet: {'; '.join(quiet['reasons'])}"
    )
    return parts


def _domain_cells(entry: Mapping[str, Any]) -> list[str]:
    unit, tick, wraps = entry["unit"], entry.get("tick"), entry.get("wraps_after_seconds")
    return [
        unit,
        quantity(entry["resolution"], unit) if entry["resolution"] else "?",
        quantity(tick, "s") if tick else "not seen",
        f"after {duration(wraps)} at full power" if wraps else "never",
        "yes" if entry["in_total"] else "no",
        entry["provenance"],
        entry["probe"],
        ", ".join(entry["flags"]),
    ]


def _check_line(check: Mapping[str, Any]) -> str:
    if "unavailable" in check:
        return f"Cross-check of {check['domain']} failed: {check['unavailable']}; {check['remedy']}"
    verdict = "agree" if check["agree"] else "DISAGREE: trust neither before you know why"
    ours, theirs = quantity(check["powercap"], "J"), quantity(check["pyrapl"], "J")
    return f"Cross-check of {check['domain']}: powercap {ours}, pyRAPL {theirs}: they {verdict}"


def workload_table(workloads: Mapping[str, Mapping[str, Any]]) -> "RenderableType":
    """One row for each parameter of each workload."""
    drawn = table("workload", "parameter", "default", "choices", "meaning")
    for name, entry in workloads.items():
        drawn.add_row(name, "", "", "", entry.get("summary") or f"cannot be loaded: {entry['unavailable']}")
        for key, parameter in entry.get("parameters", {}).items():
            choices = ", ".join(str(choice) for choice in parameter.get("choices", ()))
            compared = ", ".join(map(str, parameter.get("compared", ())))
            default = f"{parameter['default']}; run compares {compared}" if compared else str(parameter["default"])
            drawn.add_row("", key, default, choices, parameter["help"])
    return drawn


def describe_workloads(names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """These workloads (all, where none is named) with their parameters, in plain values.

    Of all, one that cannot be loaded says why; one that is named and cannot be loaded is an error.
    """
    from energybench import workloads

    for name in names:
        workloads.load(name)
    return {name: _describe_workload(name) for name in names or workloads.names()}


def _describe_workload(name: str) -> dict[str, Any]:
    from energybench import workloads

    try:
        workload = workloads.load(name)
    except Exception as error:  # one that needs what is not installed must not hide the others
        return {"unavailable": describe(error)}
    parameters = {key: _describe_parameter(parameter) for key, parameter in workload.parameters.items()}
    for key, values in getattr(workload, "matrix", {}).items():
        parameters[key]["compared"] = list(values)
    return {"version": workload.version, "summary": workload.summary, "parameters": parameters}


def _describe_parameter(parameter: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {"default": parameter.default, "help": parameter.help}
    return told | ({"choices": list(parameter.choices)} if parameter.choices else {})
