"""A site as one file: what is in it, what it lets run, and that it works where nothing else is."""

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, expect, sync_playwright

from energybench.reports import compact, html_tokens, single_pages
from energybench.reports.ledger import Ledger
from energybench.reports.single_file import check, single
from energybench.reports.site_builder import SiteError

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists() and os.environ.get("ENERGYBENCH_BROWSER") != "required",
    reason=f"there is no {CHROMIUM}; Debian's package is chromium",
)
PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30">
<rect style="fill: #06c" width="40" height="30"/></svg>"""
SCRIPT = """
const told = "</script><script>";  /* <!-- */
document.documentElement.dataset.ran = told.length;
const group = document.createElement("div"); group.className = "themes"; group.textContent = "themes";
document.querySelector("header.top .wide").append(group);
"""
STYLE = "main.wide { padding: 1rem } #machines { color: #abc } .page { max-width: 70rem } #add { margin: 0 }\n"


def page(title: str, body: str, head: str = "") -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'">
<title>{title}</title>
<link rel="stylesheet" href="report.css">
{head}<script src="report.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip</a>
<header class="top"><div class="wide"><h1>{title}</h1></div></header>
<main id="main" class="wide">
{body}
</main>
<footer class="wide"><p>by hand</p></footer>
</body>
</html>
"""


INDEX = """<section id="machines" aria-labelledby="machines-title"><h2 id="machines-title">Machines &amp; more</h2>
<p><a href="workload-a.html">A</a> <a href="workload-a.html#rows">its rows</a>
<a href="glossary.html#term-tick">tick</a>
<a href="#machines">here</a> <a href="https://example.org/x?a=1&amp;b=2">paper</a> <a href="../outside.html">outside</a>
<a href="data/small.csv">small</a> <a href="data/large.json">large</a>
<a href="figures/a.svg">picture</a></p></section>"""
WORKLOAD = """<figure><picture><source media="(prefers-color-scheme: dark)" srcset="figures/a-dark.svg">
<img src="figures/a.svg" alt="a &quot;picture&quot; of &lt;a&gt;" width="40" height="30"></picture>
<div class="chart" data-chart="c"><script type="application/json">{"title": "a\\u003c/main> & b"}</script></div>
</figure>
<details><summary>Rows</summary><p id="rows">rows</p></details>
<p><a href="index.html">report</a> <a href="data/small.csv">the same</a></p>"""
GLOSSARY = """<dl><dt id="term-tick">Tick</dt><dd>between updates</dd></dl><p id="add"></p>
<p><a href="index.html#machines">machines</a> <img src="figures/a.svg" alt="again"></p>"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    for name in ("figures", "data"):
        (folder / name).mkdir(parents=True)
    files = {
        "index.html": page("Energy report", INDEX),
        "workload-a.html": page("Workload &lt;a&gt;", WORKLOAD, head='<script src="chart.js" defer></script>\n'),
        "glossary.html": page("Glossary", GLOSSARY),
        "stale.html": page("Nobody links to this", ""),
        "report.css": STYLE,
        "report.js": SCRIPT,
        "chart.js": "window.charts = true;\n",
        "figures/a.svg": PICTURE,
        "figures/a-dark.svg": PICTURE.replace("#06c", "#9cf"),
        "data/small.csv": "a,b\n1,2\n",
        "data/large.json": "[" + "1," * 60_000 + "1]",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (tmp_path / "outside.html").write_text("outside")
    return folder


@pytest.fixture
def text(site: Path, tmp_path: Path) -> str:
    return single(site, tmp_path / "out" / "report.html").read_text(encoding="utf-8")


class Read(HTMLParser):
    """Start tags and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inside.append((self.tags[-1][1].get("type") or self.tags[-1][0], data))

    def all(self, name: str, attribute: str) -> list[str]:
        return [told[attribute] or "" for tag, told in self.tags if tag == name and attribute in told]


def test_every_page_that_is_linked_is_a_section_and_the_document_has_one_main(text: str) -> None:
    read = Read(text)
    ids = [told["id"] for tag, told in read.tags if told.get("class") == "page"]
    assert ids == ["index", "workload-a", "glossary", "in-this-file"]
    assert [tag for tag, _ in read.tags].count("main") == 1
    assert "Nobody links to this" not in text
    assert text.count("<title>") == 1


