import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from energybench.workloads import data  # noqa: E402 - needs torch
from energybench.workloads.qnn import _plans, _quantizers, _recipe, training  # noqa: E402

QUICK = {"hidden": 64, "epochs": 6}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    training.forget()
    torch.set_num_threads(before)


def trained(**changes):
    return training.train(training.Recipe(**{**QUICK, **changes}))


def trainer(**changes):
    recipe = training.Recipe(**{**QUICK, **changes})
    dataset = data.load(recipe.data, seed=recipe.seed)
    model = training.build(recipe, dataset)
    return training.Trainer(model, dataset, recipe), model


# Quantizers


@pytest.mark.parametrize(
    ("width", "real", "values"),
    [
        (1, [-2, -1, -0.01, 0, 0.01, 1, 2], [-1, -1, -1, 1, 1, 1, 1]),
        # 2 bits: codes change at -2/3, 0 and 2/3.
        (2, [-1.5, -0.67, -0.66, -0.01, 0, 0.66, 0.67, 1.5], [-3, -3, -1, -1, 1, 1, 3, 3]),
        (3, [-1, -0.5, 0, 2 / 7, 0.29, 1], [-7, -3, 1, 3, 3, 7]),
        (4, [-1, -0.9, 0, 0.5, 1], [-15, -13, 1, 7, 15]),
        (8, [-1.01, -1, -0.5, 0, 0.003, 0.004, 1], [-127, -127, -64, 0, 0, 1, 127]),
    ],
)
def test_values_by_hand(width, real, values):
    assert _quantizers.levels(torch.tensor(real, dtype=torch.float64), width).tolist() == values


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
def test_levels_are_odd_numbers_or_bytes_and_quantizing_twice_changes_nothing(width):
    found = _quantizers.levels(torch.linspace(-1.5, 1.5, 4001), width)
    top = _plans.unit(width)
    wanted = range(-127, 128) if width == 8 else range(-top, top + 1, 2)
    assert found.unique().tolist() == list(wanted)
    assert torch.equal(_quantizers.levels(found / top, width), found)


def test_16_bits_are_bfloat16_and_32_are_untouched():
    real = torch.tensor([1 / 3, -5.0, 0.0])
    assert torch.equal(_quantizers.quantize(real, 16), torch.tensor([0.333984375, -5.0, 0.0]))
    assert torch.equal(_quantizers.quantize(real, 32), real)
    assert torch.equal(_quantizers.activate(real, 32), torch.tensor([1 / 3, -1.0, 0.0]))


@pytest.mark.parametrize("width", [1, 2, 8])
def test_the_gradient_goes_straight_through_inside_minus_one_to_one(width):
    real = torch.tensor([-1.001, -1.0, -0.3, 0.0, 0.9, 1.0, 1.001, 5.0], requires_grad=True)
    upstream = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8])
    _quantizers.quantize(real, width).backward(upstream)
    top = _plans.unit(width)
    assert real.grad.tolist() == [0, 2 * top, 3 * top, 4 * top, 5 * top, 6 * top, 0, 0]


def test_the_gradient_of_bfloat16_weights_is_whole_and_of_activations_cut():
    real = torch.tensor([-3.0, 0.5], requires_grad=True)
    _quantizers.quantize(real, 16).sum().backward()
    assert real.grad.tolist() == [1, 1]
    real.grad = None
    _quantizers.activate(real, 16).sum().backward()
    assert real.grad.tolist() == [0, 1]


