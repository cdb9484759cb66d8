"""Records, asv results and commits become sides; what is damaged is named, what differs is a ground."""

import json
import math
import statistics
import string
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import record as schema
from energybench.gating import floors as floors_of
from energybench.gating.asv_files import AsvFileError, read_tree
from energybench.gating.asv_meaning import meaning_of
from energybench.gating.asv_rows import plain, standard_error, values_of
from energybench.gating.from_asv import from_asv
from energybench.gating.from_records import SeveralMachinesError, from_records, samples_behind
from energybench.gating.joining import refusal
from energybench.gating.library import Library, read_records, results_dir
from energybench.gating.live import suite_of
from energybench.gating.metrics import family_of, si_unit
from energybench.gating.observed import Observation, observe
from energybench.gating.rules import Rules
from energybench.gating.series import Key, Round, Series, Side
from energybench.gating.sides import SideError, interleaved, resolve, resolve_both, together
from energybench.results import quality_metrics
from energybench.store import Store

COMMIT = "a" * 40
JOULES = {"unit": "J", "provenance": "measured", "higher_is_better": False}


def window(
    joules: float, *, seconds: float = 1.0, samples: int = 10, domains: tuple[str, ...] = ("cpu",)
) -> dict[str, Any]:
    part = {"standard_uncertainty": 0.0, "provenance": "measured", "probe": "powercap"}
    each = {name: {"joules": joules / len(domains), **part} for name in domains}
    total = {"joules": joules, "standard_uncertainty": 0.0, "provenance": "measured", "domains": list(domains)}
    return {"seconds": seconds, "steps": 1, "samples": samples, "domains": each, "total": total}


def record(identity: str = "one", joules: tuple[float, ...] = (10.0, 12.0), **changes: Any) -> schema.Record:
    domains = changes.pop("domains", ("cpu",))
    windows = [window(each, domains=domains) for each in joules]
    mean = statistics.fmean(joules) / 10
    results: dict[str, Any] = {
        "joules_per_sample": {"value": mean, **JOULES},
        "seconds_per_sample": {"value": 0.1, **JOULES, "unit": "s"},
        "modelled_joules_per_sample": {"value": 2e-6, **JOULES, "provenance": "modelled"},
    }
    values: dict[str, Any] = {
        "schema": 1,
        "id": identity,
        "created": "2026-11-22T10:11:12Z",
        "energybench": "0.1.0",
        "protocol": {"version": 1, "windows": len(windows), "align": False},
        "workload": {"name": "w", "version": 1, "definition": {"task": "t", "isa": "AVX512", "seed": 0}},
        "parameters": {"bits": 8, "batch": 1},
        "seed": 0,
        "quick": True,
        "machine": {"id": "m", "name": "lab", "git": {"commit": COMMIT, "dirty": False}},
        "quiet": {"quiet": True},
        "seconds": 1.0,
        "steps": 1,
        "samples": 1,
        "total": windows[0]["total"],
        "domains": windows[0]["domains"],
        "modelled": {"table": "horowitz-45nm", "joules": 1.0, "arithmetic_joules": 1.0, "memory_joules": 0.0},
        "windows": windows,
        "results": results,
    }
    return schema.parse({**values, **changes})


def kept(folder: Path, *records: schema.Record) -> Path:
    for one in records:
        Store(one.machine.id, root=folder).write(one)
    return folder


def side_of(folder: Path, *records: schema.Record) -> Any:
    return from_records(read_records(kept(folder, *records))[0])


def key(metric: str = "joules_per_sample", workload: str = "w") -> Key:
    return Key(workload=workload, parameters=(("batch", 1), ("bits", 8)), metric=metric)


def test_a_record_is_a_round_of_its_windows(tmp_path: Path) -> None:
    found = side_of(tmp_path, record())
    series = found.series[key()]
    assert series.rounds[0].values == (1.0, 1.2)
    assert series.rounds[0].seed == 0
    assert series.grounds["machine"] == "m"
    assert series.grounds["domains"] == "cpu"
    assert series.grounds["probes"] == "cpu:powercap"
    assert series.grounds["protocol"] == "1"


def test_two_records_are_two_rounds_the_oldest_first(tmp_path: Path) -> None:
    later = record("two", (20.0, 20.0), created="2026-11-22T11:11:12Z")
    found = side_of(tmp_path, later, record("three", created="2026-11-22T09:11:12Z"))
    assert [one.values for one in found.series[key()].rounds] == [(1.0, 1.2), (2.0, 2.0)]


def test_windows_follow_a_result_that_is_no_plain_mean_of_them(tmp_path: Path) -> None:
    twice = record().to_json()
    twice["results"]["joules_per_sample"]["value"] = 2.2
    found = side_of(tmp_path, schema.parse(twice))
    assert found.series[key()].rounds[0].values == pytest.approx((2.0, 2.4))


def test_a_record_that_trains_to_an_accuracy_has_a_value_a_training(tmp_path: Path) -> None:
    values = record(joules=(10.0, 20.0, 40.0)).to_json()
    for one, number in zip(values["windows"], (0, 0, 1), strict=True):
        one["round"] = number
    repeat = {"reached": True, "passes": 1, "samples": 1, "elapsed_seconds": 1.0, "accuracies": [0.9]}
    repeats = [{**repeat, "seed": seed, "seconds": 2.0 - seed} for seed in (0, 1)]
    goal = {"accuracy": 0.9, "criterion": "c", "most_passes": 3, "reached": 2, "best_accuracy": 0.9}
    values["target"] = {**goal, "repeats": repeats}
    values["results"] = {
        "joules_to_accuracy": {"value": 35.0, **JOULES},
        "accuracy": {"value": 0.9, **JOULES, "unit": "1"},
    }
    found = side_of(tmp_path, schema.parse(values))
    assert found.series[key("joules_to_accuracy")].rounds[0].values == (30.0, 40.0)
    assert found.gaps == ()


