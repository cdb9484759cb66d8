"""From trainings to the record of energy to an accuracy: joules, seconds and passes until it was reached."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from energybench import results, sums
from energybench.assembly import (
    Counting,
    Measured,
    Setting,
    amounts_of,
    count_operators,
    dump,
    framed,
    residual_of,
)
from energybench.model import Provenance, Task
from energybench.record import Idle, Metric, Record, RepeatPart, TargetPart, Window, parse
from energybench.results import Alias, repeated
from energybench.settings import PARAMETER, Point
from energybench.training import CRITERION, make_learner, reaches

Repeats = Sequence[Mapping[str, Any]]
"""What `energybench.training.train` gave, once for each repeat."""


def assemble(
    point: Point, task: Task, measured: Measured, repeats: Repeats, setting: Setting, counting: Counting | None
) -> Record:
    """Count the operators of one pass, and put the record of a point together.

    Args:
        point: what was trained.
        task: which offers the learner; its definition is the record's, and the goal.
        measured: the windows of all repeats, in their order.
        repeats: every training.
        setting: where and how.
        counting: counts operators; None where nothing counts.
    """
    target = told(repeats, float(setting.protocol["energy_to_accuracy"]))
    alias = Alias(residual=_residual(measured, repeats), domains=measured.blinking)
    firsts = [w.seconds for w in measured.windows if w.training_pass == 1]
    parts = framed(point, _definition(task, target), measured, setting, alias, firsts)
    parts |= {"parameters": {**point.parameters, PARAMETER: target.accuracy}, "target": dump(target)}
    parts["timing"] |= {"repeat_seconds": statistics.fmean(one.elapsed_seconds for one in target.repeats)}
    found = metrics(target, measured.windows, measured.idles, alias, setting.provenance)
    if counting:
        learner = make_learner(point.workload.name, task, target.repeats[0].seed)
        counted = count_operators(
            parts, learner, lambda: counting.count(learner.learn), counting, str(setting.protocol["table"])
        )
        found |= _counted(found, *counted) if counted else {}
    if target.reached < len(target.repeats):
        parts["flags"].append("target-not-reached")
    return parse(parts | {"results": {name: dump(metric) for name, metric in found.items()}})


def told(repeats: Repeats, accuracy: float) -> TargetPart:
    """The target, and how far each repeat came."""
    parts = [_repeat(one, accuracy) for one in repeats]
    return TargetPart(
        accuracy=accuracy,
        criterion=CRITERION,
        most_passes=max(one["most_passes"] for one in repeats),
        reached=sum(part.reached for part in parts),
        best_accuracy=max(max(part.accuracies) for part in parts),
        repeats=parts,
    )


def metrics(
    target: TargetPart, windows: Sequence[Window], idles: Sequence[Idle], alias: Alias, provenance: Provenance
) -> dict[str, Metric]:
    """What it took to the accuracy: that of all trainings over the number of those that reached it.

    Where one fell short, a mean over the others alone would flatter: what it used was paid as well, and another
    training is to be paid. Where none reached it, there is nothing but the accuracy itself.
    """
    attained = [one.accuracies[-1] if one.reached else max(one.accuracies) for one in target.repeats]
    found = {"accuracy": _share(attained)}
    if not target.reached:
        return found
    whole = [merged([w for w in windows if w.round == number]) for number in range(len(target.repeats))]
    reached = [one.reached for one in target.repeats]
    amounts: dict[str, tuple[list[float], str, Provenance]] = {
        "seconds": ([w.seconds for w in whole], "s", "measured"),
        "passes": ([float(one.passes) for one in target.repeats], "1", "measured"),
        "samples": ([float(one.samples) for one in target.repeats], "1", "measured"),
    }
    for kind in sorted(set.intersection(*(set(w.traffic) for w in whole))):
        amounts[kind] = ([w.traffic[kind] for w in whole], "B", results.bytes_from(kind, provenance))
    joules = results.energy_metrics(whole, idles, alias, {place for place, ended in enumerate(reached) if ended})
    joules |= _estimated(whole, reached)
    found |= {
        name.replace("_per_sample", "_to_accuracy"): metric.model_copy(update=_middle(reached, metric.median))
        for name, metric in joules.items()
    }
    return found | {
        f"{name}_to_accuracy": _repeated(values, reached, unit=unit, provenance=kind)
        for name, (values, unit, kind) in amounts.items()
    }


def _repeated(values: Sequence[float], reached: Sequence[bool], *, unit: str, provenance: Provenance) -> Metric:
    metric = repeated(results.per_success(values, reached), unit=unit, provenance=provenance)
    return metric.model_copy(update=_middle(reached, metric.median))


def _middle(reached: Sequence[bool], median: float | None) -> dict[str, float | None]:
    """The median training, where all are alike; a ratio has none."""
    return {"median": median if all(reached) else None}


def merged(windows: Sequence[Window]) -> Window:
    """The windows of one training as one, whose only sample is the training: gains add up, ticks in squares."""
    kinds = set.intersection(*(set(w.traffic) for w in windows))
    return Window(
        seconds=math.fsum(w.seconds for w in windows),
        steps=len(windows),
        samples=1,
        round=windows[0].round,
        domains=sums.summed_domains(windows),
        total=sums.summed_total(windows),
        traffic={kind: math.fsum(w.traffic[kind] for w in windows) for kind in sorted(kinds)},
        estimated=sums.summed_estimate(windows),
    )


def _repeat(one: Mapping[str, Any], target: float) -> RepeatPart:
    accuracies = [window["accuracy"] for window in one["windows"]]
    return RepeatPart(
        seed=one["seed"],
        reached=reaches(accuracies[-1], target),
        passes=len(accuracies),
        samples=sum(window["samples"] for window in one["windows"]),
        seconds=math.fsum(window["seconds"] for window in one["windows"]),
        elapsed_seconds=one["elapsed_seconds"],
        accuracies=accuracies,
    )


def _definition(task: Task, target: TargetPart) -> dict[str, object]:
    """What was done: the task's own words are of one step, and the goal says what the steps were for."""
    seeds = [one.seed for one in target.repeats]
    goal = {"accuracy": target.accuracy, "criterion": CRITERION, "most_passes": target.most_passes, "seeds": seeds}
    return {"goal": goal, **task.definition}