def test_ids_are_unique_and_every_link_leads_to_one(text: str) -> None:
    read = Read(text)
    ids = [told["id"] for _, told in read.tags if "id" in told]
    assert len(ids) == len(set(ids))
    links = [link for link in read.all("a", "href") if link.startswith("#")]
    assert {link[1:] for link in links} <= set(ids)
    for expected in ("#workload-a", "#workload-a--rows", "#glossary--term-tick", "#index--machines", "#index"):
        assert expected in links
    assert read.all("section", "aria-labelledby")[0] == "index--machines-title"


def test_links_to_other_hosts_stay_and_what_is_outside_of_the_site_is_no_link(text: str) -> None:
    assert '<a href="https://example.org/x?a=1&amp;b=2">paper</a>' in text
    assert "<a>outside</a>" in text
    assert "outside.html" not in text


def test_pictures_are_data_and_links_to_them_lead_to_where_they_are(text: str, site: Path) -> None:
    read = Read(text)
    held = compact.svg_url((site / "figures" / "a.svg").read_text(encoding="utf-8"))
    assert read.all("img", "src") == [held] * 2
    assert read.all("source", "srcset")[0].startswith("data:image/svg+xml,%3Csvg%20")
    assert read.all("img", "alt") == ['a "picture" of <a>', "again"]
    assert read.all("img", "id") == ["workload-a--picture-1"]
    assert '<a href="#workload-a--picture-1">picture</a>' in text


def test_a_data_file_is_there_once_and_a_large_one_is_named_as_left_out(text: str) -> None:
    read = Read(text)
    downloads = [told for tag, told in read.tags if tag == "a" and "download" in told]
    assert downloads == [{"download": "small.csv", "href": "data:text/csv;charset=utf-8;base64,YSxiCjEsMgo="}]
    assert text.count('href="#file-1"') == 2
    assert '<li id="file-2">large.json, 120 kB: too large for this file; the report as a folder has it</li>' in text


def test_the_policy_lets_run_what_is_in_the_file_and_nothing_else(text: str) -> None:
    read = Read(text)
    policy = next(told["content"] or "" for tag, told in read.tags if "http-equiv" in told)
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    hashes = {
        kind: [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]
        for kind, texts in (
            (kind, [text for told, text in read.inside if told == kind]) for kind in ("script", "style")
        )
    }
    assert parts == {
        "default-src": "'none'",
        "script-src": " ".join(hashes["script"]),
        "style-src": " ".join(hashes["style"]),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert len(hashes["script"]) == 3
    assert not read.all("script", "src")
    assert not read.all("link", "href")


def test_a_script_that_runs_before_the_first_paint_stays_in_the_head(site: Path, tmp_path: Path) -> None:
    (site / "theme.js").write_text("const theme = 'worn';\n", encoding="utf-8")
    (site / "index.html").write_text(page("Energy report", INDEX, head='<script src="theme.js"></script>\n'))
    text = single(site, tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.index("const theme = 'worn'") < text.index("</head>") < text.index("dataset.ran")
    policy = next(told["content"] or "" for tag, told in Read(text).tags if "http-equiv" in told)
    digest = base64.b64encode(hashlib.sha256(b"const theme = 'worn';\n").digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_scripts_keep_the_order_of_each_page_and_do_not_end_their_element(text: str) -> None:
    assert text.index("window.charts") < text.index("dataset.ran")
    assert r'"<\/script><script>";  /* <\!-- */' in text
    assert '{"title": "a\\u003c/main> & b"}' in text


def test_styles_of_ids_and_of_main_follow_them(text: str) -> None:
    assert '.main.wide { padding: 1rem } [id$="--machines"] { color: #abc } .page { max-width: 70rem }' in text
    assert '[id$="--add"] { margin: 0 }' in text


def test_the_same_site_gives_the_same_bytes_and_its_own_output_is_no_page(site: Path) -> None:
    first = single(site, site / "glossary-all.html").read_bytes()
    index = (site / "index.html").read_text()
    (site / "index.html").write_text(index.replace("</section>", '<a href="all.html">one file</a></section>'))
    one = single(site, site / "all.html").read_bytes()
    assert single(site, site / "all.html").read_bytes() == one
    assert len(one) < len(first) + 200
    assert (site / "all.html").stat().st_mtime_ns == single(site, site / "all.html").stat().st_mtime_ns


def test_pages_that_are_too_many_are_counted_and_links_to_them_are_none(site: Path, tmp_path: Path) -> None:
    found = single_pages.read(site, tmp_path / "one.html", most=2)
    assert list(found.pages) == ["index.html", "workload-a.html"]
    assert "glossary.html" in found.left_out
    assert 'href="glossary' not in single_pages.section(found.pages["index.html"], found)


@pytest.mark.parametrize("name", ["index.html", "workload-a.html", "figures/a.svg"])
def test_a_file_of_a_site_is_never_written_over(site: Path, tmp_path: Path, name: str) -> None:
    ledger = Ledger(site)
    for file in ("index.html", "workload-a.html", "figures/a.svg"):
        ledger.page(file, (site / file).read_text(encoding="utf-8"))
    ledger.close()
    before = (site / name).read_bytes()
    for made_from in (site, tmp_path / "another"):
        with pytest.raises(SiteError, match=r"is a file of the site itself; name another file with --single-file"):
            check(made_from, site / name)
    with pytest.raises(SiteError, match="is a file of the site itself"):
        single(site, site / name)
    assert (site / name).read_bytes() == before


def test_the_front_page_of_a_site_that_is_not_built_yet_is_refused_as_well(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="is a file of the site itself"):
        check(tmp_path / "new", tmp_path / "new" / "index.html")


def test_what_energybench_did_not_write_stays_as_it_is(site: Path, tmp_path: Path) -> None:
    for name, content in (("thesis.html", "<p>mine</p>"), ("photo.png", b"\x89PNG\xff")):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(SiteError, match=rf"{name} was not written by energybench; name another file"):
            single(site, path)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SiteError, match="is no file"):
        single(site, tmp_path)
    (tmp_path / "empty.html").touch()
    assert single(site, tmp_path / "empty.html").stat().st_size > 0


def test_an_earlier_file_is_replaced_whole_or_not_at_all(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = single(site, tmp_path / "report.html")
    before = output.read_bytes()
    (site / "glossary.html").write_text(page("Glossary", "<p>other words</p>"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            single(site, output)
    assert output.read_bytes() == before
    assert sorted(tmp_path.glob(".*")) == []
    assert b"other words" in single(site, output).read_bytes()


def test_a_folder_that_is_no_site_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"index\.html"):
        single(tmp_path, tmp_path / "out.html")


@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True), st.none() | st.text()), max_size=4))
def test_a_tag_that_is_written_is_read_as_it_was(attributes: list[tuple[str, str | None]]) -> None:
    names = [name for name, _ in attributes]
    kept = [(name, None if v is None else v.replace("\r", "").replace("\0", "")) for name, v in attributes]
    tag = html_tokens.Tag(name="p", attributes=tuple(kept))
    assert html_tokens.tokens(f"{tag}text &amp; &#60; more</p>")[0] == tag
    assert (
        html_tokens.written(html_tokens.tokens(f"{tag}text &amp; &#60; more</p>")) == f"{tag}text &amp; &#60; more</p>"
    )
    assert len(names) == len(tag.attributes)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@needs_chromium
