"""How far apart two sets of one machine lie when nothing changed: learnt from repeats, the canary, and asv's history.

    floor_of = floors(library)
    floor_of(series)          # a Floor, or None where fewer than 3 degrees of freedom are known

Repeats of one commit on different occasions tell it directly. Most commits change nothing, so the differences between
successive ones tell it as well, once those that stand out are left out. The canary is one piece of work that a machine
measures before each run. The largest of what is known is believed.
"""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from energybench.gating.commits import CommitError, order
from energybench.gating.grounds import DEFINITION
from energybench.gating.library import Library
from energybench.gating.observed import Observation, Observed, Track, observe
from energybench.gating.series import Family, Floor, Series

LEAST_DEGREES = 3.0
LEAST_DIFFERENCES = 8
OCCASION_SECONDS = 3600.0
"""Records with no longer pause between them are one set."""
NORMAL_MAD = 1.4826
STANDS_OUT = 4.0
"""Standard deviations beyond which a difference between commits is a change, and no noise."""
OVERLAP = 2 / 3
"""Degrees of freedom a difference: two share a value (von Neumann et al., Annals of Math. Statistics 12, 1941)."""
CANARY = "canary.jsonl"
CANARY_GROUNDS = ("version", "provenance", "sources", "driver", "kernel", "software")
MOVING: tuple[Family, ...] = ("joules", "traffic", "seconds")


def floors(library: Library, observed: Observed | None = None) -> Callable[[Series], Floor | None]:
    """What is known of the noise between sets of the library's machines.

    Args:
        library: records, canaries and asv results.
        observed: all of its values, where they were read already.
    """
    seen = observed or observe(library)
    tracks = {(track.key, track.provenance): track for track in seen.tracks}
    ranks = ranks_of(library, seen)
    folders = {*library.records.glob("*"), *(one.path.parent for one in library.every_record())}
    canaries = {one.name: read_canary(one / CANARY) for one in sorted(folders) if (one / CANARY).is_file()}
    # A history and a gate ask for the same series on grounds that they tell in other words.
    learnt: dict[tuple[int, frozenset[int]], list[Floor | None]] = {}

    def learn(track: Track, series: Series) -> list[Floor | None]:
        same = _comparable(track, series)
        place = id(track), frozenset(same)
        if place not in learnt:
            own = [one for one in track.observations if id(one.context) in same and one.value > 0]
            learnt[place] = [from_repeats(own), from_history(own, ranks)]
        return learnt[place]

    def floor_of(series: Series) -> Floor | None:
        if series.family not in MOVING or series.provenance == "modelled":
            return None
        found = [from_canary(canaries, series)]
        if track := tracks.get((series.key, series.provenance)):
            found += learn(track, series)
        known = [one for one in found if one and one.degrees >= LEAST_DEGREES]
        return max(known, key=lambda one: one.relative, default=None)

    return floor_of


def ranks_of(library: Library, observed: Observed) -> dict[str, float]:
    """The place of each commit: git's order of what is checked out, dates where git does not know them."""
    commits = {one.commit for track in observed.tracks for one in track.observations}
    try:
        ranked = {one.hash: float(number) for number, one in enumerate(order(library.repository, "HEAD"))}
    except CommitError:
        ranked = {}
    if any(commit in ranked for commit in commits):
        return {commit: ranked[commit] for commit in commits if commit in ranked}
    first: dict[str, float] = {}
    for track in observed.tracks:
        for one in track.observations:
            first[one.commit] = min(one.when, first.get(one.commit, math.inf))
    return {commit: observed.dates.get(commit, when) for commit, when in first.items()}


def from_repeats(observations: Sequence[Observation]) -> Floor | None:
    """From sets of one commit that were measured on different occasions."""
    if len({(id(one.context), one.commit) for one in observations}) == len(observations):
        return None
    squares, degrees, sets = 0.0, 0, 0
    for group in _grouped(observations):
        if len(group) < 2:
            continue
        occasions = _occasions(group)
        means = [math.log(statistics.fmean(one.value for one in each)) for each in occasions]
        if len(means) < 2:
            continue
        within = statistics.fmean(_own_variance(each) for each in occasions)
        squares += (len(means) - 1) * (statistics.variance(means) - within)
        degrees += len(means) - 1
        sets += len(means)
    if not degrees:
        return None
    relative = math.sqrt(2 * max(squares / degrees, 0.0))
    return Floor(relative=relative, degrees=degrees, source=f"{sets} repeats of unchanged commits")


