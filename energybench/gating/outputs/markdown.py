"""A judgement as Markdown for a job's summary: regressions in sight, the rest folded, never longer than allowed."""

from collections.abc import Iterator, Mapping

from energybench.gating.outputs import words
from energybench.gating.series import Key
from energybench.gating.verdicts import Judgement, Verdict, Word

LIMIT = 64_000
"""Bytes of UTF-8; GitHub cuts comments at 65,536 characters."""
RESERVE = 600
"""For what tells of the cut, and closes what is open."""
LONGEST = 300
HEADER = "| series | base | head | change | margin | why |\n|---|---|---|---|---|---|\n"
IN_SIGHT: tuple[Word, ...] = ("regression", "not comparable", "not measured")


def markdown(judgement: Judgement, *, limit: int = LIMIT) -> str:
    """At most `limit` bytes; what does not fit is counted."""
    page = _Page(limit - RESERVE, words.labels(judgement))
    page.add(f"### energybench gate: {judgement.word}\n\n")
    page.add(f"{_cell(words.heading(judgement))}  \n{words.counts(judgement)}; exit {judgement.exit}\n\n")
    _section(page, judgement, "regression")
    for line in words.sentences(judgement):
        page.row(f"- {_cell(line)}\n")
    page.add("\n")
    for word in words.ORDER[1:]:
        _section(page, judgement, word)
    for line in words.notes(judgement):
        page.row(f"- {_cell(line)}\n")
    return page.text()


class _Page:
    """Text that grows up to a number of bytes and counts the rows that did not fit."""

    def __init__(self, room: int, names: Mapping[Key, str]) -> None:
        self.room, self.names = room, names
        self.parts: list[str] = []
        self.left_out = 0

    def add(self, text: str) -> None:
        """What must stand there."""
        self.parts.append(text)
        self.room -= len(text.encode())

    def row(self, text: str) -> None:
        """What stands there if nothing was left out before and it fits."""
        if self.left_out or len(text.encode()) > self.room:
            self.left_out += 1
        else:
            self.add(text)

    def text(self) -> str:
        """The page, with the count of what is not on it."""
        cut = f"\n{self.left_out} more rows did not fit; the JSON has them all.\n" if self.left_out else ""
        return "".join(self.parts).rstrip() + "\n" + cut


def _section(page: _Page, judgement: Judgement, word: Word) -> None:
    found = judgement.of(word)
    if not found or word == "pass":
        return
    if page.left_out or page.room < RESERVE:
        page.left_out += len(found)
        return
    title = words.count(len(found), word)
    folded = word not in IN_SIGHT
    page.add(f"<details><summary>{title}</summary>\n\n{HEADER}" if folded else f"**{title}**\n\n{HEADER}")
    for row in _rows(found, page.names):
        page.row(row)
    page.add("\n</details>\n\n" if folded else "\n")


def _rows(verdicts: tuple[Verdict, ...], names: Mapping[Key, str]) -> Iterator[str]:
    for one in verdicts:
        cells = (
            f"{names[one.key]} ({one.provenance})",
            words.value(one.base, one),
            words.value(one.head, one),
            words.change(one),
            words.margin(one),
            words.reason(one),
        )
        yield f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    """One line that is no markup, whatever names hold."""
    line = " ".join(text.encode(errors="replace").decode().split())
    short = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
    for sign in "\\`*_|[]":
        short = short.replace(sign, "\\" + sign)
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
