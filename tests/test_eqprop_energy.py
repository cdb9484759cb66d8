"""The energy, its units and its drives: one is the exact derivative of the other, and sweeps go downhill."""

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from energybench.model import UnknownNameError  # noqa: E402
from energybench.workloads.eqprop import energy  # noqa: E402
from energybench.workloads.eqprop._field import Nudge  # noqa: E402
from energybench.workloads.eqprop.activations import ACTIVATIONS, activation  # noqa: E402
from energybench.workloads.eqprop.coupling import Dense  # noqa: E402
from energybench.workloads.eqprop.network import Network, build  # noqa: E402
from energybench.workloads.eqprop.relaxation import Relaxation  # noqa: E402

UNITS = sorted(ACTIVATIONS)
PAIRS = [("hard-sigmoid", "linear"), ("sigmoid", "linear"), ("hard-sigmoid", "hard-sigmoid"), ("tanh", "tanh")]
architectures = st.fixed_dictionaries(
    {
        "widths": st.lists(st.integers(1, 17), min_size=1, max_size=4),
        "units": st.sampled_from([*PAIRS, ("sigmoid", "sigmoid"), ("tanh", "linear")]),
        "gain": st.sampled_from([0.3, 1.0, 2.0]),
        "seed": st.integers(0, 99),
        "rows": st.integers(1, 9),
    }
)


def small(widths=(16, 12), units=("hard-sigmoid", "linear"), *, gain=0.5, seed=1, rows=0):
    """A float64 network on 2×4 pictures with 5 classes, with biases that are not 0."""
    spec = "-".join(map(str, [8, *widths, 5]))
    hidden, output = units
    net = build(
        spec, shape=(2, 4, 1), classes=5, hidden=hidden, output=output, gain=gain, seed=seed, dtype=torch.float64
    )
    random = torch.Generator().manual_seed(seed)
    for coupling in net.couplings:
        coupling.bias.uniform_(-0.3, 0.3, generator=random)
    return net


def batch(rows, seed=0, features=8, classes=5):
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, features, generator=random, dtype=torch.float64)
    return x, torch.eye(classes, dtype=torch.float64)[torch.arange(rows) % classes]


def inside(net, rows, seed=0):
    """States inside every unit's range, that need a gradient."""
    random = torch.Generator().manual_seed(seed)
    return [
        torch.rand(rows, *shape, generator=random, dtype=torch.float64).mul_(0.9).add_(0.05).requires_grad_()
        for shape in net.shapes
    ]


