"""A page as it is sent while its site is followed: the script that reloads it, and a policy that lets it listen."""

from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import accumulate

STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
"""What our pages state of themselves, and the policy of one that states none."""
SHOWS = {"img": "src", "source": "srcset", "script": "src", "link": "href"}

RELOAD = """"use strict";
(() => {
  const own = document.currentScript.dataset.version;
  const place = `energybench-place:${location.pathname}`;
  const parts = () => [...document.querySelectorAll("details")];
  const kept = JSON.parse(sessionStorage.getItem(place) ?? "null");
  if (kept) {
    sessionStorage.removeItem(place);
    if (kept.open.length === parts().length) parts().forEach((part, index) => { part.open = kept.open[index]; });
    addEventListener("load", () => scrollTo(kept.x, kept.y));
  }
  const reload = () => {
    const open = parts().map((part) => part.open);
    sessionStorage.setItem(place, JSON.stringify({ x: scrollX, y: scrollY, open }));
    location.reload();
  };
  const banner = document.createElement("p");
  banner.setAttribute("role", "alert");
  Object.assign(banner.style, {
    position: "fixed", left: "0", right: "0", bottom: "0", zIndex: "9", margin: "0", padding: "0.7rem 1.2rem",
    background: "#7d1a14", color: "#ffffff", font: "600 1rem/1.4 system-ui, sans-serif", overflowWrap: "anywhere",
  });
  const tell = (text) => {
    if (banner.textContent !== text) banner.textContent = text;
    if (text && !banner.isConnected) document.body.append(banner);
    if (!text) banner.remove();
  };
  let events = null;
  const listen = () => {
    // A browser opens few connections to one host, so a page that nobody sees has none.
    events?.close();
    events = null;
    if (document.hidden) return;
    events = new EventSource(`/-/events?page=${encodeURIComponent(location.pathname)}`);
    events.onmessage = (event) => {
      const now = JSON.parse(event.data);
      if (now.error) tell(now.error);
      else if (!now.version) tell("This page is no longer in the report.");
      else if (now.version !== own) reload();
      else tell("");
    };
  };
  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", () => events?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  listen();
})();
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What must be known of a page to send it.

    Attributes:
        text: as it is on disk.
        policy: the content-security policy that it states; empty where it states none.
        policy_at: from where to where that stands.
        body_ends: where `</body>` is, or the end.
        shows: addresses of its pictures, styles and scripts, as they are written.
    """

    text: str
    policy: str
    policy_at: tuple[int, int]
    body_ends: int
    shows: tuple[str, ...]

    def live(self, version: str) -> str:
        """The page with the script that reloads it, and without its own policy, which would forbid to listen."""
        (start, end), tag = self.policy_at, f'<script src="/-/reload.js" data-version="{version}" defer></script>\n'
        return f"{self.text[:start]}{self.text[end : self.body_ends]}{tag}{self.text[self.body_ends :]}"

    @property
    def live_policy(self) -> str:
        """Its policy for the header: what it states, and that it may listen to where it comes from."""
        stated = [" ".join(one.split()) for one in (self.policy or STRICT).split(";") if one.strip()]
        kept = [one for one in stated if one.split()[0].lower() not in ("connect-src", "frame-ancestors")]
        return "; ".join([*map(_with_own, kept), "connect-src 'self'", "frame-ancestors 'none'"])


def _with_own(directive: str) -> str:
    """A directive that lets our script in."""
    name, *sources = directive.split()
    if name.lower() != "script-src" or "'self'" in sources:
        return directive
    return " ".join([name, *(one for one in sources if one != "'none'"), "'self'"])


def read(text: str) -> Page:
    """The page in this HTML."""
    reader = _Reader(text)
    reader.feed(text)
    reader.close()
    return Page(
        text=text,
        policy=reader.policy,
        policy_at=reader.policy_at or (0, 0),
        body_ends=len(text) if reader.body_ends is None else reader.body_ends,
        shows=tuple(dict.fromkeys(reader.shows)),
    )


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self._lines = [0, *accumulate(len(line) for line in text.split("\n")[:-1])]
        self.policy = ""
        self.policy_at: tuple[int, int] | None = None
        self.body_ends: int | None = None
        self.shows: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if shown := told.get(SHOWS.get(tag, "")):
            self.shows.append(shown)
        if tag == "meta" and (told.get("http-equiv") or "").lower() == "content-security-policy":
            start = self._offset()
            self.policy, self.policy_at = (
                told.get("content") or "",
                (start, start + len(self.get_starttag_text() or "")),
            )

    def handle_endtag(self, tag: str) -> None:
        if tag == "body":
            self.body_ends = self._offset()

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + (line - 1) + column
