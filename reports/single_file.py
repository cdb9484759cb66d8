"""A built site as one HTML file, for a mail or an archive: every page a section of it, and nothing asked from outside.

Styles and scripts are inline, and the policy names them by their hashes. Pictures are data: URLs, and so are data
files that are not large, each once in a list at the end. A script shows one page at a time; without it they follow each
other.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from energybench.reports.html_tokens import Tag
from energybench.reports.ledger import files_of
from energybench.reports.pages import INDEX
from energybench.reports.single_pages import Page, Site, data, own, read, section
from energybench.reports.site_builder import OURS, SiteError
from energybench.store import write_atomically

LARGEST = 100_000
"""Bytes from which on a data file is left out."""
FILES = "in-this-file"
STYLE = """
.bar { padding: 0.4rem 0; }
.bar .wide { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0.4rem 1.5rem; }
.bar details { margin: 0; padding: 0; border: 0; }
.bar ul { max-height: 60vh; margin: 0.5rem 0; overflow-y: auto; }
.bar .themes { margin: 0; }
.page:focus { outline: none; }
@media print { .bar { display: none; } }
"""
SCRIPT = """"use strict";
(() => {
  const pages = [...document.querySelectorAll(".page")];
  const contents = document.querySelector(".bar details");
  let shown = null;
  const named = (hash) => {
    try {
      return document.getElementById(decodeURIComponent(hash.slice(1)));
    } catch {
      return null; // what somebody typed
    }
  };
  const show = () => {
    const target = named(location.hash);
    const page = target?.closest(".page") ?? pages[0];
    if (page !== shown) {
      for (const one of pages) one.hidden = one !== page;
      document.title = page.dataset.title;
      if (shown) page.focus({ preventScroll: true });
      shown = page;
    }
    contents.open = false;
    for (let part = target; part; part = part.parentElement) if (part.localName === "details") part.open = true;
    if (target && target !== page) target.scrollIntoView();
    else scrollTo(0, 0);
  };
  addEventListener("hashchange", show);
  show();
})();
"""


def single(site: Path, output: Path) -> Path:
    """Write the site in the folder `site` as the one file `output`; return it.

    Pages are index.html and those that links lead to from it, 300 at most. Data files of 100 kB and more are left
    out, which the file says. The same site gives the same bytes.

    Raises:
        SiteError: the output is a file of a site, or one that energybench did not write.
        FileNotFoundError: the site has no index.html, or lacks a style or a script of a page.
    """
    check(site, output)
    found = read(site, output)
    sections = [section(page, found) for page in found.pages.values()]
    styles = [(site / file).read_text(encoding="utf-8") for file in own(found, "link", "href")]
    first, last = (
        [_inline((site / file).read_text(encoding="utf-8")) for file in own(found, "script", "src", deferred=deferred)]
        for deferred in (False, True)
    )
    style = _for_sections("\n".join([*styles, STYLE]), list(found.pages.values()))
    text = _document(found, [*sections, _files(found)], style, first, [*last, _inline(SCRIPT)])
    if not output.exists() or output.read_text(encoding="utf-8") != text:
        write_atomically(output.resolve(), text)
    return output


def check(site: Path, output: Path) -> None:
    """Refuse to write over a page of this site or another, and over what energybench did not write.

    Raises:
        SiteError: that is what would happen.
    """
    place = output.resolve()
    folders = {site.resolve(), place.parent, place.parent.parent}
    files = {one / file for one in folders for file in files_of(one)}
    if place == site.resolve() / INDEX or place in files:
        raise SiteError(f"{output} is a file of the site itself; {_REMEDY}")
    if place.exists() and not place.is_file():
        raise SiteError(f"{output} is no file; {_REMEDY}")
    if place.exists() and place.stat().st_size and OURS not in place.read_text(encoding="utf-8", errors="replace"):
        raise SiteError(f"{output} was not written by energybench; {_REMEDY}")


_REMEDY = "name another file with --single-file, as report.html"


def _document(site: Site, sections: Sequence[str], style: str, early: Sequence[str], late: Sequence[str]) -> str:
    """The file; `early` scripts run before it is painted, `late` ones when all of it is read."""
    first = site.pages["index.html"]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, [*early, *late]))}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = [
        f'<!doctype html>\n<html lang="{escape(first.language)}">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">\n',
        f"<!-- {OURS} -->\n",
        *(f"{one}\n" for one in first.head if isinstance(one, Tag) and one.name == "meta" and one.get("name")),
        f"<title>{first.title}</title>\n<style>{style}</style>\n",
        *_scripts(early),
        "</head>\n<body>\n",
        _contents(site),
        "<main>\n",
        *sections,
        "</main>\n",
        *_scripts(late),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _scripts(texts: Sequence[str]) -> list[str]:
    return [f"<script>{one}</script>\n" for one in texts]


def _contents(site: Site) -> str:
    """A line above all pages that leads to each of them."""
    whole = f" · {site.pages['index.html'].title}"
    names = [(escape(page.name), page.title.removesuffix(whole)) for page in site.pages.values()]
    lines = [f'<li><a href="#{name}">{title}</a></li>\n' for name, title in names]
    if site.files:
        lines.append(f'<li><a href="#{FILES}">Data files</a></li>\n')
    if site.left_out:
        lines.append(f"<li>{len(site.left_out):,} more pages are in the report as a folder only</li>\n")
    return (
        '<header class="top bar"><div class="wide"><nav aria-label="All pages of this file">'
        f"<details open><summary>All pages</summary>\n<ul>\n{''.join(lines)}</ul></details></nav></div></header>\n"
    )


def _files(site: Site) -> str:
    """The list of data files that pages link to, each a link to itself, or why it is not in the file."""
    if not site.files:
        return ""
    lines = []
    for file, name in site.files.items():
        path = site.path(file)
        size, shown = path.stat().st_size, escape(path.name)
        if size < LARGEST:
            lines.append(f'<a download="{shown}" href="{data(file, site)}">{shown}</a>, {_size(size)}')
        else:
            lines.append(f"{shown}, {_size(size)}: too large for this file; the report as a folder has it")
        lines[-1] = f'<li id="{name}">{lines[-1]}</li>\n'
    return (
        f'<div class="page" id="{FILES}" data-title="Data files" tabindex="-1">\n<div class="wide main">'
        f'<section class="card" aria-labelledby="{FILES}--title">\n<h1 id="{FILES}--title">Data files</h1>\n'
        f'<ul>\n{"".join(lines)}</ul>\n<p><a href="#index">Back to the report</a></p>\n</section></div>\n</div>\n'
    )


def _size(count: int) -> str:
    """`12 kB`: whole kilobytes, 1 at least, or megabytes."""
    return f"{max(1, round(count / 1e3))} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def _for_sections(style: str, pages: Sequence[Page]) -> str:
    """Styles of ids and of `main`, as ids and `main` are called in the file."""
    ids = {one.get("id") for page in pages for one in page.body if isinstance(one, Tag)} - {""}
    selector = r"(?![\w-])(?=[^{};]*\{)"  # what is followed by a block is none of its values
    style = re.sub(r"(?<![\w.#-])main" + selector, ".main", style)
    return re.sub(
        r"#([\w-]+)" + selector, lambda found: f'[id$="--{found[1]}"]' if found[1] in ids else found[0], style
    )


def _inline(script: str) -> str:
    """A script that does not end its element."""
    return re.sub(r"</(?=script)", r"<\\/", script, flags=re.IGNORECASE).replace("<!--", "<\\!--")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