@given(architectures)
@settings(max_examples=40)
def test_a_drive_is_the_exact_derivative_of_the_energy_without_its_potential(plan):
    rows = plan.pop("rows")
    net = small(**plan)
    x, _ = batch(rows, plan["seed"])
    states = inside(net, rows, plan["seed"])
    potential = sum(unit.potential(state).flatten(1).sum() for unit, state in zip(net.activations, states, strict=True))
    wanted = torch.autograd.grad(potential - energy.internal(net, states, x).sum(), states)
    relaxation = Relaxation(net, rows)
    relaxation.clamp(x)
    relaxation.load(states)
    for layer, drive in enumerate(wanted):
        with torch.no_grad():
            found = relaxation.field.drive(layer, torch.empty_like(drive))
        torch.testing.assert_close(found, drive, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", UNITS)
def test_the_derivative_of_a_potential_is_the_inverse_of_its_activation(name):
    unit = ACTIVATIONS[name]
    low, high = (0.02, 0.98) if name == "hard-sigmoid" else (-2.0, 2.0)
    drive = torch.linspace(low, high, 41, dtype=torch.float64)
    state = unit.apply_(drive.clone()).requires_grad_()
    (found,) = torch.autograd.grad(unit.potential(state).sum(), state)
    torch.testing.assert_close(found, drive, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["hard-sigmoid", "sigmoid", "tanh"])
def test_a_potential_is_finite_at_the_ends_of_its_range(name):
    unit = ACTIVATIONS[name]
    ends = torch.tensor([unit.low, unit.high], dtype=torch.float64)
    assert torch.isfinite(unit.potential(ends)).all()


@pytest.mark.parametrize("name", UNITS)
@given(
    drive=st.floats(-30, 30),
    target=st.sampled_from([0.0, 1.0]),
    beta=st.floats(-0.99, 8).filter(lambda b: abs(b) > 1e-3),
)
@example(drive=7.5, target=0.0, beta=7.75)
@settings(max_examples=60)
def test_a_nudged_output_is_at_the_minimum_to_machine_precision(name, drive, target, beta):
    unit = ACTIVATIONS[name]
    u, y = (torch.tensor([[value]], dtype=torch.float64) for value in (drive, target))
    found = float(unit.nudge_(u.clone(), y, beta))
    free = (drive + beta * target) / (1 + beta)
    if unit.quadratic:
        assert found == pytest.approx(min(max(free, unit.low), unit.high), rel=1e-14, abs=1e-14)
        return
    assert unit.low <= found <= unit.high
    # In v = ρ⁻¹(s) the condition is v + βρ(v) = u + βy: solved by bisection, as an oracle.
    low, high = drive - 20, drive + 20
    for _ in range(200):
        middle = (low + high) / 2
        excess = middle + beta * float(unit.apply_(torch.tensor(middle, dtype=torch.float64))) - drive - beta * target
        low, high = (middle, high) if excess < 0 else (low, middle)
    assert found == pytest.approx(float(unit.apply_(torch.tensor(low, dtype=torch.float64))), rel=1e-12, abs=1e-13)


def test_a_nudge_may_differ_from_sample_to_sample():
    for unit in ACTIVATIONS.values():
        drive, target = torch.rand(4, 3, dtype=torch.float64), torch.eye(4, 3, dtype=torch.float64)
        betas = torch.tensor([[0.5], [-0.5], [0.1], [-0.2]], dtype=torch.float64)
        together = unit.nudge_(drive.clone(), target, betas)
        for row, beta in enumerate(betas[:, 0].tolist()):
            alone = unit.nudge_(drive[row : row + 1].clone(), target[row : row + 1], beta)
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-13, atol=1e-13)


def ups(net, x, *, mode, sweeps, beta=0.0, target=None, step_size=0.5):
    """How many of all samples' sweeps raised F by more than rounding, from random states."""
    relaxation = Relaxation(net, len(x), mode=mode, step_size=step_size)
    relaxation.clamp(x)
    random = torch.Generator().manual_seed(5)
    relaxation.load([torch.rand(state.shape, generator=random, dtype=state.dtype) for state in relaxation.states])
    before = energy.total(net, relaxation.states, x, beta=beta, target=target)
    raised = 0
    for _ in range(sweeps):
        relaxation.sweep(None if target is None else Nudge.towards(target, beta))
        after = energy.total(net, relaxation.states, x, beta=beta, target=target)
        raised += int((after - before > 1e-9 * (1 + before.abs())).sum())
        before = after
    return raised


@pytest.mark.parametrize("units", PAIRS)
@pytest.mark.parametrize("gain", [0.5, 2.0, 4.0])
def test_no_asynchronous_sweep_raises_the_energy(units, gain):
    x, y = batch(32)
    net = small((24, 24, 24), units, gain=gain, seed=3)
    assert ups(net, x, mode="async", sweeps=100) == 0
    assert ups(net, x, mode="async", sweeps=60, beta=0.5, target=y) == 0
    assert ups(net, x, mode="async", sweeps=60, beta=-0.5, target=y) == 0


def test_synchronous_sweeps_at_gain_two_raise_the_energy_so_that_the_check_can_fail():
    x, _ = batch(32)
    assert ups(small((24, 24, 24), gain=2.0, seed=3), x, mode="sync", sweeps=100) > 32


@pytest.mark.parametrize("units", PAIRS)
def test_small_steps_of_the_flow_lower_the_energy(units):
    x, y = batch(16)
    net = small((24, 24), units, gain=0.7, seed=3)
    assert ups(net, x, mode="euler", sweeps=100, beta=0.5, target=y, step_size=0.1) == 0


@given(architectures)
@settings(max_examples=25)
def test_whatever_the_network_an_asynchronous_sweep_goes_downhill(plan):
    rows = plan.pop("rows")
    x, y = batch(rows, plan["seed"])
    assert ups(small(**plan), x, mode="async", sweeps=12, beta=0.3, target=y) == 0


