"""The long forms of records and asv results: a row a metric, a window, or a sample of a power trace."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from energybench.reports.numbers import bounds

if TYPE_CHECKING:
    import pandas as pd

    from energybench.reports.asv_frames import AsvValue
    from energybench.reports.frames import Stored

Rows: TypeAlias = list[tuple[Mapping[str, Any], Mapping[str, Any], tuple[Any, ...]]]
"""Who a row is, its parameters, its cells."""
OF_ASV = ("committed", "environment")
"""Columns after `commit` that asv results have, and records do not."""
OF_A_POINT = ("id", "created", "machine", "commit", "workload", "version")
TIDY = ("metric", "value", "low", "high", "unit", "provenance", "higher_is_better", "repeats")
WINDOW = ("window", "round", "training_pass", "seconds", "gap_seconds", "steps", "samples", "accuracy")
JOULES = ("joules", "standard_uncertainty", "provenance")
WHOLE = ("seed", "samples", "repeats", "training_pass")
TRACE = ("window", "seconds", "domain", "watts", "provenance")


def tidy(stored: "Sequence[Stored]", asv: "Iterable[AsvValue]" = ()) -> "pd.DataFrame":
    """The long form: a row a metric of a record, or of a combination of parameters of an asv result.

    Columns: id, created (UTC), machine, commit, workload, version; `param.<name>` for each parameter that occurs;
    metric, value (in `unit`, SI), low and high (its interval: 95 % where repeats and the counter give one, the whole
    range of a model else), unit, provenance, higher_is_better, repeats (windows, trainings or samples behind the
    value). `committed` and `environment` follow `commit` where there are asv results. What is not known is NA.
    """
    values = list(asv)
    columns = [*OF_A_POINT[:4], *(OF_ASV if values else ()), *OF_A_POINT[4:]]
    rows: Rows = []
    for one in stored:
        who = _point(one.record)
        rows += [(who, one.record["parameters"], _metric(*each)) for each in one.record["results"].items()]
    return _long(columns, TIDY, [*rows, *_of_asv(values)])


def windows(stored: "Sequence[Stored]") -> "pd.DataFrame":
    """A row a measured window of a record.

    Columns: id, created, machine, commit, workload, version; `param.<name>`; window (from 0), round and training_pass
    (of a run to an accuracy), seconds, gap_seconds (rests between steps, in its seconds and joules), steps, samples,
    accuracy (after a training pass); joules, standard_uncertainty and provenance of its total over disjoint domains;
    then, where any window has them, `estimated_joules` with `.low` and `.high`, `joules.<domain>` (domains may contain
    one another: never add them), `<kind>_bytes` and other traffic, `communication.<name>`; flags (a tuple).
    """
    rows: Rows = []
    more: list[dict[str, Any]] = []
    for one in stored:
        who = _point(one.record)
        for number, window in enumerate(one.record["windows"]):
            told, total = {**window, "window": number}, window.get("total", {})
            cells = (*(told.get(name) for name in WINDOW), *(total.get(name) for name in JOULES))
            rows.append((who, one.record["parameters"], cells))
            more.append(_of_window(window))
    table = _long(list(OF_A_POINT), (*WINDOW, *JOULES), rows)
    names = sorted({name for one in more for name in one} - {"flags"})
    for name in (*names, "flags"):
        table[name] = [one.get(name) for one in more]
    return whole(table)


def traces(stored: "Sequence[Stored]") -> "pd.DataFrame":
    """A row a sample of a record's power traces.

    Columns: id, created, machine, commit, workload, version; `param.<name>`; window (from 0), seconds since it began,
    domain, watts (the mean since the sample before), provenance of the domain. Domains may contain one another. What
    is no sample (three values, the last a number) is left out.
    """
    rows: Rows = []
    for one in stored:
        who = _point(one.record)
        rows += [(who, one.record["parameters"], sample) for sample in _samples(one.record)]
    return _long(list(OF_A_POINT), TRACE, rows)


def source_kinds(record: Mapping[str, Any]) -> dict[str, str]:
    """Where the joules of each domain come from, as a record's sources say: so of an estimate, which has no domain."""
    return {source[0]: source[2] for source in record.get("sources") or () if len(source) > 2}


