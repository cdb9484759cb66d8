"""Why a verdict is what it is, in a clause, from its bounds and its margin."""

from energybench.gating.effects import TINY
from energybench.gating.outputs import words
from energybench.gating.verdicts import Verdict
from energybench.reports.numbers import digits, quantity, short

WORSE = ("regression", "accepted")


def why(one: Verdict) -> str:
    """The clause, with what the verdict itself says and the rounds that it rests on."""
    told = [_clause(one), words.reason(one)]
    if one.needed is not None and f"{one.needed} rounds" not in one.reason:
        told.append(f"{one.needed} rounds a side would likely settle it")
    return "; ".join(filter(None, told))


def _clause(one: Verdict) -> str:
    if one.change is None or one.margin is None or one.word not in (*WORSE, "improvement"):
        return ""
    is_worse = one.word in WORSE
    way, allowed = "worse" if is_worse else "better", _allowed(one, is_worse=is_worse)
    if one.low is None or one.high is None or one.low == one.high:
        return f"{way} by {_size(one, one.change)}{allowed}"
    least, most = sorted((one.low, one.high), key=abs)
    if abs(least) > one.margin + TINY and least * most > 0:
        return f"{way} by at least {_size(one, least)}{allowed}"
    if least * most <= 0:
        return f"{way}, by up to {_size(one, most)}{allowed}"
    return f"certainly {way}, by {_size(one, least)} to {_size(one, most)}{allowed}"


def _allowed(one: Verdict, *, is_worse: bool) -> str:
    """The margin, which changes of either way must exceed."""
    if not one.margin:
        return ", and no change is allowed" if is_worse else ""
    return f", and {words.margin(one)} is allowed" if is_worse else f", beyond a margin of {words.margin(one)}"


def _size(one: Verdict, value: float) -> str:
    if not one.absolute:
        return f"{digits(100 * abs(value))} %"
    return f"{digits(100 * abs(value))} points" if one.family == "accuracy" else quantity(abs(value), short(one.unit))
