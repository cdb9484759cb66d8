"""Head's values as `customSmallerIsBetter`, which github-action-benchmark and others read: less is always better."""

from energybench.gating.verdicts import Judgement, Verdict


def smaller(judgement: Judgement) -> list[dict[str, object]]:
    """An entry for each series that head has; what is better when larger is turned, an accuracy to its error."""
    entries = (_entry(one) for one in judgement.verdicts)
    return [one for one in entries if one is not None]


def _entry(verdict: Verdict) -> dict[str, object] | None:
    turned = _turned(verdict)
    if turned is None:
        return None
    metric, unit, value, spread = turned
    point = verdict.key.label.removesuffix(verdict.key.metric)
    entry: dict[str, object] = {"name": f"{point}{metric} ({verdict.provenance})", "unit": unit, "value": value}
    if spread is not None:
        entry["range"] = f"± {spread:.3g}"
    why = f"; {verdict.reason}" if verdict.reason else ""
    before = "" if verdict.base is None else f", base {verdict.base:.6g} {verdict.unit}"
    return entry | {"extra": f"{verdict.word}{before}{why}"}


def _turned(verdict: Verdict) -> tuple[str, str, float, float | None] | None:
    """Name, unit, value and spread so that less is better; None where head has no value that can be turned."""
    name, value, spread = verdict.key.metric, verdict.head, verdict.spread
    if value is None:
        return None
    if not verdict.higher_is_better:
        return name, verdict.unit, value, spread
    if verdict.absolute:
        return f"1 - {name}", verdict.unit, 1 - value, spread
    if value <= 0:
        return None
    unit = verdict.unit.removeprefix("1/") if verdict.unit.startswith("1/") else f"1/{verdict.unit}"
    return f"1 / {name}", unit, 1 / value, None if spread is None else spread / value**2
