"""The data of a site: every record and every result of asv, whole, as CSV, JSON and Parquet, in plain SI units.

asv's results are written a result file at a time: a new commit adds its rows, and those of all others are kept.
"""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from energybench.gating.asv_files import AsvFileError, Tree, read_result
from energybench.reports import asv_frames, exports, frames
from energybench.reports.asv_frames import AsvValue, Index
from energybench.reports.evidence import Evidence
from energybench.reports.ledger import Ledger, Made, digest, digest_of_json

RECORDS, SERIES = "records", "series"
JOINED = "data of asv"
OPENED, BETWEEN, CLOSED = b"[\n", b",\n", b"\n]\n"
WHO = ("created", "machine", "commit", "committed", "environment", "workload", "version")
WHAT = ("metric", "value", "low", "high", "unit", "provenance", "higher_is_better", "repeats")


def write(evidence: Evidence, ledger: Ledger) -> list[dict[str, Any]]:
    """Write the files; tell of each kind what it is, its names below the site, and what was left out."""
    told = [_records(evidence, ledger), _series(evidence, ledger)]
    return [one for one in told if one["files"]]


def below(path: Path, records: Path) -> str:
    """A record's path below the records: a published page need not tell where someone's home is."""
    text, top = str(path), f"{records}{os.sep}"
    return text.removeprefix(top) if text.startswith(top) else path.name


class _Rows(NamedTuple):
    """The rows of one result file: a digest of what made them, the head of their CSV, themselves as CSV and as JSON."""

    inputs: str
    head: str
    csv: bytes
    json: bytes


def _records(evidence: Evidence, ledger: Ledger) -> dict[str, Any]:
    stored, where = evidence.stored, evidence.where.records

    def make() -> Made:
        rows = (_shown(frames.row(one), below(one.path, where)) for one in stored)
        written = exports.export_rows(rows, frames.in_order, ledger.site / "data", RECORDS)
        return Made(files=[f"data/{one.name}" for one in written.files], value=written.left_out)

    if not stored:
        return {"what": "", "left_out": "", "files": []}
    inputs = digest([one.digest for one in stored], [below(one.path, where) for one in stored])
    left_out = ledger.made("data of records", inputs, make)
    return {"what": "Records, a row each", "left_out": left_out, "files": ledger.files("data of records")}


def _shown(row: dict[str, Any], path: str) -> dict[str, Any]:
    """A row without what tells where someone's home is."""
    paths = {name for name, value in row.items() if isinstance(value, str) and name.startswith("param.")}
    return row | {name: frames.shown(row[name]) for name in paths} | {"path": path}


def _series(evidence: Evidence, ledger: Ledger) -> dict[str, Any]:
    """Columns as those of `frames.tidy`."""
    sources = [one for tree in evidence.library.trees for one in _sources(tree)]

    def make() -> Made:
        known = _earlier(ledger)
        rows = {file: _rows(file, inputs, index, known) for file, inputs, index in sources}
        files = _write_joined([one for one in rows.values() if one.csv], ledger.site)
        parts = [[_place(file), one.inputs, one.head, len(one.csv), len(one.json)] for file, one in rows.items()]
        return Made(files=files, value={"left_out": "" if len(files) != 2 else exports.WITHOUT, "parts": parts})

    if not sources:
        return {"what": "", "left_out": "", "files": []}
    made = ledger.made(JOINED, digest(*(inputs for _, inputs, _ in sources)), make)
    told = {"left_out": made["left_out"], "files": ledger.files(JOINED)}
    return {"what": "Results of asv, a row a value", **told}


def _sources(tree: Tree) -> Iterator[tuple[Path, str, Index]]:
    """Each result file with a digest of what its rows are made from."""
    described = digest_of_json([tree.index])
    for file in tree.every():
        with contextlib.suppress(OSError):
            yield file, digest(file.read_bytes(), described), tree.index


def _place(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _earlier(ledger: Ledger) -> dict[str, _Rows]:
    """The rows that the last build wrote, by where they are from."""
    told = ledger.last(JOINED)
    if told is None or not any(length for _, _, _, length, _ in told["parts"]):
        return {}
    texts = [(ledger.site / "data" / f"{SERIES}.{suffix}").read_bytes() for suffix in ("csv", "json")]
    at, found = [texts[0].index(b"\n") + 1, len(OPENED)], {}
    for place, inputs, head, *lengths in told["parts"]:
        parts = [text[start : start + length] for text, start, length in zip(texts, at, lengths, strict=True)]
        found[place] = _Rows(inputs, head, *parts)
        at = [at[0] + lengths[0], at[1] + lengths[1] + (len(BETWEEN) if lengths[1] else 0)]
    # Under several heads, rows were written anew below one that has all columns.
    return found if len({one.head for one in found.values() if one.csv}) == 1 else {}


def _rows(file: Path, inputs: str, index: Index, known: Mapping[str, _Rows]) -> _Rows:
    before = known.get(_place(file))
    if before and before.inputs == inputs:
        return before
    try:
        values = asv_frames.values_of(read_result(file), index)
    except AsvFileError:
        return _Rows(inputs, "", b"", b"")
    rows, settings = [_row(one) for one in values], sorted({name for one in values for name, _ in one.parameters})
    columns = ["id", *WHO, *(f"param.{name}" for name in settings), *WHAT]
    head, _, text = _csv(rows, columns).partition("\n")
    return _Rows(inputs, head, text.encode(), _json(rows, columns).encode())


def _write_joined(parts: Sequence[_Rows], site: Path) -> list[str]:
    """All rows in one file of each kind; none where there are no rows."""
    if not parts:
        return []
    contents = {"csv": _together(parts), "json": b"".join([OPENED, BETWEEN.join(one.json for one in parts), CLOSED])}
    if parquet := exports.csv_to_parquet(contents["csv"]):
        contents["parquet"] = parquet
    for suffix, content in contents.items():
        (site / "data" / f"{SERIES}.{suffix}").write_bytes(content)
    return [f"data/{SERIES}.{suffix}" for suffix in contents]


def _together(parts: Sequence[_Rows]) -> bytes:
    """The rows as CSV, under all of their columns."""
    if len({one.head for one in parts}) == 1:
        return b"".join([parts[0].head.encode(), b"\n", *(one.csv for one in parts)])
    read = [csv.DictReader(io.StringIO(f"{one.head}\n{one.csv.decode()}")) for one in parts]
    settings = sorted({name for one in read for name in one.fieldnames or () if name.startswith("param.")})
    return _csv([row for one in read for row in one], ["id", *WHO, *settings, *WHAT]).encode()


def _row(one: AsvValue) -> dict[str, Any]:
    told = {"id": one.path.stem, **{name: getattr(one, name) for name in (*WHO, *WHAT)}}
    told |= {f"param.{name}": value for name, value in one.parameters}
    return {name: value for name, value in told.items() if value is not None}


def _csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    ordered = ({name: row[name] for name in columns if name in row} for row in rows)
    return BETWEEN.decode().join(json.dumps(one, allow_nan=False) for one in ordered)
