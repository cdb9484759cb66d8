"""The simulated machine's settings, and CPU time that goes on where a process forks."""

import os
import time

import pytest

from energybench.cpu_time import cpu_seconds
from energybench.model import Domain, UnknownNameError
from energybench.probes import estimate, simulated


@pytest.mark.parametrize(
    ("spec", "bounds"),
    [
        ("tick=nan", "from 1e-06 to 10"),
        ("tick=inf", "from 1e-06 to 10"),
        ("tick=1e-12", "from 1e-06 to 10"),
        ("idle_watts=nan", "from 0 to 100000"),
        ("idle_watts=inf", "from 0 to 100000"),
        ("busy_watts=1e9", "from 0 to 100000"),
        ("dram_share=inf", "from 0 to 100"),
        ("bytes_per_cpu_second=inf", "from 0 to 1e"),
        ("range_joules=1e-9", "from 1 to 1e"),
        ("packages=100000", "from 1 to 64"),
        ("packages=0", "from 1 to 64"),
    ],
)
def test_a_setting_outside_its_bounds_is_refused_in_one_line_that_names_them(spec: str, bounds: str) -> None:
    with pytest.raises(UnknownNameError, match="ENERGYBENCH_SIMULATE") as refused:
        simulated.parse(spec)
    assert bounds in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_setting_has_bounds_and_every_machine_keeps_to_them() -> None:
    for machine in simulated.MACHINES.values():
        for key, (low, high) in simulated.BOUNDS.items():
            assert low <= getattr(machine, key) <= high
    assert set(simulated.BOUNDS) == set(simulated.Machine.__slots__)


def in_a_child(body) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if body() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_cpu_time_goes_on_in_a_forked_child_and_in_its_own_child() -> None:
    burn(0.05)
    before = cpu_seconds()

    def goes_on() -> bool:
        first = cpu_seconds()
        burn(0.02)
        second = cpu_seconds()
        return before <= first < before + 1 and second >= first + 0.02 and in_a_child(lambda: cpu_seconds() >= second)

    assert in_a_child(goes_on)


def test_a_waited_for_child_counts_once() -> None:
    burn(0.2)
    before = cpu_seconds()
    assert in_a_child(lambda: True)
    assert cpu_seconds() - before < 0.15


@pytest.mark.parametrize("name", ["simulated", "estimate"])
def test_a_window_in_a_forked_child_holds_the_joules_of_its_work(name: str) -> None:
    burn(0.3)
    spec = "idle_watts=0,busy_watts=1000,dram_share=0"
    probe = simulated.open_probe(spec=spec) if name == "simulated" else estimate.open_probe(threads=1)
    domain = next(iter(probe.domains.values()))
    assert isinstance(domain, Domain)
    busy_watts = 1000.0 if name == "simulated" else 1.0
    probe.read()

    def works() -> bool:
        begin = probe.read()[0][1]
        burn(0.05)
        time.sleep(0.002)
        return (probe.read()[0][1] - begin) * domain.scale >= 0.04 * busy_watts

    assert in_a_child(works)
