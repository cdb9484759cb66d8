"""The canary: what it takes, its history, and runs that do not start."""

import json
import math
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import canary
from energybench.canary import CHECKSUM, Canary, CanaryError, Taken, check, measure, work
from energybench.canary_history import FILE, append, comparable, judge, limits, read
from energybench.meter import Meter
from energybench.model import Unavailable
from energybench.preflight import NotQuietError, preflight
from energybench.probes import simulated
from energybench.quiet import Quiet
from energybench.store import StoreError

SOFTWARE = {"kernel": "6.1", "software": "python 3.11"}
SOURCES = (("cpu.package-0", "bench", "measured"),)
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def a_meter(fake_clock) -> Meter:
    """A machine of 20 W that uses 25 W more while it computes, which is always."""
    machine = simulated.Machine(dram_share=0.0)
    probe = simulated.Simulated(machine, clock=fake_clock, cpu=lambda: fake_clock.ns / 1e9)
    return Meter({"simulated": probe}, clock=fake_clock, poll=False)


def no_meter(**state: object) -> Meter:
    meter = Meter({"powercap": Unavailable(reason="none", remedy="none")})
    meter.state = lambda: state  # type: ignore[method-assign]
    return meter


def joules(value: float) -> Taken:
    return Taken(joules=value, standard_uncertainty=value / 100, seconds=0.02, provenance="measured", sources=SOURCES)


def checked(folder: Path, *values: float, state: dict | None = None, **settings) -> Canary:
    """Run canaries of these joules one after another; what the last one says. A value that is outside comes twice."""
    software = settings.pop("software", SOFTWARE)
    for value in values:
        found = check(
            no_meter(**(state or {})),
            folder,
            take=lambda _meter, value=value: joules(value),
            now=lambda: NEW_YEAR,
            software=software,
            **settings,
        )
    return found


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_the_work_gives_the_same_number_everywhere():
    words, mask, total = range(1, 65), (1 << 64) - 1, 0
    for word in words:
        for _ in range(canary.ROUNDS):
            word ^= word << 13 & mask
            word ^= word >> 7
            word ^= word << 17 & mask
        total ^= word
    assert total == work(64)
    assert work() == CHECKSUM


def test_joules_and_seconds_are_those_of_one_unit_of_work(fake_clock):
    def unit() -> int:
        fake_clock.advance(0.02)
        return CHECKSUM

    taken = measure(a_meter(fake_clock), unit=unit, clock=fake_clock)
    assert taken.joules == pytest.approx(0.02 * 45, rel=1e-2)
    assert taken.seconds == pytest.approx(0.02, rel=1e-3)
    assert taken.standard_uncertainty is not None
    assert 0 < taken.standard_uncertainty < 0.01 * 0.9
    assert taken.provenance == "simulated"
    assert taken.sources == (("cpu.package-0", "simulated", "simulated"),)


def test_without_a_counter_there_are_seconds_and_no_joules(fake_clock, tmp_path: Path):
    def unit() -> int:
        fake_clock.advance(0.02)
        return CHECKSUM

    meter = Meter({"powercap": Unavailable(reason="none", remedy="none")}, clock=fake_clock)
    found = check(
        meter,
        tmp_path,
        take=lambda meter: measure(meter, unit=unit, clock=fake_clock),
        now=lambda: NEW_YEAR,
        software=SOFTWARE,
    )
    assert found.line == {
        "schema": 1,
        "version": 1,
        "when": "2027-01-01T00:00:00Z",
        "seconds": pytest.approx(0.02, rel=1e-3),
        "quiet": True,
        **SOFTWARE,
    }


def test_work_that_goes_wrong_is_an_error():
    with pytest.raises(CanaryError, match="memory and processor"):
        measure(no_meter(), unit=lambda: 7)


def test_it_learns_from_eight_values_before_it_judges(tmp_path: Path):
    found = checked(tmp_path, 0.010, 0.010, 0.010, 0.010)
    assert (found.verdict, found.known) == ("learning", 3)
    assert found.text == "the canary took 10 mJ; its history is learning, 3 of 8"
    assert checked(tmp_path, *[0.010] * 4).verdict == "learning"
    assert checked(tmp_path, 0.010).verdict == "within"
    assert len(lines(tmp_path)) == 9


