"""What `import energybench` gives, and what it leaves alone."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "numba",
    "sklearn",
    "pandas",
    "seaborn",
    "matplotlib",
    "scipy",
    "pydantic",
    "typer",
    "numpy",
}


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_import_energybench_loads_nothing_heavy():
    assert loaded_by("import energybench") & HEAVY == set()


@pytest.mark.parametrize(
    "module",
    [
        "meter",
        "model",
        "probes",
        "probes.powercap",
        "reports",
        "reports.frames",
        "reports.figures",
        "reports.site_builder",
    ],
)
def test_a_module_of_the_instrument_loads_nothing_heavy(module: str):
    assert loaded_by(f"import energybench.{module}") & HEAVY == set()


def test_the_check_sees_what_is_loaded():
    assert {"energybench", "pandas"} <= loaded_by("import energybench, pandas")


def test_every_public_name_can_be_had():
    import energybench

    assert all(getattr(energybench, name) is not None for name in energybench.__all__)
    assert {"measure", "load", "Measurement", "Energy", "Unavailable", "Record", "Probe", "Workload"} <= set(
        energybench.__all__
    )


def test_a_name_that_does_not_exist_is_an_attribute_error():
    import energybench

    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        energybench.mesure  # noqa: B018
