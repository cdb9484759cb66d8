"""Raw power samples in Parquet, aggregated to joules and mean watts of each run, domain and phase.

    aggregate(Path("samples.parquet"))

A file has the columns run_id, t_ns (nanoseconds of any clock that does not go back), domain, watts and phase. pyarrow
reads it (the extra `store`).
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

    Whole = npt.NDArray[np.int64]
    Real = npt.NDArray[np.float64]

NAMES = ("run_id", "domain", "phase")
COLUMNS = ("run_id", "t_ns", "domain", "watts", "phase")


class RawError(ValueError):
    """A file that is no file of power samples; the message names it and says what to do."""


def aggregate(path: Path) -> "pd.DataFrame":
    """Joules and mean watts of each run, domain and phase, in the order of their names.

    Power is integrated by the trapezoidal rule between successive samples of one run and domain; the time between two
    samples belongs to the phase of the first, so the last sample of a run begins nothing. Rows may stand in any order.
    A sample without a finite number of watts is left out and counted: the rule goes straight over it.

    Columns: run_id, domain, phase; joules; seconds; watts (joules / seconds; NA without any time); samples;
    longest_gap_seconds (between two samples); missing (samples without watts). Domains may contain one another: never
    add them.

    Args:
        path: a Parquet file, or a folder of them.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        RawError: pyarrow is missing, or the file is not one of power samples.
    """
    table = _read(path)
    moments, watts = _numbers(table, path)
    cells, words = _cells(table)
    del table  # a copy of these numbers
    return _aggregated(cells, words, moments, watts)


def _read(path: Path) -> "pa.Table":
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise RawError(f"{path} is read with pyarrow; install it: pip install 'energybench[store]'") from error
    if not path.exists():
        raise FileNotFoundError(f"no raw samples at {path}: name a Parquet file, or a folder of them")
    try:
        table: pa.Table = pq.read_table(path, columns=list(COLUMNS), read_dictionary=list(NAMES))
    except (pa.ArrowException, KeyError) as error:
        raise RawError(f"{path} is no file of power samples ({_first_line(error)}); {_wanted()}") from error
    return table


def _numbers(table: "pa.Table", path: Path) -> "tuple[Whole, Real]":
    """Moments and watts; NaN where a sample has none."""
    import pyarrow as pa

    try:
        moments = table["t_ns"].cast(pa.int64()).to_numpy()
        watts = table["watts"].cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        raise RawError(f"{path}: t_ns or watts are no numbers ({_first_line(error)}); {_wanted()}") from error
    if table["t_ns"].null_count:
        raise RawError(f"{path}: {table['t_ns'].null_count} samples have no t_ns; {_wanted()}")
    return moments, watts


def _cells(table: "pa.Table") -> "tuple[Whole, list[list[Any]]]":
    """The number of run, domain and phase of each row, and the words of each that it is made of."""
    import numpy as np

    cells, words = np.zeros(table.num_rows, dtype=np.int64), []
    for name in NAMES:
        codes, told = _coded(table[name])
        cells *= len(told)
        cells += codes
        words.append(told)
    return cells, words


def _coded(column: "pa.ChunkedArray") -> "tuple[Whole, list[Any]]":
    """A whole number for each row, and the word that each number stands for, in the order of the words."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    joined = column.unify_dictionaries().combine_chunks()
    words = ["" if word is None else word for word in joined.dictionary.to_pylist()] if len(column) else []
    order = sorted(range(len(words)), key=lambda place: (str(type(words[place])), words[place]))
    ranks = np.empty(len(words) + 1, dtype=np.int32)
    ranks[order] = np.arange(len(words))
    ranks[-1] = len(words)  # of rows without a word
    codes = joined.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    return ranks[codes], [*(words[place] for place in order), ""]


def _aggregated(cells: "Whole", words: list[list[Any]], moments: "Whole", watts: "Real") -> "pd.DataFrame":
    import numpy as np

    count, known = math.prod(map(len, words)), np.isfinite(watts)
    missing = np.bincount(cells[~known], minlength=count)
    if missing.any():
        cells, moments, watts = cells[known], moments[known], watts[known]
    order = _in_time(cells // len(words[2]), moments)
    cells, moments, watts = cells[order], moments[order], watts[order]
    del order
    lines = cells // len(words[2])
    seconds = np.where(lines[1:] == lines[:-1], np.diff(moments) * 1e-9, 0.0)
    del lines
    begun, longest = cells[:-1], np.zeros(count)
    np.maximum.at(longest, begun, seconds)
    sums = {
        "joules": np.bincount(begun, weights=seconds * (watts[1:] + watts[:-1]) / 2, minlength=count),
        "seconds": np.bincount(begun, weights=seconds, minlength=count),
        "samples": np.bincount(cells, minlength=count),
        "longest_gap_seconds": longest,
        "missing": missing,
    }
    return _framed(sums, words)


def _in_time(lines: "Whole", moments: "Whole") -> "Whole":
    """The order by run and domain, and by time in each: a file is mostly in the order of time already."""
    import numpy as np

    order = np.argsort(lines, kind="stable")
    ordered = lines[order]
    if np.any((np.diff(moments[order]) < 0) & (ordered[1:] == ordered[:-1])):
        return np.lexsort((moments, lines))
    return order


def _framed(sums: dict[str, Any], words: list[list[Any]]) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    (cells,) = np.nonzero((sums["samples"] > 0) | (sums["missing"] > 0))
    rest, phases = np.divmod(cells, len(words[2]))
    runs, domains = np.divmod(rest, len(words[1]))
    named = zip(NAMES, (runs, domains, phases), words, strict=True)
    table = pd.DataFrame({name: [told[place] for place in places] for name, places, told in named})
    for name, values in sums.items():
        table[name] = values[cells]
    table.insert(5, "watts", table["joules"] / table["seconds"].where(table["seconds"] > 0))
    return table


def _wanted() -> str:
    return f"it has the columns {', '.join(COLUMNS)}, as docs/reports.md tells"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
