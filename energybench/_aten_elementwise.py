"""Formulas of torch's element-by-element operators, reductions and normalisations, as counts per element."""

from collections.abc import Mapping, Sequence
from typing import Any

from energybench.operations import Cost, Formula, elements, merged, width

Tensor = Any
Named = Any

# Per element of the result. A row without arithmetic is known, and free: it moves, tests or relabels data.
_BY_RESULT: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("mul square leaky_relu native_dropout_backward nll_loss_backward", {"mul": 1}),
    ("addcmul lerp", {"mul": 2, "add": 1}),
    ("addcdiv", {"mul": 1, "div": 1, "add": 1}),
    ("div reciprocal remainder fmod floor_divide", {"div": 1}),
    ("relu maximum minimum clamp_min clamp_max threshold threshold_backward", {"compare": 1}),
    ("clamp hardtanh hardtanh_backward", {"compare": 2}),
    ("exp", {"exp": 1}),
    ("log", {"log": 1}),
    ("sqrt", {"sqrt": 1}),
    ("hypot", {"mul": 2, "add": 1, "sqrt": 1}),
    ("rsqrt", {"rsqrt": 1}),
    ("tanh", {"tanh": 1}),
    ("erf", {"erf": 1}),
    ("pow", {"pow": 1}),
    ("floor ceil round trunc", {"round": 1}),
    ("sigmoid", {"exp": 1, "add": 1, "div": 1}),
    ("silu", {"exp": 1, "add": 1, "div": 1, "mul": 1}),
    ("gelu", {"erf": 1, "add": 1, "mul": 3}),
    ("sigmoid_backward tanh_backward mse_loss_backward", {"mul": 2, "add": 1}),
    ("_softmax _safe_softmax", {"compare": 1, "add": 2, "exp": 1, "div": 1}),
    ("_log_softmax", {"compare": 1, "add": 3, "exp": 1}),
    ("_softmax_backward_data", {"mul": 2, "add": 2}),
    ("_log_softmax_backward_data", {"mul": 1, "add": 2, "exp": 1}),
    ("native_dropout", {"mul": 1, "compare": 1}),
    ("native_layer_norm native_batch_norm _native_batch_norm_legit", {"mul": 3, "add": 5}),
    ("native_layer_norm_backward native_batch_norm_backward", {"mul": 5, "add": 6}),
    ("copy _to_copy clone cat stack fill zero zeros ones full arange eye scalar_tensor", {}),
    ("zeros_like ones_like full_like new_zeros new_ones new_full _local_scalar_dense", {}),
    ("where masked_fill masked_select nonzero neg abs sign bitwise_not logical_not isnan isfinite isinf", {}),
    ("flip roll repeat tril triu constant_pad_nd index_copy scatter slice_backward select_backward", {}),
    ("max_pool2d_with_indices_backward", {}),
    ("max_unpool2d", {}),
    ("bitwise_xor", {"xor": 1}),
    ("bitwise_and logical_and", {"and": 1}),
    ("bitwise_or logical_or", {"or": 1}),
)

# Per element of the first argument: reductions, and comparisons (whose result is bool).
_BY_INPUT: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("sum mean cumsum nansum", {"add": 1}),
    ("amax amin max min argmax argmin aminmax any all eq ne lt le gt ge equal", {"compare": 1}),
    ("var std var_mean", {"mul": 1, "add": 3}),
    ("linalg_vector_norm norm mse_loss", {"mul": 1, "add": 2}),
    ("prod", {"mul": 1}),
    ("nll_loss_forward", {}),
)


def _costs(tensors: Sequence[Tensor], each: Mapping[str, int]) -> Cost:
    parts = [
        {f"{width(tensor.dtype)}.{kind}": count * elements(tensor) for kind, count in each.items()}
        for tensor in tensors
    ]
    return Cost(operations=merged(*parts))


def _listed(value: object) -> list[Tensor]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _by_result(each: Mapping[str, int]) -> Formula:
    def formula(*, result: object, **named: Named) -> Cost:
        # Second results (masks, indices, statistics) come with the first; a _foreach_ twin handles a list of
        # tensors.
        target = result if result is not None else named["self"]
        return _costs(_listed(target)[:1], each)

    return formula


def _by_input(each: Mapping[str, int]) -> Formula:
    def formula(**named: Named) -> Cost:
        first = named.get("self", named.get("input"))
        return _costs(_listed(first), each)

    return formula


def _foreach(each: Mapping[str, int]) -> Formula:
    def formula(*, self: object, **_: Named) -> Cost:
        return _costs(_listed(self), each)

    return formula


def _sum(*, result: Tensor, alpha: float = 1, **_: Named) -> Cost:
    return _costs([result], {"add": 1} if alpha == 1 else {"add": 1, "mul": 1})


def _foreach_sum(*, self: object, alpha: float = 1, **_: Named) -> Cost:
    return _costs(_listed(self), {"add": 1} if alpha == 1 else {"add": 1, "mul": 1})


def _fused_adam(*, self: object, weight_decay: float = 0, **_: Named) -> Cost:
    """Two moving averages (2 mul + 1 add each, and the square), a root, a division, and the update."""
    decay = {"mul": 1, "add": 1} if weight_decay else {}
    return _costs(_listed(self), merged({"mul": 7, "add": 4, "sqrt": 1, "div": 2}, decay))


def _scattered_sum(*, values: Tensor, self: Tensor, accumulate: bool = False, **named: Named) -> Cost:
    """Only the places that are indexed are touched."""
    moved = elements(values) * int(values.dtype.itemsize)
    indices = sum(elements(index) * int(index.dtype.itemsize) for index in named["indices"] if index is not None)
    operations = {f"{width(self.dtype)}.add": elements(values)} if accumulate else {}
    return Cost(read_bytes=moved * (2 if accumulate else 1) + indices, written_bytes=moved, operations=operations)


def formulas() -> dict[str, Formula]:
    """Every formula of this module by torch's name."""
    table: dict[str, Formula] = {}
    for names, each in _BY_RESULT:
        for name in names.split():
            table[name] = _by_result(each)
            table[f"_foreach_{name}"] = _foreach(each)
    for names, each in _BY_INPUT:
        table.update({name: _by_input(each) for name in names.split()})
    table.update(dict.fromkeys(("add", "sub", "rsub"), _sum))
    table.update(dict.fromkeys(("_foreach_add", "_foreach_sub"), _foreach_sum))
    table.update({"_fused_adam": _fused_adam, "_fused_adamw": _fused_adam, "_index_put_impl": _scattered_sum})
    table["index_put_"] = _scattered_sum
    return {f"aten.{name}": formula for name, formula in table.items()}