def test_in_a_browser_one_page_is_shown_at_a_time_offline_and_under_its_policy(
    browser: Browser, text: str, tmp_path: Path
) -> None:
    with browser.new_context(offline=True) as context:
        tab = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url.split(":")[0]))
        tab.goto((tmp_path / "out" / "report.html").as_uri())
        assert tab.locator("html").get_attribute("data-ran") == "17"
        shown = tab.locator(".page:visible")
        expect(shown).to_have_attribute("id", "index")
        expect(tab).to_have_title("Energy report")
        tab.get_by_role("link", name="its rows").click()
        expect(shown).to_have_attribute("id", "workload-a")
        expect(tab).to_have_title("Workload <a>")
        expect(tab.locator("#workload-a--rows")).to_be_visible()
        expect(tab.locator("img").first).to_have_js_property("naturalWidth", 40)
        assert tab.locator(".themes").is_visible()
        tab.go_back()
        expect(shown).to_have_attribute("id", "index")
        tab.get_by_role("link", name="small").click()
        with tab.expect_download() as download:
            tab.get_by_role("link", name="small.csv").click()
        assert download.value.path().read_text() == "a,b\n1,2\n"
        tab.get_by_text("All pages").click()
        tab.get_by_role("navigation").get_by_role("link", name="Glossary").click()
        expect(shown).to_have_attribute("id", "glossary")
        expect(shown).to_have_count(1)
        assert said == []
        assert set(asked) <= {"file", "data"}


@needs_chromium
def test_in_a_browser_without_script_all_pages_are_there(browser: Browser, text: str, tmp_path: Path) -> None:
    with browser.new_context(offline=True, java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto((tmp_path / "out" / "report.html").as_uri() + "#glossary--term-tick")
        assert tab.locator(".page:visible").count() == 4
        assert tab.locator("#glossary--term-tick").is_visible()
        assert re.search(r"#glossary--term-tick$", tab.url)
