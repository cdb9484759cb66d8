# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""Triton kernels of the CUDA engine: packed weights times int8, and what stands around the products.

Weights of 1, 2, 3, 4 or 8 bits are unpacked in registers, as the left operand of W · Xᵀ: on Hopper `wgmma` takes that
one from registers, so that unpacked weights never lie in shared memory. Layouts are `_pack`'s. With
TRITON_INTERPRET=1 set before triton is imported the same kernels run on CPU tensors.
"""

import os

import triton
import triton.language as tl

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def _four_bytes(w_bits: int, position: int) -> str:
    """PTX: the codes at a position of four packed bytes to four int8 odd values 2 * code - top, with no carry between.

    $1 has codes of the low two bits of 3 (of all bits otherwise), $2 the third.
    """
    top = 2**w_bits - 1
    low_bits = min(w_bits, 2) if w_bits == 3 else w_bits
    shift = position % (8 // low_bits) * low_bits - 1
    move = "shl.b32 t, $1, 1;" if shift < 0 else f"shr.u32 t, $1, {shift};"
    lines = [".reg .b32 t, u;", move, f"and.b32 t, t, {0x01010101 * 2 * (2**low_bits - 1):#x};"]
    if w_bits == 3:
        third = position - 3
        move = f"shr.u32 u, $2, {third};" if third >= 0 else f"shl.b32 u, $2, {-third};"
        lines += [move, "and.b32 u, u, 0x08080808;", "or.b32 t, t, u;"]
    lines += ["or.b32 t, t, 0x80808080;", f"sub.u32 t, t, {0x01010101 * top:#x};", "xor.b32 $0, t, 0x80808080;"]
    return "{ " + " ".join(lines) + " }"


ASSEMBLY = {bits: tuple(_four_bytes(bits, position) for position in range(8)) for bits in (1, 2, 3, 4)}
"""For each width of a weight the PTX that unpacks one of the eight slices of a group."""


@triton.jit
def _values(packed, third, position: tl.constexpr, w_bits: tl.constexpr, assembly: tl.constexpr):
    """One slice of a group: int8 values from the bytes that hold it, and for 3 bits from those of the third bit."""
    low_bits: tl.constexpr = 2 if w_bits == 3 else w_bits
    if w_bits == 8:
        values = packed.to(tl.int8, bitcast=True)
    elif assembly is not None:
        if w_bits == 3:
            values = tl.inline_asm_elementwise(
                assembly[position], "=r,r,r", [packed, third], dtype=tl.int8, is_pure=True, pack=4
            )
        else:
            values = tl.inline_asm_elementwise(
                assembly[position], "=r,r", [packed], dtype=tl.int8, is_pure=True, pack=4
            )
    else:
        code = (packed.to(tl.int32) >> (position % (8 // low_bits) * low_bits)) & (2**low_bits - 1)
        if w_bits == 3:
            code |= ((third.to(tl.int32) >> position) & 1) << 2
        values = (2 * code - (2**w_bits - 1)).to(tl.int8)
    return values


@triton.jit
def _coded(sums, n, thresholds, flipped, gain, offset, outputs, out_bits: tl.constexpr):
    """What a quantizer makes of sums (outputs, samples): a code up to 4 bits, two's complement at 8."""
    top: tl.constexpr = 2**out_bits - 1
    known = n < outputs
    if out_bits == 8:
        slope, start = tl.load(gain + n, mask=known, other=0.0), tl.load(offset + n, mask=known, other=0.0)
        y = sums.to(tl.float32) * slope[:, None] + start[:, None]
        y = tl.minimum(tl.maximum(y, -127.0), 127.0)
        # 1.5 · 2^23: adding it leaves no place for a fraction, and rounds half to even.
        code = ((y + 12582912.0) - 12582912.0).to(tl.int32) & 255
    else:
        code = tl.zeros(sums.shape, tl.int32)
        for t in tl.static_range(top):
            reached = tl.load(thresholds + t * outputs + n, mask=known, other=0)
            code += (sums >= reached[:, None]).to(tl.int32)
        mirrored = tl.load(flipped + n, mask=known, other=0).to(tl.int32)[:, None]
        code = tl.where(mirrored != 0, top - code, code)
    return code


