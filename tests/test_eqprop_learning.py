import dataclasses

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from energybench.workloads import data  # noqa: E402 - needs torch
from energybench.workloads.eqprop.learning import Recipe, Trainer, build  # noqa: E402

SHORT = {"epochs": 4}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", seed=0)


def trained(recipe, dataset):
    trainer = Trainer(recipe, dataset)
    losses = [trainer.epoch() for _ in range(recipe.epochs)]
    return trainer, losses


@pytest.mark.parametrize("estimator", ["centered", "one-sided", "random-sign"])
def test_each_estimator_learns_digits(digits, estimator):
    trainer, losses = trained(Recipe(estimator=estimator, **SHORT), digits)
    assert trainer.accuracy() >= 0.9
    assert losses[-1] < 0.35 * losses[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "bp"}, {"method": "bp", "hidden": "relu"}, {"method": "bptt"}, {"method": "bptt", "through": 4},
        {"method": "bp", "dtype": "bfloat16"}, {"dtype": "bfloat16"}, {"dtype": "bfloat16", "deviation": True},
        {"dtype": "int8", "deviation": True}, {"mode": "sync"}, {"mode": "euler"}, {"tolerance": 1e-3, "free": 40},
        {"hidden": "sigmoid"}, {"hidden": "tanh", "learning_rate": 0.02}, {"output": "hard-sigmoid"},
        {"net": "64-64-64-10", "free": 20, "nudged": 10},
        {"net": "64-64-64-64-10", "free": 20, "nudged": 10, "epochs": 9},
    ],
    ids=lambda changes: " ".join(f"{name}={value}" for name, value in changes.items()),
)  # fmt: skip
def test_every_way_of_training_learns_digits(digits, changes):
    trainer, losses = trained(Recipe(**{**SHORT, **changes}), digits)
    assert trainer.accuracy() >= 0.8
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("method", ["eqprop", "bp", "bptt"])
def test_a_convolutional_network_learns_digits(digits, method):
    trainer, losses = trained(Recipe(net="12s3-10", method=method, **SHORT), digits)
    assert trainer.accuracy() >= 0.7
    assert losses[-1] < 0.7 * losses[0]


def test_a_deeper_convolutional_network_begins_alive_and_learns(digits):
    trainer = Trainer(Recipe(net="8s3-16s3-10", free=15, nudged=8), digits)
    x, _ = trainer.held_out(64)
    trainer.method.scores(x)
    states = trainer.method._large.states
    assert all(float((state > 0.01).double().mean()) > 0.05 for state in states[:-1])
    first = trainer.epoch()
    assert trainer.epoch() < 0.85 * first


def test_all_methods_begin_with_the_same_weights_and_see_the_same_minibatches(digits):
    trainers = [Trainer(Recipe(method=method), digits) for method in ("eqprop", "bp", "bptt")]
    for other in trainers[1:]:
        for one, two in zip(trainers[0].network.parameters(), other.network.parameters(), strict=True):
            assert torch.equal(one, two)
    for trainer in trainers:
        trainer.step()
    assert all(torch.equal(trainers[0]._batches[0], other._batches[0]) for other in trainers[1:])


def test_training_is_momentum_sgd_with_a_cosine_and_a_rate_for_each_coupling(digits):
    recipe = Recipe(method="bp", epochs=1, learning_rates=(0.1, 0.03))
    trainer = Trainer(recipe, digits)
    weights = [tensor.clone().requires_grad_() for tensor in trainer.network.parameters()]
    groups = [{"params": weights[:2], "lr": 0.1}, {"params": weights[2:], "lr": 0.03}]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    steps = trainer.steps_per_epoch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(steps):
        trainer.step()
        x, target = trainer.samples.take(trainer._batches[step])
        hidden = (x @ weights[0] + weights[1]).clamp(0, 1)
        loss = 0.5 * (hidden @ weights[2] + weights[3] - target).square().sum() / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    for found, wanted in zip(trainer.network.parameters(), weights, strict=True):
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-4, atol=1e-5)


def test_after_the_schedule_nothing_moves_any_more(digits):
    trainer, _ = trained(Recipe(epochs=1), digits)
    before = [tensor.clone() for tensor in trainer.network.parameters()]
    trainer.step()
    assert all(map(torch.equal, before, trainer.network.parameters()))
    assert trainer.done == trainer.steps_per_epoch + 1


def test_a_seed_gives_the_same_network_bit_for_bit_and_others_another(digits):
    first, _ = trained(Recipe(epochs=1, estimator="random-sign"), digits)
    again, beside = Trainer(first.recipe, digits), Trainer(Recipe(seed=1, method="bp"), digits)
    for _ in range(again.steps_per_epoch):
        again.step()
        beside.step()
        torch.rand(3)
    assert all(map(torch.equal, first.network.parameters(), again.network.parameters()))
    other, _ = trained(Recipe(epochs=1, estimator="random-sign", seed=1), digits)
    assert not torch.equal(first.network.parameters()[0], other.network.parameters()[0])