def test_a_stochastic_sign_is_right_on_average_and_certain_at_the_ends():
    random = torch.Generator().manual_seed(0)
    real = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0])
    draws = _quantizers.stochastic_sign(real.expand(20_000, 7), random)
    assert set(draws.unique().tolist()) == {-1.0, 1.0}
    mean = draws.mean(0)
    # The mean of 20,000 signs has a standard error of at most 0.0071.
    assert (mean - real.clamp(-1, 1)).abs().max() < 0.03
    assert mean[[0, 1, 5, 6]].tolist() == [-1, -1, 1, 1]
    assert torch.isnan(_quantizers.stochastic_sign(torch.tensor([math.nan]), random)).all()


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_a_quantized_gradient_is_right_on_average_and_has_no_other_levels(width):
    random = torch.Generator().manual_seed(0)
    gradient = torch.tensor([[0.5, -0.3, 0.01, 0.0], [2e-5, 2e-5, -1e-5, 4e-5]])
    draws = _quantizers.quantize_gradient(gradient.repeat(8000, 1), width, random).view(8000, 2, 4)
    largest = gradient.abs().amax(1, keepdim=True)
    codes = (draws / (2 * largest) + 0.5) * (2**width - 1)
    assert (codes - codes.round()).abs().max() < 1e-3
    assert codes.min() > -0.01
    assert codes.max() < 2**width - 1 + 0.01
    # A draw is off by one step of 2 m / (2^k - 1) at most, so the mean's standard error is under 0.012 of that.
    assert ((draws.mean(0) - gradient) / (2 * largest / (2**width - 1))).abs().max() < 0.04


def test_a_sample_without_a_gradient_keeps_none():
    found = _quantizers.quantize_gradient(torch.zeros(3, 5), 4, torch.Generator().manual_seed(0))
    assert torch.equal(found, torch.zeros(3, 5))


def test_gradient_bits_change_the_gradient_and_not_the_sums():
    random = torch.Generator().manual_seed(0)
    sums = torch.randn(4, 6, generator=random, requires_grad=True)
    upstream = torch.randn(4, 6, generator=random)
    found = _quantizers.quantize_backward(sums, 2, random)
    assert torch.equal(found, sums)
    found.backward(upstream)
    steps = (sums.grad / upstream.abs().amax(1, keepdim=True) * 3).round().int()
    assert set(steps.unique().tolist()) <= {-3, -1, 1, 3}
    assert not torch.equal(sums.grad, upstream)


def test_dropout_drops_its_share_and_keeps_the_mean():
    found = _quantizers.drop(torch.ones(1001, 99), 0.1, torch.Generator().manual_seed(0))
    assert abs(float((found == 0).float().mean()) - 26 / 256) < 0.004
    assert found.unique().tolist() == pytest.approx([0, 256 / 230])


# Shapes


def test_pixels_become_integers_from_minus_one_to_one():
    digits = _plans.pixel_values(16)
    assert digits[:17].tolist() == list(range(-16, 17, 2))
    assert (digits[17:] == 16).all()
    grey = _plans.pixel_values(255)
    assert [grey[0], grey[127], grey[128], grey[255]] == [-127, 0, 0, 127] or grey[127] == -grey[128]
    assert np.array_equal(grey, -grey[::-1])
    assert _plans.pixel_values(200)[200] == 127


@pytest.mark.parametrize(
    ("weights", "activations", "first"),
    [(1, 1, 8), (8, 8, 8), (2, 4, 8), (1, 32, 32), (4, 16, 16), (32, 1, 32), (16, 8, 32), (16, 16, 16), (16, 32, 32)],
)
def test_the_first_layer_takes_pixels_as_bytes_where_it_can(weights, activations, first):
    widths = _plans.Widths(weights=weights, activations=activations)
    plans = _plans.plans("mlp", hidden=8, depth=2, widths=widths, shape=(8, 8, 1), classes=10, levels=16)
    assert [plan.abits for plan in plans] == [first, activations, activations]
    assert [plan.out_bits for plan in plans] == [activations, activations, 0]
    assert plans[0].one == 16


def test_a_vgg_doubles_its_channels_and_halves_its_maps():
    plans = _plans.plans(
        "vgg",
        hidden=4,
        depth=3,
        widths=_plans.Widths(weights=1, activations=1),
        shape=(28, 28, 1),
        classes=62,
        levels=255,
    )
    assert [(p.channels, p.outputs, p.size, p.pool, p.taps) for p in plans] == [
        (1, 4, (28, 28), 1, 9),
        (4, 4, (28, 28), 2, 9),
        (4, 8, (14, 14), 1, 9),
        (8, 8, (14, 14), 2, 9),
        (8, 16, (7, 7), 1, 9),
        (16, 16, (7, 7), 2, 9),
        (16, 32, None, 1, 9),
        (32, 62, None, 1, 1),
    ]


