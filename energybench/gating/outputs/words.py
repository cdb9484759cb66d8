"""How numbers and headings of a judgement are written, the same in every output for people."""

from energybench.gating.series import Key, short_labels
from energybench.gating.verdicts import Judgement, Verdict, Word
from energybench.terminal import quantity

ORDER: tuple[Word, ...] = (
    "regression",
    "not comparable",
    "not measured",
    "inconclusive",
    "accepted",
    "improvement",
    "new",
    "left out",
    "pass",
)
"""What needs somebody first."""
PLURALS = {"regression": "regressions", "improvement": "improvements"}
PREFIXED = ("J", "W", "s", "B", "Hz")


def value(number: float | None, verdict: Verdict) -> str:
    """`1.234 mJ`, `93.00 %` for an accuracy, a dash for what is absent."""
    if number is None:
        return "–"
    if verdict.family == "accuracy" and 0 <= number <= 1:
        return f"{100 * number:.2f} %"
    if verdict.unit in PREFIXED:
        return quantity(number, verdict.unit)
    return f"{number:.5g}" if verdict.unit in ("", "1") else f"{number:.5g} {verdict.unit}"


def change(verdict: Verdict) -> str:
    """`+5.12 % (+3.10 to +7.20)`: head less base; differences of accuracies in points of a hundred."""
    if verdict.change is None:
        return "–"
    factor, digits, unit = _scale(verdict)
    text = f"{factor * verdict.change:+.{digits}f}{unit}"
    if verdict.low is None or verdict.high is None:
        return text
    return f"{text} ({factor * verdict.low:+.{digits}f} to {factor * verdict.high:+.{digits}f})"


def margin(verdict: Verdict) -> str:
    """`5 %`, `1 point`."""
    if verdict.margin is None:
        return "–"
    factor, _, unit = _scale(verdict)
    text = f"{factor * verdict.margin:.4g}{unit}"
    return "1 point" if text == "1 points" else text


def reason(verdict: Verdict) -> str:
    """Why, with the rounds that it rests on."""
    if verdict.rounds is None:
        return verdict.reason
    seen = f"{verdict.rounds} {'pair' if verdict.paired else 'round'}{'' if verdict.rounds == 1 else 's'}"
    return f"{seen}; {verdict.reason}" if verdict.reason else seen


def count(number: int, word: Word) -> str:
    """`3 regressions`, `12 pass`."""
    return f"{number} {word if number == 1 else PLURALS.get(word, word)}"


def counts(judgement: Judgement) -> str:
    """`1 regression, 12 pass`, what needs somebody first."""
    found = ((word, len(judgement.of(word))) for word in ORDER)
    return ", ".join(count(number, word) for word, number in found if number) or "no series"


def heading(judgement: Judgement) -> str:
    """The whole in one line: who against whom, and how it ended."""
    base = _named(judgement.base, judgement.base_commit)
    head = _named(judgement.head, judgement.head_commit)
    why = f" ({judgement.reason})" if judgement.reason else ""
    return f"{head} against {base}: {judgement.word}{why}"


def notes(judgement: Judgement) -> list[str]:
    """What stands beside the verdicts: entries that changed nothing, and files that something is wrong with."""
    idle = [f"accepted {entry.series} ({entry.reason}): {why}" for entry, why in judgement.idle]
    return idle + [f"{'left out ' if one.left_out else ''}{one.path}: {one.reason}" for one in judgement.troubles]


def sentences(judgement: Judgement) -> list[str]:
    """Points at which energy or accuracy moved."""
    moved = (one for one in judgement.points if one.sentence and {one.joules.word, one.accuracy.word} != {"pass"})
    names = labels(judgement)
    return [f"{names[one.joules.key].removesuffix(f' · {one.joules.key.metric}')}: {one.sentence}" for one in moved]


def labels(judgement: Judgement) -> dict[Key, str]:
    """What each series is called where people read it: without the parameters that all points of a workload share."""
    return short_labels(one.key for one in judgement.verdicts)


def _named(name: str, commit: str | None) -> str:
    return f"{name} ({commit[:8]})" if commit and not commit.startswith(name) else name


def _scale(verdict: Verdict) -> tuple[float, int, str]:
    """What a change is multiplied with, its decimals and its unit."""
    if not verdict.absolute:
        return 100.0, 2, " %"
    return (100.0, 2, " points") if verdict.family == "accuracy" else (1.0, 4, "")
