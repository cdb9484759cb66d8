"""What a terminal shows of names that anybody may have given."""

import io

import pytest
from rich.console import Console

from energybench import terminal

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