def _residual(measured: Measured, repeats: Repeats) -> float:
    """What sensors that look away may miss of a whole training: its passes begin at phases of their own."""
    return residual_of(measured) / math.sqrt(len(measured.windows) / len(repeats))


def _share(values: Sequence[float]) -> Metric:
    """The mean accuracy over repeats; no interval reaches beyond 1."""
    metric = repeated(values, unit="1", provenance="measured", higher_is_better=True)
    return metric if metric.high is None else metric.model_copy(update={"high": min(metric.high, 1.0)})


def _estimated(whole: Sequence[Window], reached: Sequence[bool]) -> dict[str, Metric]:
    """The power model's joules to a success; its own interval, widened by what repeats show."""
    joules = [w.estimated.joules for w in whole if w.estimated]
    if len(joules) < len(whole):
        return {}
    ((name, metric),) = results.estimate_metrics(whole).items()
    assert metric.low is not None
    assert metric.high is not None
    spread = _repeated(joules, reached, unit="J", provenance="estimated")
    low, high = _scaled(spread)
    scale = spread.value / metric.value if metric.value else 1.0
    ends = {"value": spread.value, "low": metric.low * scale * low, "high": metric.high * scale * high}
    return {name: metric.model_copy(update={**ends, "repeats": len(whole)})}


def _counted(found: Mapping[str, Metric], counts: Any, priced: Any) -> dict[str, Metric]:
    """What one pass counts, times the passes that it took."""
    passes = found.get("passes_to_accuracy")
    if passes is None:
        return {}
    amounts = [("modelled_joules", priced.joules, priced.low, priced.high, "J")]
    amounts += [(name, value, value, value, unit) for name, value, unit in amounts_of(counts)]
    low, high = _scaled(passes)
    return {
        f"{name}_to_accuracy": Metric(
            value=value * passes.value,
            low=least * passes.value * low,
            high=most * passes.value * high,
            unit=unit,
            provenance="modelled",
            higher_is_better=False,
            repeats=passes.repeats,
        )
        for name, value, least, most, unit in amounts
    }


def _scaled(metric: Metric) -> tuple[float, float]:
    """The ends of an interval over its value."""
    if metric.low is None or metric.high is None or not metric.value:
        return 1.0, 1.0
    return metric.low / metric.value, metric.high / metric.value