@pytest.mark.parametrize(
    ("name", "unit", "provenance", "family"),
    [
        ("joules_per_sample", "J", "measured", "joules"),
        ("joules_to_accuracy", "J", "measured", "joules"),
        ("estimated_joules_per_sample", "J", "estimated", "joules"),
        ("modelled_joules_per_sample", "J", "modelled", "modelled"),
        ("operand_bytes_per_sample", "B", "modelled", "modelled"),
        ("payload_bytes_per_step", "B", "modelled", "modelled"),
        ("dram_bytes_per_sample", "B", "measured", "traffic"),
        ("seconds_per_sample", "s", "measured", "seconds"),
        ("accuracy", "1", "measured", "accuracy"),
        ("file_bytes", "B", "measured", "size"),
        ("sweeps", "1", "measured", "quality"),
        ("peak_memory_bytes", "B", "measured", "quality"),
        ("samples_per_second", "1/s", "measured", None),
        ("net_joules_per_sample", "J", "measured", None),
        ("waiting_joules_per_sample", "J", "measured", None),
        ("flops_per_sample", "FLOP", "modelled", None),
        ("operations_per_sample", "op", "modelled", None),
    ],
)
def test_a_metric_has_a_family_or_is_not_judged(name: str, unit: str, provenance: Any, family: str | None) -> None:
    assert family_of(name, unit, provenance) == family


def test_modelled_joules_are_exact_with_torch_dispatch_seed_and_table(tmp_path: Path) -> None:
    series = side_of(tmp_path, record()).series[key("modelled_joules_per_sample")]
    assert series.exact
    assert series.grounds["dispatch"] == "AVX512"
    assert series.grounds["torch"] == "none"
    assert series.grounds["seed"] == "0"
    assert series.grounds["energy table"] == "horowitz-45nm"
    assert "machine" not in series.grounds


def test_sweeps_to_a_tolerance_are_not_exact(tmp_path: Path) -> None:
    work = {"name": "w", "version": 1, "definition": {"relaxation": {"tolerance": 0.001}}}
    series = side_of(tmp_path, record(workload=work)).series[key("modelled_joules_per_sample")]
    assert not series.exact
    assert "seed" not in series.grounds


def test_counts_that_differ_at_one_seed_stay_exact(tmp_path: Path) -> None:
    other = record("two", created="2026-11-22T11:00:00Z").to_json()
    other["results"]["modelled_joules_per_sample"]["value"] = 3e-6
    assert side_of(tmp_path, record(), schema.parse(other)).series[key("modelled_joules_per_sample")].exact


def test_counts_that_differ_between_seeds_stay_exact_and_name_the_seeds(tmp_path: Path) -> None:
    other = record("two", created="2026-11-22T11:00:00Z", seed=1).to_json()
    other["results"]["modelled_joules_per_sample"]["value"] = 3e-6
    series = side_of(tmp_path, record(), schema.parse(other)).series[key("modelled_joules_per_sample")]
    assert series.exact
    assert series.grounds["seed"] == "0, 1"


def test_seeds_torch_and_isa_do_not_define_the_work(tmp_path: Path) -> None:
    def grounds(place: str, **definition: Any) -> Any:
        work = {"name": "w", "version": 1, "definition": {"task": "t", "training": definition}}
        return side_of(tmp_path / place, record(workload=work)).series[key()].grounds

    assert grounds("a", seed=1, torch="2.0") == grounds("b", seed=2, torch="2.1")
    assert grounds("c", epochs=1) != grounds("d", epochs=2)


def test_a_head_that_lost_a_domain_differs_in_its_domains(tmp_path: Path) -> None:
    base = side_of(tmp_path / "base", record(domains=("cpu", "dram"))).series[key()]
    head = side_of(tmp_path / "head", record(domains=("cpu",))).series[key()]
    assert "domains cpu, dram in base, cpu in head" in refusal(base, head, Rules())


def test_a_commit_that_says_it_handles_twice_the_samples_has_not_halved_its_joules(tmp_path: Path) -> None:
    base = side_of(tmp_path / "base", record(steps=2, samples=64)).series
    head = side_of(tmp_path / "head", record(steps=2, samples=128)).series
    for metric in ("joules_per_sample", "seconds_per_sample", "modelled_joules_per_sample"):
        assert "samples a step 32 in base, 64 in head" in refusal(base[key(metric)], head[key(metric)], Rules())
    longer = side_of(tmp_path / "longer", record(steps=4, samples=128)).series
    assert refusal(base[key()], longer[key()], Rules()) == ""


def test_a_record_without_joules_has_a_gap_that_says_why(tmp_path: Path) -> None:
    bare = record().to_json()
    bare["domains"] = {"cpu": {"unavailable": "permission denied", "remedy": "r"}}
    del bare["results"]["joules_per_sample"], bare["total"]
    found = side_of(tmp_path, schema.parse(bare))
    assert [(gap.key, gap.reason) for gap in found.gaps] == [(key(), "cpu: permission denied")]


def test_a_driver_is_a_ground_of_joules(tmp_path: Path) -> None:
    found = side_of(tmp_path, record(probes={"nvml": {"driver": "570.1", "nvml": "12"}}))
    assert found.series[key()].grounds["driver"] == "nvml 570.1"


def test_rounds_on_other_grounds_than_the_newest_are_named_and_left_out(tmp_path: Path) -> None:
    old = record(probes={"nvml": {"driver": "1"}})
    new = record("two", created="2026-11-23T10:00:00Z", probes={"nvml": {"driver": "2"}})
    found = side_of(tmp_path, old, new)
    assert len(found.series[key()].rounds) == 1
    assert any("its driver is nvml 1, nvml 2 in the newest" in one.reason for one in found.troubles)


def test_records_of_several_machines_ask_for_one(tmp_path: Path) -> None:
    other = record("two", machine={"id": "n", "name": "desk"})
    kept(tmp_path, record(), other)
    with pytest.raises(SeveralMachinesError, match=r"m \(lab\), n \(desk\); choose one with --machine"):
        from_records(read_records(tmp_path)[0])
    assert len(from_records(read_records(tmp_path)[0], machine="desk").series[key()].rounds) == 1


@given(st.integers(1, 100_000), st.data())
def test_the_number_of_judged_samples_is_read_back_from_wilsons_interval(judged: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, judged))
    metric = quality_metrics({"accuracy": right / judged}, judged)["accuracy"]
    found = samples_behind(metric)
    assert found is None or abs(found - judged) <= max(1, judged * 0.01)


def test_interleaved_records_keep_their_pairs(tmp_path: Path) -> None:
    told = record(interleaved={"session": "s", "round": 3, "side": "base"})
    assert side_of(tmp_path, told).series[key()].rounds[0].pair == "s:3"


def rounds_at(*times: float) -> tuple[Round, ...]:
    return tuple(Round(values=(1.0,), when=when) for when in times)


def measured(rounds: tuple[Round, ...], workload: str = "w", **grounds: str) -> Series:
    return Series(
        key=key(workload=workload),
        family="joules",
        unit="J",
        provenance="measured",
        higher_is_better=False,
        exact=False,
        grounds=grounds,
        rounds=rounds,
    )


