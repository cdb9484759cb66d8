"""A view into files of a site, and what `templates/view.html` must know of it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energybench.reports import exports, figures
from energybench.reports.ledger import Ledger, Made, digest
from energybench.reports.views.view import View

START = "view-"
"""How the names of the files of views begin."""


def write(view: View, ledger: Ledger) -> dict[str, Any]:
    """Draw a view for light and for dark pages, write its data, and return the values of its template.

    A view that shows what it showed in the last build is not drawn again.

    Args:
        view: what to write.
        ledger: of the site.
    """
    # A ratio of values that are beyond all bounds may be no number; it is absent then, as what was not measured.
    table = None if view.empty else view.frame().replace([math.inf, -math.inf], None)
    inputs = digest(
        view.name,
        view.empty or "",
        view.caption,
        sorted(view.alts.items()),
        view.table,
        view.second,
        view.notes,
        b"" if table is None else exports.to_csv(table),
    )

    def make() -> Made:
        if table is None:
            return Made(files=(), value={"figures": [], "data": []})
        written = exports.export(table, ledger.site / "data", f"{START}{view.name}").files
        shown, data = _figures(view, ledger.site), [f"data/{one.name}" for one in written]
        return Made(
            files=[*data, *(one[tone] for one in shown for tone in ("light", "dark"))],
            value={"figures": shown, "data": data},
        )

    made = ledger.made(f"view {view.name}", inputs, make)
    return {
        "id": f"{START}{view.name}",
        "name": view.name,
        "title": view.title,
        "answers": view.answers,
        "told": list(view.told),
        "advice": list(view.advice),
        "caption": view.caption,
        "table": view.table,
        "second": view.second,
        "notes": list(view.notes),
        "empty": view.empty or "",
        "commits": embedded(view.commits) if view.commits else "",
        **made,
        "figures": _charted(view, made["figures"]),
    }


def _figures(view: View, site: Path) -> list[dict[str, Any]]:
    shown: dict[str, dict[str, Any]] = {}
    for dark in (False, True) if view.figures else ():
        assert view.figures is not None
        for name, figure in view.figures(dark).items():
            file = f"figures/{START}{view.name}-{name}{'-dark' if dark else ''}.svg"
            figures.save(figure, site / file, dark=dark)
            width, height = (round(96 * inches) for inches in figure.get_size_inches())
            one = shown.setdefault(name, {"width": width, "height": height, "kind": name, "alt": view.alts[name]})
            one["dark" if dark else "light"] = file
    return list(shown.values())


def _charted(view: View, shown: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figures, with what a browser draws in place of some: it stands in the page, and is not kept beside it."""
    return [
        {**one, "chart": embedded(view.charts[one["kind"]]), "chart_id": f"{START}{view.name}-{one['kind']}"}
        if one["kind"] in view.charts
        else dict(one)
        for one in shown
    ]


def embedded(payload: object) -> Any:
    """Small JSON that may stand within a page: no name in it ends the element or begins another."""
    from jinja2.utils import htmlsafe_json_dumps

    return htmlsafe_json_dumps(payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
