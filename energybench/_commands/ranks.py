"""`energybench run` under torchrun or Slurm: rank 0 measures, every other process becomes a rank of its run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from energybench import workloads
from energybench.config import Settings
from energybench.distributed.given import Given, given
from energybench.distributed.seat import Spread
from energybench.matrix import Point


def with_nodes(values: Mapping[str, Sequence[str]], names: Sequence[str]) -> dict[str, Sequence[str]]:
    """The given parameters; `nodes` is how many ranks were started, where nobody says otherwise."""
    spread = any("nodes" in workloads.load(name).parameters for name in names)
    if "nodes" in values or not spread or (place := given()) is None:
        return dict(values)
    return {**values, "nodes": [str(place.nodes)]}


def followed(points: Sequence[Point], settings: Settings) -> Callable[[], int] | None:
    """What a process does that is no leader: the rest of its life as a rank, which gives the exit code; else None."""
    if not any(isinstance(point.workload, Spread) for point in points):
        return None
    place = given()
    if place is None:
        return None
    said = asked(points, settings)
    if place.rank == 0:
        from energybench.distributed import gangs

        gangs.expect(said)
        return None
    return partial(_follow, place, said, _patience(points))


@contextmanager
def led(points: Sequence[Point]) -> Iterator[None]:
    """Around what a leader does: where it has nothing to do, or fails before it begins, the other ranks are let go."""
    try:
        yield
    finally:
        spread = any(isinstance(point.workload, Spread) for point in points)
        if spread and (place := given()) is not None:
            from energybench.distributed import gangs

            gangs.release(place)


def _patience(points: Sequence[Point]) -> float:
    """Seconds that ranks wait for one another at the start."""
    from energybench.distributed.starting import START_SECONDS

    found = [{"timeout": one.workload.parameters.get("timeout")} for one in points]
    defaults = [float(one["timeout"].default) for one in found if one["timeout"] is not None]
    given_ones = [float(point.parameters["timeout"]) for point in points if "timeout" in point.parameters]
    return max(START_SECONDS, *(given_ones or defaults))


def asked(points: Sequence[Point], settings: Settings) -> dict[str, Any]:
    """What all ranks must have been asked alike: each parameter with its values, seed, and whether it is quick."""
    values: dict[str, Any] = {"workload": sorted({point.workload.name for point in points})}
    for point in points:
        for name, value in point.parameters.items():
            if value not in (kept := values.setdefault(name, [])):
                kept.append(value)
    told = {name: ", ".join(map(str, kept)) for name, kept in values.items()}
    return told | {"seed": settings.seed, "quick": settings.quick, "energy_to_accuracy": settings.energy_to_accuracy}


def _follow(place: Given, said: Mapping[str, Any], timeout: float) -> int:
    from energybench.distributed import rank

    return rank.follow(place, asked=said, timeout=timeout)
