import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from energybench import workloads
from energybench.model import Parameter, Unavailable, UnknownNameError, Workload
from energybench.workloads import data

GOOD = """
class Sleep:
    name = "my-sleep"
    version = 1
    summary = "sleeps"
    parameters = {}

    def prepare(self, parameters, *, seed, quick):
        raise NotImplementedError

workload = Sleep()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for a user's files; what loading them leaves on sys.path is taken away again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_our_own_workloads_are_found_in_sub_folders_and_satisfy_the_protocol():
    found = workloads.discover()
    assert {"qnn-infer", "qnn-train"} <= set(found)
    for name, workload in found.items():
        assert isinstance(workload, Workload), workload
        assert workload.name == name
    assert set(found) <= set(workloads.names())


def test_load_gives_the_same_object_each_time():
    assert workloads.load("qnn-infer") is workloads.load("qnn-infer")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no workload 'qnn-infr': did you mean qnn-infer"):
        workloads.load("qnn-infr")
    with pytest.raises(UnknownNameError, match=r"there are .*qnn-infer"):
        workloads.load("zzz")


def test_a_users_own_file_runs_by_its_path_and_finds_the_modules_beside_it(folder):
    (folder / "my_sleep_name.py").write_text("NAME = 'my-nap'\n")
    (folder / "bench.py").write_text("from my_sleep_name import NAME\n" + GOOD.replace('"my-sleep"', "NAME"))
    assert workloads.load(str(folder / "bench.py")).name == "my-nap"


def test_two_files_of_one_name_do_not_hide_each_other(folder):
    paths = []
    for name in ("first", "second"):
        (folder / name).mkdir()
        paths.append(folder / name / "bench.py")
        paths[-1].write_text(GOOD.replace("my-sleep", name))
    assert [workloads.load(str(path)).name for path in paths] == ["first", "second"]


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("x = 1\nworkload = (\n", 2, "SyntaxError"),
        ("import no_such_module_at_all\n", 1, "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("y = 1\n\nz = 1 / 0\n", 3, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_file_is_one_line_with_the_file_the_line_and_the_cause(folder, text, line, cause):
    path = folder / "bench.py"
    path.write_text(text)
    with pytest.raises(ImportError) as caught:
        workloads.load(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line} cannot be loaded: {cause}")
    assert "\n" not in message


def test_a_missing_file_and_a_file_without_a_workload_say_so(folder):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.py"):
        workloads.load(str(folder / "nowhere.py"))
    for text, complaint in [
        ("x = 1\n", "exports no `workload`"),
        ("class W:\n    pass\nworkload = W\n", r"is a class: export an instance, W\(\)"),
        ("class W:\n    name = 'w'\nworkload = W()\n", "has no version, summary, parameters, prepare"),
    ]:
        (folder / "bench.py").write_text(text)
        with pytest.raises(ImportError, match=complaint):
            workloads.load(str(folder / "bench.py"))


def test_discovery_runs_only_modules_that_bind_workload_and_reports_broken_ones(folder):
    (folder / "deep").mkdir()
    (folder / "benchmarks").mkdir()
    (folder / "deep" / "good.py").write_text(GOOD)
    (folder / "deep" / "helper.py").write_text("raise SystemExit('a helper was imported')\n")
    (folder / "deep" / "_private.py").write_text("workload = 1 / 0\n")
    (folder / "benchmarks" / "energy.py").write_text("workload = 1 / 0\n")
    (folder / "deep" / "bad.py").write_text("workload = 1 / 0\n")
    found = workloads.discover(folder)
    assert set(found) == {"my-sleep", "deep-bad"}
    assert isinstance(found["deep-bad"], Unavailable)
    assert "bad.py, line 1 cannot be loaded: ZeroDivisionError" in found["deep-bad"].reason


def test_an_installed_entry_point_is_a_workload(folder):
    (folder / "installed_bench.py").write_text(GOOD)
    sys.path.insert(0, str(folder))
    for value in ("installed_bench", "installed_bench:workload"):
        entry = EntryPoint(name="my-sleep", group="energybench.workloads", value=value)
        assert workloads._from_entry(entry).name == "my-sleep"
    broken = EntryPoint(name="gone", group="energybench.workloads", value="no_such_package:workload")
    with pytest.raises(ImportError, match="no_such_package:workload cannot be loaded: ModuleNotFoundError"):
        workloads._from_entry(broken)


PARAMETERS = {
    "bits": Parameter(default=8, help="bits", choices=(8, 16, 32)),
    "rate": Parameter(default=1e-3, help="rate"),
    "device": Parameter(default="cpu", help="where"),
}


def test_parameters_take_their_defaults_and_whole_numbers_stand_for_floats():
    assert workloads.resolve(PARAMETERS, {"rate": 1}) == {"bits": 8, "rate": 1.0, "device": "cpu"}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"bits": 4}, "bits=4 is not offered: choose from 8, 16, 32"),
        ({"bits": "8"}, "bits='8' is not int"),
        ({"bits": True}, "bits=True is not int"),
        ({"device": 1}, "device=1 is not str"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_one_line(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        workloads.resolve(PARAMETERS, given)


def test_an_unknown_parameter_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no parameter 'bit': did you mean bits"):
        workloads.resolve(PARAMETERS, {"bit": 8})


def test_digits_are_split_by_class_and_nothing_is_in_both_halves():
    pytest.importorskip("sklearn")
    digits = data.load("digits", seed=3)
    assert (digits.features, digits.classes, digits.levels) == (64, 10, 16)
    assert len(digits.train_labels) + len(digits.test_labels) == 1797
    assert digits.train_pixels.dtype == np.uint8
    assert digits.train_pixels.max() == 16
    train, test = np.bincount(digits.train_labels), np.bincount(digits.test_labels)
    np.testing.assert_array_equal(test, np.round((train + test) * 0.2))
    assert digits.described()["test"] == len(digits.test_labels)


def test_a_split_follows_its_seed_and_the_hash_follows_the_data_alone():
    pytest.importorskip("sklearn")
    first, again, other = (data.load("digits", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train_pixels, again.train_pixels)
    assert not np.array_equal(first.test_labels, other.test_labels)
    assert first.sha256 == other.sha256
    assert data._digest(first.test_pixels, first.test_labels) != data._digest(
        first.test_pixels, first.test_labels[::-1]
    )


def test_an_unknown_data_set_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no data set 'digit': did you mean digits"):
        data.load("digit", seed=0)
