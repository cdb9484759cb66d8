"""What two records must share to be comparable in a metric, by name."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from energybench.gating.series import Family
from energybench.keys import digest
from energybench.model import Provenance
from energybench.record import DomainEnergy, Record

NOT_DEFINING = ("seed", "seeds", "torch", "isa", "kernels", "device", "threads")
"""Seeds are pooled; how the work was done is no part of what was done, and a ground of its own where it matters."""
DEFINITION = "definition "
"""What the names of grounds begin with that say what was done."""
LONGEST = 32
"""Characters of a value that are shown; of longer ones the first, and a digest."""
ON_THE_MACHINE: tuple[Family, ...] = ("joules", "traffic", "seconds")


def grounds_of(
    record: Record, family: Family, provenance: Provenance, *, exact: bool, defined: Mapping[str, str]
) -> dict[str, str]:
    """The grounds of one metric of a record; what the record does not tell is absent.

    Args:
        record: with the metric.
        family: of the metric.
        provenance: of the metric.
        exact: whether equal work gives an equal number.
        defined: what `definition_grounds` gives, which all metrics of the record share.
    """
    work = record.workload
    found = {
        "protocol": str(record.protocol.version),
        "workload version": str(work.version),
        "quick": "yes" if record.quick else "no",
        **defined,
    }
    if record.target is not None:
        found["energy to accuracy"] = f"{record.target.accuracy:g}"
    if family in ON_THE_MACHINE:
        simulated = ", simulated" if provenance == "simulated" else ""
        found |= {"machine": record.machine.id + simulated, **_driver(record), **_settings(record)}
    if family == "joules" and provenance == "estimated":
        found |= {"model": record.estimated.model} if record.estimated else {}
    elif family == "joules":
        found |= _energy(record)
    elif family == "traffic" and (probes := _probes(record, energy=False)):
        found["probes"] = probes
    elif family == "modelled":
        found |= {"torch": torch_version(record), "dispatch": dispatch(record)}
        found |= {"seed": str(record.seed)} if exact else {}
    return found


def definition_grounds(record: Record) -> dict[str, str]:
    """What was done, each part under its own name, so that a difference can be named."""
    leaves = _leaves(_defining(record.workload.definition))
    return {f"{DEFINITION}{name}": _short(value) for name, value in leaves}


def table_of(record: Record) -> dict[str, str]:
    """The energy table of modelled joules."""
    return {"energy table": record.modelled.table} if record.modelled else {}


def samples_a_step(record: Record) -> dict[str, str]:
    """What joules and bytes were divided by: work that says it handles twice as many samples would halve them."""
    if record.target is not None or not record.steps:
        return {}
    return {"samples a step": f"{record.samples / record.steps:g}"}


def surroundings(record: Record, family: Family) -> dict[str, str]:
    """What is no ground of a metric and still may move it: for a history, which must not blame it on a commit."""
    found = {"torch": torch_version(record)}
    if family in ON_THE_MACHINE:
        found["kernel"] = str((record.machine.model_extra or {}).get("kernel", "unknown"))
    return found


def torch_version(record: Record) -> str:
    """The version of torch, as the workload or the machine tells it."""
    packages = (record.machine.model_extra or {}).get("packages")
    named = record.workload.definition.get("torch") or (
        packages.get("torch") if isinstance(packages, Mapping) else None
    )
    return str(named) if named else "none"


def dispatch(record: Record) -> str:
    """The instructions that kernels were chosen for and the device; the CPU's name where the record does not tell."""
    definition, extra = record.workload.definition, record.machine.model_extra or {}
    device = definition.get("device")
    return str(definition.get("isa") or extra.get("cpu") or "unknown") + (f", {device}" if device else "")


def unavailable(record: Record) -> str:
    """Why a record has no joules, in the words of its probes."""
    reasons = {
        f"{name}: {one.unavailable}" for name, one in record.domains.items() if not isinstance(one, DomainEnergy)
    }
    return "; ".join(sorted(reasons)) or "no energy counter could be read"


def depends_on_data(definition: Mapping[str, Any]) -> bool:
    """Whether counts depend on data or on timing: sweeps to a tolerance, messages that are left in a mailbox."""
    if definition.get("tolerance") or definition.get("carrier") == "mailbox":
        return True
    return any(depends_on_data(part) for name, part in definition.items() if isinstance(part, Mapping))


def _energy(record: Record) -> dict[str, str]:
    found = {"domains": ", ".join(sorted(record.total.domains))} if record.total else {}
    return found | ({"probes": probes} if (probes := _probes(record, energy=True)) else {})


def _probes(record: Record, *, energy: bool) -> str:
    """`domain:probe` of the domains of the total, or of what counts bytes."""
    total = set(record.total.domains) if record.total else set()
    if energy:
        named = {name: one.probe for name, one in record.domains.items() if isinstance(one, DomainEnergy)}
        return ", ".join(f"{name}:{named[name]}" for name in sorted(total) if name in named)
    pairs = [(one[0], one[1]) for one in record.sources or [] if len(one) > 1 and one[0] not in record.domains]
    return ", ".join(sorted(f"{name}:{probe}" for name, probe in pairs))


def _driver(record: Record) -> dict[str, str]:
    """Versions of drivers that the probes told."""
    told = {
        name: state["driver"] for name, state in record.probes.items() if isinstance(state, dict) and "driver" in state
    }
    return {"driver": ", ".join(f"{name} {version}" for name, version in sorted(told.items()))} if told else {}


def _settings(record: Record) -> dict[str, str]:
    """How the work was done, and those settings of the protocol that change what a number means."""
    definition, more = record.workload.definition, record.protocol.model_extra or {}
    found = {str(name): str(definition[name]) for name in ("device", "threads") if name in definition}
    found["align"] = _yes(record.protocol.align)
    return found | ({"dephase": _yes(bool(more["dephase"]))} if "dephase" in more else {})


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{below}", one) for below, one in _leaves(value))
        else:
            yield name, value


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 12]}… ({digest(value)})"


def _defining(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _defining(part) for name, part in value.items() if name not in NOT_DEFINING}
    return [_defining(part) for part in value] if isinstance(value, list) else value
