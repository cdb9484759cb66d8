"""A frame as files beside a page: CSV, strict JSON, and Parquet with pyarrow; equal frames give equal bytes."""

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

Columns: TypeAlias = dict[str, list[Any]]
"""Plain values by the name of their column; None for what is absent."""

WITHOUT = "no Parquet file: pyarrow is not installed; pip install 'energybench[store]' brings it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The files that were written, and why one was not; `left_out` is empty where none was."""

    files: tuple[Path, ...]
    left_out: str = ""


def export(table: "pd.DataFrame", folder: Path, name: str) -> Exported:
    """Write a frame as `name`.csv, `name`.json and `name`.parquet.

    CSV has an empty field for what is absent, JSON (a list of objects, no NaN) has no key for it, Parquet a null.
    Moments are ISO 8601 in UTC, floats have all their digits, lists are words with spaces between. A file that would
    stay as it is, is not touched; a Parquet file of an earlier run goes where this one cannot write it.

    Args:
        table: one column a name.
        folder: made where it is missing.
        name: of the files, without a suffix.
    """
    plain = _plain(table)
    return _export(to_csv(plain), _columns(plain), folder, name)


def export_rows(
    rows: Iterable[Mapping[str, Any]], order: Callable[[list[str]], list[str]], folder: Path, name: str
) -> Exported:
    """The same of rows of plain values, whose columns are put in order; there may be very many."""
    found: Columns = {}
    for count, row in enumerate(rows):
        for key, value in row.items():
            if key not in found:
                found[key] = [None] * count
            found[key].append(" ".join(map(str, value)) if isinstance(value, list | tuple) else value)
        for column in found.values():
            if len(column) == count:
                column.append(None)
    columns = {key: found[key] for key in order(list(found))}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return _export(text.getvalue().encode(), columns, folder, name)


def _export(csv_text: bytes, columns: Columns, folder: Path, name: str) -> Exported:
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"csv": csv_text, "json": _json(columns)}
    parquet = _parquet(columns)
    if parquet is None:
        (folder / f"{name}.parquet").unlink(missing_ok=True)
    else:
        contents["parquet"] = parquet
    files = tuple(_write(folder / f"{name}.{suffix}", content) for suffix, content in contents.items())
    return Exported(files=files, left_out=WITHOUT if parquet is None else "")


def to_csv(table: "pd.DataFrame") -> bytes:
    """UTF-8, a line a row."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def to_json(table: "pd.DataFrame") -> bytes:
    """A list of objects, a line a row; a number that is not finite is refused with ValueError."""
    return _json(_columns(table))


def _json(columns: Columns) -> bytes:
    rows = (zip(columns, row, strict=True) for row in zip(*columns.values(), strict=True))
    told = ({name: value for name, value in row if value is not None} for row in rows)
    lines = [json.dumps(one, allow_nan=False) for one in told]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode() if lines else b"[]\n"


def _parquet(columns: Columns) -> bytes | None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    # A column of numbers and words has words.
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(_typed(one)) for name, one in columns.items()}), buffer, compression="zstd")
    return buffer.getvalue()


def csv_to_parquet(rows: bytes) -> bytes | None:
    """The same rows, compressed by zstd, with the types that their columns show; None without pyarrow."""
    try:
        import pyarrow.csv
        import pyarrow.parquet as pq
    except ImportError:
        return None
    # A moment stays the text that it is in the other files.
    moments = dict.fromkeys(("created", "committed"), pyarrow.string())
    options = pyarrow.csv.ConvertOptions(column_types=moments, strings_can_be_null=True)
    # Types are found in the first block: one block, so that a late word in a column of numbers is seen.
    reading = pyarrow.csv.ReadOptions(block_size=max(len(rows), 1))
    buffer = io.BytesIO()
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    table = pyarrow.csv.read_csv(io.BytesIO(rows), read_options=reading, parse_options=parsing, convert_options=options)
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _plain(table: "pd.DataFrame") -> "pd.DataFrame":
    """Moments as text, lists as words."""
    from pandas.api.types import is_datetime64_any_dtype, is_object_dtype

    changed: dict[str, Any] = {}
    for name in table.columns:
        column = table[name]
        if is_datetime64_any_dtype(column):
            changed[str(name)] = [None if one is None else _moment(one) for one in _values(column)]
        elif is_object_dtype(column) and any(isinstance(one, list | tuple) for one in column):
            changed[str(name)] = [" ".join(map(str, one)) if isinstance(one, list | tuple) else one for one in column]
    return table.assign(**changed)


def _moment(when: dt.datetime) -> str:
    return when.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _values(column: "pd.Series[Any]") -> list[Any]:
    """Python's own values; None for what is absent."""
    absent = column.isna().tolist()
    return [None if gone else value for value, gone in zip(column.tolist(), absent, strict=True)]


def _columns(table: "pd.DataFrame") -> Columns:
    """Python's own values of each column; None for what is absent."""
    return {str(name): _values(table[name]) for name in table.columns}


def _typed(values: list[Any]) -> list[Any]:
    """Values of one type, as Parquet wants them: words where they differ, floats where some are not whole."""
    kinds = {type(one) for one in values if one is not None}
    if kinds == {int, float} and all(math.isfinite(one) for one in values if one is not None):
        return [None if one is None else float(one) for one in values]
    return values if len(kinds) < 2 else [None if one is None else str(one) for one in values]


def _write(path: Path, content: bytes) -> Path:
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
    return path
