import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from energybench.workloads.eqprop.convolution import ConvPool, pooled  # noqa: E402 - needs torch


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(inputs, channels, size, padding, *, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(channels, inputs[0], size, size, generator=random, dtype=dtype)
    bias = torch.randn(channels, generator=random, dtype=dtype)
    return ConvPool(weight, bias, inputs=inputs, padding=padding)


def maps(shape, batch, *, seed, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(batch, *shape, generator=random, dtype=dtype).contiguous(memory_format=torch.channels_last)


def differentiated(coupling, below, above):
    """∂Φ/∂below, ∂Φ/∂above, ∂Φ/∂W and ∂Φ/∂b, by autograd from the energy term alone."""
    coupling = ConvPool(
        coupling.weight.clone().requires_grad_(), coupling.bias.clone().requires_grad_(),
        inputs=coupling.inputs, padding=coupling.padding,
    )  # fmt: skip
    states = [below.clone().requires_grad_(), above.clone().requires_grad_()]
    total = coupling.term(*states).sum()
    return torch.autograd.grad(total, [*states, coupling.weight, coupling.bias])


SHAPES = st.tuples(st.integers(1, 3), st.integers(6, 11), st.integers(6, 11))


@settings(max_examples=25)
@given(SHAPES, st.integers(1, 4), st.sampled_from([(3, 0), (3, 1), (5, 0), (5, 2), (2, 0)]), st.integers(1, 5))
def test_drives_and_gradients_are_the_derivatives_of_the_energy_term(inputs, channels, filters, batch):
    coupling = drawn(inputs, channels, *filters)
    below, above = maps(inputs, batch, seed=1), maps(coupling.outputs, batch, seed=2)
    by_below, by_above, by_weight, by_bias = differentiated(coupling, below, above)
    started = maps(inputs, batch, seed=3)
    up = coupling.up(below, torch.empty_like(above))
    down = coupling.down(above, started.clone(memory_format=torch.preserve_format))
    torch.testing.assert_close(up, by_above, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(down - started, by_below, rtol=1e-12, atol=1e-12)
    weight, bias = torch.ones_like(coupling.weight), torch.ones_like(coupling.bias)
    coupling.gradient(below, above, scale=-0.25, weight=weight, bias=bias)
    torch.testing.assert_close(weight, 1 - 0.25 * by_weight, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(bias, 1 - 0.25 * by_bias, rtol=1e-12, atol=1e-12)


def test_places_are_those_of_the_last_update_until_they_are_found_anew():
    coupling = drawn((2, 8, 8), 3, 3, 1)
    first, second = maps((2, 8, 8), 4, seed=1), maps((2, 8, 8), 4, seed=2)
    above = maps(coupling.outputs, 4, seed=3)
    coupling.up(first, torch.empty_like(above))
    of_first = coupling.down(above, torch.zeros_like(first))
    coupling.up(second, torch.empty_like(above))
    assert not torch.equal(coupling.down(above, torch.zeros_like(first)), of_first)
    coupling.find(first)
    assert torch.equal(coupling.down(above, torch.zeros_like(first)), of_first)


def test_the_gradient_does_not_depend_on_what_the_places_were_before():
    coupling = drawn((2, 8, 8), 3, 3, 1)
    below, other = maps((2, 8, 8), 4, seed=1), maps((2, 8, 8), 4, seed=2)
    above = maps(coupling.outputs, 4, seed=3)
    found = []
    for looked_at in (below, other):
        coupling.find(looked_at)
        room = torch.zeros_like(coupling.weight), torch.zeros_like(coupling.bias)
        coupling.gradient(below, above, scale=1.0, weight=room[0], bias=room[1])
        found.append(room)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_samples_that_leave_the_batch_take_their_places_with_them():
    coupling = drawn((2, 8, 8), 3, 3, 1)
    below, above = maps((2, 8, 8), 6, seed=1), maps((3, 4, 4), 6, seed=2)
    coupling.find(below)
    whole = coupling.down(above, torch.zeros_like(below))
    rows = torch.tensor([0, 3, 5])
    coupling.keep(rows)
    torch.testing.assert_close(coupling.down(above[rows], torch.zeros_like(below[rows])), whole[rows])


def test_ties_are_broken_by_place_so_that_a_window_counts_once():
    coupling = drawn((1, 6, 6), 2, 3, 0)
    flat = torch.zeros(3, 1, 6, 6, dtype=torch.float64)
    above = torch.ones(3, 2, 2, 2, dtype=torch.float64)
    coupling.find(flat)
    down = coupling.down(above, torch.zeros_like(flat))
    # One filter's worth for each of 2 × 2 windows, though all four sums of a window are equal.
    assert down.sum() == pytest.approx(3 * 4 * coupling.weight.sum().item())


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
def test_low_precision_drives_are_those_of_double_precision_but_for_rounding(dtype, error):
    exact = drawn((8, 12, 12), 16, 5, 0)
    low = exact.to(dtype, "cpu")
    below = maps((8, 12, 12), 4, seed=1).to(dtype).double()
    wanted = exact.up(below, torch.empty(4, 16, 4, 4, dtype=torch.float64))
    found = low.up(below.to(dtype), torch.empty(4, 16, 4, 4, dtype=dtype).contiguous(memory_format=torch.channels_last))
    assert ((found - wanted).norm() / wanted.norm()).item() < error
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_sweep_with_a_pooling_keeps_its_rooms():
    coupling = drawn((2, 8, 8), 3, 3, 1)
    below, out = maps((2, 8, 8), 4, seed=1), maps((3, 4, 4), 4, seed=2)
    assert coupling.up(below, out) is out
    rooms = coupling.places.data_ptr(), out.data_ptr()
    coupling.up(below, out)
    assert (coupling.places.data_ptr(), out.data_ptr()) == rooms


@pytest.mark.parametrize(
    ("inputs", "size", "padding", "fits"),
    [((1, 8, 8), 9, 0, "at most 7×7"), ((4, 2, 3), 3, 0, "at most 1×1"), ((4, 1, 1), 3, 0, "no convolution fits")],
)
def test_filters_that_leave_nothing_are_refused_in_one_line_with_what_fits(inputs, size, padding, fits):
    with pytest.raises(ValueError, match=fits) as caught:
        pooled(inputs, channels=4, size=size, padding=padding)
    assert "\n" not in str(caught.value)


def test_the_transposed_product_needs_the_places_of_as_many_samples():
    coupling = drawn((2, 8, 8), 3, 3, 1)
    below, above = maps((2, 8, 8), 4, seed=1), maps((3, 4, 4), 4, seed=2)
    with pytest.raises(ValueError, match=r"call up\(\) or find\(\)"):
        coupling.down(above, below)
    coupling.find(below[:2])
    with pytest.raises(ValueError, match="4 samples"):
        coupling.down(above, below)
