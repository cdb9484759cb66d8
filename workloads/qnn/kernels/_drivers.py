"""The loops around the tiles, compiled by numba: blocks of rows, panels of columns, blocks of K.

Each format has one compiled function, `run(plan, thread, m0, m1, p0, p1)`: rows m0 … m1 of the panels p0 … p1. All
sizes and addresses are in the plan, an array of 64-bit integers by the `Plan` below: whoever fills it keeps the arrays
alive.

Closures hold integers alone: anything else would put this process's identity into the key of numba's cache.
"""

from enum import IntEnum, auto
from functools import cache
from typing import Any

from numba import njit

from energybench.workloads.qnn.kernels import _dot, _popcount
from energybench.workloads.qnn.kernels._compiled import SOURCE, kept
from energybench.workloads.qnn.kernels._intrinsics import (
    bits_tile,
    copy,
    dot_stream,
    dot_tile,
    dot_widen,
    end_planes,
    end_scores,
    end_streamed,
    end_sums,
    end_values,
    fill,
    read32,
    row_sum,
    write32,
)
from energybench.workloads.qnn.kernels.isa import target


class Plan(IntEnum):
    """Places in a plan. Addresses and strides are in bytes."""

    ROWS, ROW_STRIDE = 0, auto()  # the inputs, row by row, where they need no gathering
    STEPS = auto()  # of K: words of 32 bits (popcount), groups of 32 bytes (dot)
    WEIGHTS, PANEL_BYTES = auto(), auto()
    MUL, BASE, SUB = auto(), auto(), auto()  # dot = sum * MUL + BASE - SUB * (sum of the row)
    KIND = auto()  # what follows, one of `Kind`
    OUT, OUT_STRIDE, OUT_PLANE, OUT_BITS, PANEL_OUT = auto(), auto(), auto(), auto(), auto()
    THRESHOLDS, TABLE, PITCH, FLIPS = auto(), auto(), auto(), auto()
    GAIN, OFFSET = auto(), auto()
    POOL = auto()  # rows of a pooling window, 1 or 4
    MODE = auto()  # how rows are gathered, one of `Mode`
    MAP, PIXEL_STRIDE, HEIGHT, WIDTH, TAP, PLANES, LOW = auto(), auto(), auto(), auto(), auto(), auto(), auto()
    BLOCK = auto()  # rows that are worked on together
    SCRATCH, SCRATCH_BYTES = auto(), auto()  # of each thread
    LENGTH = auto()


class Kind(IntEnum):
    """What becomes of the dot products."""

    SCORES, VALUES, PLANES, SUMS, STREAMED = range(5)


class Mode(IntEnum):
    """How a row of inputs comes about."""

    DIRECT, WINDOW, MAP = range(3)  # it lies there; a 3 by 3 window of a map; a whole map


CHUNK = 16
"""Steps of K that are widened together: 16 KiB of a panel, half a first-level cache."""


@njit(nogil=True)
def finish(plan, rows, sums, add, panel, first):  # type: ignore[no-untyped-def]
    """What follows the sums of `rows` rows from `first` on, for one panel."""
    pool, stride, n = plan[Plan.POOL], plan[Plan.OUT_STRIDE], 4 * 32 * panel
    out = plan[Plan.OUT] + first // pool * stride + panel * plan[Plan.PANEL_OUT]
    mul, kind = plan[Plan.MUL], plan[Plan.KIND]
    if kind == Kind.PLANES:
        flips = read32(plan[Plan.FLIPS] + 4 * panel)
        count, table, pitch = plan[Plan.THRESHOLDS], plan[Plan.TABLE] + n, plan[Plan.PITCH]
        bits, plane = plan[Plan.OUT_BITS], plan[Plan.OUT_PLANE]
        end_planes(rows, pool, sums, mul, add, count, table, pitch, flips, bits, out, stride, plane)
    elif kind == Kind.VALUES:
        end_values(rows, pool, sums, mul, add, plan[Plan.GAIN] + n, plan[Plan.OFFSET] + n, out, stride)
    elif kind == Kind.SCORES:
        end_scores(rows, pool, sums, mul, add, plan[Plan.GAIN] + n, plan[Plan.OFFSET] + n, out, stride)
    elif kind == Kind.STREAMED:
        end_streamed(rows, pool, sums, mul, add, plan[Plan.GAIN] + n, plan[Plan.OFFSET] + n, out, stride)
    else:
        end_sums(rows, pool, sums, mul, add, out, stride)


@njit(nogil=True)
def gather(plan, rows, stride, first, last):  # type: ignore[no-untyped-def]
    """Write rows `first` … `last`, of `stride` bytes, planes one behind the other, each row padded with zeros."""
    planes, tap, pixel = plan[Plan.PLANES], plan[Plan.TAP], plan[Plan.PIXEL_STRIDE]
    height, width, low = plan[Plan.HEIGHT], plan[Plan.WIDTH], plan[Plan.LOW]
    whole = plan[Plan.MODE] == Mode.MAP
    pitch = stride // planes
    used = tap * (height * width if whole else 9)
    for row in range(first, last):
        out = rows + (row - first) * stride
        if whole:
            source = plan[Plan.MAP] + row * height * width * pixel
            if pixel == tap:
                copy(out, source, used)
            else:
                for place in range(height * width):
                    for plane in range(planes):
                        copy(out + plane * pitch + place * tap, source + place * pixel + plane * tap, tap)
        else:
            sample, y, x = _place(plan, row)
            source = plan[Plan.MAP] + sample * height * width * pixel
            for ky in range(3):
                _line(out + ky * 3 * tap, source, y + ky - 1, x, height, width, pixel, tap, planes, pitch, low)
        for plane in range(planes):
            fill(out + plane * pitch + used, 0, pitch - used)