def test_a_minibatch_is_scaled_pixels_and_one_hot_targets_and_the_last_ones_are_left_out(digits):
    trainer = Trainer(Recipe(batch=100, method="bp"), digits)
    trainer.step()
    x, target = trainer.samples.take(trainer._batches[0])
    chosen = trainer._batches[0].numpy()
    assert x.double().numpy() == pytest.approx(digits.train_pixels[chosen] / 16)
    assert (target.argmax(1).numpy() == digits.train_labels[chosen]).all()
    assert target.sum() == 100
    assert trainer.steps_per_epoch == 14
    x, target = trainer.held_out(1000)
    assert len(x) == len(target) == 359


def test_accuracy_is_the_share_of_held_out_samples_in_their_class(digits):
    trainer, _ = trained(Recipe(epochs=1), digits)
    found = trainer.scores(digits.test_pixels).argmax(1).numpy()
    assert trainer.accuracy() == pytest.approx((found == digits.test_labels).mean())
    assert trainer.scores(digits.train_pixels).shape == (1438, 10)


def test_a_tolerance_saves_sweeps_and_hardly_moves_the_gradient(digits):
    fixed, watched = (
        Trainer(Recipe(free=60, nudged=60, **more), digits) for more in ({}, {"tolerance": 1e-4})
    )  # fmt: skip
    x, target = fixed.held_out(64)
    found = []
    for trainer in (fixed, watched):
        into = [torch.empty_like(tensor) for tensor in trainer.network.parameters()]
        trainer.method.gradients(x, target, into)
        found.append(torch.cat([tensor.flatten() for tensor in into]))
    assert (found[0] - found[1]).norm() < 0.02 * found[0].norm()
    assert float(watched.method.last.free.sweeps.double().mean()) < 20


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"beta": 0.0}, "beta=0 does not nudge"), ({"beta": -0.2}, "beta=-0.2 has the wrong sign: give 0.2"),
        ({"beta": 1.0}, "below 1"), ({"estimator": "forward"}, "centered, one-sided, random-sign"),
        ({"method": "cma"}, "eqprop, bp, bptt"), ({"free": 0}, "free=0"), ({"nudged": -1}, "nudged=-1"),
        ({"epochs": 0}, "epochs=0"), ({"batch": 0}, "batch=0"), ({"batch": 2000}, "use 1 to 1438"),
        ({"learning_rate": 0.0}, "learning_rate=0"), ({"learning_rates": (0.1, -1.0)}, "above 0"),
        ({"momentum": 1.0}, "momentum=1"), ({"tolerance": -1e-3}, "tolerance=-0.001"),
        ({"dtype": "float16"}, "float32, bfloat16, int8"), ({"dtype": "int8"}, "deviation=true"),
        ({"method": "bp", "deviation": True}, "only eqprop"), ({"hidden": "relu"}, "take hard-sigmoid, or bp-train"),
        ({"net": "60-128-10"}, "64-128-10 would"), ({"net": "64-128-12"}, "10 classes"),
        ({"net": "64,128,10"}, "joined by -"),
        ({"net": "32c5-64c5-10"}, "5×5"), ({"hidden": "hard-sigmod"}, "did you mean hard-sigmoid"),
        ({"method": "bptt", "mode": "euler"}, "async, sync"), ({"method": "bptt", "through": 13}, "through=13"),
        ({"net": "12s3-10", "deviation": True}, "deviation"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_recipe_that_does_not_fit_is_refused_in_one_line(digits, wrong, told):
    with pytest.raises((ValueError, LookupError), match=told) as caught:
        Trainer(Recipe(**wrong), digits).step()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["eqprop", "bp"])
def test_a_training_that_blows_up_stops_in_one_line_with_what_to_do(digits, method):
    trainer = Trainer(Recipe(method=method, learning_rates=(1e4,)), digits)
    with pytest.raises(ValueError, match=r"lower|weaker") as caught:
        trainer.epoch()
    assert "\n" not in str(caught.value)


def test_dense_first_weights_let_layers_settle_and_convolutions_have_hes_range_halved_upwards(digits):
    dense = build(Recipe(), digits)
    assert max(float(torch.linalg.matrix_norm(one.weight, 2)) for one in dense.couplings[1:]) < 1
    maps = build(Recipe(net="12s3-24s3-16-10"), digits)
    ends = [float(one.weight.abs().max()) for one in maps.couplings]
    wanted = [(6 / 9) ** 0.5, (6 / 108) ** 0.5 / 2, (6 / 96) ** 0.5 / 4, (6 / 26) ** 0.5 / 2]
    assert ends == pytest.approx(wanted, rel=0.05)
    glorot = build(Recipe(gain=1.0), digits).couplings[0].weight
    assert float(glorot.abs().max()) == pytest.approx((6 / 192) ** 0.5, rel=0.01)


def test_learning_rates_halve_upwards_and_stay_below_what_many_inputs_bear(digits):
    assert Trainer(Recipe(), digits).rates == (0.1, 0.05)
    assert Trainer(Recipe(net="64s3-10"), digits).rates == (0.1, pytest.approx(0.0125))
    assert Trainer(Recipe(net="64-32-32-10", learning_rates=(0.3, 0.1)), digits).rates == (0.3, 0.1, 0.1)


def test_a_recipe_is_a_value():
    assert Recipe() == Recipe()
    assert hash(dataclasses.replace(Recipe(), beta=0.5)) != hash(Recipe())