def test_a_value_outside_of_its_history_is_told_with_numbers(tmp_path: Path):
    checked(tmp_path, *[0.0100, 0.0102, 0.0104] * 14)
    found = checked(tmp_path, 0.0123)
    assert found.verdict == "outside"
    low, middle, high = limits([0.0100, 0.0102, 0.0104] * 13 + [0.0104])
    assert middle == pytest.approx(0.0102)
    assert found.text == (
        "the canary took 12.3 mJ, 21 % above the 10.2 mJ "
        f"({1000 * low:.4g} mJ … {1000 * high:.4g} mJ) of its last 40 runs"
    )
    assert checked(tmp_path, 0.0051).text.startswith("the canary took 5.1 mJ, 50 % below the 10.2 mJ (")
    assert checked(tmp_path, 0.0306).text.startswith("the canary took 30.6 mJ, 3 times the 10.2 mJ (")


def test_what_is_outside_is_measured_once_more_and_the_second_value_counts(tmp_path: Path):
    checked(tmp_path, *[0.010] * 8)
    given_ = iter([0.020, 0.010])
    found = check(no_meter(), tmp_path, take=lambda _: joules(next(given_)), now=lambda: NEW_YEAR, software=SOFTWARE)
    assert found.verdict == "within"
    assert [line["joules"] for line in lines(tmp_path)] == [0.010] * 9


def test_values_outside_or_of_a_busy_machine_stay_in_the_file_and_change_no_normal(tmp_path: Path):
    checked(tmp_path, *[0.010] * 8)
    assert {checked(tmp_path, 0.015).verdict for _ in range(12)} == {"outside"}
    assert checked(tmp_path, *[0.015] * 3, quiet=False).verdict == "outside"
    assert checked(tmp_path, 0.010).known == 8
    assert sum(line.get("outside", False) for line in lines(tmp_path)) == 15


def test_a_new_normal_forgets_what_was_before(tmp_path: Path):
    checked(tmp_path, *[0.010] * 8)
    assert checked(tmp_path, 0.015, reset=True).verdict == "learning"
    found = checked(tmp_path, *[0.015] * 8)
    assert (found.verdict, found.known) == ("within", 8)
    assert checked(tmp_path, 0.010).verdict == "outside"


@pytest.mark.parametrize(
    "step",
    [
        {"software": {**SOFTWARE, "kernel": "6.2"}},
        {"software": {**SOFTWARE, "software": "python 3.12"}},
        {"state": {"nvml": {"driver": "570.1"}}},
    ],
)
def test_a_step_of_the_machine_starts_a_history_of_its_own(tmp_path: Path, step: dict):
    checked(tmp_path, *[0.010] * 9)
    found = checked(tmp_path, 0.020, **step)
    assert (found.verdict, found.known) == ("learning", 0)
    assert checked(tmp_path, 0.010).verdict == "within"


def test_other_sources_start_a_history_of_their_own(tmp_path: Path):
    checked(tmp_path, *[0.010] * 9)
    other = Taken(
        joules=0.02,
        standard_uncertainty=0.001,
        seconds=0.02,
        provenance="measured",
        sources=(*SOURCES, ("gpu.0", "nvml", "measured")),
    )
    assert check(no_meter(), tmp_path, take=lambda _: other, software=SOFTWARE).verdict == "learning"


def test_the_drivers_of_all_probes_are_told_as_records_tell_them(tmp_path: Path):
    state = {"nvml": {"driver": "570.1", "gpu.0": {}}, "amd": {"driver": "6"}, "powercap": {}}
    assert checked(tmp_path, 0.010, state=state).line["driver"] == "amd 6, nvml 570.1"
    assert "driver" not in checked(tmp_path, 0.010).line


def test_damaged_lines_are_counted_and_a_cut_one_spoils_no_other(tmp_path: Path):
    checked(tmp_path, *[0.010] * 8)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'[]\n\xff\xfe\n{"schema": 9}\n{"schema":1,"seconds":-1,"quiet":true}\n\n{"schema":1,"jou')
    found = checked(tmp_path, 0.010)
    assert (found.verdict, found.known, found.damaged) == ("within", 8, 5)
    assert checked(tmp_path, 0.010).known == 9


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_no_rubbish_in_a_history_is_an_error(tmp_path_factory: pytest.TempPathFactory, rubbish: list[bytes]):
    path = tmp_path_factory.mktemp("canary") / FILE
    path.write_bytes(b"\n".join(rubbish))
    append(path, {"schema": 1, "seconds": 1.0, "quiet": True})
    found, damaged = read(path)
    assert found == [{"schema": 1, "seconds": 1.0, "quiet": True}]
    assert damaged == sum(1 for line in b"\n".join(rubbish).splitlines() if line.strip())


