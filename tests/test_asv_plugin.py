"""The plugin of asv: real `asv publish` on a small repository, its regressions by direction, our pages inside."""

import json
import os
import random
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import pytest
from asv.util import UserError

from energybench.reports import asv_plugin

JOULES, FALLS, RISES = "nets.Infer.energy_joules_per_sample", "nets.Infer.energy_accuracy", "nets.Train.energy_accuracy"
COMMITS, WORSE, FALL, RISE = 16, 10, 8, 6
UP = {"higher_is_better": True, "margin": 0.01}


def configuration(**more: Any) -> str:
    places = {"results_dir": ".asv/results", "html_dir": ".asv/html", "benchmark_dir": "benchmarks"}
    return json.dumps({"version": 1, "project": "nets", "repo": ".", "branches": ["main"], **places, **more})


@pytest.fixture(scope="module")
def project(trees: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An accuracy of two points, one of which falls, one that rises, and joules that rise."""
    folder, draw = tmp_path_factory.mktemp("asv") / "project", random.Random(3)
    names: dict[str, Any] = {"params": [["1", "8"]], "param_names": ["bits"]}
    made = [
        trees.Benchmark(JOULES),
        trees.Benchmark(FALLS, unit="1", more=UP, **names),
        trees.Benchmark(RISES, unit="1", more=UP),
    ]
    tree = trees.AsvTree(folder, made)
    for place in range(COMMITS):
        level = 0.0026 if place >= WORSE else 0.002
        values = {
            JOULES: [trees.steady(8, 0.01, lambda: draw.gauss(0, 1), level)],
            FALLS: [0.97 if place < FALL else 0.94, 0.98],
            RISES: [0.90 if place < RISE else 0.96],
        }
        tree.result(tree.commit(f"<b>change</b> {place}"), values)
    (folder / "asv.conf.json").write_text(configuration(plugins=[".energybench.reports.asv_plugin"]), encoding="utf-8")
    (folder / "without.conf.json").write_text(configuration(html_dir=".asv/plain"), encoding="utf-8")
    return folder


def publish(project: Path, *, name: str = "asv.conf.json", folder: Path | None = None, **environ: str) -> Any:
    """Run asv as people do, perhaps from another folder."""
    command = [sys.executable, "-m", "asv", "publish", "--no-pull", "--config", str(project / name)]
    known = {key: value for key, value in os.environ.items() if not key.startswith("ENERGYBENCH_")}
    return subprocess.run(
        command, cwd=folder or project, capture_output=True, text=True, check=False, env={**known, **environ}
    )


@pytest.fixture(scope="module")
def html(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    done = publish(project, folder=tmp_path_factory.mktemp("elsewhere"))
    assert done.returncode == 0, done.stdout + done.stderr
    return project / ".asv" / "html"


def regressions(html: Path) -> list[list[Any]]:
    found: list[list[Any]] = json.loads((html / "regressions.json").read_text(encoding="utf-8"))["regressions"]
    return found


def test_asv_alone_takes_the_rise_of_an_accuracy_for_a_regression(project):
    assert publish(project, name="without.conf.json").returncode == 0
    assert {one[0] for one in regressions(project / ".asv" / "plain")} == {JOULES, RISES}


def test_with_the_plugin_a_fall_is_one_and_a_rise_is_none_and_joules_stay_as_asv_has_them(project, html):
    plain, found = regressions(project / ".asv" / "plain"), regressions(html)
    assert [one[0] for one in found] == [JOULES, f"{FALLS}(1)"]
    assert found[0] in plain
    *_, place, last, best, jumps = found[1]
    assert (place, last, best) == (0, 0.94, 0.97)
    assert jumps == [[None, FALL, 0.97, 0.94]]


def test_the_feed_of_asv_has_the_same(html):
    feed = (html / "regressions.xml").read_text(encoding="utf-8")
    assert "-3.09% nets.Infer.energy_accuracy(1)" in feed
    assert "nets.Train" not in feed


def test_a_threshold_of_the_project_holds_in_the_other_direction_too(project):
    conf = configuration(
        plugins=[".energybench.reports.asv_plugin"],
        html_dir=".asv/lenient",
        regressions_thresholds={"nets.*accuracy": 0.05},
    )
    (project / "lenient.conf.json").write_text(conf, encoding="utf-8")
    assert publish(project, name="lenient.conf.json").returncode == 0
    assert [one[0] for one in regressions(project / ".asv" / "lenient")] == [JOULES]


def test_the_pages_are_linked_from_the_navigation_of_asv(html):
    index = (html / "index.html").read_text(encoding="utf-8")
    assert index.count('<a href="energy/index.html">Energy</a>') == 1
    assert index.index("nav-li-energy") < index.index("nav-li-regressions")
    for name in ("index.html", "commits.html", "view-trend.html", "data/series.csv", "data/series.json"):
        assert (html / "energy" / name).is_file()


class Addresses(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value for name, value in attrs if name in ("href", "src", "srcset") and value]


@pytest.mark.parametrize("name", ["index.html", "view-trend.html", "workload-nets-infer-*.html", "commit-*.html"])
def test_our_pages_ask_no_other_host_and_every_link_leads_somewhere(html, name):
    page = next((html / "energy").glob(name))
    told = Addresses(page)
    assert not any(urlparse(one).scheme or urlparse(one).netloc for one in told.found)
    assert all((page.parent / one.partition("#")[0]).exists() for one in told.found if not one.startswith("#"))
    assert 'src="report.js"' in told.text


def test_the_page_tells_each_change_in_its_own_direction_and_obeys_no_markup(html):
    text = (html / "energy" / "view-changes.html").read_text(encoding="utf-8")
    rows = (html / "energy" / "data" / "view-changes.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[5] for line in rows[1:]] == ["worse", "worse", "better"]
    assert "−3.00 points" in text
    assert "+6.00 points" in text
    assert "<b>change" not in text
    assert "&lt;b&gt;change" in text


def test_a_second_publish_gives_the_same_bytes(project, html, tmp_path):
    shutil.copytree(html / "energy", tmp_path / "first")
    assert publish(project).returncode == 0
    names = sorted(one.relative_to(tmp_path / "first") for one in (tmp_path / "first").rglob("*") if one.is_file())
    again = sorted(one.relative_to(html / "energy") for one in (html / "energy").rglob("*") if one.is_file())
    assert names == again
    assert all((tmp_path / "first" / one).read_bytes() == (html / "energy" / one).read_bytes() for one in names)


def test_records_that_are_not_there_are_an_error_of_asv_with_its_remedy_when_they_were_asked_for(project):
    done = publish(project, ENERGYBENCH_WINDOWS="none")
    assert done.returncode != 0
    assert "energybench: ENERGYBENCH_WINDOWS is 'none'" in done.stdout + done.stderr


def test_a_navigation_that_is_not_known_is_said_and_not_guessed(tmp_path):
    (tmp_path / "index.html").write_text("<ul></ul>", encoding="utf-8")
    with pytest.raises(UserError, match="nav-li-regressions"):
        asv_plugin.link(tmp_path / "index.html")


@pytest.mark.parametrize(
    ("described", "up"),
    [
        ({"type": "energy", "unit": "1", "higher_is_better": True}, True),
        ({"type": "track", "unit": "images/s", "higher_is_better": True}, True),
        ({"type": "energy", "unit": "J"}, False),
        ({"type": "time", "unit": "seconds"}, False),
    ],
)
def test_which_way_is_up_is_what_the_gate_says(described, up):
    assert asv_plugin.goes_up("nets.Infer.energy_value", described) is up
