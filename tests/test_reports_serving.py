"""A site on loopback: who is answered, what is sent, and how open pages learn of new records."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from energybench.reports import served_page, serving
from energybench.reports.served_site import Server, within

CHROMIUM = Path("/usr/bin/chromium")
OWN = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta http-equiv="Content-Security-Policy" content="{OWN}">
<title>T</title>
<link rel="stylesheet" href="report.css">
</head>
<body>
<main><img src="figures/a.svg" alt="a"></main>
</body>
</html>
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "figures").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "workload-a.html").write_text(PAGE.replace("<title>T", "<title>A"))
    (folder / "report.css").write_text("body { margin: 0 }")
    (folder / "figures" / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "secret.html").write_text("secret")
    return folder


@pytest.fixture
def server(site: Path) -> Iterator[Server]:
    with Server(site, 0) as one:
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one
        one.shutdown()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(method, path, headers={"Host": "localhost"} | headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(server: Server, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as line:
        line.sendall(data)
        return b"".join(iter(lambda: line.recv(65536), b""))


PATIENCE = 20.0


class Stream:
    """What an EventSource of a page hears."""

    def __init__(self, server: Server, page: str) -> None:
        self._line = socket.create_connection(("127.0.0.1", server.server_port), timeout=20)
        self._line.sendall(f"GET /-/events?page={page} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self._file = self._line.makefile("rb")

    def next(self) -> dict[str, str]:
        end = time.monotonic() + PATIENCE
        for line in self._file:
            if line.startswith(b"data: "):
                told: dict[str, str] = json.loads(line.removeprefix(b"data: "))
                return told
            # A stream that is alive says so: it is no answer.
            assert time.monotonic() < end, "nothing was told"
        raise EOFError

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._line.close()


def test_it_listens_on_loopback_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_page_is_sent_with_the_script_that_reloads_it(server: Server, site: Path) -> None:
    status, headers, body = ask(server, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = body.decode()
    assert text.count('<script src="/-/reload.js" data-version="') == 1
    assert text.index("/-/reload.js") < text.index("</body>")
    assert (site / "index.html").read_text() == PAGE
    assert int(headers["content-length"]) == len(body)


def test_its_own_policy_becomes_a_header_that_lets_it_listen(server: Server) -> None:
    _, headers, body = ask(server, "/index.html")
    assert b"http-equiv" not in body
    assert headers["content-security-policy"] == f"{OWN}; connect-src 'self'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_without_the_script_and_the_policy_a_page_is_what_is_on_disk() -> None:
    page = served_page.read(PAGE.replace("\n<title>", "\nüß<title>"))
    sent = page.live("v")
    back = sent.replace('<script src="/-/reload.js" data-version="v" defer></script>\n', "")
    assert back == page.text.replace(page.text[slice(*page.policy_at)], "")
    assert page.shows == ("report.css", "figures/a.svg")


def test_a_page_without_a_policy_gets_the_strict_one_and_one_of_hashes_keeps_them() -> None:
    bare = served_page.read("<p>hello")
    assert bare.live("v").endswith("defer></script>\n")
    assert bare.live_policy.startswith(OWN)
    hashed = served_page.read(
        "<meta http-equiv=content-security-policy content=\"script-src 'sha256-x='; connect-src *\">"
    )
    assert hashed.live_policy == "script-src 'sha256-x=' 'self'; connect-src 'self'; frame-ancestors 'none'"


def test_a_policy_within_data_is_none_and_stays() -> None:
    text = (
        f"<body><script type='application/json'>\"<meta http-equiv='content-security-policy'></body>\"</script>{PAGE}"
    )
    page = served_page.read(text)
    assert page.policy == OWN
    assert page.text[page.body_ends :] == "</body>\n</html>\n"


def test_head_has_the_headers_and_no_body(server: Server) -> None:
    _, of_get, body = ask(server, "/report.css")
    _, of_head, nothing = ask(server, "/report.css", "HEAD")
    assert (body, nothing) == (b"body { margin: 0 }", b"")
    assert {**of_head, "date": ""} == {**of_get, "date": ""}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    status, headers, _ = ask(server, "/", method)
    assert status == 501
    assert headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8731", "127.0.0.1.evil.example", "localhost.", "", "[::]"]
)
def test_a_name_that_is_not_loopbacks_is_refused(server: Server, host: str) -> None:
    assert ask(server, "/", Host=host)[0] == 403
    assert ask(server, "/-/events", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:80"])
def test_loopback_by_any_of_its_names_is_answered(server: Server, host: str) -> None:
    assert ask(server, "/", Host=host)[0] == 200


def test_no_host_at_all_is_refused(server: Server) -> None:
    assert raw(server, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 403")
    assert b"<html" not in raw(server, b"GET /\r\n\r\n")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/%2e%2e/secret.html",
        "/figures/../../secret.html",
        "/figures/..%2f..%2fsecret.html",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/./index.html",
        "/index.html%00.svg",
        "/.hidden",
        "/figures",
        "/figures/",
        "/no-such.html",
        "/-/no-such.js",
        "/" + "a" * 5000,
        "http://evil.example/index.html",
        "*",
        "index.html",
    ],
)
def test_nothing_outside_of_the_site_is_sent(server: Server, site: Path, path: str) -> None:
    (site / ".hidden").write_text("x")
    answer = raw(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.0 404")
    assert b"secret\n" not in answer


def test_a_link_out_of_the_site_is_not_followed_and_one_within_is(site: Path) -> None:
    (site / "out.html").symlink_to(site.parent / "secret.html")
    (site / "etc").symlink_to("/etc")
    (site / "same.html").symlink_to("index.html")
    (site / "loop.html").symlink_to("loop.html")
    assert within(site, "/out.html") is None
    assert within(site, "/etc/hostname") is None
    assert within(site, "/loop.html") is None
    assert within(site, "/same.html") == site / "index.html"


def test_an_error_is_plain_text_that_repeats_nothing(server: Server) -> None:
    status, headers, body = ask(server, "/%3Cscript%3E.html")
    assert (status, body) == (404, b"404 Not Found\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["content-security-policy"] == OWN
    assert raw(server, b"GET / HTTP/<b>\r\n\r\n") == b"400 Bad Request\n"


def test_a_picture_by_itself_may_style_itself_and_run_nothing(server: Server) -> None:
    _, headers, _ = ask(server, "/figures/a.svg")
    assert headers["content-type"] == "image/svg+xml"
    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
    )


def test_a_page_is_told_its_version_at_once_and_again_when_it_changes(server: Server, site: Path) -> None:
    with Stream(server, "/") as stream:
        first = stream.next()
        assert f'data-version="{first["version"]}"'.encode() in ask(server, "/")[2]
        (site / "index.html").write_text(PAGE.replace("<main>", "<main>new"))
        server.board.post()
        assert stream.next()["version"] != first["version"]


def test_a_page_is_told_nothing_of_another_page_but_of_its_own_figure(server: Server, site: Path) -> None:
    with Stream(server, "/index.html") as stream:
        first = stream.next()
        (site / "workload-a.html").write_text("other")
        server.board.post()
        (site / "figures" / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>")
        server.board.post()
        assert stream.next()["version"] != first["version"]


def test_an_error_and_its_end_are_told(server: Server) -> None:
    with Stream(server, "/") as stream:
        assert stream.next()["error"] == ""
        server.board.post("no room left")
        assert stream.next()["error"] == "no room left"
        server.board.post()
        assert stream.next()["error"] == ""


def test_a_page_that_is_gone_has_no_version(server: Server, site: Path) -> None:
    with Stream(server, "/workload-a.html") as stream:
        assert stream.next()["version"]
        (site / "workload-a.html").unlink()
        server.board.post()
        assert stream.next() == {"version": "", "error": ""}


def test_a_page_that_leaves_is_no_error(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with Stream(server, "/") as stream:
            stream.next()
    for _ in range(20):
        server.board.post(str(_))
    assert ask(server, "/")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_the_oldest_stream_makes_room_for_the_fourth(server: Server) -> None:
    with Stream(server, "/") as first:
        first.next()  # it has joined: the streams of two threads may join in either order
        with Stream(server, "/") as second:
            second.next()
            for _ in range(2):
                with Stream(server, "/") as another:
                    another.next()
            with pytest.raises(EOFError):
                first.next()
            server.board.post("still here")
            assert second.next()["error"] == "still here"


def test_what_is_watched_is_what_the_store_reads_and_never_the_site(tmp_path: Path) -> None:
    records, site = tmp_path / "records", tmp_path / "records" / "site"
    for name in (
        "m/a.json",
        "m/.b.json.1.part",
        "m/.hidden.json",
        "m/journal/j.jsonl",
        "site/data/records.json",
        "n.txt",
    ):
        (records / name).parent.mkdir(parents=True, exist_ok=True)
        (records / name).write_text("{}")
    accepted = tmp_path / "accepted.toml"
    assert set(serving.snapshot([records, accepted], site)) == {records / "m" / "a.json"}
    accepted.write_text("")
    assert set(serving.snapshot([records, accepted], site)) == {records / "m" / "a.json", accepted}
    before = serving.snapshot([records], site)
    (records / "m" / "a.json").write_text("{ }")
    assert serving.snapshot([records], site) != before
    assert serving.snapshot([tmp_path / "none"], site) == {}


def test_a_port_in_use_is_an_error_with_the_remedy(server: Server, site: Path) -> None:
    with pytest.raises(serving.PortError) as error:
        serving.serve(site, lambda: True, watch=[], port=server.server_port)
    assert str(error.value) == (
        f"port {server.server_port} of 127.0.0.1 is in use; "
        "give another, or 0 for any that is free, or end what uses it"
    )


def test_a_number_that_is_no_port_is_an_error_with_the_remedy(site: Path) -> None:
    with pytest.raises(serving.PortError, match="99999 is no port; give one from 1024 to 65535"):
        serving.serve(site, lambda: True, watch=[], port=99999)


def test_a_first_build_that_fails_is_the_callers_error(site: Path) -> None:
    def build() -> bool:
        raise ValueError("no records")

    with pytest.raises(ValueError, match="no records"):
        serving.serve(site, build, watch=[], port=0)


PROGRAM = """
import signal, sys
from pathlib import Path
from energybench.reports import serving

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
site, records = Path(sys.argv[1]), Path(sys.argv[2])
page = (site / "index.html").read_text()

