import itertools
import json
import math
import threading
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench import operations
from energybench.model import Domain, Probe, UnknownNameError
from energybench.probes import operators

torch = pytest.importorskip("torch")
functional = torch.nn.functional
FlopCounterMode = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode
sizes = st.integers(1, 24)


def moved(work):
    counts = operators.count(work)
    return counts.read_bytes, counts.written_bytes


def test_a_matrix_product_is_exact():
    a, b = torch.randn(1024, 512), torch.randn(512, 256)
    counts = operators.count(lambda: a @ b)
    assert counts.read_bytes == 4 * (1024 * 512 + 512 * 256)
    assert counts.written_bytes == 4 * 1024 * 256
    assert counts.operations == {"fp32.mul": 1024 * 512 * 256, "fp32.add": 1024 * 512 * 256}
    assert counts.flops == 2 * 1024 * 512 * 256
    assert (counts.calls, counts.unmapped) == ({"aten.mm": 1}, {})


@settings(deadline=None, max_examples=50)
@given(m=sizes, k=sizes, n=sizes, kind=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
def test_a_linear_layer_is_exact_at_every_shape(m, k, n, kind):
    x, w, b = torch.zeros(m, k, dtype=kind), torch.zeros(n, k, dtype=kind), torch.zeros(n, dtype=kind)
    for mode in (torch.inference_mode, torch.enable_grad):
        with mode():
            counts = operators.count(lambda: functional.linear(x, w, b))
        assert counts.read_bytes == kind.itemsize * (m * k + n * k + n)
        assert counts.written_bytes == kind.itemsize * m * n
        assert counts.operations[f"{operations.width(kind)}.mul"] == m * n * k
        assert sum(counts.operations.values()) == 2 * m * n * k + m * n


@settings(deadline=None, max_examples=50)
@given(
    n=st.integers(1, 3),
    c=st.integers(1, 4),
    o=st.integers(1, 4),
    k=st.integers(1, 3),
    stride=st.integers(1, 2),
)
def test_convolutions_agree_with_torchs_own_flop_counter_forward_and_backward(n, c, o, k, stride):
    x, w = torch.zeros(n, c, 7, 6, requires_grad=True), torch.zeros(o, c, k, k, requires_grad=True)
    with FlopCounterMode(display=False) as reference:
        counts = operators.count(lambda: functional.conv2d(x, w, stride=stride, padding=1).sum().backward())
    assert 2 * counts.operations["fp32.mul"] == reference.get_total_flops()
    assert counts.unmapped == {}


def test_views_move_nothing_and_a_copy_of_one_moves_what_it_shows():
    a = torch.randn(1024, 256)
    assert moved(lambda: a.t()[:, :10].view(256, 10).unsqueeze(0)) == (0, 0)
    assert moved(lambda: a.t()[:, :10].contiguous()) == (4 * 2560, 4 * 2560)


def test_a_reshape_that_copies_is_seen_in_inference_mode_too():
    a = torch.randn(8, 4)
    with torch.inference_mode():
        assert moved(lambda: a.t().reshape(32)) == (128, 128)
        assert moved(lambda: a.reshape(32)) == (0, 0)


def test_expanded_and_overlapping_elements_are_read_once():
    row = torch.randn(1, 100)
    assert moved(lambda: row.expand(50, 100).sum()) == (400, 4)
    assert moved(lambda: row.view(100).unfold(0, 3, 1).sum()) == (400, 4)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), min_size=1, max_size=2))
def test_no_strided_tensor_counts_fewer_bytes_than_its_distinct_elements(axes):
    shape, strides = zip(*axes, strict=True)
    view = torch.zeros(64).as_strided(shape, strides)
    places = {
        sum(i * s for i, s in zip(at, strides, strict=True))
        for at in torch.cartesian_prod(*[torch.arange(n) for n in shape]).view(-1, len(shape)).tolist()
    }
    read, _ = moved(lambda: view.sum())
    assert 4 * len(places) <= read <= 4 * math.prod(shape)


