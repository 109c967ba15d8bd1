"""Each schedule follows its formula, in the optimizer's TensorFlow as in the NumPy that is drawn."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

from cnnkit.core.lazy import tf
from cnnkit.optimization.schedules import (
    AnySchedule,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    MultiStep,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
)

STEPS, EPOCHS = 40, 10
SCHEDULES = get_args(get_args(AnySchedule)[0])
LOOKED_AT = (0, 1, 19, 20, 21, 39, 40, 41, 79, 80, 81, 119, 120, 121, 200, 240, 279, 280, 281, 398, 399)


def half_cosine(progress, first, last):
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def restarts(s, step, warmup):
    begin, length, cycle = 0.0, s.cycle_epochs * STEPS, 0
    while step >= begin + length:
        begin, length, cycle = begin + length, length * s.growth, cycle + 1
    first = warmup if cycle == 0 else begin
    return half_cosine((step - first) / (begin + length - first), 1, s.end) * s.peak_factor**cycle


def one_cycle(s, progress):
    if progress < s.rise:
        return half_cosine(progress / s.rise, s.start, 1)
    return half_cosine((progress - s.rise) / (1 - s.rise), 1, s.end)


BY_HAND = {
    Constant: lambda s, step, warmup, progress: 1,
    Plateau: lambda s, step, warmup, progress: 1,
    Step: lambda s, step, warmup, progress: s.factor ** (step // (s.every_epochs * STEPS)),
    MultiStep: lambda s, step, warmup, progress: s.factor ** sum(step >= e * STEPS for e in s.epochs or (5, 7.5)),
    Exponential: lambda s, step, warmup, progress: s.factor ** ((step - warmup) / STEPS),
    Polynomial: lambda s, step, warmup, progress: s.end + (1 - s.end) * (1 - progress) ** s.power,
    Cosine: lambda s, step, warmup, progress: half_cosine(progress, 1, s.end),
    CosineRestarts: lambda s, step, warmup, progress: restarts(s, step, warmup),
    OneCycle: lambda s, step, warmup, progress: one_cycle(s, progress),
}

CASES = [
    Constant(),
    Plateau(patience=10),
    Step(every_epochs=3),
    Step(every_epochs=0.1, factor=0.9),
    MultiStep(),
    MultiStep(epochs=(2, 3, 9.5), factor=0.5),
    Exponential(),
    Exponential(factor=0.5),
    Polynomial(),
    Polynomial(power=2.0, end=0.1),
    Cosine(),
    Cosine(end=0.2),
    CosineRestarts(cycle_epochs=3),
    CosineRestarts(cycle_epochs=3.0, growth=1.0, peak_factor=0.5, end=0.1),
    CosineRestarts(cycle_epochs=2.05, growth=1.5),
    OneCycle(),
    OneCycle(rise=0.5, start=0.1, end=0.01),
]


def by_hand(schedule, rate, step):
    warmup = schedule.warmup_epochs * STEPS

    def share(step):
        return BY_HAND[type(schedule)](schedule, step, warmup, (step - warmup) / (EPOCHS * STEPS - warmup))

    return rate * (share(warmup) * step / warmup if step < warmup else share(step))


def test_every_schedule_is_tried_here():
    assert {type(schedule) for schedule in CASES} == set(SCHEDULES) == BY_HAND.keys()


@pytest.mark.parametrize("warmup", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("schedule", CASES, ids=repr)
def test_a_schedule_follows_its_formula(schedule, warmup):
    schedule = schedule.model_copy(update={"warmup_epochs": warmup})
    rate, drawn = schedule(0.2, STEPS, EPOCHS), schedule.course(0.2, STEPS, EPOCHS)
    assert drawn == pytest.approx([by_hand(schedule, 0.2, step) for step in range(STEPS * EPOCHS)], abs=1e-12)
    for step in LOOKED_AT[::2]:
        assert float(rate(step)) == pytest.approx(by_hand(schedule, 0.2, step), abs=1e-7), step


def test_the_rates_in_a_loop_are_those_outside_to_the_bit():
    """So they do not depend on how many updates are made in one call."""
    of = [schedule.model_copy(update={"warmup_epochs": 0.5})(0.2, STEPS, EPOCHS) for schedule in CASES]

    @tf.function(autograph=False)
    def rates(first, count):
        def look(done, found):
            return done + 1, found.write(done, tf.stack([rate(tf.cast(first + done, tf.int64)) for rate in of]))

        start = tf.constant(0), tf.TensorArray(tf.float32, size=count)
        return tf.while_loop(lambda done, _: done < count, look, start)[1].stack()

    together = rates(tf.constant(0), tf.constant(STEPS * EPOCHS)).numpy()
    apart = np.concatenate([rates(tf.constant(first), tf.constant(100)).numpy() for first in (0, 100, 200, 300)])
    assert together.dtype == np.float32
    assert np.array_equal(together, apart)
    for number, rate in enumerate(of):
        assert together[list(LOOKED_AT[::3]), number].tolist() == [float(rate(step)) for step in LOOKED_AT[::3]], CASES[
            number
        ]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_warm_up_leads_from_nothing_to_where_the_schedule_begins(kind):
    rate = kind(warmup_epochs=2.0)(0.2, STEPS, EPOCHS)
    highest = 0.2 * (OneCycle().start if kind is OneCycle else 1)
    assert float(rate(0)) == 0
    assert float(rate(STEPS)) == pytest.approx(highest / 2)
    assert float(rate(2 * STEPS)) == pytest.approx(highest)


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        (Constant(), 1),
        (Cosine(), 0),
        (Cosine(end=0.25), 0.25),
        (Polynomial(), 0),
        (OneCycle(), 0),
        (Step(every_epochs=4), 0.01),
        (MultiStep(), 0.01),
        (CosineRestarts(cycle_epochs=2.5, growth=3.0), 0),
        (Exponential(factor=0.5), 0.5**EPOCHS),
    ],
    ids=repr,
)
def test_a_schedule_comes_to_its_end(schedule, share):
    assert schedule.course(0.2, 1000, EPOCHS)[-1] == pytest.approx(0.2 * share, rel=0.01, abs=1e-3)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize(("steps", "epochs", "warmup"), [(1, 1, 0.0), (1, 2, 1.0), (1, 3, 0.4), (3, 1, 0.9)])
def test_the_shortest_training_has_a_rate(kind, steps, epochs, warmup):
    rate = kind(warmup_epochs=warmup)(0.2, steps, epochs)
    for step in range(steps * epochs):
        assert 0 <= float(rate(step)) <= 0.2 + 1e-7


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_says_whether_it_hangs_on_the_length_of_the_training(kind):
    schedule = kind()
    same = np.allclose(schedule.course(0.2, STEPS, 10)[: 9 * STEPS], schedule.course(0.2, STEPS, 20)[: 9 * STEPS])
    assert schedule.ends != same or kind is Plateau  # which is drawn as if nothing got better after a third


def test_restarts_are_where_they_are_to_the_update():
    for growth in (1.0, 1.1, 2.0, 3.0):
        rates = CosineRestarts(cycle_epochs=1, growth=growth).course(1.0, 7, 200)
        starts, begin, length = [], 0.0, 7.0
        while begin < len(rates):
            starts.append(math.ceil(begin - 1e-9))
            begin, length = begin + length, length * growth
        assert np.flatnonzero(np.diff(rates, prepend=0.0) > 0).tolist() == starts


def test_the_rate_of_plateau_is_what_is_left_of_it():
    rate = Plateau()(0.2, STEPS, EPOCHS)
    assert float(rate(100)) == pytest.approx(0.2)
    rate.reduction.assign(0.1)
    assert float(rate(100)) == pytest.approx(0.02)
    assert Plateau(factor=0.5).lowered(0.5) == 0.25
    assert Plateau(factor=0.5, end=0.4).lowered(0.5) == 0.4


@pytest.mark.parametrize("epochs", [(), (3, 2), (2, 2), (0,), (-1, 2)])
def test_the_epochs_of_multi_step_follow_each_other(epochs):
    with pytest.raises(ValueError, match="epochs"):
        MultiStep(epochs=epochs)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_nothing_of_a_default_is_idle_in_a_training_of_the_default_length(kind):
    assert list(kind().idle(30)) == []


@pytest.mark.parametrize(
    ("schedule", "key", "message"),
    [
        (Step(every_epochs=5), "every_epochs", "after 5 epochs, which never come in 5 epochs"),
        (MultiStep(epochs=(2, 5)), "epochs.1", "after epoch 5, which never comes in 5 epochs"),
        (CosineRestarts(cycle_epochs=6), "cycle_epochs", "restarts after 6 epochs, which never come in 5 epochs"),
        (CosineRestarts(cycle_epochs=2), "cycle_epochs", "begins after epoch 2 and is cut off at 15 % of"),
        (Plateau(patience=5), "patience", "5 epochs without a new best never come in 5 epochs"),
    ],
    ids=repr,
)
def test_what_never_comes_is_told(schedule, key, message):
    [problem] = schedule.idle(5)
    assert problem.key == key
    assert message in problem.message
