"""Finding workloads: modules of this folder, a user's own file by its path, and installed entry points.

A module that binds `workload` at its top level is one. Only such modules are imported, and none of them
imports torch before it is prepared.
"""

import ast
import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from energybench.model import Parameter, Unavailable, UnknownNameError, Workload

_FOLDER = Path(__file__).parent
_GROUP = "energybench.workloads"
# asv's own suite: its modules are benchmarks of these workloads, not workloads.
_SKIPPED = {"benchmarks"}
# Each loaded workload with the digest of its file; by id, for a user's object need not be hashable.
_SOURCES: dict[int, tuple[Workload, str]] = {}


def names() -> list[str]:
    """The names of the workloads that can be asked for, broken ones included."""
    installed = {entry.name for entry in importlib.metadata.entry_points(group=_GROUP)}
    return sorted(installed | set(discover()))


def discover(folder: Path = _FOLDER) -> Mapping[str, Workload | Unavailable]:
    """The workloads in a folder by name; a broken one says why, under a name made of its path."""
    found: dict[str, Workload | Unavailable] = {}
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        if path.name.startswith("_") or _SKIPPED & set(inside.parts) or not _binds_workload(path.read_bytes()):
            continue
        try:
            workload = _exported(_imported(path, inside, folder), path)
        except ImportError as error:
            found["-".join(inside.with_suffix("").parts)] = Unavailable(
                reason=str(error), remedy=f"correct {path}, or move it away"
            )
        else:
            found[workload.name] = workload
    return found


def load(name_or_path: str) -> Workload:
    """A workload by its name, or by the path of a file that exports `workload`.

    Raises:
        UnknownNameError: there is none of that name; the message has the nearest names.
        FileNotFoundError: there is no such file.
        ImportError: the file is broken; the message has its path and the cause.
    """
    if _is_path(name_or_path):
        return _from_file(Path(name_or_path))
    for entry in importlib.metadata.entry_points(group=_GROUP):
        if entry.name == name_or_path:
            return _from_entry(entry)
    found = discover()
    if name_or_path not in found:
        raise UnknownNameError(_unknown("workload", name_or_path, names()))
    workload = found[name_or_path]
    if isinstance(workload, Unavailable):
        raise ImportError(workload.reason)  # noqa: TRY004 - the file is what is wrong
    return workload


def place(name_or_path: str) -> str:
    """What names the same workload: a name as it is, a path without its links and detours."""
    return str(Path(name_or_path).resolve()) if _is_path(name_or_path) else name_or_path


def source(workload: Workload) -> str | None:
    """The SHA-256 of the file that a workload was loaded from; None where it has none."""
    found = _SOURCES.get(id(workload))
    return found[1] if found and found[0] is workload else None


def _is_path(name_or_path: str) -> bool:
    return name_or_path.endswith(".py") or "/" in name_or_path


def resolve(
    parameters: Mapping[str, Parameter], given: Mapping[str, int | float | str | bool]
) -> dict[str, int | float | str | bool]:
    """Every parameter's value: what was given, else its default.

    Raises:
        UnknownNameError: a parameter that the workload does not have.
        ValueError: a value outside the choices, or not of the default's type.
    """
    for name in given:
        if name not in parameters:
            raise UnknownNameError(_unknown("parameter", name, list(parameters)))
    return {name: _checked(name, wanted, given.get(name, wanted.default)) for name, wanted in parameters.items()}


def _checked(name: str, wanted: Parameter, value: int | float | str | bool) -> int | float | str | bool:
    kind = type(wanted.default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        problem = f"{name}={value!r} is not {kind.__name__}: give it a value like {wanted.default!r}"
        raise ValueError(problem)
    if wanted.choices and value not in wanted.choices:
        offered = ", ".join(map(str, wanted.choices))
        raise ValueError(f"{name}={value} is not offered: choose from {offered}")
    return value


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    return f"there is no {what} {name!r}: {hint}"


@lru_cache(maxsize=1024)
def _binds_workload(code: bytes) -> bool:
    """Whether a module's top level binds `workload`, seen without running it. An unreadable one may."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return True
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "workload" for target in targets):
            return True
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == "workload" for a in node.names):
            return True
    return False


def _imported(path: Path, inside: Path, folder: Path) -> ModuleType:
    if folder != _FOLDER:
        return _run(path)
    try:
        return importlib.import_module(".".join((__name__, *inside.with_suffix("").parts)))
    except (Exception, SystemExit) as error:
        raise ImportError(_broken(path, error)) from error


def _from_file(path: Path) -> Workload:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give the path of a file that exports `workload`")
    # As `python my/bench.py` would: the file finds the modules beside it.
    beside = str(path.resolve().parent)
    if beside not in sys.path:
        sys.path.insert(0, beside)
    return _exported(_run(path), path)


def _run(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"energybench_workload_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ImportError(_broken(path, error)) from error
    return module


def _from_entry(entry: importlib.metadata.EntryPoint) -> Workload:
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:
        raise ImportError(_broken(entry.value, error)) from error
    if isinstance(loaded, ModuleType):
        return _exported(loaded, entry.value)
    return _remembered(_complete(loaded, entry.value), sys.modules[entry.module])


def _exported(module: ModuleType, where: object) -> Workload:
    if not hasattr(module, "workload"):
        raise ImportError(f"{where} exports no `workload`: bind an object with {_needed()} to that name")
    return _remembered(_complete(module.workload, where), module)


def _remembered(workload: Workload, module: ModuleType) -> Workload:
    """Keep the digest of the file that a workload came from: another file is another workload."""
    path = Path(module.__file__ or "") if getattr(module, "__file__", None) else None
    if path and path.is_file():
        _SOURCES[id(workload)] = (workload, hashlib.sha256(path.read_bytes()).hexdigest())
    return workload


def _complete(candidate: object, where: object) -> Workload:
    if isinstance(candidate, type):
        problem = f"`workload` in {where} is a class: export an instance, {candidate.__name__}()"
        raise ImportError(problem)  # noqa: TRY004 - the file is what is wrong
    if isinstance(candidate, Workload):
        return candidate
    missing = [name for name in _needed().split(", ") if not hasattr(candidate, name)]
    raise ImportError(f"`workload` in {where} has no {', '.join(missing)}: see docs/adding-a-workload.md")


def _needed() -> str:
    return "name, version, summary, parameters, prepare"


def _broken(where: object, error: BaseException) -> str:
    line = error.lineno if isinstance(error, SyntaxError) else _last_line(error, where)
    place = f"{where}, line {line}" if line else f"{where}"
    return f"{place} cannot be loaded: {type(error).__name__}: {error}"


def _last_line(error: BaseException, where: object) -> int | None:
    """The line of the file itself that the error came through."""
    line, step = None, error.__traceback__
    while step is not None:
        if Path(step.tb_frame.f_code.co_filename).resolve() == Path(str(where)).resolve():
            line = step.tb_lineno
        step = step.tb_next
    return line