def test_the_same_operand_twice_is_read_once():
    a = torch.randn(100)
    assert moved(lambda: a * a) == (400, 400)


def test_in_place_changes_are_read_and_written_once():
    a, b = torch.randn(100), torch.randn(100)
    assert moved(lambda: a.relu_()) == (400, 400)
    assert moved(lambda: a.add_(b)) == (800, 400)


def test_what_is_overwritten_is_not_read():
    a, b = torch.randn(100), torch.randn(100)
    assert moved(lambda: a.copy_(b)) == (400, 400)
    assert moved(lambda: a.fill_(1.0)) == (0, 400)
    assert moved(lambda: torch.add(a, a, out=b)) == (400, 400)
    assert moved(lambda: torch.zeros_like(a)) == (0, 400)
    assert moved(lambda: torch.empty(1000)) == (0, 0)


def test_a_lookup_reads_the_rows_it_finds():
    table, rows = torch.randn(1000, 16), torch.tensor([3, 5])
    assert moved(lambda: functional.embedding(rows, table)) == (2 * 16 * 4 + 16, 2 * 16 * 4)


def test_attention_on_the_cpu_is_not_free():
    q, k, v = torch.randn(2, 4, 96, 64), torch.randn(2, 4, 128, 64), torch.randn(2, 4, 128, 64)
    counts = operators.count(lambda: functional.scaled_dot_product_attention(q, k, v))
    assert "aten._scaled_dot_product_flash_attention_for_cpu" in counts.calls
    scores = 2 * 4 * 96 * 128
    assert counts.operations["fp32.mul"] == scores * (64 + 64) + scores
    assert counts.operations["fp32.exp"] == scores
    assert counts.unmapped == {}


@settings(deadline=None, max_examples=30)
@given(queries=st.integers(1, 12), keys=st.integers(1, 12))
def test_causal_attention_needs_the_unmasked_scores(queries, keys):
    q, k = torch.zeros(1, 1, queries, 8), torch.zeros(1, 1, keys, 8)
    counts = operators.count(lambda: functional.scaled_dot_product_attention(q, k, k, is_causal=True))
    assert counts.operations["fp32.exp"] == int(torch.ones(queries, keys).tril().sum())


def test_a_backward_pass_of_attention_has_five_products():
    q, k, v = (torch.randn(1, 2, 16, 8, requires_grad=True) for _ in range(3))
    forward = operators.count(lambda: functional.scaled_dot_product_attention(q, k, v))
    both = operators.count(lambda: functional.scaled_dot_product_attention(q, k, v).sum().backward())
    scores = 2 * 16 * 16
    assert both.operations["fp32.mul"] - forward.operations["fp32.mul"] == scores * 5 * 8 + 3 * scores
    assert both.unmapped == {}


def test_int8_products_are_low_bit_operations():
    a, b = torch.ones(32, 64, dtype=torch.int8), torch.ones(64, 16, dtype=torch.int8)
    counts = operators.count(lambda: torch._int_mm(a, b))
    assert counts.operations == {"int8.mul": 32 * 64 * 16, "int32.add": 32 * 64 * 16}
    assert (counts.read_bytes, counts.written_bytes, counts.flops) == (64 * 48, 4 * 512, 0)


def test_a_training_step_has_no_unmapped_operator():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten())
    net.append(torch.nn.Linear(4 * 36, 3))
    optimizer = torch.optim.Adam(net.parameters())
    x, y = torch.randn(2, 1, 8, 8), torch.tensor([0, 2])

    def step():
        optimizer.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    assert operators.count(step).unmapped == {}


def test_an_unknown_operator_is_listed_and_its_bytes_are_counted():
    a = torch.eye(8) * 2
    counts = operators.count(lambda: torch.linalg.cholesky_ex(a))
    assert counts.unmapped == {"aten.linalg_cholesky_ex": 1}
    assert counts.read_bytes == 4 * 64
    assert counts.written_bytes >= 4 * 64


