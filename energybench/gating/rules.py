"""What a judgement goes by: margins, the error that is allowed, what may be missing and which joules are refused."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase

from energybench.gating.series import Family, Key, Series
from energybench.model import Provenance

MARGINS: Mapping[Family, float] = {
    "joules": 0.05,
    "traffic": 0.05,
    "seconds": 0.10,
    "accuracy": 0.01,
    "quality": 0.05,
    "modelled": 0.0,
    "size": 0.0,
}
"""Relative, but for accuracy and other qualities of which more is better: these are differences."""
QUALITY_DIFFERENCE = 0.01
SCATTERING = 0.05
"""The margin of counts that base itself does not repeat: no scatter at all is ever within a margin of 0."""
ASKED_FOR: tuple[Provenance, ...] = ("estimated", "simulated")
"""What is refused unless asked for."""


class RulesError(ValueError):
    """Rules that cannot be gone by; the message says what is possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How two sides are judged.

    Attributes:
        margins: by label of a series (globs too), metric or family; the most particular one holds.
        alpha: of all statistical series together: how often a regression is seen where there is none.
        confidence: of the one-sided bound that must lie within the margin.
        allow: provenances that are judged because they were asked for.
        allow_missing: globs of series that head need not have; `*` for all.
        only: families, metrics or globs of series that are judged; all where empty.
    """

    margins: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.01
    confidence: float = 0.99
    allow: frozenset[str] = frozenset()
    allow_missing: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense before anything is read by it."""
        for name, margin in self.margins.items():
            if not (math.isfinite(margin) and margin >= 0):
                raise RulesError(f"the margin of {name} is {margin:g}; give a number of 0 or more, as 0.05 for 5 %")
            if margin >= 1 and name in MARGINS and name != "quality":
                raise RulesError(_too_wide(name, margin))
        for name, value in (("alpha", self.alpha), ("1 - confidence", 1 - self.confidence)):
            if not 0 < value < 0.5:
                raise RulesError(f"{name} is {value:g}; choose it between 0 and 0.5")
        if unknown := sorted(self.allow - set(ASKED_FOR)):
            raise RulesError(f"{unknown[0]} is nothing that can be allowed; choose from {', '.join(ASKED_FOR)}")

    def margin(self, series: Series, *, scattering: bool = False) -> float:
        """How much worse a series may be: the user's word, else the benchmark's own, else the family's."""
        declared = self._given(series) if self.margins else None
        if declared is None:
            declared = series.margin
        if declared is not None:
            return declared
        if series.family == "quality" and series.higher_is_better:
            return QUALITY_DIFFERENCE
        return MARGINS[series.family] or (SCATTERING if scattering else 0.0)

    def check_names(self, series: Sequence[Series]) -> None:
        """Refuse names that are none of these series, and shares of 1 or more; RulesError says what is near."""
        for name in dict.fromkeys((*self.margins, *self.only)):
            if name not in MARGINS and not any(_means(name, one) for one in series):
                raise RulesError(f"{name!r} is no family, metric or series of these results{_near(name, series)}")
        for name, margin in self.margins.items():
            if margin >= 1 and any(_means(name, one) and not absolute(one) for one in series):
                raise RulesError(_too_wide(name, margin))

    def selects(self, series: Series) -> bool:
        """Whether it is judged at all."""
        wanted = self.only
        return not wanted or any(_means(one, series) for one in wanted)

    def may_miss(self, key: Key) -> bool:
        """Whether head need not have it."""
        return any(covers(pattern, key) for pattern in self.allow_missing)

    def _given(self, series: Series) -> float | None:
        key = series.key
        if key.label in self.margins:
            return self.margins[key.label]
        globs = (value for name, value in self.margins.items() if _is_glob(name) and covers(name, key))
        found = next(globs, None)
        return found if found is not None else self.margins.get(key.metric, self.margins.get(series.family))


def path_of(key: Key) -> str:
    """`qnn-infer/bits=8,batch=1/joules_per_sample`: a name without spaces, for files."""
    return "/".join((key.workload, ",".join(f"{name}={value}" for name, value in key.parameters), key.metric))


def covers(pattern: str, key: Key) -> bool:
    """Whether a glob is of this series, by its label or by its path."""
    return any(pattern == name or fnmatchcase(name, pattern) for name in (key.label, path_of(key)))


def absolute(series: Series) -> bool:
    """Whether its margin is a difference and not a share."""
    return series.family == "accuracy" or (series.family == "quality" and series.higher_is_better)


def _means(name: str, series: Series) -> bool:
    """Whether a name is this series' family, metric, label or path, or a glob of the last two."""
    return name in (series.family, series.key.metric) or covers(name, series.key)


def _near(name: str, series: Sequence[Series]) -> str:
    known = {*MARGINS, *(one.key.metric for one in series), *(one.key.label for one in series)}
    near = (
        get_close_matches(name.strip("*"), sorted(known), n=3, cutoff=0.5)
        or sorted({one.key.metric for one in series})[:5]
    )
    return f"; did you mean {' or '.join(near)}?"


def _too_wide(name: str, margin: float) -> str:
    return f"the margin of {name} is {margin:g}, that is {100 * margin:g} %; give a share below 1, as 0.05 for 5 %"


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[/")
