"""What a page says of machines and of how they were measured: plain values for its templates."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from energybench.reports.frames import Stored, titles
from energybench.reports.views.view import machine_name
from energybench.terminal import quantity


def machines(stored: Sequence[Stored]) -> list[dict[str, Any]]:
    """Each machine as its newest record found it: fingerprint, domains, what was missing, probe states."""
    last = {one.machine: one for one in stored}
    newest = {key: one.whole.record for key, one in last.items()}
    named = titles(stored)
    return [
        {
            "key": key,
            "id": anchor(key),
            "name": machine_name(key, named),
            "facts": facts({key: value for key, value in record["machine"].items() if key != "name"}),
            "quiet": record.get("quiet", {}).get("quiet", True),
            "reasons": list(record.get("quiet", {}).get("reasons", ())),
            "domains": _domains(record),
            "missing": _missing(record),
            "total": _total(record),
            "probes": [
                {"name": probe, "facts": facts(state)} for probe, state in sorted(record.get("probes", {}).items())
            ],
        }
        for key, record in sorted(newest.items())
    ]


def _domains(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    covered = set(record.get("total", {}).get("domains", ()))
    return [
        {
            "name": name,
            "probe": domain.get("probe", ""),
            "joules": quantity(domain["joules"], "J", domain.get("standard_uncertainty")),
            "provenance": domain["provenance"],
            "in_total": name in covered,
            "flags": list(domain.get("flags", ())),
        }
        for name, domain in record["domains"].items()
        if "joules" in domain
    ]


def _total(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sum of a record, what it covers, and what belongs in it and could not be read."""
    total = record.get("total")
    if total is None:
        return None
    return {
        "joules": quantity(total["joules"], "J", total["standard_uncertainty"]),
        "provenance": total["provenance"],
        "domains": list(total["domains"]),
        "missing": list(total.get("missing", ())),
    }


def _missing(record: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": name, "reason": domain["unavailable"], "remedy": domain.get("remedy", "")}
        for name, domain in record["domains"].items()
        if "unavailable" in domain
    ]


def methods(stored: Sequence[Stored]) -> list[dict[str, Any]]:
    """Each protocol that was used, and by how many records."""
    seen: dict[str, list[Mapping[str, Any]]] = {}
    for one in stored:
        seen.setdefault(json.dumps(one.record["protocol"], sort_keys=True), []).append(one.record["protocol"])
    return [{"records": len(used), "facts": facts(used[0])} for _, used in sorted(seen.items())]


def anchor(text: str) -> str:
    """A machine's place on the page, as the target of a link."""
    return "m-" + re.sub(r"[^A-Za-z0-9_-]+", "-", text)


def facts(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested plain values as (label, text), for a definition list; what is empty is left out."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        label = f"{above} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            pairs += facts(value, label)
        elif isinstance(value, bool):
            pairs.append((label, "yes" if value else "no"))
        elif isinstance(value, list | tuple):
            pairs += [(label, ", ".join(str(one) for one in value))] if value else []
        elif value is not None and value != "":
            pairs.append((label, f"{value:.6g}" if isinstance(value, float) else str(value)))
    return pairs
