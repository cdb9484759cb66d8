"""The page of each machine: what it is, what could be read, how its surroundings changed, what was run there."""

from collections.abc import Mapping
from typing import Any

from energybench.gating.asv_files import MACHINE_NAME, AsvFileError, read_object
from energybench.reports import frames, surroundings
from energybench.reports.evidence import Evidence
from energybench.reports.frames import Stored, commit_of
from energybench.reports.machines import facts, machines
from energybench.reports.pages import machine_page, workload_page
from energybench.reports.surroundings import Stage, newest_by_commit, of_machines, stages
from energybench.reports.views.view import machine_name

MOST_STAGES = 50


def machine_pages(evidence: Evidence) -> list[dict[str, Any]]:
    """What the template of each machine must know: those with records, then those that only asv knows."""
    found = of_machines(evidence.stored)
    told = {one["key"]: one for one in machines(evidence.stored)}
    pages = [_of_records(told[key], own) for key, own in sorted(found.items())]
    known = {one["asv_name"] for one in pages}
    return pages + [_of_asv(name, values) for name, values in _asv_machines(evidence).items() if name not in known]


def _of_records(told: Mapping[str, Any], own: list[Stored]) -> dict[str, Any]:
    found = stages(own)
    workloads = sorted({str(one.record["workload"]["name"]) for one in own})
    return {
        **told,
        "file": machine_page(told["key"]),
        "records": len(own),
        "newest": str(own[-1].record["created"])[:10],
        "asv_name": own[-1].record["machine"]["name"],
        "stages": [_stage(one) for one in reversed(found[-MOST_STAGES:])],
        "more_stages": max(0, len(found) - MOST_STAGES),
        "workloads": [{"name": name, "page": workload_page(name)} for name in workloads],
        "kinds": _kinds(own),
    }


def _kinds(own: list[Stored]) -> list[str]:
    """Which kinds of joule its records have."""
    kinds = {result["provenance"] for one in own for name, result in one.record["results"].items() if "joules" in name}
    return [kind for kind in ("measured", "estimated", "modelled", "simulated") if kind in kinds]


def _stage(one: Stage) -> dict[str, Any]:
    return {
        "first": str(one.first.record["created"])[:10],
        "last": str(one.last.record["created"])[:10],
        "commit": commit_of(one.first.record),
        "records": one.records,
        "begun": one.begun,
    }


def _asv_machines(evidence: Evidence) -> dict[str, Mapping[str, Any]]:
    """Machines that asv has results of, as its machine.json tells of them."""
    found: dict[str, Mapping[str, Any]] = {}
    for tree in evidence.library.trees:
        for name in tree.files:
            try:
                values = read_object(tree.path / name / MACHINE_NAME)
            except AsvFileError:
                values = {}
            found[str(values.get("machine") or name)] = values
    return dict(sorted(found.items()))


def _of_asv(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in values.items() if key not in ("machine", "version")}
    return {
        "key": name,
        "id": f"m-{name}",
        "name": name,
        "file": machine_page(name),
        "asv_name": name,
        "facts": facts(told),
        "quiet": True,
        "reasons": [],
        "domains": [],
        "missing": [],
        "total": None,
        "probes": [],
        "records": 0,
        "newest": "",
        "stages": [],
        "more_stages": 0,
        "workloads": [],
        "kinds": [],
    }


def compared(evidence: Evidence) -> list[dict[str, Any]]:
    """What else was different between the two commits of each scorecard."""
    titles = frames.titles(evidence.stored)
    found: list[dict[str, Any]] = []
    ids = {frames.machine(one.record): str(one.record["machine"]["id"]) for one in evidence.stored}
    pairs = {machine: (one.base_commit or "", one.head_commit or "") for machine, one in evidence.judged.items()}
    # A baseline may lie beside the branch.
    rank = {commit: -1 for pair in pairs.values() for commit in pair} | evidence.laid.line.rank
    for machine, newest in newest_by_commit(evidence.stored, rank).items():
        pair = pairs.get(ids[machine])
        if pair is None or not newest.keys() >= set(pair):
            continue
        (base, head), (old, new) = pair, (newest[commit] for commit in pair)
        told: dict[str, Any] = {"base": base[:8], "head": head[:8], "differences": surroundings.compared(old, new)}
        found.append(told | {"where": machine_name(machine, titles), "page": machine_page(machine)})
    return found
