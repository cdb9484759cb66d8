"""Letters as signed distances to their outline, rendered once from the text fonts that matplotlib ships.

A distance takes any stroke width and any softness by one addition and one division, and stays smooth when it is bent:
every distortion of a letter is one look-up in its master.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Masters: TypeAlias = NDArray[np.float32]

SIZE = 28
FINE = 2
"""Points of a master along one pixel of the picture."""

TRAINING = {
    "DejaVu Sans": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    "DejaVu Sans Mono": (
        "DejaVuSansMono",
        "DejaVuSansMono-Bold",
        "DejaVuSansMono-Oblique",
        "DejaVuSansMono-BoldOblique",
    ),
    "DejaVu Serif": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    "STIX General": ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
}
TEST = {"Computer Modern": ("cmr10", "cmb10", "cmss10", "cmti10", "cmtt10")}
"""Drawn with Metafont by other hands than the rest: roman, bold, sans serif, italic and typewriter, none of them a
near copy of a face that is trained on. Those of matplotlib's fonts that are in neither hold mathematical signs."""

_LONGER_SIDE = 20
# A hairline of Computer Modern, a thirtieth of its size, is some pixels wide before it is reduced.
_POINTS = 80
# Pixels of the picture: further from the letter than any stroke or edge is moved, distances need not be right.
_MARGIN = 4


@functools.cache
def masters(families: tuple[str, ...], characters: str) -> "Masters":
    """Signed distances (faces, characters, 28 * 2, 28 * 2) in pixels of the picture, positive inside the stroke.

    Every letter is centred, its longer side 20 pixels, as in MNIST and EMNIST.

    Raises:
        FileNotFoundError: matplotlib's folder lacks a font.
    """
    known = {**TRAINING, **TEST}
    faces = [face for family in families for face in known[family]]
    return np.stack([_face(face, characters) for face in faces])


def _face(face: str, characters: str) -> "Masters":
    import matplotlib as mpl
    from PIL import ImageFont

    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    if not path.is_file():
        raise FileNotFoundError(f"matplotlib's fonts lack {path}: install matplotlib again")
    font = ImageFont.truetype(str(path), _POINTS, layout_engine=ImageFont.Layout.BASIC)
    return np.stack([_distance(_ink(font, character)) for character in characters])


def _ink(font: "object", character: str) -> "NDArray[np.bool_]":
    """The letter's pixels, cut to where there is ink."""
    mask = font.getmask(character, mode="L")  # type: ignore[attr-defined]
    ink = np.asarray(mask, np.uint8).reshape(mask.size[::-1]) >= 128
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _distance(ink: "NDArray[np.bool_]") -> "Masters":
    """The signed distance at the points of a master."""
    from scipy import ndimage

    reduction = max(ink.shape) / _LONGER_SIDE
    padded = np.pad(ink, round(_MARGIN * reduction))
    inside, outside = (ndimage.distance_transform_edt(part) for part in (padded, ~padded))
    signed = (inside - outside) / reduction
    steps = ((np.arange(SIZE * FINE) + 0.5) / FINE - SIZE / 2) * reduction
    rows, columns = (steps + side / 2 - 0.5 for side in padded.shape)
    found = ndimage.map_coordinates(signed, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")
    return found.astype(np.float32)
