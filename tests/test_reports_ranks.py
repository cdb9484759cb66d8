"""The report's table of every node: what is there is shown, what is not is a dash, and nothing odd breaks the page."""

from pathlib import Path
from typing import Any

import pytest

from energybench.reports import ranks
from energybench.reports.frames import Stored


def stored(distributed: object, **parameters: Any) -> Stored:
    return Stored(path=Path("x.json"), record={"parameters": parameters, "details": {"distributed": distributed}})


NODE = {
    "rank": 1,
    "host_name": "alpha",
    "net": "mlp",
    "accuracy": 0.935,
    "tcp_bytes": 24320.0,
    "measured_minus_model_per_step": 0.0,
    "cpu_seconds": 1.5,
    "waiting_seconds": 0.25,
    "late": 3,
}


def test_a_node_is_a_row_with_units_and_what_it_lacks_is_a_dash():
    (table,) = ranks.tables([stored({"nodes": [NODE, {"rank": 2}], "losses": []})])
    assert table["rows"] == [
        ["1 on alpha", "mlp", "93.50 %", "24.3 kB", "0 B", "1.50 s", "250 ms", "3"],
        ["2", "–", "–", "–", "–", "–", "–", "–"],
    ]
    assert len(ranks.HEADINGS) == len(table["rows"][0])


def test_each_record_has_a_table_under_what_tells_it_from_the_others():
    tables = ranks.tables([stored({"nodes": [NODE]}, nodes=2), stored({"nodes": [NODE]}, nodes=4)])
    assert [one["setting"] for one in tables] == ["nodes 2", "nodes 4"]


def test_losses_say_what_was_lost_and_when_it_was_back():
    losses = [{"rank": 2, "reason": "rank 2 was lost", "resumed_seconds": 4.5}, {"rank": 0, "reason": "gone"}]
    (table,) = ranks.tables([stored({"nodes": [NODE], "losses": losses})])
    assert table["losses"] == ["rank 2 was lost; back after 4.50 s", "gone"]


@pytest.mark.parametrize("odd", [None, 7, [], {"nodes": 3}, {"nodes": []}, {"nodes": ["x"]}])
def test_details_of_another_form_are_left_out(odd: object):
    assert ranks.tables([stored(odd)]) == []


def test_absurd_values_are_shown_and_break_nothing():
    odd = {**NODE, "accuracy": "high", "tcp_bytes": 1e30, "late": None, "net": "<b>x</b>"}
    (table,) = ranks.tables([stored({"nodes": [odd], "losses": "none"})])
    assert table["rows"][0][1:3] == ["<b>x</b>", "–"]
    assert table["losses"] == []
