"""What a terminal shows of names that anybody may have given."""

import io

import pytest
from rich.console import Console

from energybench import terminal
from energybench._commands import results

OVERRIDE = "ab\u202edc"


def printed(table: object, *, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system="truecolor").print(table)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("qnn-infer, 12 µJ − 3 %", "qnn-infer, 12 µJ − 3 %"),
        ("שלום", "שלום"),
        (OVERRIDE, "ab\\u202edc"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("one\rtwo\x07", "one\\rtwo\\x07"),
        ("a\u2066b\u200fc\u200bd\ufeff", "a\\u2066b\\u200fc\\u200bd\\ufeff"),
        ("half \ud800", "half \\ud800"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("no break\u00a0space", "no break\u00a0space"),
    ],
)
def test_what_nobody_sees_is_spelt_out_and_all_else_stays(text: str, seen: str) -> None:
    assert terminal.visible(text) == seen


def test_a_name_in_a_table_is_no_markup_and_moves_no_cursor() -> None:
    drawn = terminal.table("workload", "energy", title=f"[red]{OVERRIDE}[/nothing]")
    drawn.add_row("[bold]x[/bold] [/y]\x1b[31m", OVERRIDE)
    text = printed(drawn)
    assert "[red]ab\\u202edc[/nothing]" in text
    assert "[bold]x[/bold] [/y]\\x1b[31m" in text
    assert "\u202e" not in text
    assert "\x1b[31m" not in text


def test_a_style_of_our_own_stays() -> None:
    from rich.text import Text

    drawn = terminal.table("verdict")
    drawn.add_row(Text("regression\u202e", style="bold red"))
    text = printed(drawn)
    assert "\x1b[1;31mregression\\u202e" in text


def test_a_line_for_people_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("left out \x1b[2J\nenergybench: pass")
    assert capsys.readouterr().err == "energybench: left out \\x1b[2J energybench: pass\n"


def a_result(number: int) -> dict[str, object]:
    joules = {"value": 1e-3, "unit": "J", "provenance": "measured"}
    return {
        "workload": {"name": "w"},
        "parameters": {"batch": number},
        "results": {"joules_per_sample": joules},
    }


def test_a_long_table_ends_with_how_many_more_there_are() -> None:
    drawn = results.workload_table("w", [a_result(number) for number in range(3000)], results.MOST_ROWS)
    lines = printed(drawn, width=120).splitlines()
    assert drawn.row_count == results.MOST_ROWS == 40
    assert any("… and 2,960 more points; the data of the site has all of them" in line for line in lines)
    assert len(lines) < 60


def test_a_table_that_is_short_enough_says_nothing_of_more() -> None:
    drawn = results.workload_table("w", [a_result(number) for number in range(40)], results.MOST_ROWS)
    assert "more" not in printed(drawn, width=120)
    assert results.workload_table("w", [a_result(number) for number in range(41)]).row_count == 41
