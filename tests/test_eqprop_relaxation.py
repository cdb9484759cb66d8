"""Relaxation: fixed points, modes that agree, samples that stop for themselves, and errors that say where."""

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from energybench.workloads.eqprop._field import Nudge  # noqa: E402
from energybench.workloads.eqprop._sweeps import sweeper  # noqa: E402
from energybench.workloads.eqprop.activations import ACTIVATIONS  # noqa: E402
from energybench.workloads.eqprop.coupling import Dense  # noqa: E402
from energybench.workloads.eqprop.graphs import Graphs  # noqa: E402
from energybench.workloads.eqprop.network import Network, build  # noqa: E402
from energybench.workloads.eqprop.relaxation import DivergenceError, Relaxation  # noqa: E402

UNITS = [("hard-sigmoid", "linear"), ("sigmoid", "linear"), ("sigmoid", "sigmoid"), ("tanh", "tanh")]


def network(widths=(24, 20, 16), units=UNITS[0], *, gain=0.5, seed=3, dtype=torch.float64):
    spec = "-".join(map(str, [64, *widths, 10]))
    hidden, output = units
    net = build(spec, shape=(8, 8, 1), classes=10, hidden=hidden, output=output, gain=gain, seed=seed, dtype=dtype)
    random = torch.Generator().manual_seed(seed)
    for coupling in net.couplings:
        coupling.bias.uniform_(-0.3, 0.3, generator=random)
    return net