# Training


@pytest.mark.parametrize(
    ("wbits", "abits"), [(1, 1), (2, 2), (3, 8), (4, 4), (8, 8), (16, 16), (32, 32), (1, 32), (32, 1)]
)
def test_a_network_learns_at_every_width(wbits, abits):
    found = trained(wbits=wbits, abits=abits)
    assert found.accuracy() > 0.85
    assert found.history[-1] < found.history[0] / 1.5
    assert len(found.history) == 6


def test_a_convolutional_network_learns():
    assert trained(net="vgg", hidden=8, wbits=2, abits=2, epochs=8).accuracy() > 0.9


@pytest.mark.parametrize("changes", [{"sign": "stochastic"}, {"gbits": 8}, {"gbits": 4}, {"gbits": 16}])
def test_a_network_learns_with_noise_of_its_own(changes):
    found = trained(**changes)
    # Signs that are drawn need more than six epochs.
    assert found.accuracy() > (0.6 if "sign" in changes else 0.85)
    assert found.history != trained().history


def test_without_full_precision_copies_a_network_of_few_bits_does_not_learn():
    apart = {bits: (trained(wbits=bits), trained(wbits=bits, master=False)) for bits in (1, 2)}
    for bits, (with_master, without) in apart.items():
        assert with_master.accuracy() - without.accuracy() > 0.2, bits
        # Its weights are where chance put them, and only the normalisation has moved.
        start, _ = trainer(wbits=bits, master=False)
        for first, last in zip(start._model, without.model, strict=True):
            assert torch.equal(first.weight_values(), last.weight_values())
            assert not torch.equal(first.gamma, last.gamma)


def test_the_recipe_is_the_papers():
    found, model = trainer(epochs=3)
    assert [stage.epsilon * stage.scale**2 for stage in model] == pytest.approx([1e-4] * 3)
    for _ in range(2 * found.steps_per_epoch + 1):
        found.step()
    assert all(float(stage.weight.detach().abs().max()) <= 1 for stage in model)
    # From 3e-3 to a hundredth of it in three epochs; weights by Glorot's scale of their layer.
    rates = {group["scale"]: group["lr"] for group in found._optimizer.param_groups}
    assert rates[1.0] == pytest.approx(3e-5)
    glorot = [math.sqrt((inputs + outputs) / 1.5) for inputs, outputs in ((64, 64), (64, 64), (64, 10))]
    assert rates == pytest.approx({1.0: 3e-5, **{scale: 3e-5 * scale for scale in glorot}})


def test_where_signs_are_drawn_the_deployed_sums_are_measured_anew():
    found, model = trainer(sign="stochastic")
    for _ in range(100):
        found.step()
    met = [stage.mean.clone() for stage in model]
    pixels = torch.from_numpy(data.load("digits", seed=0).train_pixels)
    sums = next(iter(found.finished())).sums(model.values(pixels).double())
    # In parts of 512 samples, so not to the last bit.
    assert torch.allclose(model.stages[0].mean.double(), sums.mean(0), atol=0.5)
    assert torch.allclose(model.stages[0].variance.double(), sums.var(0), rtol=0.02)
    assert not torch.allclose(met[0].double(), sums.mean(0), atol=0.5)


def test_equal_seeds_give_equal_networks_whatever_the_threads_and_others_do_not():
    torch.set_num_threads(2)
    first = trained(sign="stochastic", gbits=4)
    assert torch.get_num_threads() == 2
    training.forget()
    torch.set_num_threads(1)
    again, other = trained(sign="stochastic", gbits=4), trained(sign="stochastic", gbits=4, seed=1)
    pixels = first.dataset.test_pixels
    assert first.history == again.history
    assert np.array_equal(first.predict(pixels), again.predict(pixels))
    assert first.history != other.history


