"""What is said of the norms of gradients."""

from __future__ import annotations

import pytest

from cnnkit.training import gradients
from cnnkit.training.gradients import Strength, judged


def layers(*relative, weights=2.0):
    return [Strength(f"layer{i}", share * weights, weights) for i, share in enumerate(relative, start=1)]


def said(*relative):
    return dict(judged(layers(*relative)))


@pytest.mark.parametrize(
    "relative",
    [(0.1, 0.2, 0.3), (0.01, 0.3, 1.0), (1e-9, 2e-9), (0.5, 1e-5, 0.5), (30.0, 0.5), (0.3,), ()],
)
def test_nothing_is_said_where_each_layer_gets_its_share(relative):
    """However small all are together, as where the loss is nearly 0; nor of one layer in the middle that has little."""
    assert said(*relative) == {}


def test_gradients_that_vanish_on_their_way_back_are_said_with_how_far_they_come():
    found = said(1e-9, 1e-6, 1e-3, 0.5)
    assert list(found) == ["vanishing"]
    assert "2 of 4 layers, `layer1` to `layer2`" in found["vanishing"]
    assert "500,000,000 times less than `layer4`" in found["vanishing"]
    assert "nothing at all" in said(0.0, 1e-3, 0.5)["vanishing"]


def test_a_layer_that_gets_none_at_all_and_a_network_that_does():
    assert "`layer2`" in said(0.1, 0.0, 0.5)["dead"]
    assert list(said(0.0, 0.0)) == ["none"]


def test_gradients_that_explode_are_said_with_the_layer():
    found = said(5e3, 0.1)
    assert list(found) == ["exploding"] or set(found) == {"exploding", "vanishing"}
    assert "`layer1`" in found["exploding"] and "5,000 times" in found["exploding"]


def test_the_share_is_of_the_weights_so_their_size_has_no_say():
    """A layer with weights a million times as large has a gradient a million times as large."""
    small, large = layers(0.1), layers(0.1, weights=2e6)
    assert small[0].relative == pytest.approx(large[0].relative)
    assert list(judged([*small, *large])) == []


def test_a_layer_is_the_first_part_of_a_path():
    assert [gradients.layer_of(path) for path in ("conv1/kernel", "a/b/kernel", "bias")] == ["conv1", "a", "bias"]
