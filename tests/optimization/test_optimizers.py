"""Each optimizer steps as its paper says, computed by hand in float64; rates and weight decay are the same for all."""

from __future__ import annotations

from typing import get_args

import keras
import numpy as np
import pytest

from cnnkit.core.lazy import tf
from cnnkit.models import ResNet
from cnnkit.optimization.optimizers import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AnyOptimizer,
    Lamb,
    Lion,
    Nadam,
    RmsProp,
    Sgd,
)
from cnnkit.optimization.optimizers.base import decays
from cnnkit.optimization.schedules import Cosine

OPTIMIZERS = get_args(get_args(AnyOptimizer)[0])
RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(0, 1, (2, 3)).astype(np.float32)
GRADIENTS = RANDOM.normal(0, 1, (8, 2, 3)).astype(np.float32)
GRADIENTS[2, 0] = 0.0
GRADIENTS[5] *= 100


def sgd(o, g, rate, w, state):
    state["v"] = o.momentum * state.get("v", 0) - rate * g
    return o.momentum * state["v"] - rate * g if o.nesterov else state["v"]


def adagrad(o, g, rate, w, state):  # Duchi et al. 2011, figure 1
    state["sum"] = state.get("sum", o.initial_accumulator_value) + g**2
    return -rate * g / np.sqrt(state["sum"] + o.epsilon)


def adadelta(o, g, rate, w, state):  # arXiv:1212.5701, algorithm 1
    state["g"] = o.rho * state.get("g", 0) + (1 - o.rho) * g**2
    step = -np.sqrt(state.get("x", 0) + o.epsilon) / np.sqrt(state["g"] + o.epsilon) * g
    state["x"] = o.rho * state.get("x", 0) + (1 - o.rho) * step**2
    return rate * step


def rmsprop(o, g, rate, w, state):  # arXiv:1308.0850, equations 38 to 42, where it is centered
    state["n"] = o.rho * state.get("n", 0) + (1 - o.rho) * g**2
    state["g"] = o.rho * state.get("g", 0) + (1 - o.rho) * g
    state["v"] = o.momentum * state.get("v", 0) - rate * g / np.sqrt(
        state["n"] - o.centered * state["g"] ** 2 + o.epsilon
    )
    return state["v"]


def moments(o, g, state):
    state["m"] = o.beta_1 * state.get("m", 0) + (1 - o.beta_1) * g
    state["v"] = o.beta_2 * state.get("v", 0) + (1 - o.beta_2) * g**2
    return state["m"] / (1 - o.beta_1 ** state["t"]), state["v"] / (1 - o.beta_2 ** state["t"])


def adam(o, g, rate, w, state):  # arXiv:1412.6980, algorithm 1
    m, v = moments(o, g, state)
    return -rate * m / (np.sqrt(v) + o.epsilon)


def nadam(o, g, rate, w, state):  # Dozat 2016, algorithm 2, with the momentum of section 3.3
    def mu(t):
        return o.beta_1 * (1 - 0.5 * 0.96**t)

    t = state["t"]
    _, v = moments(o, g, state)
    state["product"] = state.get("product", 1) * mu(t)
    ahead = mu(t + 1) * state["m"] / (1 - state["product"] * mu(t + 1)) + (1 - mu(t)) * g / (1 - state["product"])
    return -rate * ahead / (np.sqrt(v) + o.epsilon)


def adamax(o, g, rate, w, state):  # arXiv:1412.6980, algorithm 2
    m, _ = moments(o, g, state)
    state["u"] = np.maximum(o.beta_2 * state.get("u", 0), np.abs(g))
    return -rate * m / (state["u"] + o.epsilon)


def lion(o, g, rate, w, state):  # arXiv:2302.06675, program 1
    m = state.get("m", 0)
    state["m"] = o.beta_2 * m + (1 - o.beta_2) * g
    return -rate * np.sign(o.beta_1 * m + (1 - o.beta_1) * g)


def lamb(o, g, rate, w, state):  # arXiv:1904.00962, algorithm 2, without its lambda
    m, v = moments(o, g, state)
    r = m / (np.sqrt(v) + o.epsilon)
    return -rate * np.linalg.norm(w) / np.linalg.norm(r) * r


