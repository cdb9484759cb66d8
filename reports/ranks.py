"""Every node of a distributed training: what it sent beside what a model says, where its time went, how good it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from energybench.reports.analog import is_number
from energybench.reports.bits import settings
from energybench.reports.frames import Stored
from energybench.reports.numbers import quantity

HEADINGS = (
    "Node",
    "Network",
    "Accuracy",
    "TCP sent",
    "Less the model, a step",
    "Processor",
    "Waiting",
    "Late messages",
)
_VALUES = (
    ("accuracy", "%"),
    ("tcp_bytes", "B"),
    ("measured_minus_model_per_step", "B"),
    ("cpu_seconds", "s"),
    ("waiting_seconds", "s"),
)


def tables(stored: Sequence[Stored]) -> list[dict[str, Any]]:
    """A table for each record that tells of its nodes, in plain values for the page; what a node lacks is a dash."""
    records = [one.record for one in stored if _nodes(one.record)]
    words = settings([record["parameters"] for record in records])
    return [
        {"setting": setting, "rows": [_row(node) for node in _nodes(record)], "losses": _losses(record)}
        for record, setting in zip(records, words, strict=True)
    ]


def _nodes(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = (record.get("details") or {}).get("distributed")
    found = told.get("nodes") if isinstance(told, Mapping) else None
    return [node for node in found if isinstance(node, Mapping)] if isinstance(found, list) else []


def _row(node: Mapping[str, Any]) -> list[str]:
    where = f" on {node['host_name']}" if node.get("host_name") else ""
    shown = [quantity(float(node[key]), unit) if is_number(node.get(key)) else "–" for key, unit in _VALUES]
    late = f"{node['late']}" if is_number(node.get("late")) else "–"
    return [f"{node.get('rank', '?')}{where}", str(node.get("net", "–")), *shown, late]


def _losses(record: Mapping[str, Any]) -> list[str]:
    """What was lost, and when it was back."""
    told = record["details"]["distributed"].get("losses")
    losses = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    return [_loss(one) for one in losses]


def _loss(loss: Mapping[str, Any]) -> str:
    reason, seconds = str(loss.get("reason", "a node was lost")), loss.get("resumed_seconds")
    return f"{reason}; back after {quantity(float(seconds), 's')}" if isinstance(seconds, int | float) else reason