def test_a_formula_that_fails_is_listed_and_does_not_stop_the_work():
    def wrong(*, no_such_argument):
        raise AssertionError

    operations.register("aten.trace", wrong)
    try:
        with pytest.warns(UserWarning, match=r"formula of aten\.trace failed"):
            counts = operators.count(lambda: torch.trace(torch.eye(3)))
    finally:
        del operations._registered["aten.trace"]
    assert counts.unmapped["aten.trace"] == 1


def test_a_compiled_kernel_that_torch_does_not_see_reaches_the_counter():
    numba, numpy = pytest.importorskip("numba"), pytest.importorskip("numpy")

    @numba.njit
    def total(words):
        found = 0
        for word in words:
            found += word
        return found

    def kernel(words):
        operations.record("test.total", words=words)
        return total(words)

    @operations.register("test.total")
    def formula(*, words):
        return operations.Cost(read_bytes=words.nbytes, written_bytes=8, operations={"int64.add": words.size})

    words = numpy.arange(10)
    try:
        counts = operators.count(lambda: kernel(words))
    finally:
        del operations._registered["test.total"]
    assert (counts.read_bytes, counts.written_bytes) == (80, 8)
    assert counts.operations == {"int64.add": 10}
    assert counts.calls == {"test.total": 1}
    assert operators.count(lambda: kernel(words)).unmapped == {"test.total": 1}


def custom_operator(name):
    @torch.library.custom_op(f"energybench_test::{name}", mutates_args=())
    def operator(x: torch.Tensor) -> torch.Tensor:
        operations.record(f"test.{name}", elements=x.numel())
        return x + 1

    return operator


def test_a_custom_operator_with_a_formula_is_counted_once_though_its_kernel_announces_itself():
    operator = custom_operator("both")
    cost = operations.Cost(operations={"b1.xnor": 5})
    operations.register("energybench_test.both", lambda **_: cost)
    operations.register("test.both", lambda **_: cost)
    counts = operators.count(lambda: operator(torch.zeros(4)))
    assert counts.operations == {"b1.xnor": 5}
    assert counts.calls["energybench_test.both"] == 1
    assert "test.both" not in counts.calls


def test_a_custom_operator_without_a_formula_is_what_its_kernels_say():
    operator = custom_operator("inner")
    operations.register(
        "test.inner",
        lambda *, elements: operations.Cost(read_bytes=elements, operations={"b1.xnor": elements}),
    )
    x = torch.zeros(4)
    counts = operators.count(lambda: operator(x))
    assert counts.operations == {"b1.xnor": 4}
    assert (counts.read_bytes, counts.written_bytes, counts.unmapped) == (4, 0, {})


def test_counters_nest_and_both_count():
    a = torch.randn(8, 8)
    inner = []
    outer = operators.count(lambda: (a @ a, inner.append(operators.count(lambda: a @ a))))
    assert outer.calls == {"aten.mm": 2}
    assert inner[0].calls == {"aten.mm": 1}
    assert outer.read_bytes == 2 * inner[0].read_bytes


def test_a_repeat_counts_the_same_to_the_last_byte():
    net = torch.nn.Linear(16, 4)
    x = torch.randn(2, 16)

    def step():
        net.zero_grad()
        net(x).sum().backward()

    assert operators.count(step) == operators.count(step)


def test_counts_are_frozen():
    counts = operators.count(lambda: None)
    with pytest.raises(FrozenInstanceError):
        counts.read_bytes = 1


@pytest.fixture
def probe():
    opened = operators.open_probe()
    assert isinstance(opened, operators.OperatorProbe)
    yield opened
    opened.close()


def total_of(probe):
    [(_, raw)] = probe.read()
    return raw


def test_the_probe_counts_attached_work_only_and_its_reading_is_cumulative(probe):
    a = torch.randn(10)
    a.add(1)
    assert total_of(probe) == 0
    probe.attach()
    a.add(1)
    assert total_of(probe) == 80
    probe.attach()
    a.add(1)
    probe.detach()
    a.add(1)
    probe.detach()
    a.add(1)
    assert total_of(probe) == 240
    assert probe.state()["calls"] == {"aten.add": 3}