def test_two_trainers_in_turn_leave_each_other_alone():
    alone, _ = trainer(sign="stochastic")
    wanted = [alone.step() for _ in range(5)]
    (one, _), (two, _) = trainer(sign="stochastic"), trainer(seed=1)
    assert [(one.step(), two.step())[0] for _ in range(5)] == wanted


def test_a_network_is_trained_once_for_a_recipe_and_says_how_far_it_is():
    told = []
    first = training.train(training.Recipe(**QUICK), lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4, 5, 6]
    assert tuple(loss for _, loss in told) == first.history
    assert trained() is first


def test_a_trainer_goes_on_after_the_last_epoch():
    found, _ = trainer(epochs=1)
    losses = [found.step() for _ in range(3 * found.steps_per_epoch)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"hidden": 0}, "hidden=0 does not fit: it is 1 or more"),
        ({"depth": -1}, "depth=-1 does not fit: it is 1 or more"),
        ({"wbits": 5}, "wbits=5 is not offered: choose from 1, 2, 3, 4, 8, 16, 32"),
        ({"abits": 0}, "abits=0 is not offered"),
        ({"gbits": 64}, "gbits=64 is not offered"),
        ({"sign": "random"}, "sign=random is not offered: choose from deterministic, stochastic"),
        ({"net": "resnet"}, "net=resnet is not offered: choose from mlp, vgg"),
        ({"net": "vgg", "depth": 4}, "depth=4 does not fit images of 8 by 8: use depth=3"),
        ({"batch": 1}, "batch=1 does not fit .* training samples: use 2 to "),
        ({"batch": 5000}, "batch=5000 does not fit .* training samples"),
        ({"learning_rate": math.nan}, "learning_rate=nan does not fit: it is above 0"),
        ({"learning_rate": 1e38}, "training stopped: the loss is .* in epoch 1, step [0-9]+; lower learning_rate"),
        (
            {"wbits": 32, "learning_rate": 1e30},
            "training stopped: the loss is .* in epoch 1, step 2; lower learning_rate",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        trained(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sign", _recipe.SIGNS)
def test_a_number_that_is_none_is_found_in_the_step_it_appears(sign):
    found, model = trainer(sign=sign)
    found.step()
    model.stages[1].weight.data[0, 0] = math.nan
    with pytest.raises(ValueError, match="the loss is nan in epoch 1, step 2; lower learning_rate"):
        found.step()


def test_a_last_step_that_leaves_the_numbers_is_found():
    found, model = trainer()
    model.stages[2].gamma.data[0] = math.inf
    with pytest.raises(ValueError, match="the last step left numbers that are not finite"):
        found.finished()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_in_one_line():
    with pytest.raises(ValueError, match="device=cuda: torch finds no CUDA device here; use device=cpu"):
        trained(device="cuda")


@pytest.mark.hardware
@pytest.mark.parametrize(
    "changes", [{}, {"wbits": 2, "abits": 2, "net": "vgg", "hidden": 8}, {"gbits": 4}, {"sign": "stochastic"}]
)
def test_a_gpu_trains_as_well(changes):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert abs(trained(**changes, device="cuda").accuracy() - trained(**changes).accuracy()) < 0.05


def test_a_data_set_of_another_shape_trains_too():
    digits = data.load("digits", seed=0)
    coloured = dataclasses.replace(
        digits,
        shape=(4, 4, 3),
        levels=255,
        train_pixels=np.ascontiguousarray(digits.train_pixels[:, :48] * 15),
        test_pixels=np.ascontiguousarray(digits.test_pixels[:, :48] * 15),
    )
    recipe = training.Recipe(net="vgg", hidden=4, depth=2, epochs=1)
    found = training.Trainer(training.build(recipe, coloured), coloured, recipe)
    losses = [found.step() for _ in range(2 * found.steps_per_epoch)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