def build():
    found = sorted(one.name for one in records.glob("*.json"))
    if "refused.json" in found:
        return False
    if "broken.json" in found:
        raise RuntimeError("broken.json:\\n <cannot be drawn>")
    (site / "index.html").write_text(page.replace("<main>", "<main>" + " ".join(found)))
    return True

sys.exit(serving.serve(site, build, watch=[records], port=0, say=lambda line: print(line, flush=True), every=0.01))
"""


class Running:
    """The command as a process of its own."""

    def __init__(self, site: Path, records: Path) -> None:
        command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(site), str(records)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.server_port = int(self.line().split("http://127.0.0.1:")[1].split("/")[0])

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture
def start(site: Path, tmp_path: Path) -> Iterator[Callable[[], Running]]:
    records, started = tmp_path / "records", []
    records.mkdir()

    def one() -> Running:
        started.append(Running(site, records))
        return started[-1]

    yield one
    for running in started:
        running.process.kill()
        running.process.communicate()


def arrive(record: Path) -> None:
    """Put a record there at once, as the store does: one that grows would be seen twice."""
    part = record.with_suffix(".part")
    part.write_text("{}")
    part.replace(record)


def test_a_record_that_arrives_reaches_an_open_page(start: Callable[[], Running], tmp_path: Path) -> None:
    running = start()
    with Stream(running, "/") as page:  # type: ignore[arg-type]  # only its port is asked for
        first = page.next()
        arrive(tmp_path / "records" / "one.json")
        assert running.line() == "the report was rebuilt"
        assert page.next()["version"] != first["version"]
    assert b"<main>one.json" in ask(running, "/")[2]  # type: ignore[arg-type]


def test_a_rebuild_that_fails_is_told_twice_and_the_next_one_is_tried(
    start: Callable[[], Running], tmp_path: Path
) -> None:
    running = start()
    broken = tmp_path / "records" / "broken.json"
    with Stream(running, "/") as page:  # type: ignore[arg-type]
        first = page.next()
        arrive(broken)
        assert running.line() == "the report was not rebuilt: broken.json: <cannot be drawn>"
        told = page.next()
        assert told["error"].endswith("this is an older one: broken.json: <cannot be drawn>")
        assert told["version"] == first["version"]
        broken.rename(tmp_path / "records" / "refused.json")
        assert running.line() == "the report was not rebuilt: the terminal says why"
        assert page.next()["error"].endswith("the terminal says why")
        (tmp_path / "records" / "refused.json").unlink()
        assert running.line() == "the report was rebuilt"
        assert page.next() == {"version": first["version"], "error": ""}


def test_ctrl_c_ends_with_0_and_no_traceback_while_a_page_is_open(start: Callable[[], Running]) -> None:
    running = start()
    with Stream(running, "/") as page:  # type: ignore[arg-type]
        page.next()
        running.process.send_signal(signal.SIGINT)
        output, errors = running.process.communicate(timeout=60)
    assert (running.process.returncode, output, errors) == (0, "the report is no longer served\n", "")


@pytest.mark.skipif(
    not CHROMIUM.exists() and os.environ.get("ENERGYBENCH_BROWSER") != "required",
    reason=f"there is no {CHROMIUM}; Debian's package is chromium",
)
def test_a_page_in_a_browser_reloads_where_it_was_and_shows_what_failed(server: Server, site: Path) -> None:
    long = PAGE.replace("</main>", f"<details><summary>More</summary>words</details>{'<p>line</p>' * 300}</main>")
    (site / "index.html").write_text(long.replace("<main>", "<main><h1>First</h1>"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.get_by_text("More").click()
        page.evaluate("scrollTo(0, 900)")
        (site / "workload-a.html").write_text("another page")
        server.board.post("<b>no room left</b>")
        expect(page.get_by_role("alert")).to_have_text("<b>no room left</b>")
        (site / "index.html").write_text(long.replace("<main>", "<main><h1>Second</h1>"))
        server.board.post()
        expect(page.get_by_role("heading")).to_have_text("Second")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator("html")).to_have_js_property("scrollTop", 900)
        expect(page.locator("details")).to_have_attribute("open", "")
        tabs = [context.new_page() for _ in range(7)]
        for tab in tabs:
            tab.goto(f"http://127.0.0.1:{server.server_port}/")
        assert [one for one in said if "favicon" not in one and "404" not in one] == []
        browser.close()
