"""A machine made of files: the trees the kernel shows below /sys and /proc, with its own names and links.

A file keeps its inode when its value changes: an open descriptor sees the new one, as it does in sysfs.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

RAPL_SCALE = "2.3283064365386962890625e-10"  # 2^-32 J, as every `power` PMU prints it
NOBODY = 65534


class Zone:
    """One RAPL domain: a 32-bit counter of `unit_nj` nanojoules that wraps as the driver's does."""

    def __init__(self, tree: "Tree", path: Path, name: str, *, unit_nj: int, ticks: int, mode: int) -> None:
        self.path, self.name, self.unit_nj = path, name, unit_nj
        self.ticks = ticks & 0xFFFFFFFF
        self._tree = tree
        self._create(mode)

    def _create(self, mode: int) -> None:
        write = self._tree.write
        write(self.path / "name", self.name)
        write(self.path / "max_energy_range_uj", 0xFFFFFFFF * self.unit_nj // 1000)
        write(self.path / "enabled", 1, 0o644)
        write(self.path / "energy_uj", self.energy_uj, mode)
        self._tree.link(self._tree.root / "sys/class/powercap" / self.path.name, self.path)

    @property
    def energy_uj(self) -> int:
        return self.ticks * self.unit_nj // 1000

    def add_joules(self, joules: float) -> None:
        self.set_ticks(self.ticks + round(joules * 1e9 / self.unit_nj))

    def set_ticks(self, ticks: int) -> None:
        """The hardware register; all but its low 32 bits are lost."""
        self.ticks = ticks & 0xFFFFFFFF
        self._tree.write(self.path / "energy_uj", self.energy_uj)

    def set_text(self, text: str) -> None:
        """What a broken driver prints instead of a number; the empty text is a short read."""
        self._tree.write(self.path / "energy_uj", text, newline=False)

    def set_mode(self, mode: int) -> None:
        (self.path / "energy_uj").chmod(mode)

    def set_constraints(self, limits: Mapping[str, tuple[int, int]]) -> None:
        """Power limits by name, each (power_limit_uw, max_power_uw)."""
        for number, (name, (limit_uw, max_uw)) in enumerate(limits.items()):
            self._tree.write(self.path / f"constraint_{number}_name", name)
            self._tree.write(self.path / f"constraint_{number}_power_limit_uw", limit_uw, 0o644)
            self._tree.write(self.path / f"constraint_{number}_max_power_uw", max_uw)
            self._tree.write(self.path / f"constraint_{number}_time_window_us", 999424, 0o644)

    def vanish(self) -> None:
        """Unload the driver. An open descriptor reads nothing; sysfs says ENODEV, a plain file cannot."""
        self.set_text("")
        shutil.rmtree(self.path)
        (self._tree.root / "sys/class/powercap" / self.path.name).unlink()

    def come_back(self, mode: int = 0o400) -> None:
        """Load the driver again: the same names, new inodes."""
        self._create(mode)


class Powercap:
    """/sys/class/powercap: a flat list of links into /sys/devices/virtual/powercap, ids printed in hex."""

    def __init__(self, tree: "Tree") -> None:
        self._tree = tree

    def control(self, name: str = "intel-rapl") -> Path:
        path = self._tree.root / "sys/devices/virtual/powercap" / name
        if not path.exists():
            self._tree.write(path / "enabled", 1, 0o644)
            self._tree.link(self._tree.root / "sys/class/powercap" / name, path)
        return path

    def zone(
        self,
        ids: Sequence[int],
        name: str,
        *,
        control: str = "intel-rapl",
        unit_nj: int = 61035,
        ticks: int = 0,
        mode: int = 0o400,
    ) -> Zone:
        path = self.control(control)
        for depth in range(1, len(ids) + 1):
            path = path / (control + "".join(f":{number:x}" for number in ids[:depth]))
        return Zone(self._tree, path, name, unit_nj=unit_nj, ticks=ticks, mode=mode)

    def xeon_2s(self, *, mode: int = 0o400, ticks: int = 0) -> dict[str, Zone]:
        """Two sockets, memory on counters of its own; zone 0 is socket 1, because zones are no sockets."""
        zones = {}
        for index, socket in ((0, 1), (1, 0)):
            zones[f"package-{socket}"] = self.zone([index], f"package-{socket}", mode=mode, ticks=ticks)
            zones[f"dram-{socket}"] = self.zone([index, 0], "dram", unit_nj=15300, mode=mode, ticks=ticks)
        for socket in (0, 1):
            watts = {"long_term": (205_000_000, 205_000_000), "short_term": (246_000_000, 413_000_000)}
            zones[f"package-{socket}"].set_constraints(watts)
        return zones

    def laptop(self, *, mode: int = 0o400) -> dict[str, Zone]:
        """An Intel client: package ⊇ core and uncore, psys around all, the package once more behind mmio."""
        return {
            "package": self.zone([0], "package-0", mode=mode),
            "core": self.zone([0, 0], "core", mode=mode),
            "uncore": self.zone([0, 1], "uncore", mode=mode),
            "psys": self.zone([1], "psys", mode=mode),
            "mmio": self.zone([0], "package-0", control="intel-rapl-mmio", mode=mode),
        }

    def epyc(self, *, mode: int = 0o400) -> dict[str, Zone]:
        """One AMD socket: no memory, and a `core` that is one core only."""
        return {
            "package": self.zone([0], "package-0", unit_nj=15258, mode=mode),
            "core": self.zone([0, 0], "core", unit_nj=15258, mode=mode),
        }

    def mirrored_dies(self, dies: int = 4, *, mode: int = 0o400) -> list[Zone]:
        """Naples on a kernel with die scope: a zone for each die, all showing one socket's counter."""
        return [self.zone([die], f"package-0-die-{die}", unit_nj=15258, mode=mode) for die in range(dies)]

    def many_packages(self, count: int = 12, *, mode: int = 0o400) -> list[Zone]:
        """Enough zones for hex ids: the eleventh is `intel-rapl:a`."""
        return [self.zone([index], f"package-{index}", mode=mode) for index in range(count)]

    def scmi(self) -> Path:
        """ARM's control type: it has power_uw and no energy_uj."""
        path = self.control("arm-scmi") / "arm-scmi:0"
        self._tree.write(path / "name", "soc")
        self._tree.write(path / "power_uw", 5_000_000)
        self._tree.link(self._tree.root / "sys/class/powercap/arm-scmi:0", path)
        return path


class Resctrl:
    """/sys/fs/resctrl: `make_group` does what the kernel does on mkdir, `remove_group` on rmdir."""

    def __init__(self, tree: "Tree", *, domains: Sequence[int] = (0, 1), sub_domains: bool = False) -> None:
        self.path = tree.root / "sys/fs/resctrl"
        self.domains, self.sub_domains = tuple(domains), sub_domains
        self.rmids = 4
        self._tree = tree
        tree.write(self.path / "info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes")
        tree.write(self.path / "info/L3_MON/num_rmids", self.rmids)
        tree.write(self.path / "info/last_cmd_status", "ok", 0o644)
        (self.path / "mon_groups").mkdir()
        self._populate(self.path)

    def _populate(self, group: Path) -> None:
        """The first reading after a group is made says Unavailable."""
        self._tree.write(group / "tasks", "", 0o644, newline=False)
        for domain in self.domains:
            folder = group / f"mon_data/mon_L3_{domain:02d}"
            for feature in ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"):
                self._tree.write(folder / feature, "Unavailable")
                if self.sub_domains:
                    self._tree.write(folder / f"mon_sub_L3_{domain:02d}" / feature, "Unavailable")

    def make_group(self, group: Path) -> None:
        if len(list((self.path / "mon_groups").iterdir())) + 1 >= self.rmids:
            raise OSError(28, os.strerror(28), str(group))
        group.mkdir()
        self._populate(group)

    def remove_group(self, group: Path) -> None:
        shutil.rmtree(group)

    def set_bytes(self, group: Path, values: Mapping[int, int | str]) -> None:
        """What each L3 domain has counted for the group, or the kernel's word for why it has not."""
        for domain, value in values.items():
            folder = group / f"mon_data/mon_L3_{domain:02d}"
            self._tree.write(folder / "mbm_total_bytes", value)
            if self.sub_domains:
                self._tree.write(folder / f"mon_sub_L3_{domain:02d}/mbm_total_bytes", value)


class Tree:
    """The root of a machine; empty until its parts are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.powercap = Powercap(self)
        self._pmu_type = 12
        self._hwmons = 0

    def write(self, path: Path, value: object, mode: int | None = None, *, newline: bool = True) -> Path:
        """Set an attribute in place; `mode` is set when given, 0444 when it is new."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"{value}\n" if newline else str(value)
        kept = path.stat().st_mode & 0o777 if path.exists() else 0o444
        if path.exists():
            path.chmod(kept | 0o200)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(descriptor, text.encode(), 0)
        os.ftruncate(descriptor, len(text.encode()))
        os.close(descriptor)
        path.chmod(kept if mode is None else mode)
        return path

    def link(self, link: Path, target: Path) -> None:
        """A relative link, as sysfs has them: a bind mount of the class alone does not reach its target."""
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(target, link.parent))

    def cpus(
        self,
        packages: Mapping[int, int],
        *,
        dies: Mapping[int, int] | None = None,
        vendor: str = "GenuineIntel",
    ) -> None:
        """CPU number -> physical package id, which need not start at 0."""
        for cpu, package in packages.items():
            topology = self.root / f"sys/devices/system/cpu/cpu{cpu}/topology"
            self.write(topology / "physical_package_id", package)
            self.write(topology / "die_id", (dies or {}).get(cpu, 0))
        numbers = sorted(packages)
        self.write(self.root / "sys/devices/system/cpu/present", f"{numbers[0]}-{numbers[-1]}")
        blocks = [f"processor\t: {cpu}\nvendor_id\t: {vendor}\n" for cpu in numbers]
        self.write(self.root / "proc/cpuinfo", "\n".join(blocks))

    def paranoid(self, level: int) -> None:
        self.write(self.root / "proc/sys/kernel/perf_event_paranoid", level, 0o644)

    def pmu(
        self, name: str, formats: Mapping[str, str], events: Mapping[str, str], *, cpumask: str | None = "0"
    ) -> int:
        """A PMU's description; gives its type number. An event `x` may have `x.scale` and `x.unit`."""
        self._pmu_type += 1
        path = self.root / "sys/devices" / name
        self.write(path / "type", self._pmu_type)
        (path / "events").mkdir(parents=True, exist_ok=True)
        for key, value in formats.items():
            self.write(path / "format" / key, value)
        for key, value in events.items():
            self.write(path / "events" / key, value)
        if cpumask is not None:
            self.write(path / "cpumask", cpumask)
        self.link(self.root / "sys/bus/event_source/devices" / name, path)
        return self._pmu_type

    def power_pmu(self, events: Sequence[str] = ("pkg", "ram"), *, cpumask: str = "0") -> int:
        codes = {"cores": 1, "pkg": 2, "ram": 3, "gpu": 4, "psys": 5}
        files = {}
        for event in events:
            files[f"energy-{event}"] = f"event={codes[event]:#04x}"
            files[f"energy-{event}.scale"] = RAPL_SCALE
            files[f"energy-{event}.unit"] = "Joules"
        return self.pmu("power", {"event": "config:0-7"}, files, cpumask=cpumask)

    def imc_pmu(self, number: int, events: Mapping[str, str], *, cpumask: str = "0", prefix: str = "uncore_imc") -> int:
        """A memory controller whose events count cache lines, 64 bytes printed as mebibytes."""
        files = {}
        for event, terms in events.items():
            files |= {event: terms, f"{event}.scale": "6.103515625e-5", f"{event}.unit": "MiB"}
        formats = {"event": "config:0-7", "umask": "config:8-15", "edge": "config:18"}
        return self.pmu(f"{prefix}_{number}", formats, files, cpumask=cpumask)

    def resctrl(self, *, domains: Sequence[int] = (0, 1), sub_domains: bool = False) -> Resctrl:
        return Resctrl(self, domains=domains, sub_domains=sub_domains)

    def process(self, pid: int, threads: Sequence[int]) -> None:
        for thread in threads:
            (self.root / f"proc/{pid}/task/{thread}").mkdir(parents=True, exist_ok=True)

    def hwmon(
        self,
        name: str,
        attributes: Mapping[str, object],
        *,
        device: str = "devices/platform/sensor.0",
        on_device: bool = False,
        number: int | None = None,
    ) -> Path:
        """A sensor chip. `on_device` is how old drivers do it: everything in hwmonN/device/, the name too."""
        self._hwmons += 1
        parent = self.root / "sys" / device
        path = parent / "hwmon" / f"hwmon{self._hwmons if number is None else number}"
        path.mkdir(parents=True)
        self.link(path / "device", parent)
        home = parent if on_device else path
        for key, value in {"name": name, **attributes}.items():
            self.write(home / key, value)
        self.link(self.root / "sys/class/hwmon" / path.name, path)
        return home

    def jetson(self, rails: Mapping[str, tuple[int, int]], *, address: str = "1-0040") -> Path:
        """An INA3221 of a current L4T: label -> (mV, mA); in4..7 and curr4 are shunt voltages and sums."""
        device = f"devices/platform/bus@0/c240000.i2c/i2c-1/{address}"
        attributes: dict[str, object] = {"update_interval": 7}
        for number, (label, (millivolts, milliamps)) in enumerate(rails.items(), 1):
            attributes |= {
                f"in{number}_label": label,
                f"in{number}_input": millivolts,
                f"in{number}_enable": 1,
            }
            attributes |= {f"curr{number}_input": milliamps, f"in{number + 3}_input": 10}
        attributes |= {"in7_label": "sum of shunt voltages", "in7_input": 30, "curr4_input": 9999}
        home = self.hwmon("ina3221", attributes, device=device)
        self.link(self.root / f"sys/bus/i2c/drivers/ina3221/{address}", self.root / "sys" / device)
        return home

    def jetson_l4t_32(self, rails: Mapping[str, int], *, address: str = "1-0041", number: int = 0) -> Path:
        """The INA3221 of L4T 32: an iio device, rail label -> mW."""
        device = self.root / f"sys/devices/3160000.i2c/i2c-0/{address}"
        home = device / f"iio:device{number}"
        for channel, (label, milliwatts) in enumerate(rails.items()):
            self.write(home / f"rail_name_{channel}", label)
            self.write(home / f"in_power{channel}_input", milliwatts)
            self.write(home / f"in_voltage{channel}_input", 5000)
            self.write(home / f"in_current{channel}_input", milliwatts // 5)
        self.link(self.root / f"sys/bus/i2c/drivers/ina3221x/{address}", device)
        return home

    def acpi_meter(self, microwatts: int, *, label: str = "", interval_ms: int = 50, number: int = 0) -> Path:
        """An ACPI power meter; Grace has one for each label, `CPU Power Socket 0` and the like."""
        attributes = {
            "power1_average": microwatts,
            "power1_average_interval": interval_ms,
            "power1_oem_info": label,
        }
        device = f"devices/LNXSYSTM:00/LNXSYBUS:00/ACPI000D:{number:02x}"
        return self.hwmon("power_meter", attributes, device=device, on_device=True)

    @contextlib.contextmanager
    def unprivileged(self) -> Iterator[None]:
        """Run as an ordinary user, for whom file modes hold; tests may be run by root."""
        for folder in (self.root, *self.root.parents):
            if folder == Path(tempfile.gettempdir()) or folder.stat().st_uid != os.getuid():
                break
            folder.chmod(folder.stat().st_mode | 0o055)
        was = os.geteuid()
        if was != 0:
            yield
            return
        try:
            os.seteuid(NOBODY)
        except PermissionError:
            pytest.skip("root without CAP_SETUID cannot become an ordinary user")
        try:
            yield
        finally:
            os.seteuid(was)
