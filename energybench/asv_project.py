"""What a project has of asv, and what an energy suite adds to it."""

import ast
import importlib.util
import json
import os
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from energybench import asv_configuration
from energybench.asv_configuration import ConfigurationError
from energybench.asv_requirement import (
    DISTRIBUTION,
    RequirementError,
    checked_requirement,
    git_says,
    own_requirement,
)

CONFIGURATION = asv_configuration.NAMES[0]
SUITES = ("benchmarks", "asv_benchmarks", "energy_benchmarks")
FILES = ("energy.py", "energy_suite.py")
BROUGHT = re.compile(rf"(?<![\w-]){DISTRIBUTION}(?![\w-])")
"""energybench itself in a command or a matrix, and no distribution that is named after it."""
TEMPLATES = Path(__file__).with_name("asv_template")


class ProjectError(ValueError):
    """A project that no suite can be added to as it is; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is added to a project.

    Attributes:
        configuration: asv's, there already or among `files`.
        files: path and text of each new file; none where all is there.
        found: the energy suite that is there already, where there is one.
        advice: what is left to do by hand, a line each.
    """

    configuration: Path
    files: tuple[tuple[Path, str], ...] = ()
    found: Path | None = None
    advice: tuple[str, ...] = ()


def plan(folder: Path, *, requirement: str | None = None) -> Plan:
    """See what a project has, and what it lacks.

    Args:
        folder: of the project, or of its asv.conf.json.
        requirement: how pip gets energybench; the one that runs here where None.

    Raises:
        ProjectError: there is no such folder or git repository, asv's configuration cannot be followed, or pip could
            not get energybench that way.
    """
    if not folder.is_dir():
        raise ProjectError(f"there is no folder {folder}; name the one of a project")
    folder = folder.resolve()
    top = git_says(folder, "rev-parse", "--show-toplevel")
    if not top:
        raise ProjectError(f"{folder} is in no git repository, and asv measures commits; make one with git init")
    try:
        wanted = checked_requirement(requirement) if requirement else own_requirement()
    except RequirementError as error:
        raise ProjectError(str(error)) from error
    existing = _configuration(folder)
    return _extended(existing, wanted) if existing else _begun(folder, Path(top), wanted)


def _begun(folder: Path, top: Path, requirement: str) -> Plan:
    """A project without asv: its configuration and a suite."""
    name = _suite_name(folder)
    below = folder.relative_to(top.resolve()).as_posix()
    values = {
        "repo": json.dumps(os.path.relpath(top.resolve(), folder)),
        "subfolder": "" if below == "." else f'\n    "repo_subdir": {json.dumps(below)},',
        "project": json.dumps(_project_name(folder)),
        "branches": json.dumps([_branch(folder)]),
        "benchmark_dir": json.dumps(name),
        "install": json.dumps(_install(requirement)),
    }
    files = (
        (folder / CONFIGURATION, Template(_template("asv.conf.json")).substitute(values)),
        (folder / name / "__init__.py", ""),
        (folder / name / FILES[0], _template(FILES[0])),
    )
    advice = [*_packaging(folder), *_private(requirement), *_ignored(folder, ".asv/env/", ".energybench/")]
    return Plan(configuration=folder / CONFIGURATION, files=files, advice=tuple(advice))


def _extended(configuration: Path, requirement: str) -> Plan:
    """A project with asv: a file in its suite."""
    values = _loaded(configuration)
    suite = configuration.parent / str(values.get("benchmark_dir") or "benchmarks")
    if not suite.is_dir():
        raise ProjectError(
            f"{suite}, the benchmark_dir of {configuration}, is not there; make that folder, or correct benchmark_dir"
        )
    lines = _lines_to_add(configuration, values, requirement)
    files = sorted(suite.rglob("*.py"))
    found = next((file for file in files if _is_energy_suite(file)), None)
    if found:
        return Plan(configuration=configuration, found=found, advice=tuple(lines))
    name = next((name for name in FILES if not (suite / name).exists()), None)
    if name is None:
        raise ProjectError(f"{suite} has files named {' and '.join(FILES)} already; move one of them away")
    advice = [
        *lines,
        *_clash(suite),
        *(_private(requirement) if lines else []),
        *_ignored(configuration.parent, ".energybench/"),
    ]
    return Plan(configuration=configuration, files=((suite / name, _template(FILES[0])),), advice=tuple(advice))