def two(base: tuple[Round, ...], head: tuple[Round, ...]) -> tuple[Side, Side]:
    sides = [Side(name=name, series={key(): measured(each)}) for name, each in (("base", base), ("head", head))]
    return interleaved(sides[0], sides[1])


@pytest.mark.parametrize(
    ("base", "head", "pairs"),
    [
        ((1.0, 4.0), (2.0, 3.0), 0),
        ((1.0, 3.0, 5.0), (2.0, 4.0, 6.0), 3),
        ((0.0, 90_000.0, 180_000.0), (3600.0, 86_401.0, 190_000.0), 0),
        ((0.0, 7200.0, 9000.0), (3600.0, 7300.0, 9100.0), 3),
        ((0.0, 7200.0, 9000.0), (3601.0, 7300.0, 9100.0), 0),
        ((0.0, 50.0, 90_000.0), (10.0, 60.0, 90_010.0), 0),
        ((1.0, 2.0), (3.0, 4.0), 0),
        ((1.0, 4.0), (2.0,), 0),
        ((1.0,), (2.0,), 0),
    ],
)
def test_rounds_in_turn_are_pairs(base: tuple[float, ...], head: tuple[float, ...], pairs: int) -> None:
    old, new = two(rounds_at(*base), rounds_at(*head))
    found = {one.pair for one in old.series[key()].rounds} & {one.pair for one in new.series[key()].rounds}
    assert len(found - {None}) == pairs


@given(st.lists(st.booleans(), min_size=3, max_size=12))
def test_any_order_within_pairs_is_in_turn(turns: list[bool]) -> None:
    base = tuple(2.0 * n + turn for n, turn in enumerate(turns))
    head = tuple(2.0 * n + (not turn) for n, turn in enumerate(turns))
    old, new = two(rounds_at(*base), rounds_at(*head))
    assert [one.pair for one in old.series[key()].rounds] == [one.pair for one in new.series[key()].rounds]
    assert None not in {one.pair for one in old.series[key()].rounds}


def test_of_a_point_that_both_sides_have_twice_the_record_is_judged() -> None:
    both = {
        key(): measured(rounds_at(1.0)),
        key(workload="m.W"): measured(rounds_at(1.0), workload="m.W", environment="e"),
    }
    only = {key(workload="m.W"): both[key(workload="m.W")]}
    base, head = together(Side(name="a", series=both), Side(name="b", series=both))
    assert set(base.series) == set(head.series) == {key()}
    base, head = together(Side(name="a", series=only), Side(name="b", series=both))
    assert set(base.series) == set(head.series) == {key(workload="m.W")}


ENERGY = "quantized.QnnInfer.energy_joules_per_sample"
MODELLED = "quantized.QnnInfer.energy_modelled_joules_per_sample"
ACCURACY = "quantized.QnnInfer.energy_accuracy"
TIME = "sorting.time_sort"


def tree_at(path: Path, trees: ModuleType) -> Any:
    bits = {"params": [["1", "8"]], "param_names": ["bits"]}
    made = [
        trees.Benchmark(ENERGY, more={"margin": 0.05, "provenance": "measured"}, **bits),
        trees.Benchmark(MODELLED, more={"margin": 0.0, "provenance": "modelled"}, **bits),
        trees.Benchmark(ACCURACY, "1", more={"margin": 0.01, "higher_is_better": True}, **bits),
        trees.Benchmark(TIME, "seconds", "time", version="abc"),
    ]
    return trees.AsvTree(path, made)


def asv_key(metric: str, bits: int) -> Key:
    return Key(workload="quantized.QnnInfer", parameters=(("bits", bits),), metric=metric)


