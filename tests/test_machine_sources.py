"""Where the joules of each machine come from, and what could not be read."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from energybench.reports import frames
from energybench.reports.frames import Stored
from energybench.reports.views import machine_sources, machines
from energybench.reports.views.machine_sources import Source
from energybench.reports.views.view import Shown


@pytest.fixture
def stored(fake: Callable[[str], ModuleType]) -> list[Stored]:
    """A box with a counter and one without, the latter by its second record."""
    a_record = fake("site_records").a_record
    blind = a_record("c", machine={"id": "vm", "name": "the box"}, created="2026-11-24T10:00:00Z")
    blind["domains"] = {
        "powercap": {"unavailable": "no RAPL zone", "remedy": "sudo modprobe intel_rapl_msr"},
        "nvml": {"unavailable": "no driver"},
    }
    blind["estimated"] = {"joules": 1.0, "low": 0.5, "high": 2.0, "model": "a table", "provenance": "estimated"}
    del blind["results"]["joules_per_sample"]
    records: list[dict[str, Any]] = [a_record("a"), a_record("b"), blind]
    return [Stored(path=Path(f"{one['id']}.json"), record=one) for one in records]


def test_each_machine_has_its_sources_then_what_was_not_read_with_reason_and_remedy(stored: list[Stored]) -> None:
    assert machine_sources.sources(stored) == [
        Source(machine="box-1", name="powercap: cpu.package-0, cpu.dram-0", kind="measured", records=2),
        Source(machine="box-1", name="counts × horowitz-45nm", kind="modelled", records=2),
        Source(machine="vm", name="time × a table", kind="estimated", records=1),
        Source(machine="vm", name="counts × horowitz-45nm", kind="modelled", records=1),
        Source(machine="vm", name="powercap", reason="no RAPL zone", remedy="sudo modprobe intel_rapl_msr"),
        Source(machine="vm", name="nvml", reason="no driver"),
    ]


def test_joules_whose_source_is_in_no_record_are_told_as_such(stored: list[Stored]) -> None:
    del stored[2].record["estimated"]  # type: ignore[attr-defined]
    result = {"value": 1.0, "unit": "J", "provenance": "estimated"}
    stored[2].record["results"]["estimated_joules_per_sample"] = result
    assert Source(machine="vm", name="not told", kind="estimated", records=1) in machine_sources.sources(stored)


def test_the_view_lists_them_with_a_badge_and_machines_of_one_name_apart(stored: list[Stored]) -> None:
    view = machines.view(stored)
    first, last = view.second.rows[0], view.second.rows[-1]
    assert first[1] == Shown(text="2 records", interval="", provenance="measured", value=2)
    assert [str(first[0]).count(name) for name in ("the box (box-1)", "machine-box-1.html")] == [1, 1]
    assert last[1:] == ("not read", "nvml", "no driver", "none known")
    table = view.frame()
    missing = table[table["what"] == "not read"]
    assert list(missing["reason"]) == ["no RAPL zone", "no driver"]
    assert list(missing["remedy"].dropna()) == ["sudo modprobe intel_rapl_msr"]
    assert not missing["value"].notna().any()


def test_without_noise_the_view_still_tells_its_sources_and_says_what_lacks(stored: list[Stored]) -> None:
    del stored[0].record["idle"], stored[1:]  # type: ignore[attr-defined]
    view = machines.view(stored, canaries={})
    assert view.empty is None
    assert view.figures is None
    assert view.notes == (machines.NO_NOISE,)
    assert machines.view([], canaries={}).empty == machines.EMPTY
    assert frames.titles(stored) == {"box-1": "the box"}
