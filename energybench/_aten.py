"""Formulas of torch's own operators. Arguments come by the names of torch's schemas, and `result`.

A convention throughout: what the textbook's algorithm needs, not what a library does inside. Padding is
multiplied, masked halves of causal attention are not, and data movement (copies, casts, concatenation) is
bytes alone.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from energybench import _aten_elementwise
from energybench.operations import Cost, Formula, elements, merged, multiply_accumulate, width

FORMULAS: dict[str, Formula] = _aten_elementwise.formulas()

Tensor = Any  # duck-typed: a shape and a dtype
Named = Any  # the arguments that a formula has no use for


def _formula(*names: str) -> Callable[[Formula], Formula]:
    def add(formula: Formula) -> Formula:
        FORMULAS.update({name if "." in name else f"aten.{name}": formula for name in names})
        return formula

    return add


def _bytes(tensor: Tensor) -> int:
    return elements(tensor) * int(tensor.dtype.itemsize)


def _product(count: int, operand: Tensor, result: Tensor, bias: Tensor | None) -> Cost:
    """`count` multiply-accumulates, and the sum with a bias at the result's width."""
    products = multiply_accumulate(count, width(operand.dtype))
    sums = {} if bias is None else {f"{width(result.dtype)}.add": elements(result)}
    return Cost(operations=merged(products, sums))


@_formula("mm", "_int_mm", "bmm", "mv", "dot", "vdot")
def _matrix_product(*, self: Tensor, result: Tensor, **_: Named) -> Cost:
    return _product(elements(result) * self.shape[-1], self, result, None)


@_formula("addmm", "_addmm_activation")
def _addmm(*, self: Tensor, mat1: Tensor, result: Tensor, **_: Named) -> Cost:
    return _product(elements(result) * mat1.shape[-1], mat1, result, self)


@_formula("baddbmm")
def _baddbmm(*, self: Tensor, batch1: Tensor, result: Tensor, **_: Named) -> Cost:
    return _product(elements(result) * batch1.shape[-1], batch1, result, self)


@_formula("addmv")
def _addmv(*, self: Tensor, mat: Tensor, result: Tensor, **_: Named) -> Cost:
    return _product(elements(result) * mat.shape[-1], mat, result, self)


@_formula("linear", "mkldnn_linear")
def _linear(*, result: Tensor, bias: Tensor | None = None, **named: Named) -> Cost:
    operand = named["input"] if "input" in named else named["self"]
    return _product(elements(result) * operand.shape[-1], operand, result, bias)


@_formula("_scaled_mm")
def _scaled_mm(*, self: Tensor, result: Tensor, bias: Tensor | None = None, **_: Named) -> Cost:
    product = _product(elements(result) * self.shape[-1], self, result, bias)
    return Cost(operations=merged(product.operations, {"fp32.mul": elements(result)}))


@_formula("onednn.qlinear_pointwise")
def _qlinear(*, qx: Tensor, result: Tensor, bias: Tensor | None = None, post_op_name: str = "none", **_: Named) -> Cost:
    # int8 products into int32; one float multiplication scales the sum, one more the output where it is 8
    # bits again.
    outputs = elements(result)
    steps = {"fp32.mul": outputs * (2 if width(result.dtype) == "int8" else 1)}
    bias_sums = {} if bias is None else {"fp32.add": outputs}
    compares = {"relu": 1, "hardtanh": 2}.get(post_op_name, 0)
    products = multiply_accumulate(outputs * qx.shape[-1], width(qx.dtype))
    return Cost(operations=merged(products, steps, bias_sums, {"fp32.compare": compares * outputs}))


@_formula("mkldnn._linear_pointwise")
def _onednn_linear(*, result: Tensor, attr: str = "none", **named: Named) -> Cost:
    operand = named["X"]
    product = _product(elements(result) * operand.shape[-1], operand, result, named.get("B"))
    activation = {f"{width(result.dtype)}.compare": elements(result)} if attr == "relu" else {}
    return Cost(operations=merged(product.operations, activation))


def _convolution_count(input: Tensor, weight: Tensor, output: Tensor, transposed: bool) -> int:  # noqa: A002
    """Multiply-accumulates: each output (each input, if transposed) meets one filter's worth of weights."""
    return elements(input if transposed else output) * int(math.prod(weight.shape[1:]))


