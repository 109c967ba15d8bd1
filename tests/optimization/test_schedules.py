from __future__ import annotations

import math
from typing import get_args

import pytest

from cnnkit.optimization.schedules import AnySchedule, Constant, Cosine

STEPS, EPOCHS = 40, 10
SCHEDULES = get_args(get_args(AnySchedule)[0])


def test_every_schedule_is_tried_here():
    assert set(SCHEDULES) == {Constant, Cosine}


def by_hand(schedule, rate, step):
    warmup = schedule.warmup_epochs * STEPS
    if step < warmup:
        return rate * step / warmup
    if isinstance(schedule, Constant):
        return rate
    return rate / 2 * (1 + math.cos(math.pi * (step - warmup) / (EPOCHS * STEPS - warmup)))


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_follows_its_formula(kind, warmup):
    schedule = kind(warmup_epochs=warmup)
    rate = schedule(0.2, STEPS, EPOCHS)
    for step in (0, 1, 19, 20, 21, 39, 40, 41, 79, 80, 81, 200, 240, 398, 399, 400):
        assert float(rate(step)) == pytest.approx(by_hand(schedule, 0.2, step), abs=1e-7), step


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_warm_up_ends_at_the_full_rate(kind):
    rate = kind(warmup_epochs=2.0)(0.2, STEPS, EPOCHS)
    assert float(rate(0)) == 0
    assert float(rate(STEPS)) == pytest.approx(0.1)
    assert float(rate(2 * STEPS)) == pytest.approx(0.2)


def test_cosine_ends_at_zero_and_constant_where_it_began():
    assert float(Cosine()(0.2, STEPS, EPOCHS)(STEPS * EPOCHS)) == pytest.approx(0, abs=1e-9)
    assert float(Constant()(0.2, STEPS, EPOCHS)(STEPS * EPOCHS)) == pytest.approx(0.2)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize(("steps", "epochs", "warmup"), [(1, 1, 0.0), (1, 2, 1.0), (1, 3, 0.4), (3, 1, 0.9)])
def test_the_shortest_training_has_a_rate(kind, steps, epochs, warmup):
    rate = kind(warmup_epochs=warmup)(0.2, steps, epochs)
    for step in range(steps * epochs):
        assert 0 <= float(rate(step)) <= 0.2 + 1e-7