def test_the_probe_keeps_to_the_contract_of_probes(probe):
    assert isinstance(probe, Probe)
    assert operators.ON_REQUEST
    domain = probe.domains["operators"]
    assert isinstance(domain, Domain)
    assert (domain.quantity, domain.provenance, domain.additive) == ("operand_bytes", "modelled", False)


def test_threads_are_counted_where_they_are_attached(probe):
    a = torch.randn(10)

    def attached():
        probe.attach()
        a.add(1)
        probe.detach()

    threads = [threading.Thread(target=work) for work in (attached, attached, lambda: a.add(1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total_of(probe) == 160


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_two_threads_share_one_counter_and_the_domain_says_so(probe):
    a = torch.randn(10)
    domain = probe.domains["operators"]
    assert (domain.scope, domain.exclusive) == ("process", False)

    def attached():
        probe.attach()
        a.add(1)
        probe.detach()

    probe.attach()
    in_a_thread(attached)
    assert total_of(probe) == 80
    a.add(1)
    assert total_of(probe) == 160
    probe.detach()


def test_a_window_that_another_thread_ends_does_not_count_for_ever(probe):
    a = torch.randn(10)
    probe.attach()
    a.add(1)
    in_a_thread(probe.detach)
    a.add(1)
    operations.record("test.nobody_listens")
    assert total_of(probe) == 80
    probe.attach()
    a.add(1)
    probe.detach()
    a.add(1)
    assert total_of(probe) == 160
    assert probe.counts().calls == {"aten.add": 2}
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None


def test_a_window_that_another_thread_ends_leaves_that_threads_own_counting(probe):
    a = torch.randn(10)
    probe.attach()
    probe.attach()
    in_a_thread(probe.detach)
    a.add(1)
    probe.detach()
    a.add(1)
    assert total_of(probe) == 80


def test_detaching_leaves_a_mode_that_was_entered_later_in_place(probe):
    a = torch.randn(4, 4)
    probe.attach()
    with FlopCounterMode(display=False) as flops:
        a @ a
        probe.detach()
        a @ a
    a @ a
    assert flops.get_total_flops() == 2 * 2 * 64
    assert probe.counts().calls == {"aten.mm": 1}
    probe.detach()
    assert total_of(probe) == 2 * 64


def test_modelled_energy_is_arithmetic_and_memory_apart():
    a, b = torch.randn(1024, 512), torch.randn(512, 256)
    counts = operators.count(lambda: a @ b)
    cost = operators.energy(counts, "horowitz-45nm")
    accesses = 4 * (1024 * 512 + 512 * 256 + 1024 * 256) / 8
    assert cost.arithmetic_joules == pytest.approx(1024 * 512 * 256 * 4.6e-12, rel=1e-12)
    assert cost.memory_joules == pytest.approx(accesses * 1950e-12, rel=1e-12)
    assert cost.joules == cost.arithmetic_joules + cost.memory_joules
    assert cost.low == pytest.approx(cost.arithmetic_joules + accesses * 1300e-12, rel=1e-12)
    assert cost.high == pytest.approx(cost.arithmetic_joules + accesses * 2600e-12, rel=1e-12)
    assert (cost.provenance, cost.table, cost.memory, cost.unpriced) == (
        "modelled",
        "horowitz-45nm",
        "dram",
        {},
    )
    assert cost == operators.energy(counts, operators.table("horowitz-45nm"))


def test_operations_without_a_price_are_named():
    a = torch.randn(10)
    assert operators.energy(operators.count(a.exp), "horowitz-45nm").unpriced == {"fp32.exp": 10}


def test_an_unknown_table_or_memory_is_answered_with_what_there_is():
    with pytest.raises(UnknownNameError, match="did you mean horowitz-45nm"):
        operators.table("horowitz45")
    with pytest.raises(UnknownNameError, match="prices dram, hbm2, gddr6, sram-8KiB"):
        operators.energy(operators.count(lambda: None), "jouppi-7nm", memory="tape")


def derived_factor(operation: str, origin: str) -> float:
    """How many of the row that it stands on a derived row is: an eighth a bit, 7.1 products a quotient, else one."""
    return {"b1": 1 / 8}.get(operation.split(".")[0], 7.1 if (operation, origin) == ("fp32.div", "fp32.mul") else 1)


@pytest.mark.parametrize("name", operators.tables())
def test_every_row_of_a_table_has_its_source_and_derived_rows_name_theirs(name):
    table = operators.table(name)
    for row in table.rows:
        assert row["source"]
        assert row["read"] in {"primary", "secondary", "derived"}
        if row["read"] == "derived":
            assert row["from"] in table.operation_joules
            assert table.operation_joules[row["operation"]] == pytest.approx(
                table.operation_joules[row["from"]] * derived_factor(row["operation"], row["from"])
            )
    assert table.operation_joules["fp32.mul"] > table.operation_joules["fp32.add"] > 0


def test_table_files_name_no_row_twice():
    for path in (Path(operators.__file__).parent / "tables").glob("*.json"):
        content = json.loads(path.read_text())
        named = [row["operation"] for row in content["operations"]] + [row["memory"] for row in content["memories"]]
        assert len(named) == len(set(named))


# What kernels of networks of 1 to 32 bits count, from XNOR and popcount to float32.
LOW_BIT = ("b1.xnor", "b1.and", "b1.popcount", "int8.mul", "int8.compare", "int32.add", "int32.compare", "bf16.mul")
FLOAT = ("fp32.add", "fp32.mul", "fp32.compare", "fp32.round")


@pytest.mark.parametrize("name", operators.tables())
@pytest.mark.parametrize("operation", LOW_BIT + FLOAT)
def test_tables_price_what_low_bit_kernels_count(name, operation):
    cost = operators.energy(SimpleNamespace(operand_bytes=0, operations={operation: 1000}), name)
    assert cost.unpriced == {}
    assert cost.joules == pytest.approx(1000 * operators.table(name).operation_joules[operation])


def test_in_a_newer_process_nothing_costs_more_and_fewer_bits_cost_less():
    old, new = (operators.table(name).operation_joules for name in ("horowitz-45nm", "jouppi-7nm"))
    assert {name for name in set(old) & set(new) if new[name] >= old[name]} == set()
    for prices in (old, new):
        assert prices["b1.xnor"] < prices["int8.add"] < prices["int32.add"] < prices["bf16.add"] < prices["fp32.add"]
        assert prices["int8.mul"] < prices["bf16.mul"] < prices["fp32.mul"]


def test_the_7_nm_table_has_the_ratios_to_45_nm_that_its_source_prints():
    old, new = (operators.table(name) for name in ("horowitz-45nm", "jouppi-7nm"))
    printed = {
        "int8.add": 4.3, "int32.add": 3.3, "fp16.add": 2.5, "fp32.add": 2.4,
        "int8.mul": 2.9, "int32.mul": 2.1, "fp16.mul": 3.2, "fp32.mul": 2.8,
    }  # fmt: skip
    found = {name: old.operation_joules[name] / new.operation_joules[name] for name in printed}
    assert found == pytest.approx(printed, abs=0.051)
    caches = {"sram-8KiB": 1.3, "sram-32KiB": 2.4, "sram-1MiB": 7.1}
    assert {n: old.memory_joules[n][0] / new.memory_joules[n][0] for n in caches} == pytest.approx(caches, abs=0.051)
    assert new.memory_joules["dram"][0] == old.memory_joules["dram"][0]


def test_what_a_step_typically_does_is_the_same_wherever_the_count_begins():
    a = torch.ones(4, 4)
    turn = itertools.count()

    def step() -> None:
        if next(turn) % 5 == 0:
            torch.randperm(100)
        a @ a

    found = [operators.typical(step) for _ in range(7)]
    assert all(one == found[0] for one in found)
    assert found[0].calls == {"aten.mm": 1}


def test_where_no_two_runs_agree_the_last_one_stands_for_them():
    sizes = iter([3, 4, 5])
    assert (
        operators.typical(lambda: torch.ones(next(sizes)) + 1).written_bytes
        == operators.count(lambda: torch.ones(5) + 1).written_bytes
    )
