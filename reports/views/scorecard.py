"""What changed against a baseline, the surest regressions first; what did not move is folded away."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from energybench.gating.verdicts import Judgement, Verdict
from energybench.reports.figures import KINDS
from energybench.reports.numbers import Shown, short
from energybench.reports.views import forest
from energybench.reports.views.changed import counts, folded, ordered, weight, word
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import MOST_ROWS, Cell, Table, View, cut, framed, key_names, machine_name, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "series",
    "workload",
    "metric",
    "provenance",
    "unit",
    "verdict",
    "base",
    "head",
    "change",
    "change.low",
    "change.high",
    "absolute",
    "higher_is_better",
    "margin",
    "weight",
    "rounds",
    "reason",
)
SPOKEN = {"regression": "worse", "improvement": "better", "suspect": "worse at first sight", "accepted": "accepted"}
MOVED = ("regression", "accepted", "suspect", "improvement", "inconclusive")
CAPTION = (
    "Change of head against base, with the bounds that the gate goes by. Filled marks are certain, hollow ones "
    "are not; the upright line is the margin, on the side that is worse."
)
EMPTY = (
    "There is nothing to compare yet: it takes records of two commits on one machine, with nothing uncommitted. Run "
    "the same workload at both, as `energybench gate --run`, or at each `energybench run qnn-infer`."
)


def view(judgement: Judgement | None, *, name: str = "scorecard", where: str = "") -> View:
    """The scorecard of a judgement.

    Columns of its data, a row a series: series, workload, metric, provenance, unit; verdict; base and head (means, in
    that unit); change (head/base - 1, or head - base where `absolute`) with `.low` and `.high`; higher_is_better;
    margin; weight (change over half the width of its interval, of what is exact over its margin); rounds; reason.

    Args:
        judgement: of base and head; None where there are not two.
        name: of its files, where a page has several.
        where: the machine, in words, for the heading.
    """
    if judgement is None:
        return View(name=name, title=_title(where), answers=_ANSWERS, frame=framed(COLUMNS, ()), empty=EMPTY)
    told = ordered(judgement.verdicts)
    names = key_names(one.key for one in told)
    panels = _panels([one for one in told if one.change is not None and word(one) in MOVED])
    listed, notes = cut([_row(one, names[one.key]) for one in told if not folded(one)], "series that moved or are open")
    quiet = [one for one in told if folded(one)]

    def draw(dark: bool) -> "dict[str, Figure]":
        return {panel: forest.figure(own[:MOST_DRAWN], names, dark=dark) for panel, own in panels.items()}

    return View(
        name=name,
        title=_title(where),
        answers=f"{_ANSWERS} {judgement.head} against {judgement.base}: {_summary(judgement)}.",
        figures=draw if panels else None,
        alts={panel: forest.alt(own[:MOST_DRAWN], names) for panel, own in panels.items()},
        caption=CAPTION,
        table=Table(
            caption="What moved or is open: regressions first, then by change over uncertainty or, if exact, margin",
            headings=("Series", "Verdict", "Change", "Base", "Head", "Why"),
            rows=listed,
            at_once=MOST_DRAWN,
            folded=tuple(_row(one, names[one.key]) for one in quiet[:MOST_ROWS]),
            summary=f"{len(quiet):,} series that did not move, are new or are not judged",
        ),
        frame=framed(COLUMNS, map(_data, told)),
        notes=(
            *notes,
            *_left_out(panels, len(quiet)),
            *(f"{one.path.name}: {one.reason}." for one in judgement.troubles),
        ),
    )


def views(seen: Seen | None) -> list[View]:
    """A scorecard for each machine with results of two commits: the newest against the one before it; at least one.

    Args:
        seen: records and asv results over commits; None where there are none.
    """
    found = seen.judged if seen else {}
    if seen is None or len(found) < 2:
        return [view(next(iter(found.values()), None))]
    names = dict.fromkeys(found, "") | {one.record.machine.id: one.record.machine.name for one in seen.library.stored}
    names = {machine: name or machine for machine, name in names.items()}
    return [
        view(judgement, name=f"scorecard-{number}", where=machine_name(machine, names))
        for number, (machine, judgement) in enumerate(found.items(), 1)
    ]


_ANSWERS = "What changed, and is it real?"


def _title(where: str) -> str:
    return f"What changed, {where}" if where else "What changed"


def _summary(judgement: Judgement) -> str:
    told = ", ".join(f"{count:,} {SPOKEN.get(name, name)}" for name, count in counts(judgement.verdicts).items())
    reason = f" ({judgement.reason})" if judgement.reason else ""
    word = "nothing moved beyond its margin" if judgement.word == "pass" else judgement.word
    return f"{word}{reason}; {told or 'no series'}"


def _panels(moved: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """By kind of value and by how its change is told: shares and differences share no axis."""
    panels: dict[str, list[Verdict]] = {}
    for kind in KINDS:
        for absolute, name in ((False, "share"), (True, "difference")):
            own = [one for one in moved if (one.provenance, one.absolute) == (kind, absolute)]
            if own:
                panels[f"{kind}-{name}"] = own
    return panels


def _bounds(one: Verdict) -> str:
    if one.low is None or one.high is None or one.low == one.high:
        return ""
    size = 100 if not one.absolute or one.family == "accuracy" else 1
    unit = " %" if not one.absolute else " points" if one.family == "accuracy" else ""
    return f"{size * one.low:+.3g} to {size * one.high:+.3g}{unit}".replace("-", "−")


def _row(one: Verdict, name: str) -> tuple[Cell, ...]:
    unit = "%" if one.family == "accuracy" else short(one.unit)
    change = (
        Shown(text=forest.changed_by(one), interval=_bounds(one), provenance=one.provenance)
        if one.change is not None
        else ""
    )
    return (
        name,
        forest.sign(one),
        change,
        *(shown(value, unit, one.provenance) if value is not None else "" for value in (one.base, one.head)),
        one.reason,
    )


def _left_out(panels: Mapping[str, Sequence[Verdict]], quiet: int) -> tuple[str, ...]:
    notes = [
        f"{MOST_DRAWN} of {len(own):,} {panel.partition('-')[0]} series are drawn: the first ones of the table."
        for panel, own in panels.items()
        if len(own) > MOST_DRAWN
    ]
    if quiet > MOST_ROWS:
        notes.append(f"{MOST_ROWS} of {quiet:,} series that did not move are listed; the data has all of them.")
    return tuple(notes)


def _data(one: Verdict) -> dict[str, object]:
    values = {"change": one.change, "change.low": one.low, "change.high": one.high, "base": one.base, "head": one.head}
    values |= {
        "margin": one.margin,
        "rounds": one.rounds,
        "weight": weight(one),
    }
    row = {"series": one.key.label, "workload": one.key.workload, "metric": one.key.metric, "unit": one.unit}
    row |= {"provenance": one.provenance, "verdict": word(one), "reason": one.reason}
    flags = {"absolute": one.absolute, "higher_is_better": one.higher_is_better}
    return row | flags | {name: value for name, value in values.items() if value is not None}
