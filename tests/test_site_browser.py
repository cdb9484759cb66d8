"""The site in a real browser: what script adds, what is there without it, and that nothing else is needed."""

import html
import http.server
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from energybench.reports import site_builder
from energybench.reports.views import trace_chart
from energybench.reports.views.traces import Sample, Trace

CHROMIUM = Path("/usr/bin/chromium")
REQUIRED = os.environ.get("ENERGYBENCH_BROWSER") == "required"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
PHONE, DESK = {"width": 400, "height": 800}, {"width": 1280, "height": 900}
FRONT_BYTES, LONGEST_SCRIPT_MS = 300_000, 50.0

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists() and not REQUIRED, reason=f"there is no {CHROMIUM}; Debian's package is chromium"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fill_records: Callable[[Path], Path]) -> Path:
    """A site whose every view is filled, one workload of it with markup for a name."""
    root = tmp_path_factory.mktemp("browsed")
    return site_builder.build(fill_records(root), root / "site").parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[str]:
    """The site on loopback under a strict policy; its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *rest: Any) -> None:
            super().__init__(*rest, directory=str(site))

        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", POLICY)
            super().end_headers()

        def do_GET(self) -> None:
            if self.path == "/favicon.ico":  # a browser asks for it by itself
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.fixture
def context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """New windows that keep nothing of each other and reach no network."""
    made: list[BrowserContext] = []

    def new(**options: Any) -> BrowserContext:
        made.append(browser.new_context(**({"viewport": DESK, "offline": True} | options)))
        return made[-1]

    yield new
    for one in made:
        one.close()


@pytest.fixture
def show(site: Path, context: Callable[..., BrowserContext]) -> Callable[..., Page]:
    """A page of the site from disk, with its script done."""

    def shown(name: str, **options: Any) -> Page:
        page = context(**options).new_page()
        page.goto((site / name).as_uri())
        if options.get("java_script_enabled", True):
            expect(page.locator(".themes")).to_have_count(1)
        return page

    return shown


ALIKE = re.compile(r"^(commit|machine|workload|view)-.*")
SPECIAL = {"view-power.html": "trace", "view-trend.html": "trend"}
"""Views with a chart; the others are made alike."""


def kinds(site: Path) -> list[str]:
    """A page of each kind: of several commits, machines, workloads and views the one with most on it."""
    found = {name: name for name in SPECIAL}
    for file in sorted(site.glob("*.html"), key=lambda one: -one.stat().st_size):
        found.setdefault(ALIKE.sub(r"\1", file.name), file.name)
    return sorted(set(found.values()))


def until(page: Page, words: str, arg: Any = None) -> None:
    """Wait until an expression holds; Playwright's own way compiles words in the page, which its policy forbids."""
    for _ in range(200):
        if page.evaluate(words, arg):
            return
        page.wait_for_timeout(25)
    pytest.fail(f"it does not come true: {words}")


def said(page: Page) -> list[str]:
    """Everything that a page complains of from now on."""
    heard: list[str] = []
    page.on("console", lambda one: heard.append(f"{one.type}: {one.text}"))
    page.on("pageerror", lambda one: heard.append(str(one)))
    page.on("dialog", lambda one: (heard.append(f"dialog: {one.message}"), one.dismiss()))
    return heard


def chart(page: Page, kind: str) -> Locator:
    """The first chart of a kind, once it is drawn."""
    page.locator(".chart").first.scroll_into_view_if_needed()
    found = page.locator(f".chart.live.{kind}").first
    expect(found.locator("canvas")).to_be_visible()
    found.scroll_into_view_if_needed()
    return found


def hover(page: Page, drawn: Locator, share: float) -> None:
    """Put the mouse so far across the axes of a chart."""
    box = drawn.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def drag(page: Page, drawn: Locator, begin: float, end: float) -> None:
    hover(page, drawn, begin)
    page.mouse.down()
    hover(page, drawn, (begin + end) / 2)
    hover(page, drawn, end)
    page.mouse.up()