def test_a_history_that_cannot_be_written_is_told_with_its_name(tmp_path: Path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(StoreError, match=r"canary\.jsonl cannot be read \(Is a directory\)"):
        checked(tmp_path, 0.010)
    with pytest.raises(StoreError, match="ENERGYBENCH_RECORDS"):
        append(tmp_path / FILE, {})


@pytest.mark.parametrize(("known", "most"), [(8, 0.02), (40, 0.02)])
def test_a_machine_that_does_not_change_is_refused_in_few_of_a_hundred_runs(known: int, most: float):
    generator = random.Random(1)
    outside = 0
    for _ in range(2000):
        low, _, high = limits([math.exp(generator.gauss(0, 0.02)) for _ in range(known)])
        outside += not low <= math.exp(generator.gauss(0, 0.02)) <= high
    assert outside / 2000 < most


def test_a_machine_that_became_a_tenth_hungrier_is_seen_from_a_long_history():
    generator = random.Random(1)
    known = [{"joules": math.exp(generator.gauss(0, 0.01))} for _ in range(40)]
    assert judge({"joules": 1.1}, known)[0] == "outside"
    assert judge({"joules": 1.005}, known)[0] == "within"


def test_only_the_last_forty_values_are_judged_by():
    line = {"quiet": True, "version": 1}
    assert comparable([line | {"n": n} for n in range(50)], line)[0]["n"] == 10


QUIET = Quiet(quiet=True, reasons=())
BUSY = Quiet(quiet=False, reasons=("other processes keep 1.0 CPUs busy: cc (pid 7) 1.0",))


def flown(tmp_path: Path, *, look: Quiet = QUIET, take: float = 0.010, **settings):
    def checking(meter, folder, **more):
        return check(meter, folder, take=lambda _: joules(take), software=SOFTWARE, **more)

    return preflight(
        no_meter(),
        folder=tmp_path,
        machine="m",
        look=lambda **_: look,
        check=checking,
        tell=settings.pop("tell", lambda _: None),
        **settings,
    )


def test_a_machine_that_is_not_quiet_starts_no_run_and_wakes_no_canary(tmp_path: Path):
    with pytest.raises(NotQuietError) as told:
        flown(tmp_path, look=BUSY)
    assert str(told.value) == (
        "the machine is not quiet: other processes keep 1.0 CPUs busy: cc (pid 7) 1.0; "
        "wait, or stop what runs beside, or go on with --force"
    )
    assert not (tmp_path / "m").exists()


def test_a_canary_outside_of_its_history_starts_no_run(tmp_path: Path):
    for _ in range(8):
        flown(tmp_path)
    with pytest.raises(NotQuietError, match=r"^the canary took 20 mJ, 2 times the 10 mJ .*--canary-reset$"):
        flown(tmp_path, take=0.020)
    assert flown(tmp_path, take=0.020, reset=True).canary.verdict == "learning"


def test_what_is_forced_is_told_and_measured(tmp_path: Path):
    said: list[str] = []
    for _ in range(8):
        flown(tmp_path)
    seen = flown(tmp_path, look=BUSY, take=0.020, force=True, tell=said.append)
    assert seen.canary.verdict == "outside"
    assert [text.rpartition("; ")[2] for text in said] == ["measured all the same"] * 2
    assert seen.to_json()["quiet"] == {"quiet": False, "reasons": list(BUSY.reasons)}
    assert seen.to_json()["canary"]["joules"] == 0.020


def test_where_quiet_is_not_required_a_busy_machine_is_only_told(tmp_path: Path):
    said: list[str] = []
    assert not flown(tmp_path, look=BUSY, require_quiet=False, tell=said.append).quiet.quiet
    assert said[0].startswith("the machine is not quiet: ")


def test_what_the_canary_learns_and_what_is_damaged_is_told(tmp_path: Path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / FILE).write_text("{\n")
    said: list[str] = []
    flown(tmp_path, tell=said.append)
    assert said == [
        f"{tmp_path / 'm' / FILE}: damaged lines are left out, 1 of them",
        "the canary took 10 mJ; its history is learning, 0 of 8",
    ]
