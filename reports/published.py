"""Published results as data: what papers and their repositories state, kept apart from what was measured."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "published"
TITLES = {"mnist": "MNIST", "svhn": "SVHN", "cifar10": "CIFAR-10", "imagenet": "ImageNet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One published result.

    Attributes:
        paper: authors and title.
        arxiv: its identifier there.
        origin: `paper`, or `repository` where the authors' code states it: different training runs.
        data: the data set.
        network: its kind and size.
        wbits: bits of a weight when it was tested.
        abits: bits of an activation.
        gbits: bits of a gradient in training; 32 where it was not quantized.
        metric: what the value is: an error or an accuracy, in per cent.
        value: as it was printed.
        read: `primary`, in the publication itself, or `secondary`, in a later work that quotes it.
        source: where it was read.
        note: what else tells it apart.
    """

    paper: str
    arxiv: str
    origin: str
    data: str
    network: str
    wbits: int
    abits: int
    gbits: int
    metric: str
    value: float
    read: str
    source: str
    note: str = ""

    @property
    def level(self) -> str:
        """W1A1."""
        return f"W{self.wbits}A{self.abits}"

    @property
    def accuracy(self) -> float:
        """The share that is right, whatever was printed."""
        share = self.value / 100
        return 1 - share if "error" in self.metric else share

    @property
    def data_title(self) -> str:
        """The data set as it is written."""
        return TITLES.get(_plain(self.data), self.data)


def rows(workload: str) -> tuple[Row, ...]:
    """The published rows that stand beside records of this workload."""
    return tuple(row for names, row in _all() if workload in names)


def split(found: Iterable[Row], data: Iterable[str]) -> tuple[list[Row], list[Row]]:
    """The rows of these data sets, and those of others; `cifar-10` and `CIFAR10` are one."""
    ours = {_plain(name) for name in data}
    same: list[Row] = []
    other: list[Row] = []
    for row in found:
        (same if _plain(row.data) in ours else other).append(row)
    return same, other


def table(found: Iterable[Row]) -> list[dict[str, Any]]:
    """Plain values for the page, by data set, network and width."""
    unique = dict.fromkeys(found)
    order = sorted(unique, key=lambda row: (row.data_title, row.network, row.wbits, row.abits, row.origin, row.paper))
    return [
        {
            "data": row.data_title,
            "network": row.network,
            "level": row.level + (f", gradients {row.gbits}" if row.gbits != 32 else ""),
            "value": f"{row.value:g} %",
            "metric": row.metric.removesuffix(" %"),
            "paper": row.paper,
            "arxiv": row.arxiv,
            "origin": row.origin,
            "read": row.read,
            "source": row.source,
            "note": row.note,
        }
        for row in order
    ]


@cache
def _all() -> tuple[tuple[frozenset[str], Row], ...]:
    found = []
    for path in sorted(_FOLDER.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found += [(frozenset(content["workloads"]), Row(**row)) for row in content["rows"]]
    return tuple(found)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
