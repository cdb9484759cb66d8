"""The pages of a site, how their files are called, and how a template becomes one of them."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from energybench.reports.ledger import digest
from energybench.terminal import visible

HERE = Path(__file__).parent
INDEX, COMMITS, METHOD, GLOSSARY, DATA = "index.html", "commits.html", "method.html", "glossary.html", "data.html"


def workload_page(name: str) -> str:
    """The page of a workload, or of trainings to an accuracy."""
    return f"workload-{_slug(name)}.html"


def machine_page(key: str) -> str:
    """The page of a machine, by what tells machines apart."""
    return f"machine-{_slug(key)}.html"


def view_page(name: str) -> str:
    """The page of a view."""
    return f"view-{name}.html"


def commit_page(commit: str) -> str:
    """The page of a commit, by its full hash."""
    return f"commit-{plain(commit)[:12]}.html"


def plain(text: str) -> str:
    """A part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")


def _slug(text: str) -> str:
    """A part of a file's name that no other text has: what is not plain already ends in a digest."""
    told = plain(text)
    return told if told and told == text else f"{told or 'named'}-{digest(text)[:6]}"


@lru_cache(maxsize=1)
def environment() -> Any:
    """Where templates are found; everything is escaped and seen, and a name that nobody set is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates", encoding="utf-8"),
        autoescape=True,
        finalize=_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"workload_page": workload_page, "commit_page": commit_page, "view_page": view_page}
    return made


def _seen(value: Any) -> Any:
    """What a page prints; markup of our own is a type of its own and stays."""
    return visible(value) if type(value) is str else value


def rendered(template: str, **values: Any) -> str:
    """A page from its template."""
    page: str = environment().get_template(template).render(**values)
    return page