CASES = [
    *((Sgd(learning_rate=0.1, momentum=m, nesterov=n), sgd) for m, n in ((0.0, False), (0.9, False), (0.9, True))),
    (Adagrad(learning_rate=0.1), adagrad),
    (Adadelta(), adadelta),
    *((RmsProp(learning_rate=0.01, momentum=m, centered=c), rmsprop) for m, c in ((0.0, False), (0.5, True))),
    (Adam(learning_rate=0.01, beta_1=0.8, beta_2=0.99), adam),
    (AdamW(learning_rate=0.01, weight_decay=0.0), adam),
    (Nadam(learning_rate=0.01), nadam),
    (Adamax(learning_rate=0.01), adamax),
    (Lion(learning_rate=0.01), lion),
    (Lamb(learning_rate=0.01), lamb),
]


def test_every_optimizer_is_tried_here():
    assert {type(optimizer) for optimizer, _ in CASES} == set(OPTIMIZERS)


def updated(optimizer, rate, name="kernel", gradients=GRADIENTS, share=None):
    """The weights after each of the steps; `share` is that of the learning rate which this variable has."""
    variable = keras.Variable(WEIGHTS, name=name)
    built = optimizer.build(rate, {id(variable.value): share} if share else None)
    weights = []
    for gradient in gradients:
        built.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
        weights.append(variable.numpy())
    return weights


