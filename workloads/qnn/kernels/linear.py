"""A layer of a deployed network on the CPU: its weights in panels, its plan, and the call that runs some of its rows.

product = Product(layer, source, rows=64, engine="popcount")
product.run(0, 64)          # rows of the result; other threads may run others, under another `thread`
product.run_columns(0, 2)   # or the first half of the columns of all rows
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.kernels import _dot, _drivers
from energybench.workloads.qnn.kernels._drivers import Kind, Mode, Plan
from energybench.workloads.qnn.kernels._popcount import PANEL, WORDS
from energybench.workloads.qnn.kernels.isa import target
from energybench.workloads.qnn.network import SCORES, Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

POPCOUNT, DOT = "popcount", "dot"
SUMS = -1
"""In place of a layer's `out_bits`: the int32 dot products themselves."""
_CACHE_BYTES = 1 << 19  # inputs that are worked on together: half of a second-level cache
_STREAMED_BYTES = 1 << 22  # results that no cache would hold until they are read
_FEW_ROWS = 64
_LARGEST = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a layer reads or hands on, in a buffer of its own.

    Attributes:
        data: uint8 (rows, stride): a row is a sample, or a pixel of a map.
        bits: up to 4: planes of bits, one behind the other; 8: signed bytes; 32: float32.
        channels: values of a row; what is behind them is zero.
        pitch: bytes from plane to plane.
        size: height and width of a map, None for vectors.
    """

    data: "NDArray[np.uint8]"
    bits: int
    channels: int
    pitch: int = 0
    size: tuple[int, int] | None = None

    @property
    def stride(self) -> int:
        """Bytes from row to row."""
        return int(self.data.shape[1])

    @property
    def address(self) -> int:
        """Of the first byte."""
        return int(self.data.ctypes.data)

    @property
    def places(self) -> int:
        """Rows of a sample."""
        return 1 if self.size is None else self.size[0] * self.size[1]


def signal(rows: int, channels: int, width: int, size: tuple[int, int] | None = None) -> Signal:
    """Room for `rows` rows of values at a width."""
    if width == 32:
        return Signal(data=aligned(rows, _spaced(4 * _up(channels, PANEL))), bits=32, channels=channels, size=size)
    if width == 8:
        return Signal(data=aligned(rows, _spaced(_up(channels, _dot.STEP))), bits=8, channels=channels, size=size)
    # The rows of a vector are multiplied as they lie, those of a map are gathered word by word.
    pitch = _up(channels, 32) // 8 if size else _up(channels, 32 * WORDS) // 8
    stride = pitch * width if size else _spaced(pitch * width)
    return Signal(data=aligned(rows, stride), bits=width, channels=channels, pitch=pitch, size=size)


def engine(wbits: int, abits: int) -> str:
    """Which of the two multiplies faster: a rule by the instructions there are.

    One bit by one bit is counted everywhere. Two bits by two are four such products: worth it where counting is one
    instruction (VPOPCNTDQ), or where products of bytes are none (portable).
    """
    few = wbits <= 2 and abits <= 2
    best = target()
    return POPCOUNT if wbits == abits == 1 or (few and (best.vpopcnt or best.dot == "shifts")) else DOT


def by_columns(layer: Layer, rows: int, threads: int) -> bool:
    """Whether threads better share a layer's columns than its rows: each reads the weights that it needs, once.

    Few rows each would leave most of the time to reading and widening weights, which every thread would do for itself.
    """
    return threads > 1 and layer.size is None and rows < _FEW_ROWS * threads


class Product:
    """A layer's weights and plan.

    Args:
        layer: of integers; see `network.Layer`.
        source: its input: planes for `popcount`, bytes for `dot`.
        rows: rows of the result before pooling: samples, or places of the map times samples.
        engine: `popcount` or `dot`.
        threads: how many may run rows at once.
        sums: hand on the int32 dot products, whatever the layer says.

    Raises:
        ValueError: so many inputs that a sum could leave 32 bits.
    """

    def __init__(
        self, layer: Layer, source: Signal, *, rows: int, engine: str, threads: int = 1, sums: bool = False
    ) -> None:
        if layer.inputs * bits.top(layer.wbits) * bits.top(source.bits) > _LARGEST:
            raise ValueError(f"{layer.inputs} inputs of a sum could leave 32 bits: split the layer")
        self.layer, self.source, self.engine, self.rows = layer, source, engine, rows
        self._pool = layer.pool**2
        self.out = signal(rows // self._pool, layer.outputs, _width(layer, sums), layer.out_size)
        self._plan = np.zeros(Plan.LENGTH, np.int64)
        self._kept: list[Any] = []
        self._describe_inputs()
        self._describe_weights()
        self._describe_output(SUMS if sums else layer.out_bits)
        self._describe_scratch(threads)
        self.panels = -(-layer.outputs // PANEL)
        self._run = _drivers.popcount(layer.wbits, source.bits) if engine == POPCOUNT else _drivers.dot(layer.wbits)

    def run(self, first: int, last: int, thread: int = 0) -> None:
        """Compute rows `first` … `last`, before pooling."""
        self._run(self._plan, thread, first, last, 0, self.panels)

    def run_columns(self, thread: int, threads: int) -> None:
        """Compute one thread's share of the columns, for all rows."""
        panels = (self.panels * thread // threads, self.panels * (thread + 1) // threads)
        self._run(self._plan, thread, 0, self.rows, *panels)

    def renew(self) -> Signal:
        """A buffer of its own for what comes next: the last one stays as it is."""
        old = self.out
        self.out = Signal(data=aligned(*old.data.shape), bits=old.bits, channels=old.channels, size=old.size)
        self._set(OUT=self.out.address)
        return self.out

    def _set(self, **values: int) -> None:
        for name, value in values.items():
            self._plan[Plan[name]] = value

    def _keep(self, array: "NDArray[Any]") -> int:
        """The address of an array that lives as long as the plan."""
        self._kept.append(array)
        return int(array.ctypes.data)

    def _describe_inputs(self) -> None:
        layer, source = self.layer, self.source
        counted = self.engine == POPCOUNT
        tap = source.pitch if counted else layer.channels
        if layer.size is None and source.size is None:
            self._set(MODE=Mode.DIRECT, ROWS=source.address, ROW_STRIDE=source.stride)
            self._row_bytes = source.pitch if counted else _up(layer.channels, _dot.STEP)
        else:
            height, width = layer.size or (layer.taps, 1)
            self._row_bytes = _up(layer.taps * tap, 4 * WORDS if counted else _dot.STEP)
            stride = source.bits * self._row_bytes if counted else _spaced(self._row_bytes)
            self._set(MODE=Mode.WINDOW if layer.size else Mode.MAP, ROW_STRIDE=stride)
            self._set(MAP=source.address, PIXEL_STRIDE=source.stride, HEIGHT=height, WIDTH=width, TAP=tap)
        self._set(PLANES=source.bits if counted else 1, LOW=0 if counted else layer.low, POOL=self._pool)
        self._set(STEPS=self._row_bytes // (4 if counted else _dot.STEP))

    def _describe_weights(self) -> None:
        layer = self.layer
        taps = layer.values().reshape(layer.outputs, layer.taps, layer.channels)
        if self.engine == POPCOUNT:
            self._set(MUL=-2, BASE=layer.inputs * bits.top(layer.wbits) * bits.top(self.source.bits), SUB=0)
            panels = pack_planes(taps, layer.wbits, self._row_bytes)
        else:
            signed = _dot.signed_weights(target(), layer.wbits)
            codes = taps.astype(np.int16) + (128 if layer.wbits == 8 and not signed else 0)
            codes = codes if layer.wbits == 8 else (codes + bits.top(layer.wbits)) >> 1
            self._set(MUL=1 if layer.wbits == 8 else 2, BASE=0)
            self._set(SUB=bits.top(layer.wbits) if layer.wbits < 8 else 0 if signed else 128)
            panels = pack_bytes(codes.astype(np.uint8), layer.wbits, self._row_bytes)
        self._set(WEIGHTS=self._keep(panels), PANEL_BYTES=panels.shape[1])

    def _describe_output(self, width: int) -> None:
        layer, out = self.layer, self.out
        self._set(OUT=out.address, OUT_STRIDE=out.stride, OUT_PLANE=out.pitch)
        if width == SUMS:
            self._set(KIND=Kind.SUMS, PANEL_OUT=4 * PANEL)
        elif width in bits.PLANES:
            assert layer.thresholds is not None
            assert layer.flipped is not None
            table = _padded(layer.thresholds, _LARGEST)
            flips = np.packbits(_padded(layer.flipped[None], False)[0], bitorder="little")
            self._set(KIND=Kind.PLANES, PANEL_OUT=PANEL // 8, OUT_BITS=width, THRESHOLDS=len(table))
            self._set(TABLE=self._keep(table), PITCH=table.shape[1] * 4, FLIPS=self._keep(flips))
        else:
            assert layer.gain is not None
            assert layer.offset is not None
            gain, offset = (_padded(values[None].astype(np.float32), 0) for values in (layer.gain, layer.offset))
            self._set(GAIN=self._keep(gain), OFFSET=self._keep(offset))
            large = Kind.STREAMED if out.data.nbytes > _STREAMED_BYTES else Kind.SCORES
            kind, size = (large, 4 * PANEL) if width == SCORES else (Kind.VALUES, PANEL)
            self._set(KIND=kind, PANEL_OUT=size)

    def _describe_scratch(self, threads: int) -> None:
        """Room for each thread: row corrections, sums, widened weights, gathered rows."""
        stride = int(self._plan[Plan.ROW_STRIDE])
        block = min(self.rows, max(8, _CACHE_BYTES // stride // 8 * 8))
        size = _up(4 * block, 64) + 128 * block + 1024 * _drivers.CHUNK + _up(block * stride, 64) + 64
        scratch = aligned(threads, _up(size, 64))
        self._set(BLOCK=block, SCRATCH=self._keep(scratch), SCRATCH_BYTES=scratch.shape[1])


def pack_planes(values: "NDArray[np.int8]", wbits: int, row_bytes: int) -> "NDArray[np.uint8]":
    """Odd values (outputs, taps, channels) to panels [plane][word][32 columns], a tap padded to whole words.

    Returns:
        (panels, bytes), uint8.
    """
    outputs, taps, channels = values.shape
    codes = (values.astype(np.int16) + bits.top(wbits)) >> 1
    padded = np.zeros((_up(outputs, PANEL), taps, _up(channels, 32)), np.uint8)
    padded[:outputs, :, :channels] = codes
    panels = len(padded) // PANEL
    packed = np.zeros((panels, wbits, PANEL, row_bytes), np.uint8)
    for plane in range(wbits):
        rows = np.packbits(padded >> plane & 1, axis=2, bitorder="little").reshape(panels, PANEL, -1)
        packed[:, plane, :, : rows.shape[2]] = rows
    words = packed.view(np.uint32).transpose(0, 1, 3, 2)
    return _in_panels(np.ascontiguousarray(words).view(np.uint8), panels)


def pack_bytes(codes: "NDArray[np.uint8]", wbits: int, row_bytes: int) -> "NDArray[np.uint8]":
    """Codes (outputs, taps, channels) to panels of packed groups of 4, as `_dot` describes them.

    Returns:
        (panels, bytes), uint8.
    """
    outputs = len(codes)
    padded = np.zeros((_up(outputs, PANEL), row_bytes), np.uint8)
    padded[:outputs, : codes[0].size] = codes.reshape(outputs, -1)
    panels = len(padded) // PANEL
    groups = padded.reshape(panels, PANEL, row_bytes // 32, 8, 4).transpose(0, 2, 3, 1, 4)

    def fold(part: "NDArray[np.uint8]", width: int) -> "NDArray[np.uint8]":
        """Groups whose bytes share a byte, the first in its lowest bits."""
        folded: NDArray[np.uint8] = np.bitwise_or.reduce(
            [part[:, :, j] << np.uint8(width * j) for j in range(part.shape[2])]
        )
        return folded

    if wbits == 8:
        return _in_panels(groups, panels)
    if wbits == 3:
        low, high = groups & np.uint8(3), groups >> np.uint8(2)
        blocks = [fold(low[:, :, :4], 2), fold(low[:, :, 4:], 2), fold(high, 1)]
    else:
        per = 8 // wbits
        blocks = [fold(groups[:, :, first : first + per], wbits) for first in range(0, 8, per)]
    return _in_panels(np.stack(blocks, axis=2), panels)


def aligned(rows: int, row_bytes: int) -> "NDArray[np.uint8]":
    """Zeros from the begin of a cache line on: a load across two lines takes twice as long."""
    raw = np.zeros(rows * row_bytes + 64, np.uint8)
    first = -raw.ctypes.data % 64
    return raw[first : first + rows * row_bytes].reshape(rows, row_bytes)


def _in_panels(packed: "NDArray[np.uint8]", panels: int) -> "NDArray[np.uint8]":
    out = aligned(panels, packed.nbytes // panels)
    out[:] = packed.reshape(panels, -1)
    return out


def _padded(table: "NDArray[Any]", value: object) -> "NDArray[Any]":
    """Columns filled up to whole panels, row by row in memory."""
    filled = np.pad(table, ((0, 0), (0, -table.shape[1] % PANEL)), constant_values=value)  # type: ignore[call-overload]
    return np.ascontiguousarray(filled)


def _width(layer: Layer, sums: bool) -> int:
    return 32 if sums or layer.out_bits == SCORES else layer.out_bits


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _spaced(stride: int) -> int:
    """Rows a multiple of 4096 bytes apart would share one set of the first-level cache."""
    return stride + 64 if stride % 4096 == 0 else stride
