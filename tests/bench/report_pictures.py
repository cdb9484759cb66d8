"""Pictures of a site for docs/images: each view as a reader sees it, and its front page on a phone and in the dark.

    .venv/bin/energybench report --output site
    .venv/bin/python tests/bench/report_pictures.py site docs/images

It takes Debian's Chromium. Charts that a reader sees without scrolling are drawn by the script, as they are for him.
"""

import argparse
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
DESK, PHONE = {"width": 1100, "height": 900}, {"width": 400, "height": 900}
COLOURS = 96
TALLEST = 1400
"""Pixels of a picture: what is below is more of the same table."""


def opened(browser: Browser, page: Path, *, size: dict[str, int], scheme: str = "light") -> Page:
    """A page in a window of a size."""
    made = browser.new_context(viewport=size, color_scheme=scheme).new_page()
    made.goto(page.resolve().as_uri())
    made.wait_for_timeout(300)
    return made


def take(page: Page, file: Path, *, tallest: int = TALLEST) -> None:
    """The page from its top, no taller than a picture should be."""
    size = page.viewport_size
    height = min(tallest, page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": size["width"], "height": height})
    page.wait_for_timeout(200)
    page.screenshot(path=file)
    page.context.close()
    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        index = given.site / "index.html"
        take(opened(browser, index, size=DESK), given.folder / "overview.png", tallest=1800)
        take(opened(browser, index, size=DESK, scheme="dark"), given.folder / "overview-dark.png")
        take(opened(browser, index, size=PHONE), given.folder / "overview-phone.png")
        for view in sorted(given.site.glob("view-*.html")):
            take(opened(browser, view, size=DESK), given.folder / f"{view.stem}.png")
        commit = next(iter(sorted(given.site.glob("commit-*.html"))), None)
        if commit:
            take(opened(browser, commit, size=DESK), given.folder / "commit.png")
        browser.close()


if __name__ == "__main__":
    main()