def test_asv_results_become_series(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    commit = tree.commit("first")
    values = {ENERGY: [[1.0, 1.1, 1.2], [2.0, 2.1, 2.2]], MODELLED: [1e-6, 2e-6], ACCURACY: [0.9, 0.95]}
    tree.result(commit, {**values, TIME: [[0.1, 0.2, 0.3]]}, gpu="H200", driver="570")
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    joules = side.series[asv_key("joules_per_sample", 8)]
    assert side.commit == commit
    assert joules.rounds[0].values == (2.1,)
    assert joules.rounds[0].count == 3
    assert joules.rounds[0].standard_error is not None
    assert joules.unit == "J"
    assert joules.margin == 0.05
    assert joules.grounds["machine"] == "lab"
    assert joules.grounds["driver"] == "570"
    assert joules.grounds["gpu"] == "H200"
    assert "os" not in joules.grounds
    assert side.series[asv_key("accuracy", 1)].higher_is_better
    modelled = side.series[asv_key("modelled_joules_per_sample", 1)]
    assert modelled.exact
    assert modelled.provenance == "modelled"
    assert "machine" not in modelled.grounds
    time = side.series[Key(workload=TIME, parameters=(), metric="seconds")]
    assert (time.family, time.unit, time.grounds["workload version"]) == ("seconds", "s", "abc")


def test_samples_that_asv_kept_are_the_windows(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {ENERGY: [[1.0, 1.1], [2.0, 2.1]]}, keep_samples=True)
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    assert side.series[asv_key("joules_per_sample", 1)].rounds[0].values == (1.0, 1.1)


def test_what_failed_or_was_skipped_is_a_gap(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {ENERGY: [None, math.nan], ACCURACY: [0.9, 0.9]})
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    told = {gap.key.parameters: gap.reason for gap in side.gaps}
    assert told == {(("bits", 1),): f"{ENERGY} failed in asv", (("bits", 8),): f"{ENERGY} skipped in asv"}


def test_what_a_simulated_machine_said_is_simulated(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {ENERGY: [1.0, 2.0]}, versions={ENERGY: "1.1-simulated"})
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    assert {one.provenance for one in side.series.values()} == {"simulated"}


def test_another_version_is_another_ground(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    for subject, version in (("first", "1.1"), ("second", "1.2")):
        tree.result(tree.commit(subject), {MODELLED: [1.0, 2.0]}, versions={MODELLED: version})
    base, head = resolve_both("main~1", "main", Library(repository=tmp_path, records=tmp_path / "none"))
    name = asv_key("modelled_joules_per_sample", 1)
    assert refusal(base.series[name], head.series[name], Rules()) == "workload version 1.1 in base, 1.2 in head"


def test_of_several_environments_each_is_a_parameter(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    commit = tree.commit("first")
    for environment in ("py3.11", "py3.12"):
        tree.result(commit, {TIME: [1.0]}, environment=environment)
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    assert {one.parameters for one in side.series} == {(("environment", "py3.11"),), (("environment", "py3.12"),)}


def test_results_of_several_machines_ask_for_one(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    commit = tree.commit("first")
    for machine in ("lab", "desk"):
        tree.result(commit, {TIME: [1.0]}, machine=machine)
    with pytest.raises(SeveralMachinesError, match="desk, lab; choose one with --machine"):
        resolve("main", repository=tmp_path, records=tmp_path / "none")
    chosen = resolve("main", repository=tmp_path, records=tmp_path / "none", machine="desk")
    assert next(iter(chosen.series.values())).grounds["machine"] == "desk"


def test_asv_results_are_named_by_path_folder_and_commit(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    first = tree.commit("first")
    path = tree.result(first, {TIME: [1.0]})
    where = {"repository": tmp_path, "records": tmp_path / "none"}
    texts = [str(path), str(tree.results), str(path.parent), f"{tree.results}@{first[:8]}", f"{tree.results}@main"]
    for text in texts:
        assert resolve(text, **where).commit == first
    second = tree.commit("second")
    tree.result(second, {TIME: [2.0]})
    with pytest.raises(SideError, match=f"results of 2 commits; name one as {tree.results}@COMMIT"):
        resolve(str(tree.results), **where)
    assert resolve(f"{tree.results}@{second[:7]}", **where).commit == second


def test_a_commit_without_results_is_told_which_have_some(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    first = tree.commit("first")
    tree.result(first, {TIME: [1.0]})
    tree.commit("second")
    with pytest.raises(SideError, match=f"nothing was measured at main .*there are results of {first[:8]}"):
        resolve("main", repository=tmp_path, records=tmp_path / "none")


def test_what_is_neither_path_nor_commit_is_said_so(tmp_path: Path, trees: ModuleType) -> None:
    tree_at(tmp_path, trees).commit("first")
    for text in ("nowhere", "--help"):
        with pytest.raises(SideError, match="neither a path nor a commit"):
            resolve(text, repository=tmp_path, records=tmp_path / "none")


def test_a_folder_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SideError, match="neither records nor asv results"):
        resolve(str(tmp_path / "empty"), repository=tmp_path, records=tmp_path / "none")


def test_records_of_a_commit_are_found_and_dirty_ones_are_not(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    commit = tree.commit("first")

    def machine(dirty: bool) -> dict[str, Any]:
        return {"id": "m", "name": "lab", "git": {"commit": commit, "dirty": dirty}}

    kept(tmp_path / "records", record(machine=machine(False)), record("two", (30.0,), machine=machine(True)))
    tree.result(commit, {TIME: [1.0]})
    side = resolve("main", repository=tmp_path, records=tmp_path / "records")
    assert side.series[key()].rounds[0].values == (1.0, 1.2)
    assert Key(workload=TIME, parameters=(), metric="seconds") in side.series


def test_a_comment_in_asvs_configuration_is_no_hindrance(tmp_path: Path, trees: ModuleType) -> None:
    assert results_dir(tree_at(tmp_path, trees).path) == tmp_path / ".asv" / "results"


def test_a_configuration_may_be_called_jsonc(tmp_path: Path) -> None:
    (tmp_path / "perf").mkdir()
    (tmp_path / "perf" / "asv.conf.jsonc").write_text('{"results_dir": "kept", "benchmark_dir": "suite"} // both')
    assert results_dir(tmp_path) == tmp_path / "perf" / "kept"
    assert suite_of(tmp_path) == tmp_path / "perf" / "suite"


def damaged(tree: Any, path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps(change(values)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: {**v, "version": 1}, "version 1 of asv's results is not known here"),
        (lambda v: {**v, "version": "2"}, "version '2' of asv's results"),
        (lambda v: [v], "is no JSON object"),
        (lambda v: {"some": "file"}, "is no result file of asv"),
        (lambda v: {**v, "params": None}, "its machine is not known"),
        (lambda v: {**v, "result_columns": ["x"]}, "its result_columns"),
        (lambda v: {**v, "results": {ENERGY: [[1.0], [["1", "8"]], "1.1"]}}, "it has 1 results for 2 combinations"),
        (lambda v: {**v, "results": {ENERGY: [[1.0, math.inf], [["1", "8"]], "1.1"]}}, "its result is infinite"),
        (lambda v: {**v, "results": {ENERGY: [[1.0, 10**400], [["1", "8"]], "1.1"]}}, "is no number"),
        (lambda v: {**v, "results": {ENERGY: [[1.0, "2"], [["1", "8"]], "1.1"]}}, "'2' is no number"),
        (lambda v: {**v, "results": {ENERGY: {"result": 1}}}, "its row is no list"),
        (lambda v: {**v, "results": {ENERGY: [[1.0, 2.0], [["1", "8"]], "1", 0, 0, [0.5]]}}, "has another length"),
    ],
)
def test_a_damaged_result_file_is_named_and_the_rest_used(
    tmp_path: Path, trees: ModuleType, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    tree = tree_at(tmp_path, trees)
    commit = tree.commit("first")
    bad = tree.result(commit, {ENERGY: [1.0, 2.0]}, environment="bad")
    damaged(tree, bad, change)
    tree.result(commit, {TIME: [1.0]})
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    assert any(said in one.reason and one.path == bad for one in side.troubles)
    assert [one.metric for one in side.series] == ["seconds"]


def test_a_truncated_result_file_is_named(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    path = tree.result(tree.commit("first"), {TIME: [1.0]})
    path.write_text(path.read_text()[:100])
    with pytest.raises(SideError, match="is not whole JSON"):
        resolve("main", repository=tmp_path, records=tmp_path / "none")


def test_a_missing_machine_file_is_named_and_its_results_used(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {TIME: [1.0]})
    (tree.results / "lab" / "machine.json").unlink()
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    assert [one.reason for one in side.troubles] == ["is missing; asv machine --yes writes it"]
    assert len(side.series) == 1


def test_a_missing_index_is_named(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {TIME: [1.0]})
    (tree.results / "benchmarks.json").unlink()
    with pytest.raises(SideError, match=r"nothing that could be judged \(.*benchmarks.json: cannot be read"):
        resolve("main", repository=tmp_path, records=tmp_path / "none")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(string.ascii_lowercase, max_size=5), each, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, st.lists(JSON, max_size=8))
def test_a_row_of_anything_is_values_or_an_error(row: object, cells: list[object]) -> None:
    columns = {"result": 0, "params": 1, "version": 2, "stats_ci_99_a": 3, "stats_repeat": 4, "samples": 5}
    for one in (row, cells):
        try:
            found = list(values_of(one, columns, ["n"]))
        except AsvFileError:
            continue
        assert all(each.missing or math.isfinite(each.value) for each in found)


@given(st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text())
def test_parameters_come_back_from_their_reprs(value: object) -> None:
    assert plain(repr(value)) == value


def test_the_repr_of_an_object_stays_text() -> None:
    assert plain("<class 'numpy.float32'>") == "<class 'numpy.float32'>"
    assert plain("(1, 2)") == "(1, 2)"


def test_a_standard_error_needs_two_samples() -> None:
    assert standard_error(1.0, 2.0, 1.2, 1.8, 1) is None
    assert standard_error(None, None, None, None, 8) is None
    assert standard_error(0.0, 2 * 2.5758, 0.0, 0.0, 100) == pytest.approx(1.0)


def observation(commit: str, value: float, when: float = 0.0, error: float | None = None) -> Observation:
    return Observation(commit, when, value, error, SAME)


SAME: dict[str, str] = {"machine": "m"}


def test_repeats_of_one_commit_give_a_floor() -> None:
    day = 86400.0
    values = [1.00, 1.02, 0.98, 1.01]
    found = floors_of.from_repeats([observation("a", value, n * day) for n, value in enumerate(values)])
    assert found is not None
    assert found.degrees == 3
    assert found.relative == pytest.approx(math.sqrt(2) * statistics.stdev(map(math.log, values)))


def test_rounds_of_one_occasion_are_one_set() -> None:
    assert floors_of.from_repeats([observation("a", 1.0 + n / 100, n * 60.0) for n in range(10)]) is None


def test_what_windows_explain_is_no_floor() -> None:
    day = 86400.0
    values = [observation("a", value, n * day, 0.5) for n, value in enumerate((1.0, 1.1, 0.9, 1.0))]
    found = floors_of.from_repeats(values)
    assert found is not None
    assert found.relative == 0.0


def test_successive_commits_give_a_floor_that_a_real_step_does_not_raise() -> None:
    values = [1.0 + 0.01 * (-1) ** n for n in range(20)] + [2.0 + 0.02 * (-1) ** n for n in range(20)]
    seen = [observation(str(n), value) for n, value in enumerate(values)]
    found = floors_of.from_history(seen, {str(n): float(n) for n in range(40)})
    assert found is not None
    assert found.relative == pytest.approx(0.02, rel=0.01)
    assert floors_of.from_history(seen[:8], {str(n): float(n) for n in range(40)}) is None


def canary(folder: Path, *lines: Any) -> None:
    path = folder / "m" / "canary.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))


def test_a_canarys_history_gives_a_floor_and_damage_in_it_is_passed_over(tmp_path: Path) -> None:
    values = (1.0, 1.02, 0.99, 1.01)
    lines = [{"when": "2026", "joules": each, "provenance": "measured"} for each in values]
    odd = [{**lines[0], "joules": 9.0, **one} for one in ({"quiet": False}, {"outside": True}, {"kernel": "older"})]
    others = [{"joules": "x"}, {"joules": 9.0, "provenance": "simulated"}]
    canary(tmp_path, '{"jou', "[]", *others, *odd, *lines, '{"when": "20')
    floor_of = floors_of.floors(Library(repository=tmp_path, records=tmp_path))
    found = floor_of(measured((), machine="m"))
    assert found is not None
    assert found.degrees == 3
    assert found.relative == pytest.approx(math.sqrt(2) * statistics.stdev(map(math.log, values)))
    assert floor_of(measured((), machine="other")) is None


def test_fewer_than_three_degrees_are_no_floor(tmp_path: Path) -> None:
    canary(tmp_path, *({"joules": each, "provenance": "measured"} for each in (1.0, 1.1, 1.2)))
    assert floors_of.floors(Library(repository=tmp_path, records=tmp_path))(measured((), machine="m")) is None


def test_another_driver_is_no_history(tmp_path: Path) -> None:
    canary(tmp_path, *({"joules": 1.0 + n / 100, "provenance": "measured", "driver": "1"} for n in range(6)))
    floor_of = floors_of.floors(Library(repository=tmp_path, records=tmp_path))
    assert floor_of(measured((), machine="m", driver="nvml 1")) is not None
    assert floor_of(measured((), machine="m", driver="nvml 2")) is None


def test_floors_are_learnt_from_records_of_one_commit(tmp_path: Path, trees: ModuleType) -> None:
    days = [record(f"r{n}", (10.0 + n % 2,), created=f"2026-11-{10 + n}T10:00:00Z") for n in range(5)]
    library = Library(repository=tmp_path, records=kept(tmp_path / "records", *days))
    series = from_records(library.stored).series[key()]
    found = floors_of.floors(library)(series)
    assert found is not None
    assert found.degrees == 4
    assert found.source == "5 repeats of unchanged commits"
    assert floors_of.floors(library)(from_records(library.stored).series[key("modelled_joules_per_sample")]) is None


def test_each_file_is_read_into_one_observation_a_point(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    for number in range(3):
        tree.result(tree.commit(str(number)), {ENERGY: [[1.0, 1.1], [2.0, 2.2]], TIME: [1.0]})
    found = observe(Library(repository=tmp_path, records=tmp_path / "none"))
    assert sorted(len(one.observations) for one in found.tracks) == [3, 3, 3]
    contexts = {id(one.context) for track in found.tracks for one in track.observations if track.unit == "J"}
    assert len(contexts) == 1


def test_an_empty_index_reads_nothing(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {TIME: [1.0]})
    library = Library(repository=tmp_path, records=tmp_path / "none")
    results, _ = library.results_of(tree.commits[0])
    assert from_asv(results, {}).series == {}
    assert read_tree(tree.results).troubles == ()


def test_what_is_named_by_path_teaches_its_own_noise(tmp_path: Path, trees: ModuleType) -> None:
    elsewhere = tmp_path / "elsewhere"
    days = [record(f"r{n}", (10.0 + n % 2,), created=f"2026-11-{10 + n}T10:00:00Z") for n in range(5)]
    kept(elsewhere, *days)
    tree = tree_at(tmp_path / "tree", trees)
    for number in range(20):
        tree.result(tree.commit(str(number)), {ENERGY: [1.0 + 0.01 * (-1) ** number, 1.0]})
    library = Library(repository=tmp_path, records=tmp_path / "none")
    base, head = resolve_both(str(elsewhere), f"{tree.results}@{tree.commits[0]}", library)
    floor_of = floors_of.floors(library)
    assert (found := floor_of(base.series[key()])) is not None
    assert found.degrees == 4
    assert (found := floor_of(head.series[asv_key("joules_per_sample", 1)])) is not None
    assert found.relative == pytest.approx(0.02, rel=0.01)


def test_a_copy_of_a_record_counts_once_and_is_named(tmp_path: Path) -> None:
    (path,) = kept(tmp_path / "a", record()).rglob("*.json")
    (tmp_path / "b").mkdir()
    copy = tmp_path / "b" / "again.json"
    copy.write_bytes(path.read_bytes())
    other = record(joules=(20.0,)).to_json()
    (tmp_path / "b" / "other.json").write_text(json.dumps(other))
    stored, troubles = read_records(tmp_path)
    assert [one.path for one in stored] == [path]
    reasons = {one.path.name: one.reason for one in troubles}
    assert reasons["again.json"] == f"is a copy of {path}"
    assert reasons["other.json"] == f"has the id of {path} and another content"


def test_the_size_of_a_file_is_exact(tmp_path: Path, trees: ModuleType) -> None:
    values = record().to_json()
    values["results"]["file_bytes"] = {"value": 100.0, **JOULES, "unit": "B"}
    series = side_of(tmp_path, schema.parse(values)).series[key("file_bytes")]
    assert (series.family, series.exact) == ("size", True)
    tree = trees.AsvTree(tmp_path / "tree", [trees.Benchmark("a.B.energy_file_bytes", "bytes", more={"margin": 0.0})])
    tree.result(tree.commit("first"), {"a.B.energy_file_bytes": [100.0]})
    (series,) = resolve("main", repository=tree.path, records=tmp_path / "none").series.values()
    assert (series.family, series.exact, series.unit) == ("size", True, "B")


def flagged(record: schema.Record, flags: list[str], parts: dict[str, float], *, quiet: bool = True) -> schema.Record:
    """With the flags at its windows, and `below-resolution` at domains that have so many joules each."""
    values = record.to_json()
    for one in values["windows"]:
        one["flags"] = flags
    part = {"standard_uncertainty": 0.0, "provenance": "measured", "probe": "powercap"}
    values["domains"] = {
        name: {**part, "joules": joules, "flags": ["below-resolution"] if name.startswith("coarse") else []}
        for name, joules in parts.items()
    }
    values["total"] = {**values["total"], "domains": list(parts), "joules": sum(parts.values())}
    values["quiet"] = {"quiet": quiet}
    return schema.parse(values)


def test_flags_of_windows_and_of_the_machine_stand_at_the_round(tmp_path: Path) -> None:
    told = flagged(record(), ["throttled", "below-resolution"], {"coarse": 1.0}, quiet=False)
    series = side_of(tmp_path, told).series
    assert series[key()].rounds[0].flags == ("throttled", "below-resolution", "not-quiet")
    assert series[key("seconds_per_sample")].rounds[0].flags == ("throttled", "not-quiet")
    assert series[key("modelled_joules_per_sample")].rounds[0].flags == ()


@pytest.mark.parametrize(("joules", "flags"), [(0.1, ()), (10.0, ("below-resolution",))])
def test_a_coarse_counter_matters_where_it_is_much_of_the_total(
    tmp_path: Path, joules: float, flags: tuple[str, ...]
) -> None:
    told = flagged(record(), ["below-resolution"], {"fine": 10.0, "coarse": joules})
    assert side_of(tmp_path, told).series[key()].rounds[0].flags == flags


def refused(tmp_path: Path, base: schema.Record, head: schema.Record, metric: str = "joules_per_sample") -> str:
    sides = [side_of(tmp_path / name, one).series[key(metric)] for name, one in (("b", base), ("h", head))]
    return refusal(sides[0], sides[1], Rules())


def test_settings_that_change_the_meaning_are_grounds_and_lengths_of_windows_are_none(tmp_path: Path) -> None:
    protocol = {"version": 1, "windows": 2, "align": False, "dephase": True, "min_seconds": 1.0}
    base = record(protocol=protocol)
    assert (
        refused(tmp_path / "1", base, record(protocol={**protocol, "align": True})) == "align no in base, yes in head"
    )
    other = record(protocol={**protocol, "dephase": False})
    assert refused(tmp_path / "2", base, other) == "dephase yes in base, no in head"
    assert refused(tmp_path / "3", base, record(protocol={**protocol, "min_seconds": 3.0, "windows": 5})) == ""
    assert refused(tmp_path / "4", base, other, "modelled_joules_per_sample") == ""


def test_records_trained_to_other_accuracies_are_not_compared(tmp_path: Path) -> None:
    def trained(accuracy: float) -> schema.Record:
        goal = {"accuracy": accuracy, "criterion": "c", "most_passes": 3, "reached": 0, "best_accuracy": 0.5}
        return record(target={**goal, "repeats": []})

    reason = refused(tmp_path, trained(0.9), trained(0.95))
    assert reason == "energy to accuracy 0.9 in base, 0.95 in head"


def defined(**definition: Any) -> schema.Record:
    return record(workload={"name": "w", "version": 1, "definition": definition})


def test_other_kernels_are_the_same_work(tmp_path: Path) -> None:
    base = defined(network="a", kernels=["fast", "fast"], isa="AVX512", torch="2.1")
    head = defined(network="a", kernels=["slow"], isa="AVX512", torch="2.1")
    assert refused(tmp_path / "1", base, head) == ""
    assert refused(tmp_path / "2", base, head, "modelled_joules_per_sample") == ""


def test_what_differs_between_definitions_is_named_with_both_values(tmp_path: Path) -> None:
    base = defined(bits=8, training={"epochs": 12, "seed": 1}, data="a" * 64)
    head = defined(bits=8, training={"epochs": 13, "seed": 2}, data="a" * 63 + "b")
    told = refused(tmp_path, base, head).split("; ")
    assert told[0] == "definition training.epochs 12 in base, 13 in head"
    assert told[1].startswith("definition data aaaaaaaaaaaaaaaaaaaa… (")
    assert len(told) == 2


def test_threads_and_device_are_grounds_of_what_the_machine_does(tmp_path: Path) -> None:
    base, head = defined(threads=1, device="cpu", isa="AVX2"), defined(threads=2, device="cpu", isa="AVX2")
    assert refused(tmp_path / "1", base, head) == "threads 1 in base, 2 in head"
    assert refused(tmp_path / "2", base, head, "modelled_joules_per_sample") == ""
    other = defined(threads=1, device="cuda", isa="AVX2")
    reason = refused(tmp_path / "3", base, other, "modelled_joules_per_sample")
    assert reason == "dispatch AVX2, cpu in base, AVX2, cuda in head"


def test_a_domain_lost_in_any_record_of_a_side_differs(tmp_path: Path) -> None:
    def at(day: int, *domains: str) -> schema.Record:
        return record(f"r{day}", created=f"2026-11-{day}T10:00:00Z", domains=domains)

    bare = at(10, "cpu").to_json()
    bare["domains"] = {"cpu": {"unavailable": "permission denied", "remedy": "r"}}
    del bare["results"]["joules_per_sample"], bare["total"]
    base = side_of(tmp_path / "b", at(20, "cpu", "dram"), at(21, "cpu", "dram")).series[key()]
    head = side_of(tmp_path / "h", at(20, "cpu"), at(22, "cpu", "dram"), at(21, "cpu"), schema.parse(bare))
    found = head.series[key()]
    reason = refusal(base, found, Rules())
    assert reason == "domains cpu, dram in base, cpu, dram (cpu in 2 of 4 records; none in 1 of 4 records) in head"
    assert len(found.rounds) == 1


def test_the_version_of_a_suite_tells_full_sizes_and_simulation(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    for version in ("1.1", "1.1-full", "1.1-simulated", "1.1-full-simulated"):
        tree.result(tree.commit(version), {ENERGY: [1.0, 2.0]}, versions={ENERGY: version})
    library = Library(repository=tmp_path, records=tmp_path / "none")
    sides = [resolve(one, repository=tmp_path, records=library.records) for one in tree.commits]
    series = [one.series[asv_key("joules_per_sample", 1)] for one in sides]
    assert [one.grounds["quick"] for one in series] == ["yes", "no", "yes", "no"]
    assert [one.provenance for one in series] == ["measured", "measured", "simulated", "simulated"]
    assert refusal(series[0], series[1], Rules()) == "quick yes in base, no in head"
    assert "provenance measured in base, simulated in head" in refusal(series[1], series[3], Rules())


def test_a_benchmark_that_head_dropped_stays_in_base(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {ENERGY: [1.0, 2.0], TIME: [1.0]})
    del tree.benchmarks[TIME]
    tree.write_index()
    tree.result(tree.commit("second"), {ENERGY: [1.0, 2.0]})
    base, head = resolve_both("main~1", "main", Library(repository=tmp_path, records=tmp_path / "none"))
    (lost,) = base.series.keys() - head.series.keys()
    assert lost.workload == TIME
    again, _ = resolve_both("main", "main~1", Library(repository=tmp_path, records=tmp_path / "none"))
    assert lost not in again.series


def test_a_version_of_torch_that_nobody_tells_is_said_so(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    tree.result(tree.commit("first"), {MODELLED: [1.0, 2.0], ENERGY: [1.0, 2.0]})
    tree.result(tree.commit("second"), {MODELLED: [1.0, 2.0]}, requirements={"torch": "2.13"})
    name = asv_key("modelled_joules_per_sample", 1)
    old, new = (resolve(one, repository=tmp_path, records=tmp_path / "none") for one in ("main~1", "main"))
    assert old.series[name].note == "neither side tells its version of torch"
    assert old.series[asv_key("joules_per_sample", 1)].note == new.series[name].note == ""


def test_a_row_of_base_that_is_damaged_is_a_gap_of_each_combination(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    path = tree.result(tree.commit("first"), {ENERGY: [1.0, 2.0], TIME: [1.0]})
    values = json.loads(path.read_text())
    values["results"][ENERGY][0] = [1.0]
    path.write_text(json.dumps(values))
    side = resolve("main", repository=tmp_path, records=tmp_path / "none")
    assert [gap.key for gap in side.gaps] == [asv_key("joules_per_sample", 1), asv_key("joules_per_sample", 8)]
    assert side.gaps[0].reason == f"{path}: {ENERGY}: it has 1 results for 2 combinations of parameters"


def test_environments_that_only_one_side_has_several_of_are_compared_by_name(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    base, head = tree.commit("first"), tree.commit("second")
    for commit, environment in ((base, "e1"), (base, "e2"), (head, "e1")):
        tree.result(commit, {TIME: [1.0], ENERGY: [None, 1.0]}, environment=environment)
    library = Library(repository=tmp_path, records=tmp_path / "none")
    old, new = resolve_both(base, head, library)
    assert {dict(one.parameters)["environment"] for one in old.series} == {"e1", "e2"}
    assert new.series.keys() == {one for one in old.series if ("environment", "e1") in one.parameters}
    assert [dict(gap.key.parameters)["environment"] for gap in new.gaps] == ["e1"]
    new, old = resolve_both(head, base, library)
    assert len(new.series.keys() & old.series.keys()) == 2


def from_suite(tree: Any, records: Path, commit: str, *, recorded: bool, asv: bool, joules: bool = True) -> None:
    """What a run of an EnergySuite under asv leaves; its record has asv's own name."""
    if asv:
        tree.result(commit, {ENERGY: [1.0, 2.0]})
    if not recorded:
        return
    machine = {"id": "m", "name": "lab", "git": {"commit": commit, "dirty": False}}
    values = record(f"r{commit[:6]}", machine=machine, parameters={"bits": 8}).to_json()
    values["workload"]["name"] = "quantized.QnnInfer"
    values["results"] = {"joules_per_sample": values["results"]["joules_per_sample"]} if joules else {}
    kept(records, schema.parse(values))


def of_suite(tmp_path: Path, trees: ModuleType, base: dict[str, bool], head: dict[str, bool]) -> tuple[Side, Side]:
    tree = tree_at(tmp_path, trees)
    for subject, told in (("base", base), ("head", head)):
        from_suite(tree, tmp_path / "records", tree.commit(subject), **told)
    return resolve_both("main~1", "main", Library(repository=tmp_path, records=tmp_path / "records"))


def test_a_record_and_an_asv_result_of_one_name_are_one_series(tmp_path: Path, trees: ModuleType) -> None:
    name = asv_key("joules_per_sample", 8)
    both, only = {"recorded": True, "asv": True}, {"recorded": False, "asv": True}
    for place, sides, environment in (
        ("a", (both, both), False),
        ("b", (both, only), True),
        ("c", (only, both), True),
        ("d", (only, only), True),
    ):
        base, head = of_suite(tmp_path / place, trees, *sides)
        assert ("environment" in base.series[name].grounds) == environment
        assert refusal(base.series[name], head.series[name], Rules()) == ""
        assert base.series.keys() == head.series.keys()


def test_a_record_against_an_asv_result_alone_is_refused_with_that_reason(tmp_path: Path, trees: ModuleType) -> None:
    name = asv_key("joules_per_sample", 8)
    record_alone, asv_alone = {"recorded": True, "asv": False}, {"recorded": False, "asv": True}
    base, head = of_suite(tmp_path / "a", trees, record_alone, asv_alone)
    assert refusal(base.series[name], head.series[name], Rules()) == (
        "told by a record in base, asv's result alone in head"
    )
    bare = {"recorded": True, "asv": True, "joules": False}
    base, head = of_suite(tmp_path / "b", trees, record_alone, bare)
    assert name not in head.series
    assert name in {gap.key for gap in head.gaps}


def test_a_record_of_a_workload_against_its_asv_result_alone_is_refused(tmp_path: Path) -> None:
    recorded = Side(name="a", series={key(): measured(rounds_at(1.0), machine="m")})
    theirs = key(workload="m.W")
    asv = Side(name="b", series={theirs: measured(rounds_at(1.0), workload="m.W", environment="e")})
    base, head = together(recorded, asv)
    assert set(base.series) == set(head.series) == {key()}
    assert "told by" in refusal(base.series[key()], head.series[key()], Rules())


@pytest.mark.parametrize(
    ("unit", "si", "factor"),
    [
        ("mJ", "J", 1e-3),
        ("kWh", "J", 3.6e6),
        ("µJ/sample", "J", 1e-6),
        ("joules", "J", 1.0),
        ("ms", "s", 1e-3),
        ("s/epoch", "s", 1.0),
        ("MiB", "B", 2.0**20),
        ("MB/s", "B/s", 1e6),
        ("%", "1", 0.01),
        ("min", "s", 60.0),
        ("m", "m", 1.0),
        ("widgets", "widgets", 1.0),
        ("1/s", "1/s", 1.0),
    ],
)
def test_units_are_si_without_a_prefix(unit: str, si: str, factor: float) -> None:
    found = si_unit(unit)
    assert (found[0], found[1]) == (si, pytest.approx(factor))


def test_values_in_other_units_are_scaled(tmp_path: Path, trees: ModuleType) -> None:
    tree = trees.AsvTree(tmp_path, [trees.Benchmark("a.track_energy", "mJ", "track")])
    tree.result(tree.commit("first"), {"a.track_energy": [[1.0, 2.0, 3.0]]})
    (series,) = resolve("main", repository=tmp_path, records=tmp_path / "none").series.values()
    assert (series.key.metric, series.family, series.unit) == ("joules", "joules", "J")
    assert series.rounds[0].values == (0.002,)
    assert series.rounds[0].standard_error < 0.001


@pytest.mark.parametrize(
    ("name", "unit", "more", "family", "up"),
    [
        ("a.track_accuracy", "accuracy", {}, "accuracy", True),
        ("a.track_test_acc", "%", {}, "accuracy", True),
        ("a.track_auc", "", {}, "quality", True),
        ("a.track_images", "images/s", {}, "quality", True),
        ("a.track_accuracy_loss", "", {}, "quality", False),
        ("a.track_error", "", {}, "quality", False),
        ("a.track_score", "", {"higher_is_better": False}, "quality", False),
        ("a.track_sweeps", "sweeps", {}, "quality", False),
        ("a.track_precision_time", "s", {}, "seconds", False),
    ],
)
def test_which_way_is_up_is_told_or_read_off_names(
    name: str, unit: str, more: dict[str, bool], family: str, up: bool
) -> None:
    found = meaning_of(name, {"type": "track", "unit": unit, **more})
    assert found is not None
    assert (found.family, found.higher_is_better) == (family, up)
    assert found.unit == "1" or family != "accuracy"


def test_a_missing_machine_file_is_told_once_and_is_not_left_out(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path, trees)
    for subject in ("first", "second"):
        tree.result(tree.commit(subject), {TIME: [1.0]})
    (tree.results / "lab" / "machine.json").unlink()
    base, head = resolve_both("main~1", "main", Library(repository=tmp_path, records=tmp_path / "none"))
    (one,) = (*base.troubles, *head.troubles)
    assert (one.path.name, one.left_out) == ("machine.json", False)


def test_a_hash_that_only_results_know_is_used_and_a_shallow_clone_says_so(tmp_path: Path, trees: ModuleType) -> None:
    tree = tree_at(tmp_path / "full", trees)
    first = tree.commit("first")
    tree.result(first, {TIME: [1.0]})
    tree.commit("second")
    clone = tmp_path / "clone"
    tree.git("clone", "-q", "--depth", "1", f"file://{tree.path}", str(clone))
    where = {"repository": clone, "records": tmp_path / "none", "results": tree.results}
    assert resolve(first[:8], **where).commit == first
    assert resolve(first, **where).commit == first
    with pytest.raises(SideError, match="this clone is shallow: git fetch --unshallow"):
        resolve("HEAD~1", **where)
    with pytest.raises(SideError, match="this clone is shallow"):
        resolve("0" * 8, **where)


def modelled_on(path: Path, trees: ModuleType, **machine: str) -> tuple[Series, Series]:
    """Two equal counts on a machine whose file says this of itself."""
    tree = tree_at(path, trees)
    for subject in ("first", "second"):
        tree.result(tree.commit(subject), {MODELLED: [1.0, 2.0]}, requirements={"torch": "2.13"}, **machine)
    name = asv_key("modelled_joules_per_sample", 1)
    base, head = (resolve(one, repository=path, records=path / "none") for one in ("main~1", "main"))
    return base.series[name], head.series[name]


def test_counts_of_processors_that_nobody_names_are_not_compared(tmp_path: Path, trees: ModuleType) -> None:
    reason = refusal(*modelled_on(tmp_path, trees, arch="", cpu=""), Rules())
    assert reason.startswith("dispatch unknown in base and head; asv machine --yes --arch ARCH --cpu CPU")


def test_of_a_processor_whose_model_nobody_names_that_is_said(tmp_path: Path, trees: ModuleType) -> None:
    base, head = modelled_on(tmp_path, trees, cpu="")
    assert base.grounds["dispatch"] == "x86_64 unknown"
    assert base.note == head.note == "neither side tells its processor; asv machine --cpu does"
    assert refusal(base, head, Rules()) == ""
