"""A view into files of a site, and what `templates/view.html` must know of it."""

from pathlib import Path
from typing import Any

from energybench.reports import figures
from energybench.reports.views.view import View

START = "view-"
"""How the names of the files of views begin: those that are no longer shown can be told from others."""


def write(view: View, site: Path) -> dict[str, Any]:
    """Draw a view for light and for dark pages, write its data as CSV, and return the values of its template.

    Args:
        view: what to write.
        site: the folder of the page, with `figures/` and `data/` in it.
    """
    data = f"data/{START}{view.name}.csv"
    if not view.empty:
        (site / data).write_text(view.frame().to_csv(index=False), encoding="utf-8")
    return {
        "id": f"{START}{view.name}",
        "title": view.title,
        "answers": view.answers,
        "figures": _figures(view, site),
        "caption": view.caption,
        "table": view.table,
        "notes": list(view.notes),
        "empty": view.empty or "",
        "data": "" if view.empty else data,
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
