"""Digits and letters of printed fonts, bent by chance: as many samples as asked for, nothing to download.

The classes are the 47 of EMNIST balanced (Cohen et al. 2017, arXiv 1702.05373): ten digits, 26 capitals, and the eleven
small letters that do not look like their capitals. The other small letters belong to the class of their capital.
"""

import string
from typing import TYPE_CHECKING

import numpy as np

from energybench.workloads import _fonts, _published

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = _published.MERGED
SAMPLES = 20_000
"""Training samples, unless another number is asked for."""

_CHARACTERS = "".join(CLASSES) + "".join(sorted(set(string.ascii_lowercase) - set(CLASSES)))
_CHUNK = 500

# How far a letter is bent, each drawn evenly up to the bound: the picture has 28 pixels, the letter 20.
_TURN = np.deg2rad(12)
_SHEAR = 0.2
_SCALES = (0.8, 1.1)
_SHIFT = 2.0
# Pixels that each knot of the elastic grid is moved by, as a standard deviation.
_BEND = 0.7
_KNOTS = 5
# Pixels that a stroke grows by on either side.
_WEIGHTS = (-0.15, 0.5)
# Pixels over which the edge of a stroke fades.
_SOFTNESS = (1.0, 2.5)
_INK = (0.6, 1.0)
_NOISE = (0.0, 0.1)


def draw(
    samples: int, *, families: tuple[str, ...], random: np.random.Generator
) -> "tuple[NDArray[np.uint8], NDArray[np.int64]]":
    """Pictures (samples, 28 * 28) of 256 grey levels and their classes, as many of one as of another, shuffled."""
    masters = _fonts.masters(families, _CHARACTERS)
    labels = random.permutation(np.arange(samples, dtype=np.int64) % len(CLASSES))
    faces = random.integers(len(masters), size=samples)
    flat = masters.reshape(-1, masters.shape[-1] ** 2)
    chosen = faces * len(_CHARACTERS) + _characters(labels, random)
    pixels = np.empty((samples, _fonts.SIZE**2), np.uint8)
    for start in range(0, samples, _CHUNK):
        part = slice(start, start + _CHUNK)
        pixels[part] = _shade(_looked_up(flat, chosen[part], random), random)
    return pixels, labels


def _characters(labels: "NDArray[np.int64]", random: np.random.Generator) -> "NDArray[np.int64]":
    """Which character stands for each label: a merged class is drawn as a capital or a small letter, half and half."""
    small = np.array([_CHARACTERS.find(name.lower(), len(CLASSES)) for name in CLASSES])
    small = np.where(small < 0, np.arange(len(CLASSES)), small)
    return np.where(random.random(len(labels)) < 0.5, small[labels], labels)


def _looked_up(flat: "_fonts.Masters", chosen: "NDArray[np.int64]", random: np.random.Generator) -> "_fonts.Masters":
    """The distances (samples, 784) under each pixel of the bent letters, between four points of the master."""
    width = _fonts.SIZE * _fonts.FINE
    x, y = _places(len(chosen), random)
    x, y = (np.clip(way * _fonts.FINE + (width - 1) / 2, 0, width - 1.001) for way in (x, y))
    left, top = np.floor(x), np.floor(y)
    x, y = x - left, y - top
    at = (chosen[:, None] * width**2) + (top * width + left).astype(np.int64)
    points = flat.ravel()
    upper = points[at] * (1 - x) + points[at + 1] * x
    lower = points[at + width] * (1 - x) + points[at + width + 1] * x
    found: _fonts.Masters = upper * (1 - y) + lower * y
    return found


def _places(samples: int, random: np.random.Generator) -> "tuple[_fonts.Masters, _fonts.Masters]":
    """Where in the master each pixel of the picture lies, in pixels from the middle: two times (samples, 784)."""
    turn, shear = (_evenly((-bound, bound), samples, random) for bound in (_TURN, _SHEAR))
    wide, high = (_evenly(_SCALES, samples, random) for _ in range(2))
    middle = np.arange(_fonts.SIZE, dtype=np.float32) - np.float32((_fonts.SIZE - 1) / 2)
    x, y = (way.ravel() - _evenly((-_SHIFT, _SHIFT), samples, random) for way in np.meshgrid(middle, middle))
    cosine, sine = np.cos(turn), np.sin(turn)
    x, y = cosine * x + sine * y, cosine * y - sine * x
    bent = _bends(samples, random)
    return (x + shear * y) / wide + bent[0], y / high + bent[1]


def _bends(samples: int, random: np.random.Generator) -> "_fonts.Masters":
    """A smooth field of moves (2, samples, 784): a grid of random knots, joined by smooth steps."""
    knots = random.standard_normal((2, samples, _KNOTS, _KNOTS), np.float32) * _BEND
    at = np.linspace(0, _KNOTS - 1, _fonts.SIZE)
    near = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(_KNOTS)))
    weights = (near**2 * (3 - 2 * near)).astype(np.float32)
    # einsum, not @: the order of its sums does not depend on a library of the machine.
    rows = np.einsum("ik,wskl->wsil", weights, knots)
    moves: _fonts.Masters = np.einsum("jl,wsil->wsij", weights, rows)
    return moves.reshape(2, samples, -1)


def _shade(distances: "_fonts.Masters", random: np.random.Generator) -> "NDArray[np.uint8]":
    """Grey levels: the stroke's weight, softness and ink, and noise of a strength of its own."""
    weight, softness, ink, noise = (
        _evenly(bounds, len(distances), random) for bounds in (_WEIGHTS, _SOFTNESS, _INK, _NOISE)
    )
    covered = np.clip((distances + weight) / softness + 0.5, 0, 1) * ink
    covered += random.standard_normal(covered.shape, np.float32) * noise
    grey: NDArray[np.uint8] = np.rint(np.clip(covered, 0, 1) * 255).astype(np.uint8)
    return grey


def _evenly(bounds: tuple[float, float], samples: int, random: np.random.Generator) -> "_fonts.Masters":
    """A number for each sample, as a column."""
    return random.uniform(*bounds, (samples, 1)).astype(np.float32)
