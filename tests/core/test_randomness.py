"""Chance without a state, against SplitMix64 in plain whole numbers and against statistics."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.core import randomness

WORD = 2**64


def split_mix(state: int) -> tuple[int, int]:
    """The next state and number of SplitMix64, as its authors write it down."""
    state = (state + 0x9E3779B97F4A7C15) % WORD
    z = state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return state, z ^ (z >> 31)


def by_hand(keys, number, count):
    """The numbers of SplitMix64 from where the keys lead: each is added to what came of those before, and mixed."""
    state = 0
    for key in (*keys, number):
        _, state = split_mix((state + key) % WORD)
    numbers = []
    for _ in range(count):
        state, z = split_mix(state)
        numbers.append((z >> 11) / 2**53)
    return numbers


def test_the_oracle_gives_the_numbers_that_are_known_of_split_mix():
    state, found = 1234567, []
    for _ in range(5):
        state, number = split_mix(state)
        found.append(number)
    assert found == [
        *(6457827717110365317, 3203168211198807973, 9817491932198370423),
        *(4593380528125082431, 16408922859458223821),
    ]


@pytest.mark.parametrize("keys", [(0,), (5, 0, 3), (2**63 - 1, 17, 10**6), (-3, 1, 2)])
def test_numbers_are_those_of_split_mix(keys):
    numbers = [0, 1, 2, 59_999, 2**40, 2**62]
    assert randomness.uniform(keys, np.array(numbers), 7).tolist() == [by_hand(keys, number, 7) for number in numbers]


def test_each_image_has_its_numbers_whichever_others_are_asked_for():
    everything = randomness.uniform((1, 2, 3), np.arange(100), 5)
    some = np.array([7, 99, 0, 7])
    assert np.array_equal(randomness.uniform((1, 2, 3), some, 5), everything[some])
    assert np.array_equal(randomness.uniform((1, 2, 3), some, 2), everything[some, :2])
    assert randomness.uniform((1, 2, 3), np.array([], np.int64), 5).shape == (0, 5)
    assert randomness.uniform((1, 2, 3), some, 0).shape == (4, 0)


def test_they_are_uniform():
    drawn = randomness.uniform((0, 0, 0), np.arange(50_000), 4)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    for column in drawn.T:
        counts = np.bincount((column * 100).astype(int), minlength=100)
        assert ((counts - 500) ** 2 / 500).sum() < 150  # chi square of 99, 99.9 %


@pytest.mark.parametrize(
    "other",
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2), (0, 0, 2**32), (0, 0, 0, 0), (0, 0, 0, 1), (1, -1, 0), (0, 0)],
    ids=str,
)
def test_what_differs_by_little_has_nothing_in_common(other):
    numbers = np.arange(20_000)
    first, second = randomness.uniform((0, 0, 0), numbers, 3), randomness.uniform(other, numbers, 3)
    for shift in range(4):  # nor are the numbers of one those of the other, moved on
        pairs = zip(first[shift:].T, second[: len(second) - shift].T, strict=True)
        assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.03 for a, b in pairs)


def test_neighbours_have_nothing_in_common():
    drawn = randomness.uniform((3, 1, 4), np.arange(20_000), 3)
    pairs = [(drawn[1:, 0], drawn[:-1, 0]), (drawn[2:, 0], drawn[:-2, 0]), (drawn[:, 0], drawn[:, 1])]
    pairs += [(drawn[:-1, 1], drawn[1:, 0]), (drawn[:, 1], drawn[:, 2])]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.03 for a, b in pairs)
    assert len(np.unique(drawn)) == drawn.size


def test_many_numbers_from_one_are_the_same_again_and_others_from_another():
    drawn = randomness.random_bytes(0.3, 1001)
    assert (drawn.dtype, drawn.shape) == (np.uint8, (1001,))
    assert np.array_equal(drawn, randomness.random_bytes(0.3, 1001))
    assert np.array_equal(drawn[:10], randomness.random_bytes(0.3, 10))
    assert (drawn != randomness.random_bytes(0.3 + 2**-53, 1001)).mean() > 0.98
    assert (
        randomness.generator(0.3).random() == randomness.generator(0.3).random() != randomness.generator(0.4).random()
    )


def test_bytes_are_uniform():
    counts = np.bincount(randomness.random_bytes(0.7, 256_000), minlength=256)
    assert ((counts - 1000) ** 2 / 1000).sum() < 340  # chi square of 255, 99.97 %