@_formula("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution")
def _convolution(
    *, weight: Tensor, result: Tensor, bias: Tensor | None = None, transposed: bool = False, **named: Named
) -> Cost:
    operand = named["input"] if "input" in named else named["self"]
    count = _convolution_count(operand, weight, result, transposed)
    return _product(count, operand, result, bias)


@_formula("convolution_backward")
def _convolution_backward(
    *,
    grad_output: Tensor,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    transposed: bool,
    output_mask: Sequence[bool],
    **_: Named,
) -> Cost:
    count = _convolution_count(input, weight, grad_output, transposed)
    products = multiply_accumulate(count * sum(map(bool, output_mask[:2])), width(input.dtype))
    bias = {f"{width(grad_output.dtype)}.add": elements(grad_output)} if output_mask[2] else {}
    return Cost(operations=merged(products, bias))


def _scores(query: Tensor, key: Tensor, is_causal: bool) -> int:
    """How many scores attention needs. torch's causal mask lets query i see the keys 0 … i."""
    queries, keys = int(query.shape[-2]), int(key.shape[-2])
    seen = queries * keys
    if is_causal:
        full = max(0, queries - keys)
        rising = queries - full
        seen = rising * (rising + 1) // 2 + full * keys
    return int(math.prod(query.shape[:-2])) * seen


_ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)


@_formula(*_ATTENTION, "_scaled_dot_product_attention_math_for_mps")
def _attention(*, query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, **named: Named) -> Cost:
    """Two products, and a softmax: scale, subtract the maximum, exponentiate, sum, divide."""
    scores, at = _scores(query, key, is_causal), width(query.dtype)
    products = multiply_accumulate(scores * (query.shape[-1] + value.shape[-1]), at)
    softmax = {
        "fp32.mul": scores,
        "fp32.compare": scores,
        "fp32.add": 2 * scores,
        "fp32.exp": scores,
        "fp32.div": scores,
    }
    masked = named.get("attn_mask", named.get("attn_bias"))
    return Cost(operations=merged(products, softmax, {} if masked is None else {"fp32.add": scores}))


@_formula(*(f"{name}_backward" for name in _ATTENTION))
def _attention_backward(*, query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, **_: Named) -> Cost:
    """The scores again, then one product each for dV, dP, dQ and dK, and the softmax's derivative."""
    scores, at = _scores(query, key, is_causal), width(query.dtype)
    products = multiply_accumulate(scores * (3 * query.shape[-1] + 2 * value.shape[-1]), at)
    softmax = {"fp32.mul": 3 * scores, "fp32.add": 3 * scores, "fp32.exp": scores}
    return Cost(operations=merged(products, softmax))


def _selection(*, result: Tensor, **named: Named) -> Cost:
    """Only what is selected is read, and the indices."""
    found = named["indices"] if "indices" in named else named["index"]
    indices = found if isinstance(found, (list, tuple)) else [found]
    return Cost(read_bytes=_bytes(result) + sum(_bytes(index) for index in indices if index is not None))


for _name in ("embedding", "index", "index_select", "gather", "take"):
    FORMULAS[f"aten.{_name}"] = _selection


@_formula("max_pool2d_with_indices")
def _max_pool(*, kernel_size: Sequence[int], result: Sequence[Tensor], **_: Named) -> Cost:
    taps = math.prod(kernel_size) if len(kernel_size) > 1 else kernel_size[0] ** 2
    return Cost(operations={f"{width(result[0].dtype)}.compare": elements(result[0]) * taps})


@_formula("avg_pool2d")
def _average_pool(*, kernel_size: Sequence[int], result: Tensor, **_: Named) -> Cost:
    taps, at = math.prod(kernel_size) if len(kernel_size) > 1 else kernel_size[0] ** 2, width(result.dtype)
    return Cost(operations={f"{at}.add": elements(result) * taps, f"{at}.mul": elements(result)})


@_formula("profiler._record_function_enter", "profiler._record_function_enter_new", "profiler._record_function_exit")
def _bookkeeping(**_: Named) -> Cost:
    return Cost(read_bytes=0, written_bytes=0)