@pytest.mark.parametrize(("decay", "share"), [(0.0, None), (0.1, None), (0.0, 0.25), (0.1, 0.25)])
@pytest.mark.parametrize(("optimizer", "step"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_an_optimizer_steps_as_by_hand(optimizer, step, decay, share):
    optimizer = optimizer.model_copy(update={"weight_decay": decay})
    rate, weights, state = optimizer.learning_rate * (share or 1), WEIGHTS.astype(np.float64), {}
    seen = updated(optimizer, optimizer.learning_rate, share=share)
    for state["t"], (gradient, after) in enumerate(zip(GRADIENTS.astype(np.float64), seen, strict=True), start=1):
        weights = weights * (1 - rate * decay)  # decoupled: no part of the gradient
        weights = weights + step(optimizer, gradient, rate, weights, state)
        assert after == pytest.approx(weights, rel=1e-4, abs=1e-5), state["t"]


@pytest.mark.parametrize("share", [None, 0.25])
def test_adamw_is_that_of_keras(share):
    variable, rate = keras.Variable(WEIGHTS, name="kernel"), 0.01 * (share or 1)
    oracle = keras.optimizers.AdamW(rate, weight_decay=0.1)
    seen = updated(AdamW(learning_rate=0.01, weight_decay=0.1), 0.01, share=share)
    for gradient, after in zip(GRADIENTS, seen, strict=True):
        oracle.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        assert after == pytest.approx(variable.numpy(), rel=1e-6)


def test_the_first_step_of_adam_is_the_learning_rate():
    (first,) = updated(Adam(learning_rate=0.01), 0.01, gradients=GRADIENTS[:1])
    assert WEIGHTS - first == pytest.approx(0.01 * np.sign(GRADIENTS[0]), abs=1e-6)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_each_step_has_the_rate_of_the_schedule(kind):
    optimizer = kind(learning_rate=0.1)
    scheduled = updated(optimizer, Cosine(warmup_epochs=1.0)(0.1, 2, 2), gradients=GRADIENTS[:3])
    assert scheduled[0] == pytest.approx(WEIGHTS)  # the warm-up begins at 0
    assert not np.allclose(scheduled[1], scheduled[0])
    if kind is Sgd:
        velocity = 0.05 * GRADIENTS[1]  # half the way up; of the first step nothing is carried over
        assert scheduled[1] == pytest.approx(WEIGHTS - velocity, rel=1e-5)
        assert scheduled[2] == pytest.approx(scheduled[1] - 0.9 * velocity - 0.1 * GRADIENTS[2], rel=1e-5)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("share", [None, 0.5])
def test_weight_decay_spares_biases_and_norms(kind, share):
    def ones(name, *shape):
        return keras.Variable(np.ones(shape, np.float32), name=name)

    kernels = [ones("kernel", 3, 3, 1, 2), ones("kernel", 2, 2)]
    spared = [ones("bias", 2), ones("gamma", 2), ones("beta", 2), ones("gamma", 2, 2), ones("scale", 2)]
    optimizer = kind(learning_rate=0.1, weight_decay=0.01)
    shares = {id(variable.value): share for variable in (*kernels, *spared)} if share else None
    variables = [*kernels, *spared]
    optimizer.build(0.1, shares).apply([keras.ops.zeros_like(variable) for variable in variables], variables)
    for variable in kernels:
        assert variable.numpy() == pytest.approx(1 - 0.001 * (share or 1), abs=1e-6)
    for variable in spared:
        assert variable.numpy() == pytest.approx(1.0, abs=1e-7)


def test_the_kernels_of_a_network_decay_and_nothing_else():
    model = ResNet(depth=20).build((32, 32, 3), 10)
    for variable in model.trainable_variables:
        assert decays(variable) == (variable.name == "kernel"), variable.path


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("tower/kernel", (3, 2), True),
        ("beta_tower/debiased/kernel", (3, 2), True),
        ("tower/kernel/bias", (3, 2), False),
        ("tower/norm/gamma", (1, 2), False),
        ("tower/scale", (2,), False),
    ],
)
def test_a_weight_of_a_saved_model_is_judged_by_its_own_name_not_by_where_it_is(name, shape, expected):
    adopted = keras.Variable(tf.Variable(np.ones(shape, np.float32), name=name), name=name.replace("/", "_"))
    assert decays(adopted) is expected


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_variables_without_a_share_have_the_whole_rate(kind):
    first, second = keras.Variable(WEIGHTS, name="kernel"), keras.Variable(WEIGHTS, name="kernel")
    optimizer = kind(learning_rate=0.1, weight_decay=0.0).build(0.1, {id(first.value): 0.5})
    ones = keras.ops.ones_like(first)
    optimizer.apply([ones, ones], [first, second])
    steps = WEIGHTS - first.numpy(), WEIGHTS - second.numpy()
    assert np.abs(steps[1]).min() > 0
    assert steps[0] == pytest.approx(steps[1] / 2, rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_remembered_is_all_of_the_state(kind):
    """A second optimizer that is given the variables of the first goes on as the first does, to the bit."""
    gradients = [keras.ops.convert_to_tensor(gradient) for gradient in GRADIENTS]
    first, second = (keras.Variable(WEIGHTS, name="kernel") for _ in range(2))
    one, other = (kind(learning_rate=0.01, weight_decay=0.1).build(0.01) for _ in range(2))
    for gradient in gradients[:4]:
        one.apply([gradient], [first])
    other.build([second])
    second.assign(first)
    for mine, its in zip(other.variables, one.variables, strict=True):
        mine.assign(its)
    for gradient in gradients[4:]:
        one.apply([gradient], [first])
        other.apply([gradient], [second])
    assert np.array_equal(first.numpy(), second.numpy())


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_number_of_updates_in_a_call_does_not_matter(kind):
    """To the bit: one call of a loop of eight, and two of five and three."""
    gradients, ends = tf.constant(GRADIENTS), []
    variable = keras.Variable(WEIGHTS, name="kernel")
    optimizer = kind(learning_rate=0.01, weight_decay=0.1).build(Cosine()(0.01, 4, 2))
    optimizer.build([variable])
    start = [(each, each.numpy()) for each in (variable, *optimizer.variables)]

    @tf.function(autograph=False)
    def several(first, count):
        def update(done):
            optimizer.apply([gradients[first + done]])
            return (done + 1,)

        return tf.while_loop(lambda done: done < count, update, (tf.constant(0),))

    for calls in ([(0, 8)], [(0, 5), (5, 3)]):
        for each, value in start:
            each.assign(value)
        for first, count in calls:
            several(tf.constant(first), tf.constant(count))
        ends.append(variable.numpy())
    assert np.array_equal(*ends)
    assert not np.array_equal(ends[0], WEIGHTS)


@pytest.mark.parametrize(
    "optimizer",
    [*(kind() for kind in OPTIMIZERS), Sgd(momentum=0.0), RmsProp(momentum=0.9), RmsProp(momentum=0.9, centered=True)],
)
def test_the_slots_are_those_of_keras(optimizer):
    variable = keras.Variable(WEIGHTS, name="kernel")
    built = optimizer.build(0.1)
    built.build([variable])
    assert sum(v.shape == variable.shape for v in built.variables) == optimizer.slots


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("setting", [{"learning_rate": 0.0}, {"learning_rate": -1.0}, {"weight_decay": -0.1}])
def test_rates_and_decays_are_not_negative(kind, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        kind(**setting)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_default_rate_is_a_usual_one_and_nothing_of_it_is_odd(kind):
    optimizer = kind()
    assert optimizer.odd_rate(optimizer.learning_rate) is None
    least, most = kind.usual
    assert "so small" in optimizer.odd_rate(least / 2)
    assert "so large" in optimizer.odd_rate(most * 2)
