"""The points of a run, from what was typed; and settings, from the three places that may hold them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import matrix
from energybench.config import SettingError, Settings, load_settings
from energybench.model import Parameter, UnknownNameError


@dataclass
class Sums:
    """A workload that is only looked at, never prepared."""

    name: str = "sums"
    version: int = 1
    summary: str = "adds numbers"
    parameters: dict = field(
        default_factory=lambda: {
            "bits": Parameter(default=8, help="width", choices=(8, 16, 32)),
            "batch": Parameter(default=64, help="samples a step"),
            "rate": Parameter(default=0.5, help="of dropping"),
            "fused": Parameter(default=False, help="one kernel"),
            "mode": Parameter(default="plain", help="how"),
        }
    )

    def prepare(self, parameters, *, seed, quick):
        raise NotImplementedError


def test_what_is_not_given_stands_at_its_default():
    assert matrix.expand(Sums(), {}) == [{"bits": 8, "batch": 64, "rate": 0.5, "fused": False, "mode": "plain"}]


def test_values_multiply_out_with_the_first_parameter_varying_slowest():
    expanded = matrix.expand(Sums(), {"batch": ["1", "2"], "bits": ["8", "16"]})
    assert [(point["bits"], point["batch"]) for point in expanded] == [(8, 1), (8, 2), (16, 1), (16, 2)]


def test_values_have_the_kind_of_the_default():
    (point,) = matrix.expand(Sums(), {"rate": ["1e-2"], "fused": ["yes"], "mode": ["1"], "batch": ["7"]})
    assert point == {"bits": 8, "batch": 7, "rate": 0.01, "fused": True, "mode": "1"}
    assert [type(value) for value in point.values()] == [int, int, float, bool, str]


def test_equal_values_are_one_point():
    assert len(matrix.expand(Sums(), {"batch": ["2", "02", "2"]})) == 1


@pytest.mark.parametrize(
    ("given_values", "said"),
    [
        ({"bits": ["7"]}, "choose from 8, 16, 32"),
        ({"batch": ["many"]}, "a whole number"),
        ({"batch": ["1.5"]}, "a whole number"),
        ({"rate": ["nan"]}, "a number"),
        ({"rate": ["inf"]}, "a number"),
        ({"fused": ["perhaps"]}, "true or false"),
    ],
)
def test_a_value_that_does_not_fit_names_the_workload_and_what_to_give(given_values, said):
    with pytest.raises(matrix.ParameterError, match=f"sums: .*{said}"):
        matrix.expand(Sums(), given_values)


def test_an_unknown_parameter_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"sums has no parameter 'bit'; did you mean 'bits'\?"):
        matrix.expand(Sums(), {"bit": ["8"]})
    with pytest.raises(UnknownNameError, match="known: bits, batch, rate, fused, mode"):
        matrix.expand(Sums(), {"zzz": ["8"]})


def test_flags_and_params_are_merged_in_the_order_given():
    assert matrix.parse(["bits=16,8", "bits=8"], {"bits": "32", "batch": None}) == {"bits": ["16", "8", "32"]}


@pytest.mark.parametrize("text", ["bits", "=8", "bits=", "bits=,", " "])
def test_a_parameter_without_name_or_value_is_refused_with_the_form_to_use(text):
    with pytest.raises(matrix.ParameterError, match="--param"):
        matrix.parse([text], {})


@given(
    bits=st.lists(st.sampled_from([8, 16, 32]), min_size=1, unique=True),
    batch=st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True),
)
def test_every_combination_is_there_once(bits, batch):
    typed = matrix.parse([f"bits={','.join(map(str, bits))}"], {"batch": ",".join(map(str, batch))})
    expanded = matrix.expand(Sums(), typed)
    assert {(p["bits"], p["batch"]) for p in expanded} == {(b, s) for b in bits for s in batch}
    assert len(expanded) == len(bits) * len(batch)


@pytest.fixture
def project(tmp_path):
    """Write a pyproject.toml with these lines under [tool.energybench]; gives a folder below it."""

    def write(*lines):
        (tmp_path / "pyproject.toml").write_text("\n".join(["[tool.energybench]", *lines]) + "\n")
        below = tmp_path / "src" / "deep"
        below.mkdir(parents=True)
        return below

    return write


def test_nothing_said_gives_the_defaults(tmp_path):
    assert load_settings({}, environ={}, start=tmp_path) == Settings()


def test_a_flag_beats_the_environment_which_beats_the_file(project):
    below = project("windows = 3", "seed = 3", "seconds = 3")
    settings = load_settings(
        {"windows": 1, "seed": None},
        environ={"ENERGYBENCH_WINDOWS": "2", "ENERGYBENCH_SEED": "2"},
        start=below,
    )
    assert (settings.windows, settings.seed, settings.seconds) == (1, 2, 3.0)


def test_a_flag_that_says_no_beats_a_file_that_says_yes(project):
    assert load_settings({"quick": False}, environ={}, start=project("quick = true")).quick is False


def test_a_path_in_the_file_is_relative_to_the_file(project, tmp_path):
    below = project('records = "kept"', 'probes = ["powercap", "nvml"]')
    settings = load_settings({}, environ={}, start=below)
    assert settings.records == tmp_path / "kept"
    assert settings.probes == ("powercap", "nvml")
    named = load_settings({}, environ={"ENERGYBENCH_RECORDS": "kept"}, start=below)
    assert named.records == Path("kept")


def test_probes_come_as_a_list_or_with_commas(tmp_path):
    assert load_settings({"probes": ["a,b", "c"]}, environ={}, start=tmp_path).probes == ("a", "b", "c")
    assert load_settings({}, environ={"ENERGYBENCH_PROBES": "a, b"}, start=tmp_path).probes == ("a", "b")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ENERGYBENCH_WINDOWS", "0", "1 or more"),
        ("ENERGYBENCH_WINDOWS", "2.5", "a whole number"),
        ("ENERGYBENCH_SECONDS", "long", "a number"),
        ("ENERGYBENCH_SECONDS", "-1", "above 0"),
        ("ENERGYBENCH_SECONDS", "nan", "a number"),
        ("ENERGYBENCH_SECONDS", "inf", "a number"),
        ("ENERGYBENCH_QUICK", "maybe", "true or false"),
        ("ENERGYBENCH_REQUIRE", "perfect", "measured, simulated or estimated"),
    ],
)
def test_a_bad_value_is_refused_with_the_place_where_it_stands(tmp_path, variable, value, said):
    with pytest.raises(SettingError, match=f"{variable} is '{value}'; give .*{said}"):
        load_settings({}, environ={variable: value}, start=tmp_path)


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest(project):
    with pytest.raises(UnknownNameError, match=r"no setting 'window'; did you mean 'windows'\?"):
        load_settings({}, environ={}, start=project("window = 3"))


def test_a_file_that_is_not_toml_is_named(project):
    with pytest.raises(SettingError, match=r"pyproject\.toml is not valid TOML"):
        load_settings({}, environ={}, start=project("windows = = 3"))


def test_a_pyproject_without_our_table_is_fine(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "theirs"\n')
    assert load_settings({}, environ={}, start=tmp_path) == Settings()
