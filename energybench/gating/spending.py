"""When a comparison is looked at, and how much of the allowed error each look may use.

The error spent up to a look is the allowed one times the share of rounds that were measured by then: the power family
of spending functions with exponent 1 (Kim and DeMets, Biometrika 74, 1987). A look's own level is what it adds to that,
so that the levels of all looks sum to the whole however the looks depend on each other. No regression is declared at
the first look: nothing could have confirmed it yet. What it may spend goes to the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from energybench.gating.rules import RulesError
from energybench.gating.series import Key

SUSPECT = 0.05
"""One-sided p below which a series is measured again, and which fresh rounds must reach by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Rounds of each side at every look, growing: `(10, 20, 40)`."""

    rounds: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse looks that could confirm nothing."""
        if len(self.rounds) < 2:
            raise RulesError("one look confirms no regression; allow at least twice the rounds of the first look")
        if self.rounds[0] < 2 or list(self.rounds) != sorted(set(self.rounds)):
            raise RulesError(f"looks after {self.rounds} rounds; start with at least 2 and let them grow")

    def share(self, look: int) -> float:
        """What part of the allowed error a look, counted from 0, may use for regressions."""
        if look == 0:
            return 0.0
        before = 0 if look == 1 else self.rounds[look - 1]
        return (self.rounds[look] - before) / self.rounds[-1]

    def share_of_gains(self, look: int) -> float:
        """The same for improvements, which wait for no confirmation."""
        return (self.rounds[look] - (self.rounds[look - 1] if look else 0)) / self.rounds[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where in a schedule a judgement stands; by default the only look at stored sets.

    Attributes:
        share: of the allowed error that regressions may use now.
        gains: of the allowed error that improvements may use now.
        confirm: whether a regression needs fresh rounds that agree.
        since: the rounds, by pair, that a suspect had when it became one.
        family: series that share the allowed error; None to count them now.
    """

    share: float = 1.0
    gains: float = 1.0
    confirm: bool = False
    since: Mapping[Key, frozenset[str]] = field(default_factory=dict)
    family: int | None = None


STORED = Stage()
