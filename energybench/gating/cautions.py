"""Flags that rounds carry: which of them leave nothing to judge, and of which a reader is told."""

from collections.abc import Iterable, Iterator

from energybench.gating.by_seed import ON_THE_MACHINE
from energybench.gating.series import Series

BELOW = "below-resolution"
NOTED = {
    "throttled": "was throttled",
    "cpu-throttled": "was throttled",
    "not-quiet": "was measured on a machine that was not quiet",
}
SHORT = {"throttled": "throttled", "cpu-throttled": "throttled", "not-quiet": "not quiet"}


def below_resolution(base: Series, head: Series) -> str:
    """Why joules of a side cannot be judged: half of its rounds or more hold hardly a step of its counter."""
    if base.family != "joules":
        return ""
    for name, one in (("base", base), ("head", head)):
        flagged = sum(BELOW in each.flags for each in one.rounds)
        if flagged and 2 * flagged >= len(one.rounds):
            return f"{name} is below its counter's resolution{_in(flagged, one)}; measure longer windows"
    return ""


def cautions(base: Series, head: Series) -> Iterator[str]:
    """What leaves a verdict and lowers the trust in it, and what the sources of both say themselves."""
    if base.family in ON_THE_MACHINE:
        for words in dict.fromkeys(NOTED.values()):
            flagged = [_flagged(one, words) for one in (base, head)]
            if flagged == [len(base.rounds), len(head.rounds)]:
                yield f"each side {words}"
                continue
            sides = zip(("base", "head"), (base, head), flagged, strict=True)
            yield from (f"{name} {words}{_in(number, one)}" for name, one, number in sides if number)
    yield from dict.fromkeys(one.note for one in (base, head) if one.note)


def words_of(flags: Iterable[str]) -> tuple[str, ...]:
    """The same in a word or two, each once, for a row of a table."""
    return tuple(dict.fromkeys(SHORT[flag] for flag in flags if flag in SHORT))


def _flagged(series: Series, words: str) -> int:
    return sum(any(NOTED.get(flag) == words for flag in each.flags) for each in series.rounds)


def _in(flagged: int, series: Series) -> str:
    return f" in {flagged} of {len(series.rounds)} rounds" if flagged < len(series.rounds) else ""
