"""The dispatch mode under the operator counter: what each call reads, writes and computes.

Imported only where torch is wanted. A lower bound on memory traffic when nothing stays in a cache between
operators: each operand is read once, workspaces inside a library's kernel are not seen.
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils import _python_dispatch
from torch.utils._pytree import tree_leaves

from energybench import operations
from energybench.operations import Cost

# They return their argument's storage without saying so in their schema.
_VIEWS = frozenset({"_unsafe_view", "lift", "lift_fresh", "_reshape_alias", "set_", "resize_"})
# They hand out memory without touching it.
_UNTOUCHED = ("empty", "new_empty", "_empty_affine_quantized")
# They overwrite what they are given, or look at its shape only.
_OVERWRITES = frozenset(
    {"copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_", "random_", "exponential_", "geometric_"}
)
_SHAPE_ONLY = ("zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like", "new_")
_RANDOM = ("rand", "normal", "uniform", "bernoulli", "exponential", "geometric", "multinomial")


class Tally:
    """What was counted so far: plain sums, and calls by operator."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.written_bytes = 0
        self.operations: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()

    def add(self, name: str, read_bytes: int, written_bytes: int, done: Mapping[str, int] | None) -> None:
        """One call; `done` is None where its arithmetic is not known."""
        self.calls[name] += 1
        self.read_bytes += read_bytes
        self.written_bytes += written_bytes
        if done is None:
            self.unmapped[name] += 1
        else:
            self.operations.update(done)

    def merge(self, other: "Tally") -> None:
        """Take in another tally's counts."""
        self.read_bytes += other.read_bytes
        self.written_bytes += other.written_bytes
        # Copies, because the other's thread may be counting.
        self.operations.update(dict(other.operations))
        self.calls.update(dict(other.calls))
        self.unmapped.update(dict(other.unmapped))


class CountingMode(_python_dispatch.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what its thread dispatches into a tally, and hears kernels that announce themselves.

    `is_over` ends the counting from another thread: only its own can take it off its stack.
    """

    def __init__(self, tally: Tally) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tally = tally
        self._deaf = False
        self._heard = 0
        self.is_over = False

    def leave(self) -> None:
        """Off the calling thread's stack of modes; modes that were entered later stay on it."""
        above = []
        while (top := _python_dispatch._get_current_dispatch_mode()) not in {self, None}:  # noqa: SLF001
            above.append(_python_dispatch._pop_mode(getattr(top, "_mode_key", None)))  # noqa: SLF001
        self.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        for mode in reversed(above):
            _python_dispatch._push_mode(mode)  # noqa: SLF001

    def announced(self, name: str, cost: Cost | None) -> None:
        """A kernel that torch does not dispatch ran in this thread."""
        if self._deaf or self.is_over:
            return
        self._heard += 1
        if cost is None:
            self._tally.add(name, 0, 0, None)
        else:
            self._tally.add(name, cost.read_bytes or 0, cost.written_bytes or 0, cost.operations)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.is_over:
            return func(*args, **kwargs)
        name = str(func.overloadpacket)
        formula = operations.formula(name)
        if formula is None:
            # In inference mode composite operators come whole; what they are made of is what can be counted.
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        # An operator with a formula is counted by it alone. One without may launch kernels that speak for
        # themselves; then these are its cost.
        deaf_before, self._deaf = self._deaf, self._deaf or formula is not None
        heard_before = self._heard
        try:
            result = func(*args, **kwargs)
        finally:
            self._deaf = deaf_before
        if self._heard == heard_before and not _is_view(func):
            self._count(name, formula, func, args, kwargs, result)
        return result

    def _count(self, name: str, formula: Any, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        short = func.overloadpacket.__name__
        cost: Cost | None = None
        if formula is not None:
            cost = _applied(formula, name, {**_named(func, args, kwargs), "result": result})
        elif short.startswith((*_UNTOUCHED, *_RANDOM)):
            cost = Cost()
        read, written = _moved(func, short, args, kwargs, result)
        if cost is not None:
            read = read if cost.read_bytes is None else cost.read_bytes
            written = written if cost.written_bytes is None else cost.written_bytes
        self._tally.add(name, read, written, None if cost is None else cost.operations)


def _applied(formula: operations.Formula, name: str, arguments: Mapping[str, Any]) -> Cost | None:
    # A window must not die of a formula that a newer torch's arguments do not fit.
    try:
        return formula(**arguments)
    except Exception as error:
        warnings.warn(f"the formula of {name} failed ({error!r}): it is listed as unmapped", stacklevel=4)
        return None


def _is_view(func: Any) -> bool:
    aliases = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)  # noqa: SLF001
    return aliases or func.overloadpacket.__name__ in _VIEWS


def _named(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    names = (argument.name for argument in func._schema.arguments)  # noqa: SLF001
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _moved(func: Any, short: str, args: Any, kwargs: Any, result: Any) -> tuple[int, int]:
    """The bytes that a call reads and writes, each region once."""
    if short.startswith(_UNTOUCHED):
        return 0, 0
    given = _named(func, args, kwargs)
    written, overwritten = [], []
    for argument in func._schema.arguments:  # noqa: SLF001
        if argument.alias_info is not None and argument.alias_info.is_write:
            targets = _tensors(given.get(argument.name))
            written += targets
            if argument.is_out or short in _OVERWRITES:
                overwritten += targets
    skipped = {id(tensor) for tensor in overwritten}
    read = [] if short.startswith(_SHAPE_ONLY) else [t for t in _tensors(given) if id(t) not in skipped]
    return _bytes(read), _bytes(written + _tensors(result))


def _tensors(tree: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    """The bytes of these tensors; the same region under two names is counted once."""
    regions = {_region(part): part for tensor in tensors for part in _strided(tensor)}
    return sum(_touched(tensor) * tensor.element_size() for tensor in regions.values())


def _strided(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The dense parts of a sparse tensor; any other as it is."""
    if tensor.layout == torch.sparse_coo:
        return [tensor._indices(), tensor._values()]  # noqa: SLF001
    if tensor.layout in {torch.sparse_csr, torch.sparse_bsr}:
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in {torch.sparse_csc, torch.sparse_bsc}:
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return [tensor]


def _region(tensor: torch.Tensor) -> tuple[object, ...]:
    # oneDNN's packed tensors have no storage that can be looked at; each is itself.
    if tensor.layout != torch.strided:
        return (id(tensor),)
    storage = tensor.untyped_storage()._cdata  # noqa: SLF001
    return storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _touched(tensor: torch.Tensor) -> int:
    """How many distinct elements a tensor shows: expanded axes and overlapping windows show some twice."""
    if tensor.layout != torch.strided or tensor.numel() == 0:
        return tensor.numel()
    axes = [(size, stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride and size > 1]
    if not axes:
        return 1
    reach = sum((size - 1) * stride for size, stride in axes)
    spacing = math.gcd(*(stride for _, stride in axes))
    return min(math.prod(size for size, _ in axes), reach // spacing + 1)
