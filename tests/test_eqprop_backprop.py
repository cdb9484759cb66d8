import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from energybench.workloads.eqprop.backprop import Backprop  # noqa: E402 - needs torch
from energybench.workloads.eqprop.estimators import estimate  # noqa: E402
from energybench.workloads.eqprop.network import build  # noqa: E402
from energybench.workloads.eqprop.relaxation import Relaxation  # noqa: E402
from energybench.workloads.eqprop.through_time import ThroughTime  # noqa: E402

NETS = ["36-7-4", "36-9-8-4", "36-6-5-5-4", "3c3-4", "2s3-3s3-4"]
ACTIVATIONS = ["hard-sigmoid", "sigmoid", "tanh"]
RHO = {
    "hard-sigmoid": lambda u: u.clamp(0, 1), "sigmoid": lambda u: torch.sigmoid(4 * u - 2), "tanh": torch.tanh,
    "linear": lambda u: u, "relu": torch.relu,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(net, hidden="sigmoid", *, output="linear", gain=0.5, seed=0):
    return build(
        net, shape=(6, 6, 1), classes=4, hidden=hidden, output=output, gain=gain, seed=seed, dtype=torch.float64
    )


def batch(samples, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(samples, 36, generator=random, dtype=torch.float64)
    return x, torch.eye(4, dtype=torch.float64)[torch.randint(4, (samples,), generator=random)]


def rooms(network):
    return [torch.full_like(tensor, torch.nan) for tensor in network.parameters()]


def leaves(network):
    """The network again, with weights that autograd follows."""
    other = network.copy()
    for coupling in other.couplings:
        coupling.weight.requires_grad_()
        coupling.bias.requires_grad_()
    return other


def drives(network, states, x):
    """∂ΣΦ/∂s of every layer, by autograd from the energy's terms, on the tape."""
    # Copies: a partial derivative does not go on through how a layer came to its states.
    states = [(state if state.requires_grad else state.requires_grad_()).clone() for state in states]
    below, total = network.arrange(x), 0
    for coupling, state in zip(network.couplings, states, strict=True):
        total = total + coupling.term(below, state).sum()
        below = state
    return torch.autograd.grad(total, states, create_graph=True)


def relative(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def assert_same(found, wanted, error):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=error, atol=error)


@settings(max_examples=20)
@given(
    st.sampled_from(NETS), st.sampled_from([*ACTIVATIONS, "relu"]), st.sampled_from(["linear", "sigmoid"]),
    st.integers(1, 5), st.integers(0, 3),
)  # fmt: skip
def test_written_out_passes_give_autograds_gradients(net, hidden, output, samples, seed):
    network = made(net, "linear" if hidden == "relu" else hidden, output=output, gain=1.0, seed=seed)
    x, target = batch(samples, seed=seed)
    found = rooms(network)
    loss, correct = Backprop(network, samples, hidden=hidden).gradients(x, target, found)
    followed = leaves(network)
    state = followed.arrange(x)
    for layer, coupling in enumerate(followed.couplings):
        unit = output if layer + 1 == followed.layers else hidden
        zero = torch.zeros(samples, *coupling.outputs, dtype=torch.float64, requires_grad=True)
        (drive,) = torch.autograd.grad(coupling.term(state, zero).sum(), zero, create_graph=True)
        state = RHO[unit](drive)
    wanted = 0.5 * (state - target).square().sum() / samples
    assert_same(found, torch.autograd.grad(wanted, followed.parameters()), 1e-12)
    assert float(loss) == pytest.approx(float(wanted.detach()), rel=1e-6)
    assert int(correct) == int((state.argmax(1) == target.argmax(1)).sum())


def test_a_pass_of_fewer_samples_and_scores_of_more_fit_the_same_rooms():
    network = made("36-9-8-4")
    x, target = batch(10)
    small = Backprop(network, 4)
    one, other = rooms(network), rooms(network)
    small.gradients(x[:3], target[:3], one)
    Backprop(network, 3).gradients(x[:3], target[:3], other)
    assert_same(one, other, 0)
    torch.testing.assert_close(small.scores(x), Backprop(network, 10).scores(x))


# A rounded sum may have another maximum: a pooling then passes an error to another place.
@pytest.mark.parametrize(("net", "error"), [("36-9-8-4", 0.03), ("2s3-3s3-4", 0.2)])
def test_short_numbers_give_nearly_the_same_gradient_into_full_ones(net, error):
    network = made(net, gain=1.0).to(torch.float32)
    x, target = (tensor.float() for tensor in batch(8))
    exact, short = rooms(network), rooms(network)
    Backprop(network, 8).gradients(x, target, exact)
    Backprop(network, 8, dtype=torch.bfloat16).gradients(x, target, short)
    for one, other in zip(short, exact, strict=True):
        assert one.dtype == torch.float32
        assert 0 < relative(one, other) < error


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize("net", ["36-9-8-4", "2s3-3s3-4"])
def test_through_time_is_the_derivative_of_the_relaxation_as_the_energy_defines_it(net, hidden, mode):
    network, (x, target), sweeps = made(net, hidden), batch(3), 4
    for coupling in network.couplings[:-1]:
        coupling.bias.add_(0.3)
    found = rooms(network)
    loss, _ = ThroughTime(network, sweeps=sweeps, mode=mode).gradients(x, target, found)
    followed = leaves(network)
    states = [torch.zeros(3, *shape, dtype=torch.float64) for shape in followed.shapes]
    parities = [(0, 1)] if mode == "sync" else [(0,), (1,)]
    for _ in range(sweeps):
        for parity in parities:
            moved = drives(followed, states, x)
            states = [
                RHO[unit.name](drive) if layer % 2 in parity else state
                for layer, (unit, drive, state) in enumerate(zip(followed.activations, moved, states, strict=True))
            ]
    wanted = 0.5 * (states[-1] - target).square().sum() / 3
    gradients = torch.autograd.grad(wanted, followed.parameters(), materialize_grads=True)
    assert_same(found, gradients, 1e-11)
    assert float(loss) == pytest.approx(float(wanted.detach()), rel=1e-6)
    assert max(float(one.norm()) for one in found[:2]) > 1e-6


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("net", NETS)
def test_the_unrolled_relaxation_ends_where_the_relaxation_does(net, mode):
    network, (x, _) = made(net, "hard-sigmoid"), batch(4)
    relaxation = Relaxation(network, 4, mode=mode)
    relaxation.clamp(x)
    relaxation.settle(5)
    unrolled = ThroughTime(network, sweeps=5, mode=mode)
    assert_same(unrolled.settled(x), relaxation.states, 1e-13)
    torch.testing.assert_close(unrolled.scores(x), relaxation.forward_scores(x, 5), rtol=1e-13, atol=1e-13)


# Not tanh with pooling: where states are negative, its maxima may switch to and fro for ever.
CONVERGING = [(net, hidden) for net in ("36-7-4", "36-9-8-4") for hidden in ACTIVATIONS]
CONVERGING += [("2s3-3s3-4", "hard-sigmoid"), ("2s3-3s3-4", "sigmoid")]


@pytest.mark.parametrize(("net", "hidden"), CONVERGING)
def test_equilibrium_propagation_at_a_small_nudge_agrees_with_through_time(net, hidden):
    network, (x, target) = made(net, hidden), batch(6)
    through = rooms(network)
    ThroughTime(network, sweeps=300).gradients(x, target, through)
    errors = []
    for beta in (1e-1, 1e-3):
        found = estimate(Relaxation(network, 6), x, target, beta=beta, free=300, nudged=300).gradients
        errors.append(max(relative(one, other) for one, other in zip(found, through, strict=True)))
    # Of second order in the nudge, but for states that it takes over an edge of their box.
    assert errors[1] < 1e-3
    assert errors[1] < 0.05 * errors[0]


def test_the_last_sweeps_alone_are_most_of_the_gradient_and_its_tape_is_shorter():
    network, (x, target) = made("36-9-8-4"), batch(6)
    whole, last, least = rooms(network), rooms(network), rooms(network)
    ThroughTime(network, sweeps=40).gradients(x, target, whole)
    ThroughTime(network, sweeps=40, through=20).gradients(x, target, last)
    ThroughTime(network, sweeps=40, through=1).gradients(x, target, least)
    assert max(relative(one, other) for one, other in zip(last, whole, strict=True)) < 1e-3
    # One sweep reaches the output's weights and no further: the input has no part in it.
    assert relative(least[0], whole[0]) > 0.1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sweeps": 0}, "free=0"),
        ({"sweeps": 3, "through": 4}, "use 0 .all. to 3"),
        ({"sweeps": 3, "mode": "euler"}, "async, sync"),
    ],
)
def test_what_cannot_be_unrolled_is_refused_in_one_line(wrong, told):
    with pytest.raises(ValueError, match=told) as caught:
        ThroughTime(made("36-7-4"), **wrong)
    assert "\n" not in str(caught.value)