def test_pooling_keeps_the_energy_from_rising_where_states_are_not_negative():
    net = build("3c3-4s3-5", shape=(10, 10, 1), classes=5, gain=1.5, dtype=torch.float64)
    x, y = batch(6, features=100)
    assert ups(net, x, mode="async", sweeps=40, beta=0.5, target=y) == 0


def test_the_total_is_the_internal_energy_and_beta_times_the_squared_distance():
    net = small()
    x, y = batch(3)
    states = [state.detach() for state in inside(net, 3)]
    distance = 0.5 * (states[-1] - y).square().sum(1)
    torch.testing.assert_close(
        energy.total(net, states, x, beta=0.25, target=y), energy.internal(net, states, x) + 0.25 * distance
    )
    betas = torch.tensor([[0.1], [-0.1], [0.5]], dtype=torch.float64)
    wanted = energy.internal(net, states, x) + betas[:, 0] * distance
    torch.testing.assert_close(energy.total(net, states, x, beta=betas, target=y), wanted)


def test_an_unknown_activation_is_answered_with_the_nearest_one():
    with pytest.raises(UnknownNameError, match=r"there is no activation 'sigmoyd': did you mean sigmoid\?"):
        activation("sigmoyd")
    with pytest.raises(UnknownNameError, match="there are hard-sigmoid, sigmoid, tanh, linear"):
        build("", shape=(8, 8, 1), classes=10, hidden="xyzzy")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("63-128-10", "does not fit pictures of 64 values: 64-128-10 would"),
        ("64-128-9", "does not fit 10 classes: 64-128-10 would"),
        ("8c3-16c3-9", "does not fit 10 classes: 8c3-16c3-10 would"),
        ("64", "units or channels joined by -"),
        ("64-x-10", "as in 64-128-10 and 32c5-64c5-10"),
        ("64-0-10", "units or channels joined by -"),
        ("64-8c3-10", "units last"),
        ("8c3", "units last"),
        ("8c5-8c5-10", "leave nothing of 2×2"),
        ("8s2-10", "8s2 cannot keep the size, 8s3 would"),
    ],
)
def test_a_net_that_does_not_fit_says_what_would(spec, told):
    with pytest.raises(ValueError, match=r"does not fit|cannot keep") as raised:
        build(spec, shape=(8, 8, 1), classes=10)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_spec_is_one_hidden_layer_of_128_and_three_hidden_layers_start_at_half_the_gain():
    assert build("", shape=(8, 8, 1), classes=10).shapes == [(128,), (10,)]
    wide = build("64-128-128-128-10", shape=(8, 8, 1), classes=10).couplings[1].weight
    assert float(wide.abs().max()) <= 0.5 * math.sqrt(6 / 256)
    assert float(build("64-128-10", shape=(8, 8, 1), classes=10).couplings[0].weight.abs().max()) > 0.16


def test_every_dtype_has_the_same_weights_and_a_copy_has_its_own():
    low, high = (build("", shape=(8, 8, 1), classes=10, dtype=kind) for kind in (torch.float32, torch.float64))
    torch.testing.assert_close(low.couplings[0].weight, high.couplings[0].weight.float(), rtol=0, atol=0)
    copied = low.copy()
    copied.parameters()[0].zero_()
    assert float(low.parameters()[0].abs().max()) > 0


def test_layers_that_do_not_meet_are_refused():
    couplings = [Dense(torch.zeros(4, 3), torch.zeros(3)), Dense(torch.zeros(2, 5), torch.zeros(5))]
    with pytest.raises(ValueError, match=r"\(3,\) does not fit \(2,\)"):
        Network(couplings, [ACTIVATIONS["sigmoid"]] * 2)
    with pytest.raises(ValueError, match="an activation for each coupling"):
        Network(couplings[:1], [])


def test_a_changed_weight_is_seen_in_both_directions_inside_inference_mode_too():
    coupling = Dense(torch.ones(3, 2), torch.zeros(2))
    above = torch.ones(1, 2)
    assert coupling.down(above, torch.zeros(1, 3)).tolist() == [[2, 2, 2]]
    with torch.inference_mode():
        coupling.weight.mul_(3)
        assert coupling.down(above, torch.zeros(1, 3)).tolist() == [[6, 6, 6]]
        made_here = Dense(torch.ones(3, 2), torch.zeros(2))
        made_here.weight.mul_(5)
        assert made_here.down(above, torch.zeros(1, 3)).tolist() == [[10, 10, 10]]