@triton.jit
def _store_planes(code, row, known, word, words, out, stride, bits: tl.constexpr, axis: tl.constexpr):
    """Codes (32 * words, rows), or turned if axis is 1, as planes: bit i of a word is from place i of its 32."""
    for plane in tl.static_range(bits):
        bit = (code >> plane) & 1
        if axis == 0:
            places = tl.reshape(bit, (bit.shape[0] // 32, 32, bit.shape[1]))
            packed = tl.sum(places << tl.arange(0, 32)[None, :, None], axis=1)
            at = (row.to(tl.int64) * bits + plane)[None, :] * stride + word[:, None]
            tl.store(out + at, packed, mask=known[None, :] & (word < words)[:, None])
        else:
            places = tl.reshape(bit, (bit.shape[0], bit.shape[1] // 32, 32))
            packed = tl.sum(places << tl.arange(0, 32)[None, None, :], axis=2)
            at = (row.to(tl.int64) * bits + plane)[:, None] * stride + word[None, :]
            tl.store(out + at, packed, mask=known[:, None] & (word < words)[None, :])


@triton.jit
def _hand_on(
    sums, first_n, first_m, out, thresholds, flipped, gain, offset, samples, outputs, stride,
    out_bits: tl.constexpr, packed: tl.constexpr, pool: tl.constexpr,
):  # fmt: skip
    """Pool a tile (outputs, samples) of sums, quantize it and store it as planes, int8 values or floats."""
    tile: tl.constexpr = sums.shape[0]
    if pool == 4:
        sums = tl.max(tl.reshape(sums, (tile, sums.shape[1] // 4, 4)), axis=2)
    n = first_n + tl.arange(0, tile)
    m = first_m // pool + tl.arange(0, sums.shape[1])
    inside = (n < outputs)[:, None] & (m < samples // pool)[None, :]
    at = m.to(tl.int64)[None, :] * stride + n[:, None]
    if out_bits == 0 or out_bits > 8:
        slope, start = tl.load(gain + n, mask=n < outputs, other=0.0), tl.load(offset + n, mask=n < outputs, other=0.0)
        y = sums.to(tl.float32) * slope[:, None] + start[:, None]
        if out_bits > 8:
            y = tl.minimum(tl.maximum(y, -1.0), 1.0)
        tl.store(out + at, y, mask=inside)
    else:
        code = _coded(sums, n, thresholds, flipped, gain, offset, outputs, out_bits)
        if packed:
            code = tl.where(inside, code, 0)
            word = first_n // 32 + tl.arange(0, tile // 32)
            _store_planes(code, m, m < samples // pool, word, (outputs + 31) // 32, out, stride, out_bits, 0)
        else:
            value = code if out_bits == 8 else 2 * code - (2**out_bits - 1)
            tl.store(out + at, value.to(tl.int8), mask=inside)


@triton.jit
def packed_product(
    signal, weights, out, thresholds, flipped, gain, offset,
    samples, outputs, signal_stride, padded_outputs, groups, stride,
    w_bits: tl.constexpr, unit: tl.constexpr, out_bits: tl.constexpr, packed: tl.constexpr, pool: tl.constexpr,
    tile_n: tl.constexpr, tile_m: tl.constexpr, split: tl.constexpr, assembly: tl.constexpr,
):  # fmt: skip
    """int8 (samples, signal_stride) times packed weights; `split` parts of the inputs leave raw sums if above 1.

    A group is 8 slices of `unit` inputs each, held by `w_bits` tiles of bytes (outputs, unit).
    """
    first_n, first_m = tl.program_id(0) * tile_n, tl.program_id(1) * tile_m
    part = tl.program_id(2)
    n, m, k = first_n + tl.arange(0, tile_n), first_m + tl.arange(0, tile_m), tl.arange(0, unit)
    low_bits: tl.constexpr = 2 if w_bits == 3 else w_bits
    slices: tl.constexpr = 8 // low_bits
    place = n[:, None] * unit + k[None, :]
    row = signal + m.to(tl.int64)[None, :] * signal_stride
    sums = tl.zeros((tile_n, tile_m), tl.int32)
    begin, end = part * groups // split, (part + 1) * groups // split
    bytes_at = weights + begin.to(tl.int64) * w_bits * padded_outputs * unit + place
    for group in range(begin, end):
        third = tl.load(bytes_at + 2 * padded_outputs * unit) if w_bits == 3 else 0
        for held in tl.static_range(low_bits):
            codes = tl.load(bytes_at + held * padded_outputs * unit)
            for piece in tl.static_range(slices):
                at = (group * 8 + held * slices + piece) * unit + k
                inside = (m < samples)[None, :] & (at < signal_stride)[:, None]
                x = tl.load(row + at[:, None], mask=inside, other=0)
                w = _values(codes, third, held * slices + piece, w_bits, assembly)
                sums = tl.dot(w, x, sums, out_dtype=tl.int32)
        bytes_at += w_bits * padded_outputs * unit
    if split == 1:
        _hand_on(
            sums, first_n, first_m, out, thresholds, flipped, gain, offset, samples, outputs, stride,
            out_bits, packed, pool,
        )  # fmt: skip
    else:
        at = (part.to(tl.int64) * samples + m)[None, :] * outputs + n[:, None]
        tl.store(out + at, sums, mask=(n < outputs)[:, None] & (m < samples)[None, :])


@triton.jit
def finish_sums(
    sums, out, thresholds, flipped, gain, offset, samples, outputs, parts, part_stride, sums_stride, stride,
    out_bits: tl.constexpr, packed: tl.constexpr, pool: tl.constexpr, tile_n: tl.constexpr, tile_m: tl.constexpr,
):  # fmt: skip
    """Add up `parts` of int32 or float32 sums (samples, outputs) and hand them on as a product would."""
    first_n, first_m = tl.program_id(0) * tile_n, tl.program_id(1) * tile_m
    n, m = first_n + tl.arange(0, tile_n), first_m + tl.arange(0, tile_m)
    inside = (n < outputs)[:, None] & (m < samples)[None, :]
    at = sums + m.to(tl.int64)[None, :] * sums_stride + n[:, None]
    total = tl.load(at, mask=inside, other=0)
    for _ in range(1, parts):
        at += part_stride
        total += tl.load(at, mask=inside, other=0)
    _hand_on(
        total, first_n, first_m, out, thresholds, flipped, gain, offset, samples, outputs, stride,
        out_bits, packed, pool,
    )  # fmt: skip


@triton.jit
def encode(
    source, table, out, rows, width, source_stride, stride,
    bits: tl.constexpr, packed: tl.constexpr, looked_up: tl.constexpr, tile_m: tl.constexpr, tile_k: tl.constexpr,
):  # fmt: skip
    """Pixels (uint8, through the table of 256) or int8 values (rows, width) to int8 values or planes."""
    m, k = tl.program_id(0) * tile_m + tl.arange(0, tile_m), tl.program_id(1) * tile_k + tl.arange(0, tile_k)
    inside = (m < rows)[:, None] & (k < width)[None, :]
    value = tl.load(source + m.to(tl.int64)[:, None] * source_stride + k[None, :], mask=inside, other=0)
    if looked_up:
        value = tl.load(table + value.to(tl.int32), mask=inside, other=0)
    if packed:
        code = value.to(tl.int32) & 255 if bits == 8 else (value.to(tl.int32) + (2**bits - 1)) >> 1
        code = tl.where(inside, code, 0)
        word = tl.program_id(1) * (tile_k // 32) + tl.arange(0, tile_k // 32)
        _store_planes(code, m, m < rows, word, (width + 31) // 32, out, stride, bits, 1)
    else:
        tl.store(out + m.to(tl.int64)[:, None] * stride + k[None, :], value, mask=inside)


@triton.jit
def windows(
    source, edge, out, rows, height, width, planes, channels, source_stride, stride,
    taps, pool: tl.constexpr, flat: tl.constexpr, tile_m: tl.constexpr, tile_k: tl.constexpr,
):  # fmt: skip
    """Rows of taps from a map (samples · height · width, planes, channels): 3 by 3 windows, or a sample's whole map.

    Outside the map stands `edge` (planes, channels). Where it pools, the four places of a 2 by 2 window follow each
    other. Elements are int8 values, or 32-bit words of whatever they hold.
    """
    m, e = tl.program_id(0) * tile_m + tl.arange(0, tile_m), tl.program_id(1) * tile_k + tl.arange(0, tile_k)
    plane, within = e // (taps * channels), e % (taps * channels)
    tap, channel = within // channels, within % channels
    if flat:
        pixel = m[:, None] * taps + tap[None, :]
        there = pixel >= 0
    else:
        high, wide = height // 2 * 2 if pool == 4 else height, width // 2 * 2 if pool == 4 else width
        sample, place = m // (high * wide), m % (high * wide)
        if pool == 4:
            window, inner = place // 4, place % 4
            y, x = window // (wide // 2) * 2 + inner // 2, window % (wide // 2) * 2 + inner % 2
        else:
            y, x = place // wide, place % wide
        y, x = y[:, None] + tap[None, :] // 3 - 1, x[:, None] + tap[None, :] % 3 - 1
        there = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        pixel = (sample[:, None] * height + y) * width + x
    inside = (m < rows)[:, None] & (e < planes * taps * channels)[None, :]
    at = (pixel.to(tl.int64) * planes + plane[None, :]) * source_stride + channel[None, :]
    found = tl.load(source + at, mask=inside & there, other=0)
    if not flat:
        beyond = tl.load(edge + plane * channels + channel, mask=plane < planes, other=0)
        found = tl.where(there, found, beyond[None, :])
    to = (m.to(tl.int64)[:, None] * planes + plane[None, :]) * stride + within[None, :]
    tl.store(out + to, found, mask=inside)
