"""Gradients by free and nudged phases, against implicit differentiation and backpropagation through time."""

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from energybench.workloads.eqprop import energy  # noqa: E402
from energybench.workloads.eqprop.estimators import ESTIMATORS, check, estimate  # noqa: E402
from energybench.workloads.eqprop.network import build  # noqa: E402
from energybench.workloads.eqprop.relaxation import DivergenceError, Relaxation  # noqa: E402

RHO = {
    "hard-sigmoid": lambda u: u.clamp(0, 1),
    "sigmoid": lambda u: torch.sigmoid(4 * (u - 0.5)),
    "tanh": torch.tanh,
    "linear": lambda u: u,
}


def network(spec="20-16-12-5", hidden="sigmoid", output="linear", *, gain=0.5, dtype=torch.float64):
    features, classes = int(spec.split("-")[0]), int(spec.split("-")[-1])
    net = build(
        spec, shape=(1, features, 1), classes=classes, hidden=hidden, output=output, gain=gain, seed=1, dtype=dtype
    )
    for coupling in net.couplings:
        coupling.bias.add_(0.1 if hidden == "tanh" else 0.3)
    return net


def batch(net, rows=8, *, dtype=torch.float64):
    features = net.couplings[0].weight.shape[0]
    x = torch.rand(rows, features, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    return x, torch.eye(net.classes, dtype=dtype)[torch.arange(rows) % net.classes]


def update(net, parameters, states, x, layers):
    """The prototypical dynamics, written out for autograd: these layers from the others' present states."""
    new = list(states)
    for layer in layers:
        weight, bias = parameters[2 * layer : 2 * layer + 2]
        drive = bias + (states[layer - 1] if layer else x) @ weight
        if layer + 1 < net.layers:
            drive = drive + states[layer + 1] @ parameters[2 * layer + 2].T
        new[layer] = RHO[net.activations[layer].name](drive)
    return new


def implicit(net, x, y):
    """The exact gradient of mean ½‖s_L − y‖² at the fixed point: λ = (1 − Jᵀ)⁻¹ ∂C/∂s, then a product with ∂T/∂θ."""
    relaxation = Relaxation(net, len(x))
    relaxation.clamp(x)
    relaxation.settle(3000, tolerance=1e-14)
    sizes = [shape[0] for shape in net.shapes]
    total = [torch.zeros_like(tensor) for tensor in net.parameters()]
    for row in range(len(x)):
        free = torch.cat([state[row] for state in relaxation.states])
        leaves = [tensor.detach().clone().requires_grad_() for tensor in net.parameters()]

        def moved(flat, parameters=leaves, row=row):
            states = [part[None] for part in flat.split(sizes)]
            return torch.cat([s[0] for s in update(net, parameters, states, x[row : row + 1], range(net.layers))])

        jacobian = torch.autograd.functional.jacobian(moved, free)
        pull = torch.zeros_like(free)
        pull[-sizes[-1] :] = free[-sizes[-1] :] - y[row]
        adjoint = torch.linalg.solve(torch.eye(len(free), dtype=free.dtype) - jacobian.T, pull)
        for sum_, part in zip(total, torch.autograd.grad(moved(free), leaves, adjoint), strict=True):
            sum_ += part / len(x)
    return total


def off(found, wanted):
    """Relative distance over all parameters."""
    pairs = list(zip(found, wanted, strict=True))
    apart = sum(float((one.double() - other.double()).square().sum()) for one, other in pairs)
    return math.sqrt(apart / sum(float(other.double().square().sum()) for _, other in pairs))


def converged(net, x, y, beta, **options):
    phases = {"free": 3000, "nudged": 3000, "tolerance": 1e-14}
    return estimate(Relaxation(net, len(x)), x, y, beta=beta, **{**phases, **options}).gradients


@pytest.mark.parametrize(
    ("hidden", "output", "gain", "most"),
    [
        ("sigmoid", "linear", 0.5, 5e-4),
        ("sigmoid", "sigmoid", 0.5, 5e-4),
        # At 0.5 this tanh network is all but critical, with a spectral radius of 0.97, where β = 0.01 is still large.
        ("tanh", "linear", 0.4, 3e-3),
        ("hard-sigmoid", "linear", 0.5, 3e-3),
    ],
)
def test_estimates_approach_the_implicit_gradient_with_the_order_that_theory_says(hidden, output, gain, most):
    net = network(hidden=hidden, output=output, gain=gain)
    x, y = batch(net)
    exact = implicit(net, x, y)
    errors = {
        (estimator, beta): off(converged(net, x, y, beta, estimator=estimator), exact)
        for estimator in ("centered", "one-sided")
        for beta in (0.01, 0.001)
    }
    assert errors["centered", 0.01] <= most
    slopes = {e: math.log10(errors[e, 0.01] / errors[e, 0.001]) for e in ("centered", "one-sided")}
    assert 1.9 <= slopes["centered"] <= 2.1
    assert 0.9 <= slopes["one-sided"] <= 1.1


@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_each_step_of_a_synchronous_nudged_phase_is_that_of_backpropagation_through_time(output):
    # Ernoult et al. 2019, theorem 1, from the free fixed point; the exact minimiser is their nudge up to O(β²).
    net, beta, steps = network(output=output), 1e-3, 25
    x, y = batch(net)
    relaxation = Relaxation(net, len(x), mode="sync")
    relaxation.clamp(x)
    relaxation.settle(4000, tolerance=1e-14)
    free = [state.clone() for state in relaxation.states]
    wanted = through_time(net, x, y, free, steps)
    phases = []
    for signed in (beta, -beta):
        relaxation.load(free)
        phases.append([])
        for _ in range(steps):
            relaxation.settle(1, beta=signed, target=y)
            phases[-1].append([state.clone() for state in relaxation.states])
    for step in (3, 10, 25):
        plus, minus = phases[0][step - 1], phases[1][step - 1]
        for one, other in zip(_contrast(x, plus, minus, 2 * beta), wanted[step - 1], strict=True):
            assert off([one], [other]) <= 1e-5


def through_time(net, x, y, free, steps):
    """Gradients of the loss after `steps` by the parameters of the last 1, 2 … steps."""
    leaves, states = [], free
    for _ in range(steps):
        leaves.append([tensor.detach().clone().requires_grad_() for tensor in net.parameters()])
        states = update(net, leaves[-1], states, x, range(net.layers))
    loss = 0.5 * (states[-1] - y).square().sum(1).mean()
    flat = [tensor for one in leaves for tensor in one]
    found = torch.autograd.grad(loss, flat, allow_unused=True)
    parts = [torch.zeros_like(leaf) if part is None else part for part, leaf in zip(found, flat, strict=True)]
    count, sums = 2 * net.layers, []
    for step in reversed(range(steps)):
        part = parts[step * count : (step + 1) * count]
        sums.append([a + b for a, b in zip(sums[-1], part, strict=True)] if sums else part)
    return sums


def _contrast(x, plus, minus, width):
    found = []
    for layer, (high, low) in enumerate(zip(plus, minus, strict=True)):
        above, below = (plus[layer - 1], minus[layer - 1]) if layer else (x, x)
        found += [-(above.T @ high - below.T @ low) / (width * len(x)), -(high - low).sum(0) / (width * len(x))]
    return found


@given(
    spec=st.sampled_from(["9-6-4", "9-7-5-4", "9-5-6-5-3"]),
    hidden=st.sampled_from(["hard-sigmoid", "sigmoid", "tanh"]),
    estimator=st.sampled_from(ESTIMATORS),
    beta=st.floats(0.05, 0.9),
    rows=st.integers(1, 7),
    deviation=st.booleans(),
)
@settings(max_examples=30)
def test_an_estimate_is_the_difference_of_the_energys_own_derivatives(spec, hidden, estimator, beta, rows, deviation):
    net = network(spec, hidden)
    x, y = batch(net, rows)
    generator = torch.Generator().manual_seed(4)
    found = estimate(
        Relaxation(net, rows), x, y, beta=beta, free=6, nudged=4, estimator=estimator, deviation=deviation,
        generator=generator,
    )  # fmt: skip
    sign = 1.0 if estimator == "one-sided" or int(torch.randint(2, (), generator=generator.manual_seed(4))) else -1.0
    ends = (beta, -beta) if estimator == "centered" else (sign * beta, 0.0)
    slopes = [_slope(net, x, y, end) for end in ends]
    wanted = [(a - b) / (ends[0] - ends[1]) for a, b in zip(*slopes, strict=True)]
    for one, other in zip(found.gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def _slope(net, x, y, beta):
    """∂F/∂θ by autograd, mean over the batch, after 6 free and 4 nudged sweeps."""
    relaxation = Relaxation(net, len(x))
    relaxation.clamp(x)
    relaxation.settle(6)
    if beta:
        relaxation.settle(4, beta=beta, target=y)
    leaves = net.copy()
    for tensor in leaves.parameters():
        tensor.requires_grad_()
    total = energy.internal(leaves, [state.clone() for state in relaxation.states], x).mean()
    return torch.autograd.grad(total, leaves.parameters())


def test_maps_have_the_energys_own_derivatives_too():
    net = build("3c3-4s3-6-5", shape=(10, 10, 1), classes=5, gain=0.5, dtype=torch.float64)
    x = torch.rand(4, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.eye(5, dtype=torch.float64)[:4]
    found = estimate(Relaxation(net, 4), x, y, beta=0.3, free=6, nudged=4).gradients
    wanted = [(a - b) / 0.6 for a, b in zip(_slope(net, x, y, 0.3), _slope(net, x, y, -0.3), strict=True)]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("spec", ["64-128-128-10", "64-96-80-72-10"])
@pytest.mark.parametrize("beta", [0.02, 0.2, 0.5])
def test_deviations_in_short_numbers_err_by_less_than_one_percent_where_short_states_err_by_more(spec, beta):
    net = network(spec, "hard-sigmoid", dtype=torch.float32)
    x, y = batch(net, 32, dtype=torch.float32)
    exact = estimate(
        Relaxation(net.to(torch.float64), 32), x.double(), y.double(), beta=beta, free=20, nudged=10
    ).gradients
    phases = {"beta": beta, "free": 20, "nudged": 10}
    errors = {
        kind: off(estimate(Relaxation(net, 32), x, y, deviation=True, dtype=kind, **phases).gradients, exact)
        for kind in ("float32", "bfloat16", "int8")
    }
    assert errors["float32"] <= 1e-4
    assert errors["bfloat16"] <= 0.01
    assert errors["int8"] <= 0.01
    all_short = estimate(Relaxation(net, 32, dtype=torch.bfloat16), x, y, **phases).gradients
    assert off(all_short, exact) > 1.5 * max(errors.values())


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8"])
def test_deviations_stop_sample_by_sample_with_what_is_kept_of_each(kind):
    net = network("64-96-80-10", "hard-sigmoid", gain=0.6, dtype=torch.float32)
    x, y = batch(net, 48, dtype=torch.float32)
    relaxation = Relaxation(net, 48)
    phases = {"beta": 0.3, "free": 60, "nudged": 60, "tolerance": 1e-4}
    found = estimate(relaxation, x, y, deviation=True, dtype=kind, **phases)
    assert len(found.nudged.sweeps.unique()) > 2
    assert found.nudged.sweeps.shape == (96,)
    assert off(found.gradients, estimate(relaxation, x, y, **phases).gradients) <= 0.01


def test_a_tolerance_gives_the_gradient_of_many_sweeps_for_fewer():
    net = network("64-96-80-10", "hard-sigmoid", dtype=torch.float32)
    x, y = batch(net, 48, dtype=torch.float32)
    whole = estimate(Relaxation(net, 48), x, y, beta=0.3, free=100, nudged=100)
    stopped = estimate(Relaxation(net, 48), x, y, beta=0.3, free=100, nudged=100, tolerance=1e-4)
    assert float(stopped.free.sweeps.double().mean()) < 50
    assert off(stopped.gradients, whole.gradients) <= 0.01


def test_centered_tolerates_a_short_free_phase_and_one_sided_does_not():
    net = network("64-128-10", "hard-sigmoid", dtype=torch.float32)
    x, y = batch(net, 32, dtype=torch.float32)
    errors = {}
    for estimator in ("centered", "one-sided"):
        phases = {"beta": 0.1, "nudged": 20, "estimator": estimator}
        settled, short = (estimate(Relaxation(net, 32), x, y, free=free, **phases).gradients for free in (200, 3))
        errors[estimator] = off(short, settled)
    assert errors["one-sided"] > 3 * errors["centered"]


def test_the_sign_is_drawn_anew_for_each_minibatch_and_the_mean_is_centered():
    net = network("9-7-4")
    x, y = batch(net)
    relaxation, generator = Relaxation(net, 8), torch.Generator().manual_seed(0)
    phases = {"beta": 0.2, "free": 300, "nudged": 300}
    drawn = [
        estimate(relaxation, x, y, estimator="random-sign", generator=generator, **phases).gradients for _ in range(12)
    ]
    first = [float(one[0].norm()) for one in drawn]
    assert len({round(value, 12) for value in first}) == 2
    low, high = drawn[first.index(min(first))], drawn[first.index(max(first))]
    mean = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    assert off(mean, estimate(relaxation, x, y, **phases).gradients) < 1e-9


def test_loss_hits_and_phases_are_those_of_the_batch():
    net = network("9-7-4")
    x, y = batch(net)
    into = [torch.full_like(tensor, 7.0) for tensor in net.parameters()]
    found = estimate(Relaxation(net, 20), x, y, beta=0.2, free=30, nudged=5, into=into)
    scores = Relaxation(net, 8).forward_scores(x, 30)
    assert found.loss == pytest.approx(float(energy.external(scores, y).mean()), rel=1e-12)
    assert found.correct == int((scores.argmax(1) == y.argmax(1)).sum())
    assert all(one is other for one, other in zip(found.gradients, into, strict=True))
    fresh = estimate(Relaxation(net, 8), x, y, beta=0.2, free=30, nudged=5).gradients
    assert off(into, fresh) < 1e-12
    assert found.free.sweeps.tolist() == [30] * 8
    assert found.nudged.sweeps.tolist() == [5] * 16


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_beta_that_cannot_nudge_is_one_clear_line(estimator):
    net = network("9-7-4")
    x, y = batch(net)
    relaxation = Relaxation(net, 8)
    for beta, told in (
        (0.0, "beta=0 does not nudge"),
        (-0.2, "beta=-0.2 has the wrong sign: give 0.2"),
        (math.nan, "beta=nan is no number"),
    ):
        with pytest.raises(ValueError, match=told):
            estimate(relaxation, x, y, beta=beta, free=3, nudged=3, estimator=estimator)
    if estimator == "one-sided":
        check(estimator, 1.5)
    else:
        with pytest.raises(ValueError, match="beta=1 leaves the output nudged by -beta without a minimum"):
            check(estimator, 1.0)


def test_what_does_not_fit_together_is_one_clear_line():
    with pytest.raises(ValueError, match="there is no estimator 'centred': there are centered, one-sided, random-sign"):
        check("centred", 0.2)
    net = build("3c3-5", shape=(8, 8, 1), classes=5)
    x, y = torch.rand(2, 64), torch.eye(5)[:2]
    phases = {"beta": 0.2, "free": 3, "nudged": 3}
    with pytest.raises(ValueError, match="deviations need dense layers"):
        estimate(Relaxation(net, 2), x, y, deviation=True, **phases)
    with pytest.raises(ValueError, match="dtype=bfloat16 is of deviations"):
        estimate(Relaxation(net, 2), x, y, dtype="bfloat16", **phases)


def test_weights_that_have_blown_up_stop_the_estimate():
    net = network("9-7-4", dtype=torch.float32)
    x, y = batch(net, dtype=torch.float32)
    net.couplings[1].weight.fill_(1e38)
    with pytest.raises(DivergenceError, match=r"diverges in layer \d at sweep 5"):
        estimate(Relaxation(net, 8), x, y, beta=0.2, free=5, nudged=5)
