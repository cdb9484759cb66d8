"""What people see: consoles, numbers with their uncertainty, and one line for each error."""

import json
import math
import os
import sys
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PREFIXES = {12: "T", 9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ", -9: "n", -12: "p"}
WIDE = 200
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
"""Categories of characters that move the cursor, turn the direction of what follows, or are not seen at all."""


def console(*, stderr: bool = False) -> "Console":
    """A rich console; wide where nobody's window limits it, so that a log or a pipe gets whole lines."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def table(*headings: str, title: str | None = None) -> "Table":
    """A plain table that survives a pipe: no boxes, columns told apart by space."""
    from rich import box

    from energybench.terminal_table import NamesTable, plain

    told = None if title is None else plain(title)
    drawn = NamesTable(box=box.SIMPLE_HEAD, title=told, title_justify="left", title_style="bold", pad_edge=False)
    for heading in headings:
        drawn.add_column(heading, overflow="fold", no_wrap=heading in ("domain", "workload"))
    return drawn


def visible(text: str) -> str:
    r"""A text whose control, format and unpaired characters are spelt out, as `\u202e`; line breaks and tabs stay.

    Names come from anybody's records. On a terminal such a character could rewrite what stands there, and on a page
    turn round the numbers beside it.
    """
    if text.isprintable():
        return text
    return "".join(_spelt(one) if unicodedata.category(one) in UNSEEN and one not in "\n\t" else one for one in text)


def _spelt(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def say(message: str) -> None:
    """One line for people, on stderr, whatever stdout is used for."""
    print(f"energybench: {visible(' '.join(message.split()))}", file=sys.stderr, flush=True)  # noqa: T201 -- the terminal


def emit(data: Mapping[str, object]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(data, indent=2, allow_nan=False), flush=True)  # noqa: T201 -- this is the output


def quantity(value: float, unit: str, uncertainty: float | None = None) -> str:
    """`12.34 ± 0.12 J`: four digits, or as many as give the uncertainty two; ± is at k=2.

    Args:
        value: in `unit`, without a prefix.
        unit: J, s, B, W …
        uncertainty: the standard uncertainty; None where there is none to state.
    """
    return plus_minus(value, 2 * (uncertainty or 0.0), unit)


def plus_minus(value: float, half: float, unit: str) -> str:
    """`12.34 ± 0.12 J`, both in one prefix and to one place; the number alone where `half` is 0."""
    largest = max(abs(value), half)
    exponent = max(-12, min(12, 3 * math.floor(math.log10(largest) / 3))) if largest > 0 else 0
    if unit == "s" and exponent > 0:
        exponent = 0  # kiloseconds are nobody's unit
    scaled, name = value / 10.0**exponent, f"{PREFIXES[exponent]}{unit}"
    if not half:
        return f"{scaled:.4g} {name}" if abs(scaled) < 1e4 else f"{scaled:.0f} {name}"
    half /= 10.0**exponent
    digits = max(0, 1 - math.floor(math.log10(half)))
    return f"{scaled:.{digits}f} ± {half:.{digits}f} {name}"


def share(value: float) -> str:
    """`97 %`, `97.5 %`: a target, not a result."""
    return f"{100 * value:.6g} %"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`: for a wait, not for a measurement."""
    whole = round(seconds)
    if whole < 60:
        return f"{max(whole, 1)} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def interval(value: float, low: float, high: float, unit: str) -> str:
    """`20 J (10 J to 40 J)`: an estimate with its bounds."""
    return f"{quantity(value, unit)} ({quantity(low, unit)} to {quantity(high, unit)})"
