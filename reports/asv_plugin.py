"""A plugin of asv: `asv publish` writes the energy report into asv's site, and judges series by their own direction.

In asv.conf.json, with the dot that asv wants before a module of another package:

    "plugins": [".energybench.reports.asv_plugin"]

Below html_dir it writes the energy report of asv's results and of the records into energy/, links it from asv's
navigation, and replaces the regressions of series where higher is better: asv takes a rise for one.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asv.plugins.regressions import Regressions, _GraphDataFilter
from asv.publishing import OutputPublisher
from asv.util import UserError

FOLDER = "energy"
ANCHOR = '<li id="nav-li-regressions">'
LINK = f'<li id="nav-li-energy"><a href="{FOLDER}/index.html">Energy</a></li>\n\t'
Regression = list[Any]
"""As asv writes it: name, path of the graph, its parameters, number of the series, last and best value, jumps."""


class EnergyPages(OutputPublisher):  # type: ignore[misc]  # asv has no types
    """What `asv publish` calls after its own pages, the regressions among them."""

    name = FOLDER
    button_label = "Energy"
    description = "Joules, bytes and accuracy over commits"
    order = 10

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Mapping[str, int]) -> None:
        """Correct asv's regressions, write our pages, link them.

        Raises:
            UserError: the records or settings cannot be used; asv prints it.
        """
        html = Path(conf.html_dir)
        correct(conf, repo, benchmarks, graphs, revisions)
        try:
            _write_pages(conf, html / FOLDER)
        except (ValueError, OSError) as error:
            raise UserError(f"energybench: {error}") from error
        link(html / "index.html")


def correct(conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Mapping[str, int]) -> None:
    """Replace asv's regressions of series where higher is better by those that are some, in its JSON and its feed."""
    upward = {name for name in benchmarks if goes_up(name, benchmarks[name])}
    if not upward:
        return
    path = Path(conf.html_dir) / "regressions.json"
    told = json.loads(path.read_text(encoding="utf-8"))["regressions"]
    kept = [one for one in told if one[0].partition("(")[0] not in upward]
    found = [*kept, *_falls(conf, repo, {name: benchmarks[name] for name in sorted(upward)}, graphs, revisions)]
    hashes = {number: commit for commit, number in revisions.items()}
    Regressions._save(conf, {"regressions": found})  # noqa: SLF001 -- in asv's own form, by its own hand
    Regressions._save_feed(conf, benchmarks, found, revisions, hashes)  # noqa: SLF001


def goes_up(name: str, described: Mapping[str, Any]) -> bool:
    """Whether more is better, as the gate takes it."""
    # Not before asv publishes: who only runs asv may have none of our libraries beside it.
    from energybench.gating.from_asv import meaning_of

    meaning = meaning_of(name, described)
    return meaning.higher_is_better if meaning else described.get("higher_is_better") is True


def link(index: Path) -> None:
    """Put our entry into the navigation of asv's page, before its regressions."""
    text = index.read_text(encoding="utf-8")
    if ANCHOR not in text:
        raise UserError(f"energybench: {index} has no {ANCHOR}; this asv is another than 0.6 that we know")
    if LINK not in text:
        index.write_text(text.replace(ANCHOR, LINK + ANCHOR, 1), encoding="utf-8")


def _falls(
    conf: Any, repo: Any, upward: Mapping[str, Mapping[str, Any]], graphs: Any, revisions: Mapping[str, int]
) -> Iterator[Regression]:
    """By asv's own search, on values with their sign reversed; what it finds is reversed back."""
    chosen, hashes = _GraphDataFilter(conf, repo, revisions), {number: name for name, number in revisions.items()}
    parameters = graphs.get_params()
    for file, graph in graphs:
        described = upward.get(Path(file).name)
        if described is None or "summary" in graph.params:
            continue
        for place, entry, steps, threshold in chosen.get_graph_data(graph, described):
            below = [(left, right, -value, -least, error) for left, right, value, least, error in steps]
            best = max((value for _, _, value, _, _ in steps), default=0.0)
            share = threshold if _is_given(conf, graph, entry) else _margin(described, best, threshold)
            found: list[Regression] = []
            # asv multiplies the threshold with a level, which is below 0 here.
            data = (place, entry, below, -share)
            Regressions._process_regression(found, hashes, repo, parameters, data, graph)  # noqa: SLF001
            yield from map(_reversed, found)


def _is_given(conf: Any, graph: Any, entry: str) -> bool:
    """Whether asv.conf.json has a threshold for a series."""
    branch = graph.params.get("branch")
    name = f"{entry}@{branch}" if branch else entry
    return any(re.match(pattern, name) for pattern in conf.regressions_thresholds)


def _margin(described: Mapping[str, Any], best: float, otherwise: float) -> float:
    """The gate's margin of an accuracy, which is a difference, as a share of the best level; asv's own for others."""
    from energybench.gating.from_asv import meaning_of
    from energybench.gating.rules import MARGINS

    meaning = meaning_of(str(described.get("name", "")), described)
    if meaning is None or meaning.family != "accuracy" or best <= 0:
        return otherwise
    margin = MARGINS["accuracy"] if meaning.margin is None else meaning.margin
    return margin / (best * meaning.factor)


def _reversed(one: Regression) -> Regression:
    *which, last, best, jumps = one
    return [*which, -last, -best, [(before, after, -old, -new) for before, after, old, new in jumps]]


def _write_pages(conf: Any, site: Path) -> None:
    from energybench.config import load_settings
    from energybench.reports import site_builder
    from energybench.reports.about import About
    from energybench.reports.evidence import Places

    told = load_settings({})
    where = Places(records=told.records, repository=_repository(conf), results=Path(conf.results_dir))
    about = About(title=told.title or f"Energy of {conf.project}", authors=told.authors, address=told.address)
    site_builder.build(told.records, site, where=where, about=about)


def _repository(conf: Any) -> Path:
    """Where the commits are: asv may work on a clone of an address, whose order dates tell as well."""
    from energybench.gating.commits import top_of

    local = Path(conf.repo)
    return top_of(local if local.is_dir() else Path())