def seconds_at(page: Page, drawn: Locator, share: float) -> float:
    """What a trace's readout says there."""
    hover(page, drawn, share)
    words = drawn.locator(".readout").inner_text()
    number, unit = re.match(r"([\d.]+) (m?s)", words).groups()  # type: ignore[union-attr]
    return float(number) * (1e-3 if unit == "ms" else 1.0)


def column(page: Page, place: int) -> list[float]:
    """The plain numbers of a column, of the rows that are seen, from above."""
    cells = page.locator("table.points").first.locator(f"tbody tr:visible > :nth-child({place})")
    return [float(one.get_attribute("data-value")) for one in cells.all()]  # type: ignore[arg-type]


def first_cells(page: Page) -> list[str]:
    return page.locator("table.points").first.locator("tbody tr:visible > th").all_inner_texts()


def test_a_column_of_numbers_is_sorted_up_then_down_then_as_it_was(show):
    page = show("view-frontier.html")
    page.get_by_role("button", name=re.compile("^Show .* more rows")).click()
    heading = page.get_by_role("columnheader", name="Energy").first
    before = column(page, 3)
    assert before != sorted(before)
    heading.get_by_role("button").click()
    assert column(page, 3) == sorted(before)
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").press("Enter")
    assert column(page, 3) == sorted(before, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    heading.get_by_role("button").click()
    assert column(page, 3) == before
    assert heading.get_attribute("aria-sort") is None


def test_numbers_within_words_count_as_numbers(show):
    page = show("view-frontier.html")
    page.get_by_role("columnheader", name="Point").first.get_by_role("button").click()
    bits = [int(re.search(r"bits (\d+)", text).group(1)) for text in first_cells(page) if "batch 1," in text]
    assert bits == sorted(bits)
    assert len(bits) > 5


def test_rows_that_wait_behind_a_line_are_sorted_and_filtered_with_the_others(show):
    page = show("view-frontier.html")
    more = page.get_by_role("button", name=re.compile("^Show .* more rows"))
    rows = page.locator("table.points").first.locator("tbody tr")
    assert len(first_cells(page)) == 8 < rows.count()
    assert more.inner_text() == f"Show {rows.count() - 8} more rows"
    page.get_by_role("columnheader", name="Energy").first.get_by_role("button").click()
    lowest = column(page, 3)
    more.click()
    assert column(page, 3)[:8] == lowest == sorted(column(page, 3))[:8]


def test_a_filter_tells_how_many_rows_it_leaves_and_escape_clears_it(show):
    page = show("view-frontier.html")
    count = page.locator("table.points").first.locator("tbody tr").count()
    page.keyboard.press("/")
    field = page.get_by_role("searchbox").first
    expect(field).to_be_focused()
    page.keyboard.type("bits 16 batch 64")
    told = page.locator(".tools output").first
    assert told.get_attribute("aria-live") == "polite"
    shown = first_cells(page)
    assert told.inner_text() == f"{len(shown)} of {count} rows"
    rows = page.locator("table.points").first.locator("tbody tr:visible").all_inner_texts()
    assert 0 < len(rows) < count
    assert all(word in text for text in rows for word in ("bits", "16", "batch", "64"))
    page.keyboard.press("Escape")
    assert field.input_value() == ""
    assert told.inner_text() == f"{count} rows"
    assert len(first_cells(page)) == 8


def test_on_a_phone_a_list_sorts_and_no_hidden_button_takes_the_focus(show):
    page = show("view-frontier.html", viewport=PHONE)
    page.get_by_label("Sort by").first.select_option(label="Energy, down")
    shown = column(page, 3)
    assert shown == sorted(shown, reverse=True)
    assert set(page.locator(".sort").evaluate_all("all => all.map(one => one.tabIndex)")) == {-1}
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_chosen_theme_is_worn_by_page_pictures_and_charts_and_kept(site, show):
    page = show("view-trend.html", color_scheme="light")
    drawn = chart(page, "trend")
    pixels = "one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data.join()"
    ground = "getComputedStyle(document.body).backgroundColor"
    light, painted = page.evaluate(ground), drawn.locator("canvas").evaluate(pixels)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    assert drawn.locator("canvas").evaluate(pixels) != painted
    page.goto((site / "view-frontier.html").as_uri())
    assert page.evaluate(ground) == dark
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    picture = page.locator(".panels img").first
    until(page, "document.querySelector('.panels img').currentSrc.endsWith('-dark.svg')")
    page.get_by_role("button", name="Auto").click()
    assert page.evaluate(ground) == light
    until(page, "!document.querySelector('.panels img').currentSrc.endsWith('-dark.svg')")
    assert picture.is_visible()


def test_a_chosen_theme_is_worn_before_the_script_of_the_page_has_come(site, context):
    window = context(color_scheme="light")
    window.add_init_script("localStorage.setItem('energybench-theme', 'dark')")
    window.route("**/report.js", lambda route: route.abort())
    asked: list[str] = []
    window.on("request", lambda one: asked.append(one.url))
    page = window.new_page()
    page.goto((site / "view-frontier.html").as_uri(), wait_until="networkidle")
    assert page.locator(".themes").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 24)"
    figures = [one for one in asked if "/figures/" in one]
    assert figures
    assert all(one.endswith("-dark.svg") for one in figures)