def batch(rows, *, dtype=torch.float64, seed=1):
    x = torch.rand(rows, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    return x, torch.eye(10, dtype=dtype)[torch.arange(rows) % 10]


def settled(net, x, sweeps, **options):
    relaxation = Relaxation(net, len(x), **{key: options.pop(key) for key in ("mode", "step_size") if key in options})
    relaxation.clamp(x)
    ended = relaxation.settle(sweeps, **options)
    return [state.clone() for state in relaxation.states], ended


def furthest(states, others):
    return max(float((one - other).abs().max()) for one, other in zip(states, others, strict=True))


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("gain", [0.5, 1.0])
@pytest.mark.parametrize("sweeps", [1, 5, 20])
def test_n_asynchronous_sweeps_are_2n_synchronous_steps(units, gain, sweeps):
    net = network(units=units, gain=gain)
    x, y = batch(32)
    for nudge in ({}, {"beta": 0.3, "target": y}):
        found, _ = settled(net, x, sweeps, **nudge)
        relaxation = Relaxation(net, 32, mode="sync")
        relaxation.clamp(x)
        for _ in range(2 * sweeps - 1):
            _step(relaxation, nudge)
        even = [state.clone() for state in relaxation.states[::2]]
        _step(relaxation, nudge)
        assert furthest(found[::2], even) <= 1e-12
        assert furthest(found[1::2], relaxation.states[1::2]) <= 1e-12


def _step(relaxation, nudge):
    relaxation.sweep(Nudge.towards(nudge["target"], nudge["beta"]) if nudge else None)


@pytest.mark.parametrize("units", UNITS)
def test_a_fixed_point_at_1e_12_has_a_recomputed_residual_of_at_most_1e_11(units):
    net = network(units=units)
    x, y = batch(16)
    for nudge in ({}, {"beta": 0.5, "target": y}, {"beta": -0.5, "target": y}):
        states, ended = settled(net, x, 4000, tolerance=1e-12, **nudge)
        assert int(ended.sweeps.max()) < 4000
        assert float(ended.bound.max()) <= 1e-12
        assert max(map(float, recomputed(net, states, x, nudge))) <= 1e-11


def recomputed(net, states, x, nudge):
    """|s − minimiser| of each layer, drives written out here."""
    for layer, (coupling, unit) in enumerate(zip(net.couplings, net.activations, strict=True)):
        drive = coupling.bias + (states[layer - 1] if layer else x) @ coupling.weight
        if layer + 1 < net.layers:
            drive = drive + states[layer + 1] @ net.couplings[layer + 1].weight.T
            wanted = unit.apply_(drive)
        else:
            wanted = unit.nudge_(drive, nudge["target"], nudge["beta"]) if nudge else unit.apply_(drive)
        yield (wanted - states[layer]).abs().max()


@given(
    widths=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    units=st.sampled_from(UNITS[:3]),
    rows=st.integers(1, 9),
    beta=st.sampled_from([0.0, 0.4, -0.4]),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_all_modes_settle_at_the_same_fixed_point(widths, units, rows, beta, seed):
    net = network(widths, units, gain=0.3, seed=seed)
    x, y = batch(rows, seed=seed)
    nudge = {"beta": beta, "target": y} if beta else {}
    found, _ = settled(net, x, 500, tolerance=1e-11, **nudge)
    for mode in ("sync", "euler"):
        other, _ = settled(net, x, 2000, tolerance=1e-11, mode=mode, **nudge)
        assert furthest(found, other) < 1e-8


@pytest.mark.parametrize("units", [("hard-sigmoid", "linear"), ("sigmoid", "sigmoid")])
def test_an_euler_step_of_one_is_a_synchronous_step(units):
    net = network(units=units)
    x, y = batch(8)
    # A nudged linear output steps to u − β(s − y), which is not its minimiser.
    nudge = {} if units[1] == "linear" else {"beta": 0.2, "target": y}
    found, _ = settled(net, x, 7, mode="euler", step_size=1.0, **nudge)
    wanted, _ = settled(net, x, 7, mode="sync", **nudge)
    assert furthest(found, wanted) < 1e-14


def test_an_euler_step_is_that_of_scellier_and_bengio():
    net = network((12,), gain=1.0)
    x, y = batch(4)
    weights, biases = [c.weight for c in net.couplings], [c.bias for c in net.couplings]
    hidden, output = torch.zeros(4, 12, dtype=torch.float64), torch.zeros(4, 10, dtype=torch.float64)
    for _ in range(9):
        pulls = x @ weights[0] + biases[0] + output @ weights[1].T - hidden
        falls = hidden @ weights[1] + biases[1] - output - 0.5 * (output - y)
        hidden, output = (hidden + 0.2 * pulls).clamp(0, 1), output + 0.2 * falls
    found, _ = settled(net, x, 9, mode="euler", step_size=0.2, beta=0.5, target=y)
    assert furthest(found, [hidden, output]) < 1e-14


class Counting(Dense):
    """A coupling that counts its products upwards."""

    ups = 0

    def up(self, below, out):
        self.ups += 1
        return super().up(below, out)


def test_the_input_is_multiplied_once_a_sample_whatever_the_phases():
    from energybench.workloads.eqprop.estimators import estimate

    net = network((12, 12), dtype=torch.float32)
    first = Counting(net.couplings[0].weight, net.couplings[0].bias)
    net = Network([first, *net.couplings[1:]], net.activations)
    relaxation = Relaxation(net, 8)
    x, y = batch(8, dtype=torch.float32)
    estimate(relaxation, x, y, beta=0.2, free=9, nudged=5)
    assert first.ups == 1
    estimate(relaxation, x, y, beta=0.2, free=9, nudged=5, deviation=True, tolerance=1e-5)
    assert first.ups == 2


def test_sweeps_move_between_two_buffers_and_allocate_none():
    relaxation = Relaxation(network(dtype=torch.float32), 8)
    relaxation.clamp(batch(8, dtype=torch.float32)[0])
    places = {tensor.data_ptr() for tensor in (*relaxation.field.now, *relaxation.field.room)}
    assert len(places) == 2 * relaxation.network.layers
    for _ in range(5):
        relaxation.sweep()
        assert {tensor.data_ptr() for tensor in (*relaxation.field.now, *relaxation.field.room)} == places


def test_samples_that_leave_change_nothing_for_those_that_stay():
    net = network(gain=1.0)
    x, _ = batch(64)
    found, ended = settled(net, x, 400, tolerance=1e-6)
    counts = ended.sweeps.unique().tolist()
    assert len(counts) > 3
    for sweeps in counts:
        # The same sweeps with everybody there.
        wanted, fixed = settled(net, x, sweeps)
        rows = ended.sweeps == sweeps
        assert furthest([state[rows] for state in found], [state[rows] for state in wanted]) < 1e-12
        torch.testing.assert_close(ended.residual[rows], fixed.residual[rows], rtol=1e-5, atol=1e-15)
        torch.testing.assert_close(ended.contraction[rows], fixed.contraction[rows], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("gain", [0.3, 0.5, 0.6])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_a_stopped_sample_is_within_its_tolerance_of_the_fixed_point(gain, tolerance):
    net = network((64, 48), gain=gain)
    x, _ = batch(64)
    truth, _ = settled(net, x, 3000, tolerance=1e-12)
    narrow = Relaxation(net.to(torch.float32), 64)
    narrow.clamp(x.float())
    ended = narrow.settle(2000, tolerance=tolerance)
    units = sum(state.shape[1] for state in truth)
    pairs = zip(narrow.states, truth, strict=True)
    error = (sum((state.double() - exact).square().sum(1) for state, exact in pairs) / units).sqrt()
    assert float(ended.bound.max()) <= tolerance
    # An estimate of the contraction is not the contraction: nearly all are inside, and none is far off.
    assert float((error <= tolerance).double().mean()) >= 0.9
    assert float(error.max()) <= 2 * tolerance


def test_the_residual_alone_would_have_stopped_far_from_the_fixed_point():
    # One mode that contracts by 0.99 a sweep: two units that feed each other, and nothing else.
    coupling = math.sqrt(0.99)
    first = Dense(torch.tensor([[0.0]], dtype=torch.float64), torch.tensor([0.001], dtype=torch.float64))
    second = Dense(torch.tensor([[coupling]], dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    net = Network([first, second], [build("", shape=(1, 1, 1), classes=1).activations[1]] * 2)
    x = torch.zeros(1, 1, dtype=torch.float64)
    exact = 0.001 / (1 - 0.99)
    relaxation = Relaxation(net, 1)
    relaxation.clamp(x)
    relaxation.settle(100)
    ended = relaxation.settle(5)
    off = abs(float(relaxation.states[0]) - exact)
    assert off > 60 * float(ended.residual)
    assert float(ended.contraction) == pytest.approx(0.99, rel=1e-9)
    bounded = relaxation.settle(2000, tolerance=1e-4)
    assert abs(float(relaxation.states[0]) - exact) <= 1.5e-4
    assert int(bounded.sweeps) < 2000


def test_stopping_each_sample_takes_fewer_sweeps_than_waiting_for_the_last():
    net = network((64, 48), gain=1.0, dtype=torch.float32)
    x, _ = batch(64, dtype=torch.float32)
    _, closed = settled(net, x, 500, tolerance=1e-3)
    _, waited = settled(net, x, 500, tolerance=1e-3, compact=False)
    assert len(waited.sweeps.unique()) == 1
    assert int(closed.sweeps.max()) <= int(waited.sweeps.max())
    assert 1.5 * int(closed.sweeps.sum()) < int(waited.sweeps.sum())


def test_a_second_phase_goes_on_with_the_whole_batch_after_samples_have_left():
    net = network(gain=0.4)
    x, y = batch(32)
    relaxation = Relaxation(net, 32)
    relaxation.clamp(x)
    relaxation.settle(300, tolerance=1e-12)
    relaxation.settle(300, tolerance=1e-12, beta=0.4, target=y)
    wanted, _ = settled(net, x, 400, beta=0.4, target=y)
    assert furthest(relaxation.states, wanted) < 1e-10


def test_pooled_samples_that_leave_change_nothing_for_those_that_stay():
    net = build("3c3-4s3-10", shape=(8, 8, 1), classes=10, gain=0.5, dtype=torch.float64)
    x = torch.rand(24, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, ended = settled(net, x, 100, tolerance=1e-3)
    assert len(ended.sweeps.unique()) > 2
    for sweeps in ended.sweeps.unique().tolist():
        wanted, _ = settled(net, x, sweeps)
        rows = ended.sweeps == sweeps
        assert furthest([state[rows] for state in found], [state[rows] for state in wanted]) < 1e-12


def test_a_trace_tells_each_sweep_and_what_was_still_moving():
    net = network(gain=1.0)
    x, _ = batch(48)
    _, ended = settled(net, x, 300, tolerance=1e-4, trace=True)
    assert [one.sweep for one in ended.trace] == list(range(1, int(ended.sweeps.max()) + 1))
    assert sum(one.active for one in ended.trace) == int(ended.sweeps.sum())
    assert ended.trace[0].active == 48
    assert all(one.residual_median <= one.residual_max for one in ended.trace)
    assert [one.seconds for one in ended.trace] == sorted(one.seconds for one in ended.trace)
    _, whole = settled(net, x, 7, trace=True)
    assert [one.active for one in whole.trace] == [48] * 7
    assert whole.bound is None


def test_strong_couplings_in_step_go_round_in_circles_and_say_so():
    net = network((24, 24, 24), gain=3.0)
    x, _ = batch(16)
    told = r"the relaxation diverges in layer [1-4] at sweep \d+: contraction [\d.]+; mode=async settles"
    with pytest.raises(ValueError, match=told):
        settled(net, x, 400, mode="sync", tolerance=1e-6)
    with pytest.raises(DivergenceError) as kept:
        settled(net, x, 400, mode="sync", trace=True)
    assert len(kept.value.trace) >= 13
    assert kept.value.trace[-1].residual_max > 1e-3
    with pytest.raises(DivergenceError, match="at sweep 60"):
        settled(net, x, 60, mode="sync")
    # The same network settles where layers take turns.
    settled(net, x, 400, tolerance=1e-6)


def test_units_without_ends_run_away_and_say_where():
    net = network((8, 8), ("linear", "linear"), gain=4.0)
    x, _ = batch(4)
    with pytest.raises(DivergenceError, match=r"layer [123] at sweep \d+: contraction (\d|inf)"):
        settled(net, x, 100, tolerance=1e-6)
    with pytest.raises(DivergenceError, match=r"at sweep 9: contraction"):
        settled(network((8, 8), ("linear", "linear"), gain=40.0), x, 9)


def test_what_is_not_a_number_is_told_with_its_layer_and_sweep():
    net = network()
    net.couplings[2].weight[0, 0] = math.nan
    with pytest.raises(DivergenceError, match=r"layer [23] at sweep 1: a state that is not finite"):
        settled(net, batch(4)[0], 10, trace=True)
    with pytest.raises(DivergenceError, match="at sweep 10: a state that is not finite"):
        settled(net, batch(4)[0], 10)


def test_scores_of_any_number_of_samples_do_not_depend_on_how_they_are_split():
    net = network()
    x, _ = batch(37)
    whole = Relaxation(net, 37).forward_scores(x, 30)
    torch.testing.assert_close(Relaxation(net, 8).forward_scores(x, 30), whole, rtol=1e-12, atol=1e-12)
    assert whole.shape == (37, 10)


def test_bfloat16_states_settle_near_those_of_float32_with_the_weights_of_the_moment():
    net = network(dtype=torch.float32)
    x, _ = batch(8, dtype=torch.float32)
    low = Relaxation(net, 8, dtype=torch.bfloat16)
    for _ in range(2):
        wanted = Relaxation(net, 8).forward_scores(x, 20)
        torch.testing.assert_close(low.forward_scores(x, 20).float(), wanted, rtol=0.05, atol=0.05)
        net.couplings[-1].weight.mul_(-1)


def test_loaded_states_are_copied_and_followed_phases_do_not_touch_the_first():
    net = network()
    x, y = batch(6)
    relaxation = Relaxation(net, 6)
    relaxation.clamp(x)
    relaxation.settle(200)
    kept = [state.clone() for state in relaxation.states]
    pair = relaxation.follow(2)
    betas = torch.tensor([[0.3]] * 6 + [[-0.3]] * 6, dtype=torch.float64)
    pair.settle(200, beta=betas, target=y.repeat(2, 1))
    assert furthest(relaxation.states, kept) == 0
    for rows, beta in ((slice(6), 0.3), (slice(6, 12), -0.3)):
        relaxation.load(kept)
        relaxation.settle(200, beta=beta, target=y)
        assert furthest([state[rows] for state in pair.states], relaxation.states) < 1e-12


@pytest.mark.parametrize("widths", [(12,), (12, 14), (12, 14, 9), (12, 14, 9, 11)])
def test_what_was_made_or_first_used_in_inference_mode_goes_on_outside_of_it(widths):
    from energybench.workloads.eqprop.estimators import estimate

    net = network(widths)
    x, y = batch(8)
    phases = {"beta": 0.2, "free": 30, "nudged": 20, "tolerance": 1e-3}
    with torch.inference_mode():
        made = Relaxation(net, 8)
        estimate(made, x, y, **phases)
        net.parameters()[2].mul_(0.9)
        first = estimate(made, x, y, **phases).gradients
    net.parameters()[2].mul_(1.0)
    for relaxation in (made, Relaxation(net, 8)):
        again = estimate(relaxation, x.clone(), y.clone(), **phases).gradients
        assert furthest([one.clone() for one in first], again) < 1e-12


def test_layers_of_different_units_relax_each_by_its_own():
    base = network((12, 14, 9))
    units = [ACTIVATIONS[name] for name in ("sigmoid", "hard-sigmoid", "tanh", "linear")]
    net = Network(base.couplings, units)
    x, _ = batch(8)
    states, _ = settled(net, x, 2000, tolerance=1e-12)
    assert max(map(float, recomputed(net, states, x, {}))) <= 1e-11


def test_a_weight_that_another_tensor_takes_the_place_of_is_seen():
    net = network((12, 14))
    x, _ = batch(8)
    relaxation = Relaxation(net, 8)
    relaxation.forward_scores(x, 9)
    net.couplings[1].weight = net.couplings[1].weight * 0.5
    wanted = Relaxation(net, 8).forward_scores(x, 9)
    assert furthest([relaxation.forward_scores(x, 9)], [wanted]) < 1e-14


def test_what_does_not_fit_is_one_clear_line():
    net = network()
    x, y = batch(4)
    for options, told in (
        ({"mode": "asynch"}, "there is no mode 'asynch': there are async, sync, euler"),
        ({"mode": "euler", "step_size": 0.0}, "step_size=0.0 does not fit"),
    ):
        with pytest.raises(ValueError, match=told):
            Relaxation(net, 4, **options)
    with pytest.raises(ValueError, match="batch=0 does not fit"):
        Relaxation(net, 0)
    relaxation = Relaxation(net, 3)
    with pytest.raises(ValueError, match="4 samples do not fit a relaxation of 1 to 3"):
        relaxation.clamp(x)
    relaxation.clamp(x[:3])
    with pytest.raises(ValueError, match="beta without a target"):
        relaxation.settle(3, beta=0.2)
    with pytest.raises(ValueError, match="beta=-1 leaves the nudged output without a minimum"):
        relaxation.settle(3, beta=-1.0, target=y[:3])
    with pytest.raises(ValueError, match="sweeps=0 does not relax"):
        relaxation.settle(0)


class Recorder(TorchDispatchMode):
    """What a CUDA graph does, on a CPU: the operators of some work, repeated on the tensors that it used."""

    def __init__(self):
        super().__init__()
        self.calls, self.before = [], {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        for tensor in tensors:
            self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        found = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, found))
        return found

    def replay(self):
        for func, args, kwargs, first in self.calls:
            found = func(*args, **kwargs)
            for old, new in zip(tree_leaves(first), tree_leaves(found), strict=True):
                if isinstance(new, torch.Tensor) and old is not new and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def recorded(work):
    """Nothing has happened after it, as nothing has after a capture."""
    recorder = Recorder()
    with recorder:
        work()
    # Views come after what they are views of, and are put back before it.
    for tensor, before in reversed(recorder.before.values()):
        tensor.copy_(before)
    return recorder.replay


@pytest.mark.parametrize("units", UNITS[:3])
@pytest.mark.parametrize("mode", ["async", "sync", "euler"])
def test_recorded_sweeps_are_those_that_run_one_by_one_while_weights_and_targets_change(units, mode):
    net = network((12, 12), units)
    plain, graphed = Relaxation(net, 6, mode=mode), Relaxation(net, 6, mode=mode)
    graphed._graphs = Graphs(graphed.field, sweeper(mode, 0.5), capture=recorded)
    betas = torch.tensor([[0.3], [-0.3]] * 3, dtype=torch.float64)
    for turn in range(4):
        x, y = batch(6, seed=turn)
        for relaxation in (plain, graphed):
            relaxation.clamp(x)
            relaxation.settle(5)
            relaxation.settle(4, beta=betas, target=y.roll(turn, 0))
            relaxation.settle(3, beta=0.2, target=y)
        assert furthest(graphed.states, plain.states) == 0
        net.couplings[1].weight.mul_(-0.9)
    assert sum(graph is not None for graph in graphed._graphs._graphs.values()) >= 3


@pytest.mark.hardware
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("units", UNITS)
def test_a_gpu_with_graphs_settles_where_the_cpu_does(units):
    from energybench.workloads.eqprop.estimators import estimate

    net = network((48, 32), units, dtype=torch.float32)
    there = net.to(torch.float32, "cuda")
    on_cpu, on_gpu = Relaxation(net, 16), Relaxation(there, 16)
    for turn in range(4):
        x, y = batch(16, dtype=torch.float32, seed=turn)
        phases = {"beta": 0.3, "free": 30, "nudged": 12, "deviation": turn > 1}
        wanted = estimate(on_cpu, x, y, **phases).gradients
        found = estimate(on_gpu, x.cuda(), y.cuda(), **phases).gradients
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=1e-2, atol=1e-4)
        for low, high in zip(net.parameters(), there.parameters(), strict=True):
            low.mul_(0.9)
            high.mul_(0.9)


@pytest.mark.parametrize("mode", ["sync", "euler"])
@pytest.mark.parametrize("widths", [(64, 64, 64), (32, 32)])
def test_a_residual_that_grows_on_the_way_past_a_saddle_is_no_divergence(mode, widths):
    net = network(widths, ("tanh", "linear"), gain=1.0, seed=0)
    for coupling in net.couplings:
        coupling.bias.zero_()
    x, _ = batch(32, seed=0)
    _, ended = settled(net, x, 3000, mode=mode, tolerance=1e-3)
    assert float(ended.residual.max()) < 1e-3


def test_pooling_with_states_below_0_is_no_descent_and_says_so():
    net = build("8s3-8s3-10", shape=(8, 8, 1), classes=10, hidden="tanh", gain=1.0, dtype=torch.float64)
    relaxation = Relaxation(net, 32)
    assert not relaxation.descends
    relaxation.clamp(batch(32)[0])
    with pytest.raises(DivergenceError, match=r"diverges in layer \d at sweep \d+: contraction"):
        relaxation.settle(200, tolerance=1e-3)


def test_two_relaxations_of_one_pooled_network_leave_each_others_maxima_alone():
    net = build("8s3-8c3-10", shape=(8, 8, 1), classes=10, gain=0.5, dtype=torch.float64)
    first, second = Relaxation(net, 7), Relaxation(net, 7)
    one, other = batch(7, seed=1)[0], batch(7, seed=2)[0]
    alone = settled(net, one, 12)[0]
    first.clamp(one)
    second.clamp(other)
    for _ in range(12):
        first.settle(1, watch=False)
        second.settle(1, watch=False)
    assert furthest(first.states, alone) < 1e-12
    first.follow(2).settle(3)
    first.settle(2)


def test_deviations_may_settle_again_after_samples_have_left():
    net = network()
    x, y = batch(16)
    relaxation = Relaxation(net, 16)
    relaxation.clamp(x)
    relaxation.settle(100)
    pulled = relaxation.follow(2, "float32")
    beta = torch.tensor([0.2, -0.2], dtype=torch.float64).repeat_interleave(16)[:, None]
    nudge = {"beta": beta, "target": y.repeat(2, 1)}
    pulled.settle(200, tolerance=1e-6, **nudge)
    once = [state.clone() for state in pulled.states]
    pulled.settle(50, **nudge)
    assert furthest(once, pulled.states) < 1e-5
