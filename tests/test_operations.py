import subprocess
import sys
import threading

import numpy as np
import pytest

from energybench import operations
from energybench.operations import Cost


class Listener:
    def __init__(self):
        self.heard = []

    def announced(self, name, cost):
        self.heard.append((name, cost))


@pytest.fixture
def xnor():
    """A formula of a kernel of our own, registered for one test."""
    name = "test.xnor_linear"

    @operations.register(name)
    def formula(*, rows, inputs, outputs):
        words = -(-inputs // 64)
        return Cost(
            read_bytes=8 * words * (rows + outputs),
            written_bytes=4 * rows * outputs,
            operations={"b1.xnor": rows * inputs * outputs, "b1.popcount": rows * inputs * outputs},
        )

    yield name
    del operations._registered[name]


@pytest.mark.parametrize("module", ["energybench.operations", "energybench.workloads", "energybench.probes.operators"])
def test_torch_is_not_loaded_by_importing(module):
    code = (
        f"import sys, {module} as m; getattr(m, 'names', list)();"
        "sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_kernel_reaches_the_counters_that_are_active_and_only_them(xnor):
    first, second = Listener(), Listener()
    operations.record(xnor, rows=1, inputs=64, outputs=1)
    with operations.counting(first):
        with operations.counting(second):
            operations.record(xnor, rows=2, inputs=100, outputs=3)
        operations.record(xnor, rows=1, inputs=64, outputs=1)
    operations.record(xnor, rows=1, inputs=64, outputs=1)

    [(name, cost)] = second.heard
    assert name == xnor
    assert (cost.read_bytes, cost.written_bytes) == (8 * 2 * 5, 24)
    assert cost.operations == {"b1.xnor": 600, "b1.popcount": 600}
    assert len(first.heard) == 2


def test_a_kernel_without_a_formula_is_heard_without_a_cost():
    listener = Listener()
    with operations.counting(listener):
        operations.record("nobody.knows", rows=1)
    assert listener.heard == [("nobody.knows", None)]


def test_a_formula_is_not_evaluated_where_nobody_counts():
    def never(**_):
        raise AssertionError

    operations.register("test.never", never)
    try:
        operations.record("test.never")
    finally:
        del operations._registered["test.never"]


def test_counters_end_in_any_order(xnor):
    first, second = Listener(), Listener()
    operations.activate(first)
    operations.activate(second)
    operations.deactivate(first)
    operations.record(xnor, rows=1, inputs=1, outputs=1)
    operations.deactivate(second)
    operations.record(xnor, rows=1, inputs=1, outputs=1)
    assert (len(first.heard), len(second.heard)) == (0, 1)


def test_another_threads_kernels_are_not_heard(xnor):
    listener = Listener()
    with operations.counting(listener):
        thread = threading.Thread(target=operations.record, args=(xnor,), kwargs={"rows": 1, "inputs": 1, "outputs": 1})
        thread.start()
        thread.join()
    assert listener.heard == []


def test_in_place_operators_and_both_spellings_find_their_formula():
    assert operations.formula("aten::add_") is operations.formula("aten.add")
    assert operations.formula("aten.no_such_operator") is None


def test_a_registered_formula_goes_before_the_built_in_one():
    built_in = operations.formula("aten.mm")
    own = operations.register("aten::mm", lambda **_: Cost())
    try:
        assert operations.formula("aten.mm") is own
    finally:
        del operations._registered["aten.mm"]
    assert operations.formula("aten.mm") is built_in


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("torch.float32", "fp32"),
        (np.dtype("float64"), "fp64"),
        ("torch.bfloat16", "bf16"),
        ("torch.qint8", "int8"),
        (np.dtype("uint8"), "int8"),
        ("torch.quint8", "int8"),
        ("torch.bool", "b1"),
        ("torch.float8_e4m3fn", "fp8"),
    ],
)
def test_widths_are_named_alike_whoever_names_the_type(dtype, name):
    assert operations.width(dtype) == name


def test_narrow_products_are_summed_wide():
    assert operations.multiply_accumulate(7, "int8") == {"int8.mul": 7, "int32.add": 7}
    assert operations.multiply_accumulate(7, "bf16") == {"bf16.mul": 7, "fp32.add": 7}


def test_flops_are_floating_and_not_comparisons():
    counted = {"fp32.mul": 3, "bf16.add": 2, "int8.mul": 5, "fp32.compare": 7, "b1.xnor": 11, "int32.add": 13}
    assert operations.flops(counted) == 5