def test_the_navigation_tells_where_a_page_is(site, context):
    page = context(java_script_enabled=False).new_page()
    for name, kind, text in (
        ("index.html", "page", "Overview"),
        ("commits.html", "page", "Commits"),
        ("glossary.html", "page", "Glossary"),
        ("machine-box-1.html", "true", "Machines"),
        ("workload-qnn-infer.html", "true", "Workloads"),
        ("view-power.html", "true", "Views"),
    ):
        page.goto((site / name).as_uri())
        marked = page.get_by_role("navigation", name="Pages").locator("[aria-current]")
        assert (marked.get_attribute("aria-current"), marked.inner_text()) == (kind, text), name
    views = page.get_by_role("navigation", name="Views")
    assert views.get_by_role("link").all_inner_texts() == ["Before: Where the joules go", "Next: Energy roofline"]
    views.locator("summary").focus()
    page.keyboard.press("Enter")
    assert views.locator("details a").count() == len(list(site.glob("view-*.html")))
    assert views.locator("details [aria-current=page]").inner_text() == "Power trace"


def test_on_a_phone_what_holds_nothing_is_out_of_sight_and_a_commit_takes_few_lines(show):
    page = show("index.html", viewport=PHONE)
    empty = page.locator("td.none")
    assert empty.count() > 20
    assert set(empty.evaluate_all("all => all.map(one => one.getBoundingClientRect().right < 0)")) == {True}
    rows = page.locator(".commits tbody tr:visible")
    assert max(rows.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")) < 110
    # A role keeps them in the table that is read out.
    assert {one.get_attribute("role") for one in empty.all()[:3]} == {"cell"}


def test_on_a_phone_of_a_long_table_the_first_rows_are_shown(show):
    page = show("workload-qnn-infer.html", viewport=PHONE)
    table = page.locator("table.points").first
    expect(table.locator("tbody tr:visible")).to_have_count(8)
    page.get_by_role("button", name="Show 5 more rows").click()
    expect(table.locator("tbody tr:visible")).to_have_count(13)


def test_without_a_choice_pages_are_as_the_system_has_them(show):
    grounds = {
        scheme: show("index.html", color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert grounds == {"light": "rgb(244, 246, 248)", "dark": "rgb(14, 18, 24)"}


def test_a_trace_tells_watts_window_and_throttling_under_the_mouse(show):
    page = show("view-power.html")
    drawn = chart(page, "trace")
    hover(page, drawn, 0.5)
    assert re.fullmatch(r"1\.[78]\d s, window 2, throttled", drawn.locator(".readout").inner_text())
    told = drawn.locator(".legend button").all_inner_texts()
    assert [re.fullmatch(r"(\S+)\s+\d+\.\d+ W", text).group(1) for text in told] == ["cpu.package-0", "cpu.dram-0"]
    assert drawn.locator(".badge").inner_text() == "simulated"


def test_a_trend_tells_commit_value_interval_and_change_under_the_mouse(show):
    page = show("view-trend.html")
    drawn = chart(page, "trend")
    hover(page, drawn, 6.6 / 12.2)  # the seventh of twelve commits; 0.6 of one is left free at either end
    words = drawn.locator(".readout").inner_text()
    told = (
        r"[0-9a-f]{8} · [\d-]{10} · Change number 6 <b>: 260 µJ \([\d.]+ to [\d.]+ µJ\); level \d+ µJ; changed: \+30 %"
    )
    assert re.match(told, words), words
    hover(page, drawn, 3.6 / 12.2)
    assert "also changed here: kernel: 6.1 → 6.2" in drawn.locator(".readout").inner_text()


def test_a_chart_is_zoomed_by_dragging_and_shown_whole_by_double_click_and_by_a_button(show):
    page = show("view-power.html")
    drawn = chart(page, "trace")
    everything = drawn.get_by_role("button", name="Show all")
    expect(everything).to_be_disabled()
    assert seconds_at(page, drawn, 0.02) < 0.2
    for back in (lambda: page.mouse.dblclick(*middle(drawn)), everything.click):
        drag(page, drawn, 0.4, 0.6)
        expect(everything).to_be_enabled()
        assert seconds_at(page, drawn, 0.02) == pytest.approx(0.4 * 3.6, abs=0.1)
        assert seconds_at(page, drawn, 0.98) == pytest.approx(0.6 * 3.6, abs=0.1)
        back()
        expect(everything).to_be_disabled()
        assert seconds_at(page, drawn, 0.98) > 3.4


def middle(drawn: Locator) -> tuple[float, float]:
    box = drawn.locator(".u-over").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_chart_is_read_and_zoomed_by_keys(show):
    page = show("view-power.html")
    drawn = chart(page, "trace")
    live, everything = drawn.locator("[aria-live=polite]"), drawn.get_by_role("button", name="Show all")
    drawn.locator(".plot").focus()
    page.keyboard.press("ArrowRight")
    first = live.text_content()
    assert re.match(r"[\d.]+ ms, window 1: cpu\.package-0 \d+\.\d W, cpu\.dram-0 ", first)
    page.keyboard.press("Shift+ArrowRight")
    assert live.text_content() != first
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    assert "window 3:" in live.text_content()
    page.keyboard.press("+")
    expect(everything).to_be_enabled()
    page.keyboard.press("Home")
    assert live.text_content() == first
    page.keyboard.press("0")
    expect(everything).to_be_disabled()
    for key in "+++----":
        page.keyboard.press(key)
    expect(everything).to_be_disabled()
    assert "Home and End" in page.locator(f"#{drawn.locator('.plot').get_attribute('aria-describedby')}").text_content()


def test_a_line_can_be_switched_off_and_a_chart_turned_back_into_its_picture(show):
    page = show("view-power.html")
    drawn = chart(page, "trace")
    line = drawn.locator(".legend button").first
    line.click()
    assert line.get_attribute("aria-pressed") == "false"
    drawn.get_by_role("button", name="Show as picture").click()
    place = page.locator(".chart").first
    assert place.locator("img").is_visible()
    assert not place.locator("canvas").is_visible()
    place.get_by_role("button", name="Show interactive").click()
    assert place.locator("canvas").is_visible()
    assert not place.locator("img").is_visible()


def test_a_chart_has_the_pixels_of_its_screen_and_follows_the_window(show):
    page = show("view-power.html", device_scale_factor=2)
    drawn = chart(page, "trace")
    for width in (1280, 700, 400):
        page.set_viewport_size({"width": width, "height": 800})
        room = drawn.locator(".plot").evaluate("one => one.clientWidth")
        until(page, "room => document.querySelector('.plot canvas').width === 2 * room", room)


BROKEN = (
    '{"kind": "trace", "x": [0,',
    "{}",
    '{"kind": "trace", "x": [0, 1], "lines": [{"label": "a", "y": [1]}], "bands": []}',
    '{"kind": "trace", "x": [1, 0], "lines": [{"label": "a", "y": [1, 2]}], "bands": []}',
    '{"kind": "trend", "x": [0, 1], "value": [1, 2], "low": [0, 1], "high": [2, 3]}',
    '{"kind": "cake", "x": [0, 1]}',
)


def test_payloads_that_are_none_leave_their_pictures(site, show):
    whole = (site / "view-power.html").read_text(encoding="utf-8")
    one = re.search(r'<div class="chart".*?</script>\s*</div>', whole, re.DOTALL).group()
    copies = [re.sub(r"(/json\">).*?(</script>)", rf"\g<1>{told}\2", one, flags=re.DOTALL) for told in BROKEN]
    (site / "broken.htm").write_text(whole.replace(one, "".join(copies)), encoding="utf-8")
    page = show("index.html")
    heard = said(page)
    page.goto((site / "broken.htm").as_uri())
    for place in page.locator(".chart").all():
        place.scroll_into_view_if_needed()
    for _ in range(200):
        if len(heard) == len(BROKEN):
            break
        page.wait_for_timeout(25)
    assert all(re.match("warning: The chart .* stays a picture: ", one) for one in heard)
    assert len(heard) == len(BROKEN)
    assert page.locator(".chart img:visible").count() == len(BROKEN)
    assert page.locator("canvas, .live").count() == 0


def test_without_script_every_row_number_and_figure_is_there(site, context):
    page = context(java_script_enabled=False).new_page()
    for name in kinds(site):
        page.goto((site / name).as_uri())
        assert page.locator(".themes, .tools, canvas").count() == 0
        page.locator("details:not([open]) > summary").evaluate_all("all => all.forEach(one => one.click())")
        text = (site / name).read_text(encoding="utf-8")
        for what, written in (
            ("tbody tr", "<tr"),
            (".value", 'class="value"'),
            (".badge", 'class="badge '),
            ("img", "<img "),
        ):
            seen = page.locator(f"main {what}").evaluate_all("all => all.filter(one => one.checkVisibility()).length")
            heads = text.count("<thead") if what == "tbody tr" else 0
            assert seen == text.count(written) - heads, (name, what)
        drawn = "all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth > 0)))"
        assert all(page.locator("main img").evaluate_all(drawn))


def test_pages_from_disk_complain_of_nothing_ask_no_host_and_fit_a_phone(site, context):
    window = context(viewport=PHONE)
    asked: list[str] = []
    window.route("**/*", lambda route: (asked.append(route.request.url), route.continue_()))
    page = window.new_page()
    heard = said(page)
    for name in kinds(site):
        page.goto((site / name).as_uri())
        expect(page.locator(".themes")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
    assert heard == []
    assert len(asked) > 3 * len(kinds(site))
    assert [one for one in asked if not one.startswith(site.as_uri())] == []


def test_under_a_strict_policy_pages_complain_of_nothing_and_charts_are_drawn(site, server, context):
    window = context(offline=False)
    asked: list[str] = []
    window.on("request", lambda one: asked.append(one.url))
    page = window.new_page()
    heard = said(page)
    for name in ("index.html", "view-frontier.html", *SPECIAL):
        page.goto(f"{server}/{name}")
        expect(page.locator(".themes")).to_have_count(1)
        if name in SPECIAL:
            chart(page, SPECIAL[name])
    assert heard == []
    assert {urlsplit(one).netloc for one in asked} == {urlsplit(server).netloc}


def test_the_front_page_with_all_that_it_loads_is_small(server, context):
    page = context(offline=False).new_page()
    sizes: dict[str, int] = {}
    page.on("requestfinished", lambda one: sizes.update({one.url: one.sizes()["responseBodySize"]}))
    page.goto(f"{server}/index.html", wait_until="networkidle")
    assert {Path(urlsplit(one).path).name for one in sizes} >= {"index.html", "report.css", "report.js"}
    assert sum(sizes.values()) <= FRONT_BYTES, sizes


WATCH = """
window.slow = [];
new PerformanceObserver(list => list.getEntries().forEach(frame => frame.scripts.forEach(script =>
  window.slow.push([script.startTime, script.duration])))).observe({type: "long-animation-frame", buffered: true});
"""


@pytest.mark.parametrize("name", ["index.html", "view-trend.html", "view-power.html"])
def test_no_script_takes_long_before_the_first_paint(site, context, name):
    window = context()
    window.add_init_script(WATCH)
    longest = []
    for _ in range(3):  # another process may have had the processor: the best of three counts
        page = window.new_page()
        page.goto((site / name).as_uri())
        until(page, "performance.getEntriesByName('first-contentful-paint').length")
        expect(page.locator(".themes")).to_have_count(1)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        longest.append(max([took for at, took in page.evaluate("window.slow") if at < paint], default=0.0))
        page.close()
        if longest[-1] <= LONGEST_SCRIPT_MS:
            break
    assert min(longest) <= LONGEST_SCRIPT_MS


AXE = """async ([scheme, rules]) => {
  const only = rules ? {runOnly: {type: "tag", values: rules}} : {};
  const found = (await axe.run(document, {resultTypes: ["violations"], preload: false, ...only})).violations;
  return found.map(one => `${scheme}: ${one.id} at ${one.nodes[0].html.slice(0, 200)}`);
}"""


def test_axe_finds_nothing_on_any_kind_of_page_in_light_and_in_dark(site, context):
    # axe is put into the page from outside, which the page's own policy would forbid.
    window = context(bypass_csp=True, color_scheme="light")
    window.add_init_script(Axe().axe_script)
    page = window.new_page()
    found: list[str] = []
    for name in kinds(site):
        page.goto((site / name).as_uri())
        expect(page.locator(".themes")).to_have_count(1)
        if name in SPECIAL:
            chart(page, SPECIAL[name])
        page.locator("details:not([open]) > summary").evaluate_all("all => all.forEach(one => one.click())")
        for scheme, rules in (("light", None), ("dark", ["cat.color"])):  # the other rules look at no colour
            page.emulate_media(color_scheme=scheme)
            found += [f"{name}, {one}" for one in page.evaluate(AXE, [scheme, rules])]
    assert found == []


def test_on_paper_a_dark_page_is_light_without_navigation_and_with_everything_open(show):
    page = show("view-power.html", color_scheme="dark")
    chart(page, "trace")
    page.get_by_role("button", name="Dark").click()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 36, 48)"
    for hidden in ("nav", ".themes", ".tools", "canvas", ".chart-bar"):
        assert page.locator(hidden).first.is_hidden(), hidden
    assert page.locator(".chart img").is_visible()
    until(page, "!document.querySelector('.chart img').currentSrc.endsWith('-dark.svg')")


WORDS_BROKEN = """cells => cells.flatMap((cell) => {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  const broken = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const found of node.data.matchAll(/[A-Za-z0-9]+/g)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      if (new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size > 1) broken.push(found[0]);
    }
  }
  return broken;
})"""


@pytest.mark.parametrize(
    "name", ["view-scorecard.html", "view-frontier.html", "view-changes.html", "view-relaxation.html"]
)
def test_at_a_desk_no_word_of_a_cell_is_broken(show, name):
    page = show(name)
    assert page.locator("table.points td").count() > 5
    assert page.locator("table.points td").evaluate_all(WORDS_BROKEN) == []
    narrow = "cells => { for (const one of cells) one.style.cssText = 'overflow-wrap: anywhere; max-width: 1rem'; }"
    page.locator("table.points td").evaluate_all(narrow)
    page.locator("table.points").first.evaluate(
        "one => { one.style.tableLayout = 'fixed'; one.style.width = '10rem'; }"
    )
    assert page.locator("table.points td").evaluate_all(WORDS_BROKEN) != []


def test_on_paper_names_are_whole_and_an_interval_is_no_larger_than_its_value(show):
    page = show("view-frontier.html")
    page.evaluate("""() => {
      const tags = ["table", "tbody", "tr", "th", "a"];
      const [table, body, row, cell, link] = tags.map((tag) => document.createElement(tag));
      link.textContent = "word ".repeat(400) + "end";
      link.id = "long";
      cell.append(link);
      row.append(cell);
      body.append(row);
      table.append(body);
      document.querySelector("main").prepend(table);
    }""")
    name = page.locator("#long")
    cut = "one => one.scrollHeight > one.clientHeight + 1 && getComputedStyle(one).overflow === 'hidden'"
    assert name.evaluate(cut)
    page.emulate_media(media="print")
    assert not name.evaluate(cut)
    size = "one => parseFloat(getComputedStyle(one).fontSize)"
    cell = page.locator("td:has(.interval):has(.value)").first
    assert cell.locator(".interval").first.evaluate(size) < cell.locator(".value").first.evaluate(size)


def test_the_key_of_the_filter_is_not_lost_where_it_comes_before_the_filter(site, context):
    page = context().new_page()
    press = "document.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true, cancelable: true}))"
    page.add_init_script(f"addEventListener('DOMContentLoaded', () => {{ window.early = !{press}; }})")
    page.goto((site / "view-frontier.html").as_uri())
    expect(page.get_by_role("searchbox").first).to_be_focused()
    assert page.evaluate("window.early")


def test_panels_of_very_different_heights_leave_no_large_gaps(show):
    page = show("view-breakdown.html")
    page.locator(".panels").first.evaluate("""one => {
      one.className = "panels packed";
      one.replaceChildren(...[600, 560, 180, 180, 180].map((height) => {
        const picture = document.createElement("picture");
        const image = document.createElement("img");
        image.style.height = `${height}px`;
        picture.append(image);
        return picture;
      }));
    }""")
    assert page.locator(".panels").first.bounding_box()["height"] < 700


def test_forced_colours_leave_charts_and_buttons(show):
    page = show("view-power.html", forced_colors="active")
    chart(page, "trace")
    edge = page.locator(".chart-bar .button").first.evaluate("one => getComputedStyle(one).borderTopWidth")
    assert edge == "1px"


def test_markup_in_a_name_is_shown_and_not_obeyed(site, show):
    (name,) = (file.name for file in site.glob("workload-eqprop-relax*.html"))
    page = show("index.html")
    heard = said(page)
    page.goto((site / name).as_uri())
    assert '<script>alert("x")</script>' in page.locator("h1").inner_text()
    assert heard == []


def a_trace(samples: list[Sample], windows: int) -> Trace:
    told = [{"seconds": 1.0} for _ in range(windows)]
    record = {"windows": told, "domains": {}, "total": {"provenance": "simulated"}}
    return Trace(name="w", record=record, samples=samples, damaged=0)


def test_a_trace_of_many_samples_has_2000_rows_at_most_and_keeps_its_peaks():
    watts = {"gpu.0": 50.0, "cpu.package-0": 20.0}
    samples = [
        Sample(window=0, seconds=n / 30_000, domain=domain, watts=900.0 if n == 12_345 else level + n % 7)
        for n in range(30_000)
        for domain, level in watts.items()
    ]
    told = trace_chart.chart(a_trace(samples, 1), "simulated")
    assert len(told["x"]) <= 2000
    assert [max(line["y"]) for line in told["lines"]] == [900.0, 900.0]
    assert told["x"] == sorted(told["x"])


def test_between_windows_a_trace_has_a_row_without_values_and_watts_have_six_digits():
    samples = [
        Sample(window=window, seconds=0.5, domain=domain, watts=watts)
        for window in (0, 1)
        for domain, watts in (("gpu.0", 12.3456789), ("cpu.package-0", 1.0))
    ]
    told = trace_chart.chart(a_trace(samples[:3], 2), "simulated")
    assert told["x"] == [0.5, 1.0, 1.5]
    assert [line["y"] for line in told["lines"]] == [[12.3457, None, 12.3457], [1.0, None, None]]
    assert [(band["from"], band["to"]) for band in told["bands"]] == [(0.0, 1.0), (1.0, 2.0)]


def test_every_link_of_every_page_leads_somewhere(site):
    pages = {file.name: file.read_text(encoding="utf-8") for file in site.glob("*.html")}
    ids = {name: set(re.findall(r'\sid="([^"]+)"', text)) for name, text in pages.items()}
    lost = []
    for name, text in pages.items():
        for link in re.findall(r'\s(?:href|src|srcset)="([^"]+)"', text):
            target, _, part = html.unescape(link).partition("#")
            if not (site / (target or name)).is_file() or (part and part not in ids[target or name]):
                lost.append(f"{name}: {link}")
    assert lost == []
