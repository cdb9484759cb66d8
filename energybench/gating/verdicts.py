"""What a judgement says: a verdict for each series, joules and accuracy of a point together, the exit code."""

from dataclasses import dataclass
from typing import Literal

from energybench.gating.accepted import Accepted
from energybench.gating.series import Family, Key, Scalar, Trouble
from energybench.model import Provenance

Word = Literal[
    "pass",
    "regression",
    "improvement",
    "inconclusive",
    "not measured",
    "not comparable",
    "new",
    "accepted",
    "left out",
]
COMPARED: tuple[Word, ...] = ("pass", "regression", "improvement", "inconclusive", "accepted")
WORDS: dict[int, str] = {0: "pass", 1: "regression", 2: "not comparable", 3: "inconclusive", 4: "not measured"}
"""What each exit code says of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of one series.

    Attributes:
        base: mean of base's rounds, in `unit`; None where base has none.
        head: the same of head.
        base_bounds: an interval of base: 95 % where rounds or windows give one, the whole range of what is estimated or
            modelled; None where it has none.
        head_bounds: the same of head.
        exact: base and head are counts that need no interval: the same work gives the same number.
        change: head/base - 1, or head - base where `absolute`; None where it has no number. `low`, `high` bound it.
        margin: how much worse it may be, a share or a difference.
        p: one-sided, of head being worse; None where nothing was tested.
        spread: standard deviation of head's values; None for one value.
        rounds: compared, of the smaller side.
        needed: rounds a side that would likely settle it; None where no number would, or none is needed.
        suspect: worse at first sight, not yet confirmed.
        allowed: whether head may miss it.
        reason: for people; empty where there is nothing to add.
    """

    key: Key
    family: Family
    unit: str
    provenance: Provenance
    higher_is_better: bool
    word: Word
    base: float | None = None
    head: float | None = None
    base_bounds: tuple[float, float] | None = None
    head_bounds: tuple[float, float] | None = None
    exact: bool = False
    absolute: bool = False
    change: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    p: float | None = None
    spread: float | None = None
    rounds: int | None = None
    paired: bool = False
    needed: int | None = None
    suspect: bool = False
    allowed: bool = False
    accepted: Accepted | None = None
    reason: str = ""

    @property
    def worsening(self) -> float | None:
        """The change in the direction that is worse; None where it has no number."""
        if self.change is None or not self.higher_is_better:
            return self.change
        return -self.change if self.absolute else 1 / (1 + self.change) - 1 if self.change > -1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Joules and accuracy of one parameter point, judged together; `sentence` where they pull apart or agree."""

    workload: str
    parameters: tuple[tuple[str, Scalar], ...]
    joules: Verdict
    accuracy: Verdict
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Everything that is said of two sides.

    Attributes:
        base: its name as given; `base_commit` its hash, where it is of one commit.
        head: the same of head.
        verdicts: of each series, in the order of labels.
        points: where joules and accuracy were both judged.
        idle: entries of the accepted file that changed nothing, and why.
        troubles: files of either side that were left out.
        family: series that shared the allowed error `alpha`.
        exit: 0 pass, 1 regression, 2 not comparable, 3 inconclusive, 4 something not measured.
        reason: why nothing was compared; empty where something was.
    """

    base: str
    head: str
    base_commit: str | None = None
    head_commit: str | None = None
    verdicts: tuple[Verdict, ...]
    points: tuple[Point, ...] = ()
    idle: tuple[tuple[Accepted, str], ...] = ()
    troubles: tuple[Trouble, ...] = ()
    alpha: float
    family: int
    exit: int
    reason: str = ""

    @property
    def word(self) -> str:
        """The exit code in words."""
        return WORDS[self.exit]

    @property
    def compared(self) -> int:
        """How many series were judged."""
        return sum(one.word in COMPARED for one in self.verdicts)

    def of(self, *words: Word) -> tuple[Verdict, ...]:
        """The verdicts of these kinds, in order."""
        return tuple(one for one in self.verdicts if one.word in words)
