"""The house: links that are links, a wheel that holds the package alone, versions and pins that agree."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LINKED = ("probes", "workloads", "reports")
METADATA = {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "setup.cfg", "MANIFEST.in"}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and an sdist, built from a copy so that nothing is left in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    names = ["energybench", *LINKED, "pyproject.toml", "README.md", "LICENSE"]
    names += [name for name in ("MANIFEST.in",) if (ROOT / name).exists()]
    subprocess.run(["cp", "-a", *(ROOT / name for name in names), source], check=True)
    (source / "tests").mkdir()
    (source / "tests" / "test_left_out.py").write_text("# must not be shipped\n")
    command = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", out, source]
    subprocess.run(command, check=True, capture_output=True)
    return out


def modules() -> set[str]:
    """Every module of the package, by its path in a wheel."""
    found = {file.relative_to(ROOT).as_posix() for file in (ROOT / "energybench").glob("**/*.py")}
    for name in LINKED:
        found |= {f"energybench/{file.relative_to(ROOT).as_posix()}" for file in (ROOT / name).glob("**/*.py")}
    return found


@pytest.mark.parametrize("name", LINKED)
def test_a_folder_of_the_package_is_a_relative_link_to_the_root(name: str):
    link = ROOT / "energybench" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    assert (ROOT / name).is_dir()
    assert not (ROOT / name).is_symlink()


def test_no_file_imports_a_linked_folder_by_its_bare_name():
    pattern = re.compile(rf"^\s*(from|import)\s+({'|'.join(LINKED)})\b", re.MULTILINE)
    files = [file for folder in ("energybench", *LINKED, "tests") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 20
    assert [file for file in files if pattern.search(file.read_text(encoding="utf-8"))] == []


def test_the_wheel_holds_energybench_alone_and_all_of_it(built: Path):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "energybench",
        f"energybench-{version_of(wheel)}.dist-info",
    }
    assert modules() <= set(names)
    for data in ("py.typed", "reports/templates/index.html", "reports/static/report.css", "reports/published/qnn.json"):
        assert f"energybench/{data}" in names
    tables = {f"energybench/probes/tables/{file.name}" for file in (ROOT / "probes" / "tables").glob("*.json")}
    tables |= {f"energybench/{file.relative_to(ROOT)}" for file in (ROOT / "workloads").rglob("*.json")}
    assert tables
    assert tables <= set(names)


def test_check_wheel_contents_finds_nothing(built: Path):
    (wheel,) = built.glob("*.whl")
    program = Path(sys.executable).with_name("check-wheel-contents")
    result = subprocess.run([program, wheel], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_sdist_holds_real_files_of_energybench_and_metadata_alone(built: Path):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    paths = [Path(*Path(member.name).parts[1:]) for member in members if not member.isdir()]
    assert {path.parts[0] for path in paths} - METADATA == {"energybench", "energybench.egg-info"}
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert modules() <= {path.as_posix() for path in paths}


def test_the_version_is_the_same_everywhere(project: dict):
    import energybench

    assert energybench.__version__ == project["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{energybench.__version__}]" in changelog


def test_constraints_pin_everything_that_is_declared(project: dict, pins: dict[str, Version]):
    extras = project["project"]["optional-dependencies"].values()
    groups = [project["project"]["dependencies"], *extras, *project["dependency-groups"].values()]
    for requirement in (Requirement(text) for group in groups for text in group):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"constraints.txt has {name}=={pins[name]}: {requirement}"


def test_constraints_are_exact_public_versions(pins: dict[str, Version]):
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []
    assert pins["torch"] == Version("2.13.0")
    assert len(pins) == len(lines)


def version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]
