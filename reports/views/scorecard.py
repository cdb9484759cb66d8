"""What changed against a baseline, the surest regressions first; what did not move is folded away."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from energybench.gating.series import Key
from energybench.gating.verdicts import Judgement, Verdict
from energybench.reports.figures import KINDS
from energybench.reports.numbers import EXACT, UNKNOWN, short
from energybench.reports.views import forest, headline, reasons
from energybench.reports.views.changed import folded, ordered, weight, word
from energybench.reports.views.drawing import MOST_DRAWN
from energybench.reports.views.seen import Seen
from energybench.reports.views.view import (
    MOST_ROWS,
    Cell,
    Said,
    Table,
    View,
    changed,
    cut,
    framed,
    key_names,
    linked,
    machine_name,
    shown,
    spoken,
)
from energybench.reports.views.why import why

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
    "base.low",
    "base.high",
    "head",
    "head.low",
    "head.high",
    "exact",
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
MOVED = ("regression", "accepted", "suspect", "improvement", "inconclusive")
SIZELESS = "size not known"
"""In place of a change that a verdict tells no size of, though it has both sides."""
CAPTION = (
    "Change of head against base, with the bounds that the gate goes by. Filled marks are certain, hollow ones "
    "are not; the upright line is the margin, on the side that is worse. In the table below base and head have their "
    "intervals: 95 %, and of what is estimated or modelled the whole range. What is exact has none: the same work "
    "gives the same number."
)
EMPTY = (
    "There is nothing to compare yet: it takes records of two commits on one machine, with nothing uncommitted. Run "
    "the same workload at both, as `energybench gate --run`, or at each `energybench run qnn-infer`."
)


def view(
    judgement: Judgement | None,
    *,
    name: str = "scorecard",
    where: str = "",
    page: Callable[[Key], str | None] = lambda _: None,
    known: Collection[Path] = (),
    notes: Sequence[str] = (),
) -> View:
    """The scorecard of a judgement.

    Columns of its data, a row a series: series, workload, metric, provenance, unit; verdict; base and head (means, in
    that unit) with `.low` and `.high` (95 %; of what is estimated or modelled the whole range; absent where nothing
    tells); exact (a count, which needs none); change (head/base - 1, or head - base where `absolute`) with `.low` and
    `.high`; higher_is_better; margin; weight (change over half the width of its interval, of what is exact over its
    margin); rounds; reason.

    Args:
        judgement: of base and head; None where there are not two.
        name: of its files, where a page has several.
        where: the machine, in words, for the heading.
        page: the file of the page of a series; None where it has none.
        known: files that the front page tells of, and this view need not.
        notes: what else a reader must know.
    """
    if judgement is None:
        return View(name=name, title=_title(where), answers=_ANSWERS, frame=framed(COLUMNS, ()), empty=EMPTY)
    told = ordered(judgement.verdicts)
    names = key_names(one.key for one in told)

    def row(one: Verdict) -> tuple[Cell, ...]:
        brief = replace(one, reason=short_reasons.get(one.reason, one.reason))
        return (linked(names[one.key], page(one.key)), *_cells(brief))

    panels = _panels([one for one in told if one.change is not None and word(one) in MOVED])
    missing = _missing_points(told)
    open_ones = [one for one in told if not folded(one) and _point(one) not in missing]
    short_reasons = reasons.shortened(open_ones)
    rows = [row(one) for one in open_ones]
    rows += [_missing_row(own, names, page) for own in missing.values()]
    listed, left = cut(rows, "rows of what moved or is open")
    quiet = [one for one in told if folded(one)]

    def draw(dark: bool) -> "dict[str, Figure]":
        return {panel: forest.figure(own[:MOST_DRAWN], names, dark=dark) for panel, own in panels.items()}

    return View(
        name=name,
        title=_title(where),
        answers=_ANSWERS,
        told=headline.told(judgement, names),
        advice=headline.advice(judgement, names),
        figures=draw if panels else None,
        alts={panel: forest.alt(own[:MOST_DRAWN], names) for panel, own in panels.items()},
        caption=CAPTION,
        table=Table(
            caption="What moved or is open: regressions first, then by change over uncertainty or, if exact, margin",
            headings=("Series", "Verdict", "Change", "Base", "Head", "Why"),
            rows=listed,
            folded=tuple(row(one) for one in quiet[:MOST_ROWS]),
            summary=f"{len(quiet):,} series that did not move, are new or are not judged",
        ),
        frame=framed(COLUMNS, map(_data, told)),
        notes=(
            *reasons.notes(open_ones),
            *left,
            *notes,
            *_left_out(panels, len(quiet)),
            *(f"{one.path.name}: {one.reason}." for one in judgement.troubles if one.path not in known),
        ),
    )


def views(seen: Seen | None) -> list[View]:
    """A scorecard for each machine with results of two commits: the newest against the one before it; at least one.

    Args:
        seen: records and asv results over commits; None where there are none.
    """
    if seen is None:
        return [view(None)]
    found, known = seen.judged, {one.path for one in seen.observed.troubles}
    if len(found) < 2:
        return [view(next(iter(found.values()), None), page=seen.page, known=known, notes=_elsewhere(seen))]
    names = dict.fromkeys(found, "") | dict(one.machine for one in seen.library.recorded)
    names = {machine: name or machine for machine, name in names.items()}
    return [
        view(
            judgement,
            name=f"scorecard-{number}",
            where=machine_name(machine, names),
            page=seen.page,
            known=known,
            notes=_elsewhere(seen),
        )
        for number, (machine, judgement) in enumerate(found.items(), 1)
    ]


def _elsewhere(seen: Seen) -> tuple[str, ...]:
    """Machines that lack a commit which was asked for."""
    if not seen.pair.commits:
        return ()
    machines = {one.machine for one in seen.library.recorded}
    left = sorted(f"{name} ({key})" for key, name in machines if key not in seen.judged)
    return (f"Not compared, without results of both commits: {', '.join(left)}.",) if left else ()


_ANSWERS = "What changed, and is it real?"


def _title(where: str) -> str:
    return f"What changed, {where}" if where else "What changed"


def _panels(moved: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """By kind of value and by how its change is told: shares and differences share no axis."""
    panels: dict[str, list[Verdict]] = {}
    for kind in KINDS:
        for absolute, name in ((False, "share"), (True, "difference")):
            own = [one for one in moved if (one.provenance, one.absolute) == (kind, absolute)]
            if own:
                panels[f"{kind}-{name}"] = own
    return panels


def _cells(one: Verdict) -> tuple[Cell, ...]:
    """The cells after the name."""
    unit, otherwise = "%" if one.family == "accuracy" else short(one.unit), EXACT if one.exact else UNKNOWN
    by = "%" if not one.absolute else "points" if one.family == "accuracy" else unit
    limits = None if one.low is None or one.high is None else (one.low, one.high)
    sides = ((one.base, one.base_bounds), (one.head, one.head_bounds))
    size: Cell = "" if None in (one.base, one.head) else SIZELESS
    return (
        _sign(one),
        size if one.change is None else changed(one.change, limits, by, one.provenance, otherwise=otherwise),
        *(
            shown(value, unit, one.provenance, bounds, otherwise=otherwise) if value is not None else ""
            for value, bounds in sides
        ),
        why(one),
    )


def _sign(one: Verdict) -> Cell:
    """The verdict in a word or two, marked where it says which way it went."""
    text, which = forest.sign(one), word(one)
    return Said(text=text, certain=which != "suspect", better=which == "improvement") if which in forest.SIGNS else text


def _point(one: Verdict) -> tuple[str, object]:
    return one.key.workload, one.key.parameters


def _missing_points(told: Sequence[Verdict]) -> dict[tuple[str, object], list[Verdict]]:
    """Points that head did not measure at all, with their series: a row each, lest they hide what moved."""
    points: dict[tuple[str, object], list[Verdict]] = {}
    for one in told:
        if one.word != "left out":
            points.setdefault(_point(one), []).append(one)
    return {
        point: own for point, own in points.items() if len(own) > 1 and all(one.word == "not measured" for one in own)
    }


def _missing_row(
    own: Sequence[Verdict], names: Mapping[Key, str], page: Callable[[Key], str | None]
) -> tuple[Cell, ...]:
    first = own[0]
    point = names[first.key].removeprefix(f"{spoken(first.key.metric)} of ")
    reasons = "; ".join(dict.fromkeys(why(one) for one in own))
    return (
        linked(point, page(first.key)),
        forest.sign(first),
        "",
        "",
        "",
        f"none of its {len(own):,} series: {reasons}",
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
    for side, bounds in (("base", one.base_bounds), ("head", one.head_bounds)):
        values |= {f"{side}.{end}": limit for end, limit in zip(("low", "high"), bounds or (), strict=False)}
    values |= {"margin": one.margin, "rounds": one.rounds, "weight": weight(one)}
    row = {"series": one.key.label, "workload": one.key.workload, "metric": one.key.metric, "unit": one.unit}
    row |= {"provenance": one.provenance, "verdict": word(one), "reason": one.reason}
    flags = {"absolute": one.absolute, "higher_is_better": one.higher_is_better, "exact": one.exact}
    return row | flags | {name: value for name, value in values.items() if value is not None}