def commit_of(record: Mapping[str, Any]) -> str | None:
    """The full hash of the commit that a record is of; None where files differed from it, or nobody knows."""
    from energybench.gating.from_records import commit_in

    return commit_in(record["machine"])


def _point(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": record["id"],
        "created": record["created"],
        "machine": record["machine"]["id"],
        "commit": commit_of(record),
        "workload": record["workload"]["name"],
        "version": record["workload"]["version"],
    }


def _metric(name: str, result: Mapping[str, Any]) -> tuple[Any, ...]:
    """The cells of `TIDY`."""
    low, high = bounds(result) or (None, None)
    told = {**result, "metric": name, "low": low, "high": high}
    return tuple(told.get(column) for column in TIDY)


def _of_asv(values: "Iterable[AsvValue]") -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], tuple[Any, ...]]]:
    """Rows of asv's values; there may be very many, so what they have in common is kept once."""
    points: dict[object, Mapping[str, Any]] = {}
    known: dict[tuple[object, ...], Mapping[str, Any]] = {}
    for one in values:
        place = (one.path, one.workload, one.version, one.created)
        who = known.get(place)
        if who is None:
            told = {name: getattr(one, name) for name in (*OF_A_POINT[1:], *OF_ASV)}
            who = known[place] = {**told, "id": one.path.stem}
        point = points.setdefault(one.parameters, dict(one.parameters))
        yield who, point, tuple(getattr(one, name) for name in TIDY)


def _of_window(window: Mapping[str, Any]) -> dict[str, Any]:
    """What only some windows have: estimates, domains, traffic, communication."""
    found: dict[str, Any] = {"flags": tuple(window.get("flags", ()))}
    if estimate := window.get("estimated"):
        found["estimated_joules"] = estimate["joules"]
        found |= {f"estimated_joules.{end}": estimate[end] for end in ("low", "high")}
    domains = window.get("domains", {})
    found |= {f"joules.{name}": one["joules"] for name, one in domains.items() if "joules" in one}
    found |= dict(window.get("traffic", {}))
    return found | {f"communication.{name}": value for name, value in window.get("communication", {}).items()}


def _samples(record: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The cells of `TRACE`."""
    of_sources = source_kinds(record)
    for number, window in enumerate(record["windows"]):
        domains = window.get("domains", {})
        for sample in window.get("trace", ()):
            if len(sample) != 3 or not all(isinstance(sample[place], int | float) for place in (0, 2)):
                continue
            seconds, domain, watts = sample
            known = domains.get(domain, {}).get("provenance")
            yield number, float(seconds), str(domain), float(watts), known or of_sources.get(domain)


def _long(
    columns: Sequence[str],
    cells: Sequence[str],
    rows: Rows,
) -> "pd.DataFrame":
    """A frame from who each row is, its parameters and its cells."""
    import pandas as pd

    settings = sorted({name for _, told, _ in rows for name in told})
    content: dict[str, list[Any]] = {name: [who.get(name) for who, _, _ in rows] for name in columns}
    content |= {f"param.{name}": [told.get(name) for _, told, _ in rows] for name in settings}
    content |= {name: [each[place] for _, _, each in rows] for place, name in enumerate(cells)}
    table = pd.DataFrame(content)
    dated(table)
    return whole(table)


def dated(table: "pd.DataFrame") -> None:
    """Make moments of the columns that hold some."""
    import pandas as pd

    for name in ("created", "committed"):
        if name in table:
            table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601")


def whole(table: "pd.DataFrame") -> "pd.DataFrame":
    """Counts stay whole numbers where some rows have none."""
    kept = {name: "Int64" for name in WHOLE if name in table and table[name].isna().any()}
    return table.astype(kept)
