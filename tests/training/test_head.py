"""The fitted head against the definition of its optimum and against scikit-learn, on arrays."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cnnkit.core.errors import TrainingError
from cnnkit.training import head

CLASSES = 3


def images(count=90, classes=CLASSES, seed=0):
    """Features of images, labels that hang on them, and what each counts for."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    features = random.normal(size=(count, 5)) * [1, 3, 0.1, 1, 20] + [0, 5, 1, 0, -100]
    features[:, 0] += labels
    features[:, 2] -= 0.1 * (labels == 1)
    weights = random.uniform(0.2, 2, count)
    return features.astype(np.float32), labels, weights / weights.mean()


def names(count):
    return [f"{i:04}" for i in range(count)]


def fitted(features, labels, weights=None, groups=None, classes=CLASSES, seed=0):
    weights = np.ones(len(labels)) if weights is None else weights
    return head.fit(features, labels, weights, groups or names(len(labels)), classes, seed)


def standardised(features, weights):
    """Features less their weighted mean, by their weighted deviation; and that deviation."""
    mean = weights @ features / weights.sum()
    deviation = np.sqrt(weights @ (features - mean) ** 2 / weights.sum())
    return (features - mean) / deviation, deviation


def probabilities(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def test_the_slope_of_the_penalised_loss_is_nothing_at_the_optimum():
    features, labels, weights = images()
    found = fitted(features, labels, weights)
    assert found.converged
    scaled, deviation = standardised(features, weights)
    errors = probabilities(features @ found.kernel + found.bias) - np.eye(CLASSES)[labels]
    by_kernel = found.strength * scaled.T @ (weights[:, None] * errors) + found.kernel * deviation[:, None]
    by_bias = weights @ errors
    size = found.strength * np.abs(scaled.T) @ (weights[:, None] * np.abs(errors))
    assert np.abs(by_kernel).max() < 1e-3 * size.max()
    assert np.abs(by_bias).max() < 1e-3 * (weights @ np.abs(errors)).max()


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_its_answers_are_those_of_scikit_learn_on_standardised_features(classes):
    features, labels, weights = images(classes=classes)
    found = fitted(features, labels, weights, classes=classes)
    scaler = StandardScaler().fit(features, sample_weight=weights)
    theirs = LogisticRegression(C=found.strength, tol=1e-8, max_iter=10_000)
    theirs.fit(scaler.transform(features), labels, weights)
    ours = probabilities(features @ found.kernel + found.bias)
    assert ours == pytest.approx(theirs.predict_proba(scaler.transform(features)), abs=2e-3)


def test_one_logit_of_two_classes_says_what_two_say():
    features, labels, weights = images(classes=2)
    found = fitted(features, labels, weights, classes=2)
    kernel, bias = found.weights(1)
    assert kernel.shape == (5, 1) and bias.shape == (1,)
    sigmoid = 1 / (1 + np.exp(-(features @ kernel + bias)))
    assert sigmoid[:, 0] == pytest.approx(probabilities(features @ found.kernel + found.bias)[:, 1], abs=1e-5)


def test_the_penalty_is_the_one_with_the_least_loss_over_the_folds():
    features, labels, weights = images()
    found = fitted(features, labels, weights)
    assert found.folds == head.FOLDS
    assert found.losses[found.strength] == min(found.losses.values())
    tried = list(found.losses)
    assert tried == list(head.STRENGTHS[: len(tried)])
    # The loss of the folds again, each by what scikit-learn learns of the others.
    folds = head.dealt(labels, names(len(labels)), 0)
    scaled, _ = standardised(features, weights)
    total = 0.0
    for fold in range(head.FOLDS):
        inside, outside = folds != fold, folds == fold
        model = LogisticRegression(C=found.strength, tol=1e-8, max_iter=10_000)
        answers = model.fit(scaled[inside], labels[inside], weights[inside]).predict_proba(scaled[outside])
        total -= weights[outside] @ np.log(answers[np.arange(outside.sum()), labels[outside]])
    assert found.losses[found.strength] == pytest.approx(total / len(labels), rel=1e-3)


def test_noise_is_penalised_and_a_clear_difference_is_not():
    random = np.random.default_rng(1)
    labels = np.arange(80) % 2
    noise = random.normal(size=(80, 40)).astype(np.float32)
    clear = noise.copy()
    clear[:, :3] += 2 * labels[:, None]
    strengths = [fitted(features, labels, classes=2).strength for features in (noise, clear)]
    assert strengths[0] == head.STRENGTHS[0] and strengths[1] > 0.01


def test_an_image_that_counts_twice_is_two_images():
    features, labels, _ = images(60)
    twice = np.arange(60) < 20
    weights = np.where(twice, 2.0, 1.0)
    once = fitted(features, labels, weights)
    again = fitted(
        np.concatenate([features, features[twice]]),
        np.concatenate([labels, labels[twice]]),
        groups=names(60) + names(20),
    )
    assert once.strength == again.strength
    assert once.losses[once.strength] == pytest.approx(again.losses[once.strength], rel=1e-3)
    assert once.kernel == pytest.approx(again.kernel, abs=1e-2)
    assert once.bias == pytest.approx(again.bias, abs=0.05)


def test_groups_never_part_and_each_class_is_spread_evenly():
    labels = np.repeat([0, 1, 2], [40, 20, 7])
    groups = [f"{label}-{i // 2}" for label, count in ((0, 40), (1, 20), (2, 7)) for i in range(count)]
    folds = head.dealt(labels, groups, 0)
    for group in set(groups):
        assert len({fold for fold, name in zip(folds, groups, strict=True) if name == group}) == 1
    for label, pairs in enumerate((20, 10, 4)):
        counts = np.bincount(folds[labels == label], minlength=head.FOLDS)
        assert counts.max() - counts.min() <= 2 and counts.sum() in (2 * pairs, 2 * pairs - 1)
    assert not np.array_equal(folds, head.dealt(labels, groups, 1))


def test_folds_hang_on_content_and_not_on_the_order_of_images():
    labels, groups = np.arange(30) % 3, names(30)
    order = np.random.default_rng(0).permutation(30)
    shuffled = head.dealt(labels[order], [groups[i] for i in order], 5)
    assert np.array_equal(shuffled, head.dealt(labels, groups, 5)[order])


def test_equal_bits_whatever_the_number_of_threads():
    features, labels, weights = images(400)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(fitted(features, labels, weights))
    assert np.array_equal(found[0].kernel, found[1].kernel) and np.array_equal(found[0].bias, found[1].bias)
    assert found[0].losses == found[1].losses


@pytest.mark.parametrize("absent", [0, 1, 3])
def test_a_class_without_training_images_is_never_predicted(absent):
    features, labels, _ = images()
    labels = labels + (labels >= absent)
    found = fitted(features, labels, classes=4)
    answers = features @ found.kernel + found.bias
    assert np.isfinite(answers).all() and absent not in answers.argmax(axis=1)
    assert (answers.argmax(axis=1) == labels).mean() > 0.5


def test_a_single_class_is_always_predicted():
    features = images(10)[0]
    found = fitted(features, np.full(10, 1), classes=2)
    assert ((features @ found.kernel + found.bias).argmax(axis=1) == 1).all()
    assert found.folds == 0 and found.strength in head.STRENGTHS


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_a_handful_of_images_is_enough(count):
    features = images(count)[0]
    found = fitted(features, np.arange(count) % 2, classes=2)
    assert np.isfinite(found.kernel).all() and np.isfinite(found.bias).all()
    assert found.line().startswith("fitted to 5 features, at the optimum of its loss; penalty C ")


def test_features_that_say_nothing_do_no_harm():
    features, labels, weights = images()
    constant = np.float32([[0, 0.1, 1e6, -3]]) * np.ones((len(labels), 1), np.float32)
    with_them = fitted(np.hstack([features, constant]), labels, weights)
    without = fitted(features, labels, weights)
    assert np.abs(with_them.kernel[5:]).max() < 1e-9
    assert with_them.kernel[:5] == pytest.approx(without.kernel, abs=1e-3)


def test_of_many_images_a_sample_chooses_the_penalty_and_all_are_fitted(monkeypatch):
    features, labels, weights = images(2000)
    whole = fitted(features, labels, weights)
    monkeypatch.setattr(head, "_LARGE", 2000 * 5 * CLASSES // 4)
    found = fitted(features, labels, weights)
    assert (whole.sample, found.sample, found.folds) == (2000, 500, head.FOLDS)
    assert found.strength == pytest.approx(whole.strength, rel=11)  # a grid step or two
    assert found.kernel == pytest.approx(whole.kernel, abs=0.05)
    monkeypatch.setattr(head, "_LARGE", 1)  # 50 images a class at least, and then one fold
    found = fitted(features, labels, weights)
    assert found.folds == 1 and 150 <= found.sample < 200
    assert "chosen by 1 fold of 1" in found.line() and "(loss 0." in found.line()


def test_what_is_recorded_is_plain():
    features, labels, weights = images()
    facts = fitted(features, labels, weights).facts()
    assert facts["folds"] == 5 and facts["converged"] is True
    assert type(facts["C"]) is float and all(type(loss) is float for loss in facts["losses"].values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused_with_the_first_image_that_has_some(value):
    features = np.zeros((3, 2), np.float32)
    head.refuse_unless_finite(features, ["a.png", "b.png", "c.png"])
    features[1:, 1] = value
    with pytest.raises(TrainingError, match=r"for 2 of 3 images, first b\.png"):
        head.refuse_unless_finite(features, ["a.png", "b.png", "c.png"])
