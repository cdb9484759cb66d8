"""A folder of pages over HTTP, on loopback alone, read-only, and what an open page must know to reload itself."""

import hashlib
import itertools
import json
import re
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from energybench.reports import served_page
from energybench.reports.served_page import RELOAD, STRICT, Page

HOST = "127.0.0.1"
ALIVE = 15.0
"""Seconds after which a quiet stream says something, so that one whose page has gone is noticed."""
STREAMS = 3
"""Streams at once: a browser opens six connections to one host, and must get pages and pictures too."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".bib": "text/plain; charset=utf-8",
    ".cff": "text/plain; charset=utf-8",
}
PICTURE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""The policy of an SVG, for when it is opened by itself: matplotlib writes style attributes."""
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)


class Board:
    """What open pages wait for: how often the site was rebuilt, and what the last rebuild failed of."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._number, self._error = 0, ""
        self._tickets, self._streams = itertools.count(), list[int]()

    def post(self, error: str = "") -> None:
        """Tell all pages that the site was rebuilt, or why it was not."""
        with self._condition:
            self._number, self._error = self._number + 1, error
            self._condition.notify_all()

    def now(self) -> tuple[int, str]:
        """The number of the last rebuild, and its error."""
        with self._condition:
            return self._number, self._error

    def join(self) -> int:
        """The ticket of a stream; the oldest has to make room where there are many, and comes back."""
        with self._condition:
            self._streams = [*self._streams, next(self._tickets)][-STREAMS:]
            self._condition.notify_all()
            return self._streams[-1]

    def wait(self, ticket: int, number: int, seconds: float) -> bool:
        """Wait for another rebuild than this one, but no longer than so; whether the stream may go on."""
        with self._condition:
            self._condition.wait_for(lambda: self._number != number or ticket not in self._streams, seconds)
            return ticket in self._streams


class Server(ThreadingHTTPServer):
    """The site's server; a page that goes away in the middle is no error.

    Args:
        site: the folder.
        port: 0 for any that is free.
    """

    daemon_threads = True

    def __init__(self, site: Path, port: int) -> None:
        self.site, self.board = site.resolve(), Board()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        """Without asking what the address is called, which http.server does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A traceback for bugs alone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "energybench", ""
    timeout = 60.0

    def do_GET(self) -> None:
        """A file of the site, or what reloads a page."""
        if not LOOPBACK.fullmatch(self.headers.get("Host", "").strip()):
            return self._refuse(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 and localhost only")
        target = urlsplit(self.path)
        if target.scheme or target.netloc:
            return self.send_error(HTTPStatus.NOT_FOUND)
        if target.path == "/-/events":
            return self._events(parse_qs(target.query).get("page", ["/"])[0])
        if target.path == "/-/reload.js":
            return self._answer(RELOAD.encode(), TYPES[".js"])
        file = within(self.server.site, unquote(target.path))
        return self._file(file) if file else self.send_error(HTTPStatus.NOT_FOUND)

    def do_HEAD(self) -> None:
        """The same without what is in it."""
        self.do_GET()

    def _file(self, file: Path) -> None:
        try:
            body = file.read_bytes()
        except OSError:
            return self.send_error(HTTPStatus.NOT_FOUND)
        kind, ending = TYPES.get(file.suffix.lower(), "application/octet-stream"), file.suffix.lower()
        if ending != ".html":
            return self._answer(body, kind, policy=PICTURE if ending == ".svg" else STRICT)
        page = served_page.read(body.decode(errors="replace"))
        return self._answer(page.live(version(page, file, self.server.site)).encode(), kind, policy=page.live_policy)

    def _events(self, path: str) -> None:
        """A stream of what a page must know: its version and the error, told at once and when they change."""
        self._head(HTTPStatus.OK, "text/event-stream", STRICT)
        if self.command == "HEAD":
            return
        board, told, goes_on = self.server.board, "", True
        ticket = board.join()
        while goes_on:
            number, error = board.now()
            text = json.dumps({"version": version_at(self.server.site, path), "error": error})
            self.wfile.write(f"data: {text}\n\n".encode() if text != told else b":\n\n")
            told = text
            goes_on = board.wait(ticket, number, ALIVE)

    def _answer(self, body: bytes, kind: str, *, policy: str = STRICT, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(status, kind, policy, length=len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, policy: str, *, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(f"{status.value} {why}\n".encode(), TYPES[".txt"], status=status)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 -- as the base class has it
        """Any refusal, the base class's own too, which would repeat in HTML what was asked."""
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- as the base class has it
        """Nothing: the terminal tells of rebuilds."""


def within(site: Path, path: str) -> Path | None:
    """The file of a resolved site that a path from its top names; None where it names none or leaves the site."""
    parts = path.removeprefix("/").split("/")
    if parts[-1] == "":
        parts[-1] = "index.html"
    if not path.startswith("/") or any(not part or part.startswith(".") or "\0" in part for part in parts):
        return None
    try:
        file = site.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError):  # a loop of links, before Python 3.13
        return None
    return file if file.is_relative_to(site) and file.is_file() else None


def version(page: Page, file: Path, site: Path) -> str:
    """A digest over a page and the pictures, styles and scripts that it shows."""
    digest, folder = hashlib.sha256(page.text.encode()), f"/{file.parent.relative_to(site).as_posix()}/"
    for name in page.shows:
        shown = within(site, folder.replace("/./", "/") + unquote(urlsplit(name).path))
        if shown is not None:
            digest.update(name.encode() + b"\0" + hashlib.sha256(shown.read_bytes()).digest())
    return digest.hexdigest()[:16]


def version_at(site: Path, path: str) -> str:
    """The version of the page at a path; empty where there is none."""
    file = within(site, path)
    try:
        return version(served_page.read(file.read_bytes().decode(errors="replace")), file, site) if file else ""
    except OSError:
        return ""
