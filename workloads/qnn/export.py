"""From a trained network to the deployed one: no master copy, weights packed, quantizers turned into thresholds.

Thresholds are found by bisection over the integers on the function that the trained network computes in evaluation, so
that both give the same code for every sum, whatever the rounding of that function is.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from energybench.workloads.qnn import bits
from energybench.workloads.qnn.layers import Stage
from energybench.workloads.qnn.network import Layer, Network
from energybench.workloads.qnn.training import Trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOWEST, _HIGHEST = -(2**31), 2**31 - 1


def export(trained: Trained) -> Network:
    """The deployed network.

    Raises:
        ValueError: a layer's sums could leave 32 bits, or its normalisation is not finite.
    """
    dataset, recipe = trained.dataset, asdict(trained.recipe)
    return Network(
        layers=tuple(_layer(stage, index) for index, stage in enumerate(trained.model)),
        pixels=trained.model.pixels.numpy().copy(),
        shape=dataset.shape,
        classes=tuple(dataset.class_names),
        about={"recipe": recipe, "data": dict(dataset.described()), "torch": torch.__version__},
    )


def _layer(stage: Stage, index: int) -> Layer:
    plan = stage.plan
    return Layer(
        wbits=plan.wbits,
        abits=plan.abits,
        outputs=plan.outputs,
        taps=plan.taps,
        channels=plan.channels,
        size=plan.size,
        low=-plan.one,
        pool=plan.pool,
        out_bits=plan.out_bits,
        weights=_packed(stage),
        **_epilogue(stage, index),
    )


def _packed(stage: Stage) -> "NDArray[Any]":
    values = stage.weight_values()
    if stage.plan.size:
        # To rows of (place in the filter, channel).
        values = values.permute(0, 2, 3, 1)
    rows, width = values.reshape(stage.plan.outputs, -1), stage.plan.wbits
    if width in bits.PLANES:
        return bits.pack_planes(rows.to(torch.int8).numpy(), width)
    if width == 16:
        return rows.to(torch.bfloat16).contiguous().view(torch.int16).numpy().view(np.uint16).copy()
    return rows.to(torch.int8 if width == 8 else torch.float32).contiguous().numpy().copy()


def _epilogue(stage: Stage, index: int) -> Mapping[str, Any]:
    """Thresholds, or gain and offset: the fields of a `Layer`."""
    width = stage.plan.out_bits
    gain, offset = stage.folded()
    if not bool(gain.isfinite().all() and offset.isfinite().all()):
        raise ValueError(f"layer {index} has a normalisation that is not finite: train it again, learning_rate lower")
    reach = _reach(stage, index) if stage.is_integer else 0
    if stage.is_integer and width in bits.PLANES:
        flipped = (gain < 0).numpy()
        return {"thresholds": _thresholds(stage, flipped, reach), "flipped": flipped}
    top = 127 if width == 8 else 1
    return {"gain": (top * gain).float().numpy(), "offset": (top * offset).float().numpy()}


def _reach(stage: Stage, index: int) -> int:
    """The largest magnitude that a sum can have."""
    plan = stage.plan
    reach = plan.inputs * plan.one * bits.top(plan.wbits)
    if reach >= _HIGHEST:
        raise ValueError(f"layer {index} sums {plan.inputs} products up to {reach}, above 32 bits: use fewer inputs")
    return reach


def _thresholds(stage: Stage, flipped: "NDArray[np.bool_]", reach: int) -> "NDArray[np.int32]":
    """For each count 1 … top the smallest sum in -reach … reach that reaches it, (top, outputs).

    A threshold that every sum reaches is the lowest number of 32 bits, one that none reaches the highest.
    """
    top = bits.top(stage.plan.out_bits)
    wanted = np.arange(1, top + 1)[:, None]
    low = np.full((top, stage.plan.outputs), -reach, np.int64)
    high = np.full_like(low, reach + 1)
    # The sum looked for is in low … high, and high stands for none: the interval halves until it is one number.
    while (low < high).any():
        middle = (low + high) >> 1
        reached = _counts(stage, middle, flipped) >= wanted
        low, high = (
            np.where(reached, low, np.minimum(middle + 1, high)),
            np.where(reached, np.minimum(middle, high), high),
        )
    found = np.where(low == -reach, _LOWEST, np.where(low > reach, _HIGHEST, low))
    return found.astype(np.int32)


def _counts(stage: Stage, sums: "NDArray[np.int64]", flipped: "NDArray[np.bool_]") -> "NDArray[np.int64]":
    """How many thresholds sums (rows, outputs) reach: their codes, turned over where the slope is negative."""
    top = bits.top(stage.plan.out_bits)
    values = stage.quantized(torch.from_numpy(sums).double()).numpy()
    codes = (values.astype(np.int64) + top) >> 1
    return np.where(flipped, top - codes, codes)
