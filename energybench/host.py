"""What machine this is: a fingerprint without secrets, and an id that tells nothing but stays the same."""

import hashlib
import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "numpy", "numba", "scikit-learn")
_CPU = Path("sys/devices/system/cpu")
_DMI = Path("sys/class/dmi/id")


def fingerprint(
    *, root: Path = Path("/"), state: Mapping[str, object] | None = None, folder: Path | None = None
) -> dict[str, object]:
    """Everything about the machine and its software that can move a joule; what cannot be read is absent.

    Args:
        root: where /proc, /sys and /etc are.
        state: what the probes say of their devices (`Meter.state()`).
        folder: whose git commit is kept; the current one.
    """
    cpuinfo = _cpuinfo(root)
    found: dict[str, object] = {
        "id": machine_id(root=root),
        "name": socket.gethostname(),
        "cpu": _cpu_name(cpuinfo),
        "microcode": cpuinfo.get("microcode"),
        "cpus": os.cpu_count(),
        "cores": _cores(root),
        "memory_bytes": _memory_bytes(root),
        "governor": _text(root / _CPU / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(root),
        "smt": _switch(root / _CPU / "smt/active"),
        "kernel": platform.release(),
        "hypervisor": _hypervisor(root, cpuinfo),
        "cpu_power_limits_watts": _power_limits(root),
        "gpus": _gpus(state or {}),
        "python": platform.python_version(),
        "packages": _packages(),
        "git": _git(folder or Path.cwd()),
    }
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def machine_id(*, root: Path = Path("/")) -> str:
    """Twelve hexadecimal digits that stay with the machine and lead nowhere.

    The raw id is a secret of its owner (machine-id(5)): only a hash of it and the CPU's name leaves here.
    """
    files = (root / "etc/machine-id", root / "var/lib/dbus/machine-id", root / _DMI / "product_uuid")
    raw = next((text for text in map(_text, files) if text), None) or socket.gethostname()
    seed = f"energybench:{raw}:{_cpu_name(_cpuinfo(root))}"
    return hashlib.sha256(seed.encode()).hexdigest()[:12]


def throttle_count(*, root: Path = Path("/")) -> int | None:
    """How often the CPUs were slowed down by heat since boot; None where the kernel does not count it."""
    files = (root / _CPU).glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
    counts = [int(text) for text in map(_text, files) if text and text.isdigit()]
    return sum(counts) if counts else None


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first CPU's block of /proc/cpuinfo."""
    block = (_text(root / "proc/cpuinfo") or "").split("\n\n")[0]
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_name(cpuinfo: Mapping[str, str]) -> str:
    arm = f"{cpuinfo.get('CPU implementer', '')} {cpuinfo.get('CPU part', '')}".strip()
    return cpuinfo.get("model name") or arm or platform.processor() or platform.machine()


def _cores(root: Path) -> int | None:
    """Physical cores: threads of one core share a list of siblings."""
    files = (root / _CPU).glob("cpu[0-9]*/topology/thread_siblings_list")
    return len({text for text in map(_text, files) if text}) or None


def _memory_bytes(root: Path) -> int | None:
    for line in (_text(root / "proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _turbo(root: Path) -> bool | None:
    without = _switch(root / _CPU / "intel_pstate/no_turbo")
    return _switch(root / _CPU / "cpufreq/boost") if without is None else not without


def _hypervisor(root: Path, cpuinfo: Mapping[str, str]) -> str | None:
    """The hypervisor's name; `yes` where the CPU only admits that there is one."""
    named = _text(root / "sys/hypervisor/type")
    if "hypervisor" not in cpuinfo.get("flags", "").split():
        return named
    return named or _text(root / _DMI / "sys_vendor") or "yes"


def _power_limits(root: Path) -> dict[str, float]:
    limits = {}
    for file in sorted((root / "sys/class/powercap").glob("intel-rapl:*/constraint_*_power_limit_uw")):
        text = _text(file)
        if text and text.isdigit():
            name = _text(file.with_name(file.name.replace("power_limit_uw", "name"))) or file.name
            limits[f"{_text(file.parent / 'name') or file.parent.name}.{name}"] = int(text) / 1e6
    return limits


def _gpus(state: Mapping[str, object]) -> list[str]:
    """Names of the GPUs, as whichever probe knows them says."""
    devices = [probe for probe in state.values() if isinstance(probe, Mapping)]
    parts = [(key, part) for probe in devices for key, part in probe.items() if isinstance(part, Mapping)]
    return [str(part["name"]) for key, part in parts if str(key).startswith("gpu") and "name" in part]


def _packages() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(folder: Path) -> dict[str, object]:
    """The commit that is checked out, and whether files differ from it."""
    commit = _run_git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    changes = _run_git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changes)}


def _run_git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _switch(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(_text(path) or "")


def _text(path: Path) -> str | None:
    """A file's text, or None: sysfs answers EACCES, EIO or ENODEV as it likes."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