def from_history(observations: Iterable[Observation], ranks: Mapping[str, float]) -> Floor | None:
    """From the differences between successive commits, those that stand out left out."""
    import numpy as np

    differences: list[float] = []
    within: list[float] = []
    for lane in _grouped(observations, by_commit=False):
        ordered = sorted((one for one in lane if one.commit in ranks), key=lambda one: (ranks[one.commit], one.when))
        if len(ordered) < 2:
            continue
        logs, doubts = np.log([one.value for one in ordered]), np.array([_relative_variance(one) for one in ordered])
        apart = np.array([old.commit != new.commit for old, new in pairwise(ordered)])
        differences += np.diff(logs)[apart].tolist()
        within += (doubts[1:] + doubts[:-1])[apart].tolist()
    if len(differences) < LEAST_DIFFERENCES:
        return None
    kept = ordinary(differences)
    variance = statistics.fmean([one * one for one in kept]) - statistics.fmean(within)
    degrees = OVERLAP * len(kept)
    source = f"{len(differences)} steps between successive commits"
    return Floor(relative=math.sqrt(max(variance, 0.0)), degrees=degrees, source=source)


def ordinary(differences: Sequence[float]) -> list[float]:
    """The differences that do not stand out; all of them where most are none."""
    scale = NORMAL_MAD * statistics.median([abs(one) for one in differences])
    return [one for one in differences if abs(one) <= STANDS_OUT * scale] if scale else list(differences)


def from_canary(canaries: Mapping[str, Sequence[Mapping[str, Any]]], series: Series) -> Floor | None:
    """From the canary of the series' machine, measured by the same probes and driver."""
    machine = series.grounds.get("machine", "").removesuffix(", simulated")
    name = "joules" if series.family == "joules" else "seconds"
    known = [one for one in canaries.get(machine, ()) if name == "seconds" or _same_instrument(one, series)]
    values = [float(one[name]) for one in known if _is_positive(one.get(name)) and _like(one, known[-1])]
    if len(values) < 2:
        return None
    spread = statistics.stdev(map(math.log, values))
    degrees = float(len(values) - 1)
    return Floor(relative=math.sqrt(2) * spread, degrees=degrees, source=f"{len(values)} canaries of this machine")


def read_canary(path: Path) -> list[Mapping[str, Any]]:
    """The lines of a canary's history that can be read; a machine that lost power leaves half a line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found: list[Mapping[str, Any]] = []
    for line in lines:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            found.append(values)
    return found


def _like(line: Mapping[str, Any], newest: Mapping[str, Any]) -> bool:
    """Whether a canary counts: of the newest one's kind, on a quiet machine, and not found to be outside then."""
    same = all(line.get(name) == newest.get(name) for name in CANARY_GROUNDS)
    return same and line.get("quiet") is not False and not line.get("outside")


def _same_instrument(line: Mapping[str, Any], series: Series) -> bool:
    """Whether a canary's joules are of the same kind; what either does not tell is no difference."""
    if line.get("provenance", series.provenance) != series.provenance:
        return False
    told, driver = line.get("driver"), series.grounds.get("driver")
    return told in (None, "") or driver is None or str(told) in driver


def _comparable(track: Track, series: Series) -> set[int]:
    """The surroundings, by identity, that are the grounds of a series."""
    grounds = series.grounds
    wanted = [(name, value.removesuffix(", simulated")) for name, value in grounds.items() if name != "seed"]
    kept = set()
    for place, context in {id(one.context): one.context for one in track.observations}.items():
        more = any(name.startswith(DEFINITION) and name not in grounds for name in context)
        if not more and all(context.get(name, "").removesuffix(", simulated") == value for name, value in wanted):
            kept.add(place)
    return kept


def _grouped(observations: Iterable[Observation], *, by_commit: bool = True) -> list[list[Observation]]:
    """Observations with nothing between them but time, or time and the commit."""
    groups: dict[object, list[Observation]] = defaultdict(list)
    for one in observations:
        groups[(id(one.context), one.commit if by_commit else "")].append(one)
    return list(groups.values())


def _occasions(observations: Iterable[Observation]) -> list[list[Observation]]:
    """Sets that are apart in time."""
    sets: list[list[Observation]] = []
    for one in sorted(observations, key=lambda each: each.when):
        if sets and one.when - sets[-1][-1].when < OCCASION_SECONDS:
            sets[-1].append(one)
        else:
            sets.append([one])
    return sets


def _own_variance(occasion: Sequence[Observation]) -> float:
    """Variance of the log of a set's mean, as its own rounds show it."""
    if len(occasion) > 1:
        return statistics.variance([math.log(one.value) for one in occasion]) / len(occasion)
    return _relative_variance(occasion[0])


def _relative_variance(one: Observation) -> float:
    return (one.error / one.value) ** 2 if one.error is not None and one.value else 0.0


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