def _configuration(folder: Path) -> Path | None:
    """The project's asv.conf.json, or .jsonc: in the folder, or the only one below it."""
    if own := asv_configuration.beside(folder):
        return own
    patterns = [pattern + name for pattern in ("", "*/") for name in asv_configuration.NAMES]
    listed = git_says(folder, "ls-files", "-co", "--exclude-standard", "--", *patterns) or ""
    found = [folder / name for name in listed.splitlines()]
    if len(found) > 1:
        names = ", ".join(str(path.parent.relative_to(folder)) for path in found)
        raise ProjectError(f"{folder} has several {CONFIGURATION}; name the folder of one: {names}")
    return found[0] if found else None


def _loaded(path: Path) -> dict[str, Any]:
    try:
        return asv_configuration.loaded(path)
    except ConfigurationError as error:
        raise ProjectError(f"{error}; correct it first") from error


def _is_energy_suite(file: Path) -> bool:
    """Whether a module imports `energybench.asv`."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError, OSError):
        return False
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return "energybench.asv" in names


def _lines_to_add(configuration: Path, values: dict[str, Any], requirement: str) -> list[str]:
    """How energybench gets into the environments, where nothing of the configuration brings it."""
    commands, requirements = values.get("install_command"), values.get("matrix")
    if BROUGHT.search(json.dumps([commands, requirements])):
        return []
    line = json.dumps(_install(requirement))
    if commands:
        return [f"add to install_command in {configuration}, as its first line: {line},"]
    project = json.dumps("in-dir={env_dir} python -m pip install {wheel_file}")
    return [f'add to {configuration}: "install_command": [{line}, {project}],']


def _install(requirement: str) -> str:
    return f"in-dir={{env_dir}} python -m pip install {shlex.quote(requirement)}"


def _suite_name(folder: Path) -> str:
    """A folder that is not there yet, and whose name is no package's: asv would import the suite in its place."""
    free = [name for name in SUITES if not _taken(folder, name)]
    if not free:
        raise ProjectError(
            f"{folder} has {', '.join(SUITES)} already; write {CONFIGURATION} with one of them as its benchmark_dir, "
            "then run this again"
        )
    return free[0]


def _taken(folder: Path, name: str) -> bool:
    places = (folder / name, folder / f"{name}.py", folder / "src" / name)
    return any(place.exists() for place in places) or _is_importable(name)


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:
        return True


def _clash(suite: Path) -> list[str]:
    name = suite.name
    top = git_says(suite, "rev-parse", "--show-toplevel") or "."
    places = [Path(top, name), Path(top, "src", name)]
    if not any((place / "__init__.py").is_file() and place.resolve() != suite for place in places):
        return []
    return [f"benchmark_dir is named like the package {name}, which asv then cannot import; rename {suite}"]


def _project_name(folder: Path) -> str:
    try:
        values = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return str(values["project"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name


def _branch(folder: Path) -> str:
    """The branch that others start from, else the one that is checked out."""
    remote = git_says(folder, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    if remote:
        return remote.removeprefix("origin/")
    return git_says(folder, "branch", "--show-current") or "HEAD"


def _packaging(folder: Path) -> list[str]:
    if any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
        return []
    return [f"{folder} has no pyproject.toml: add one, since asv builds a wheel of each commit"]


def _private(requirement: str) -> list[str]:
    if "@file:" not in requirement:
        return []
    return ["energybench is installed from a folder of this machine: name an address with --energybench for others"]


def _ignored(folder: Path, *names: str) -> list[str]:
    seen = [name for name in names if git_says(folder, "check-ignore", "-q", name) is None]
    return [f"add to .gitignore: {' '.join(seen)}"] if seen else []


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")