@njit(nogil=True)
def _place(plan, row):  # type: ignore[no-untyped-def]
    """Sample, y and x of a row; the four of a pooling window follow each other."""
    height, width = plan[Plan.HEIGHT], plan[Plan.WIDTH]
    if plan[Plan.POOL] == 1:
        return row // (height * width), row // width % height, row % width
    window, high, wide = row // 4, height // 2, width // 2
    y, x = window // wide % high, window % wide
    return window // (high * wide), 2 * y + row // 2 % 2, 2 * x + row % 2


@njit(nogil=True)
def _line(out, source, y, x, height, width, pixel, tap, planes, pitch, low):  # type: ignore[no-untyped-def]
    """Three taps beside each other; outside of the map stands `low`."""
    if y < 0 or y >= height:
        for plane in range(planes):
            fill(out + plane * pitch, low, 3 * tap)
    elif pixel == tap and 0 < x < width - 1:
        copy(out, source + (y * width + x - 1) * pixel, 3 * tap)
    else:
        for kx in range(3):
            column = x + kx - 1
            for plane in range(planes):
                place = out + plane * pitch + kx * tap
                if column < 0 or column >= width:
                    fill(place, low, tap)
                else:
                    copy(place, source + (y * width + column) * pixel + plane * tap, tap)


@cache
def popcount(wbits: int, abits: int) -> Any:
    """The compiled function that multiplies planes of bits."""
    return _popcount_driver(wbits, abits, _popcount.rows(target()), SOURCE)


@cache
def dot(wbits: int) -> Any:
    """The compiled function that multiplies weights of `wbits` bits with bytes."""
    return _dot_driver(wbits, _dot.rows(target()), _dot.lines_ahead(wbits), SOURCE)


def _popcount_driver(wb: int, ab: int, mr: int, source: int) -> Any:
    @kept
    def run(plan, thread, m0, m1, p0, p1):  # type: ignore[no-untyped-def]
        add = plan[Plan.SCRATCH] + thread * plan[Plan.SCRATCH_BYTES]
        block, words, stride = plan[Plan.BLOCK], plan[Plan.STEPS], plan[Plan.ROW_STRIDE]
        sums = add + (4 * block + 63) // 64 * 64
        gathered = sums + 128 * block
        for row in range(min(block, m1 - m0)):
            write32(add + 4 * row, plan[Plan.BASE] + 0 * source)
        for first in range(m0, m1, block):
            rows, a = min(block, m1 - first), plan[Plan.ROWS] + first * stride
            if plan[Plan.MODE] != Mode.DIRECT:
                a = gathered
                gather(plan, a, stride, first, first + rows)
            for panel in range(p0, p1):
                w = plan[Plan.WEIGHTS] + panel * plan[Plan.PANEL_BYTES]
                for row in range(0, rows - mr + 1, mr):
                    bits_tile(wb, ab, mr, words, a + row * stride, stride, w, sums + 128 * row)
                for row in range(rows // mr * mr, rows):
                    bits_tile(wb, ab, 1, words, a + row * stride, stride, w, sums + 128 * row)
                finish(plan, rows, sums, add, panel, first)

    return run


def _dot_driver(wb: int, mr: int, ahead: int, source: int) -> Any:
    @kept
    def run(plan, thread, m0, m1, p0, p1):  # type: ignore[no-untyped-def]
        add = plan[Plan.SCRATCH] + thread * plan[Plan.SCRATCH_BYTES]
        block, steps, stride = plan[Plan.BLOCK], plan[Plan.STEPS], plan[Plan.ROW_STRIDE]
        sums = add + (4 * block + 63) // 64 * 64
        wide = sums + 128 * block
        gathered = wide + 1024 * CHUNK
        for first in range(m0, m1, block):
            rows, a = min(block, m1 - first), plan[Plan.ROWS] + first * stride
            if plan[Plan.MODE] != Mode.DIRECT:
                a = gathered
                gather(plan, a, stride, first, first + rows)
            for row in range(rows):
                total = row_sum(steps, a + row * stride) if plan[Plan.SUB] else 0
                write32(add + 4 * row, plan[Plan.BASE] - plan[Plan.SUB] * total + 0 * source)
            for panel in range(p0, p1):
                w = plan[Plan.WEIGHTS] + panel * plan[Plan.PANEL_BYTES]
                fill(sums, 0, 128 * rows)
                if rows < mr:
                    for row in range(rows):
                        dot_stream(wb, steps, a + row * stride, w, sums + 128 * row)
                else:
                    for step in range(0, steps, CHUNK):
                        count = min(CHUNK, steps - step)
                        dot_widen(wb, count, w + 128 * wb * step, wide)
                        soon = w + 128 * wb * (step + count)
                        for row in range(0, rows - mr + 1, mr):
                            at, into = a + row * stride + 32 * step, sums + 128 * row
                            dot_tile(wb, mr, count, at, stride, wide, into, soon if row < 4 * mr else wide)
                            soon += 64 * ahead * count
                        for row in range(rows // mr * mr, rows):
                            at, into = a + row * stride + 32 * step, sums + 128 * row
                            dot_tile(wb, 1, count, at, stride, wide, into, wide)
                finish(plan, rows, sums, add, panel, first)

    return run
