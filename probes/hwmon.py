"""Power and energy from the kernel's sensor chips: Jetson, Grace, AMD and Intel GPUs, node meters.

Energy counters come before averages, averages before instants, instants before voltage times current. Nothing
says when an hwmon energy counter wraps, so a step backwards is a reset and never a wrap.
"""

import errno
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from energybench.model import Clock, Domain, Reading, Unavailable
from energybench.probes._hwmon_chips import Channel, find_channels
from energybench.probes._hwmon_recipes import Place, places
from energybench.ticks import measure_ticks

PRIORITY = 30


def open_probe(*, root: Path = Path("/"), clock: Clock = time.perf_counter_ns) -> "Hwmon | Unavailable":
    """Open every chip that meters power or energy."""
    found = places(find_channels(root), root)
    if not found:
        return Unavailable(
            reason=f"no chip under {root / 'sys/class/hwmon'} meters power or energy",
            remedy="on a server: sudo modprobe acpi_power_meter; many machines have no such sensor",
        )
    return Hwmon(found, root=root, clock=clock)


class Sensor:
    """The open files of one channel. Failed files are looked for anew: a reloaded driver has a new number."""

    def __init__(self, channel: Channel, root: Path) -> None:
        self._channel, self._root = channel, root
        self._fds: list[int] = []

    def open(self) -> None:
        """Open the channel's files, wherever they are now."""
        self.close()
        for path in self._paths():
            self._fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def read(self) -> int:
        """The raw number; for voltage and current their product."""
        if not self._fds:
            self.open()
        raw = 1
        for fd in self._fds:
            raw *= int(os.pread(fd, 32, 0))
        return raw

    def close(self) -> None:
        """Close the files."""
        while self._fds:
            with suppress(OSError):
                os.close(self._fds.pop())

    def explain(self, error: Exception) -> Unavailable:
        """Why the channel could not be read, and the command that helps."""
        path = self._channel.paths[0]
        code = error.errno if isinstance(error, OSError) else None
        if code in (errno.EACCES, errno.EPERM):
            files = " ".join(map(str, self._channel.paths))
            return Unavailable(reason=f"permission denied: {files}", remedy=f"sudo chmod a+r {files}")
        if code == errno.ENODATA:
            switch = path.with_name(f"{path.name.partition('_')[0]}_enable")
            return Unavailable(reason=f"{path} is switched off", remedy=f"echo 1 | sudo tee {switch}")
        if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return Unavailable(
                reason=f"the sensor vanished: {path}",
                remedy=f"sudo modprobe {self._channel.chip.name}, then measure again",
            )
        if isinstance(error, ValueError):
            return Unavailable(reason=f"{path} is not a number: {error}", remedy="measure again; see dmesg if it stays")
        return Unavailable(reason=f"{path} could not be read: {error}", remedy="measure again; see dmesg if it stays")

    def _paths(self) -> Sequence[Path]:
        paths = self._channel.paths
        if all(path.exists() for path in paths):
            return paths
        return next((c.paths for c in find_channels(self._root) if c == self._channel), paths)


class Hwmon:
    """Open files on every channel; each read is one `pread`, or two where power is voltage times current."""

    name = "hwmon"

    def __init__(self, found: Sequence[Place], *, root: Path, clock: Clock) -> None:
        self._clock = clock
        self._sensors: list[Sensor] = []
        domains: dict[str, Domain | Unavailable] = {}
        for place in found:
            sensor = Sensor(place.channel, root)
            try:
                sensor.read()
            except (OSError, ValueError) as error:
                sensor.close()
                domains[place.name] = sensor.explain(error)
                continue
            self._sensors.append(sensor)
            domains[place.name] = _domain(place)
        self.domains: Mapping[str, Domain | Unavailable] = domains | self._with_ticks(domains)

    def read(self) -> Sequence[Reading]:
        """One reading a channel, stamped at the middle of its system calls."""
        return self._read(self._sensors)

    def close(self) -> None:
        """Close the files."""
        for sensor in self._sensors:
            sensor.close()
        self._sensors.clear()

    def _read(self, sensors: Sequence[Sensor]) -> list[Reading]:
        clock = self._clock
        readings: list[Reading] = []
        before = clock()
        for sensor in sensors:
            raw: int | Unavailable
            try:
                raw = sensor.read()
            except (OSError, ValueError) as error:
                sensor.close()  # found anew by the next read
                raw = sensor.explain(error)
            after = clock()
            readings.append(((before + after) >> 1, raw))
            before = after
        return readings

    def _with_ticks(self, domains: Mapping[str, Domain | Unavailable]) -> dict[str, Domain]:
        """Counters only: a gauge moves with its load, and many take milliseconds to read."""
        readable = [domain for domain in domains.values() if isinstance(domain, Domain)]
        pairs = [(d, s) for d, s in zip(readable, self._sensors, strict=True) if d.kind == "counter"]
        ticks = measure_ticks(lambda: self._read([sensor for _, sensor in pairs]), self._clock)
        return {d.name: replace(d, tick=tick) for (d, _), tick in zip(pairs, ticks, strict=True)}


def _domain(place: Place) -> Domain:
    channel = place.channel
    return Domain(
        name=place.name,
        probe="hwmon",
        kind=channel.kind,
        scale=channel.scale,
        resolution=channel.scale,
        tick=channel.tick,
        gain=place.gain,
        averaging=channel.averaging,
        scope=place.scope,
        additive=place.additive,
        contains=place.contains,
        duplicates=place.duplicates,
        flags=place.flags,
        source=f"{channel.chip.name} {channel.chip.device}: {channel.label or channel.key}",
    )
