"""Labels that a network contradicts: what is said of them fits how often it is mistaken itself."""

from __future__ import annotations

import pytest

from cnnkit.report.suspected import Suspected, search_of
from cnnkit.runs.run import Run


@pytest.mark.parametrize(
    ("contradicted", "weak", "verdict", "doubt"),
    [
        (20, False, "5 labels of the validation and test images may be wrong; see below", "look whether"),
        # 1 - 3.3 / 6.6: half of what it contradicts is not what is usually wrong
        (66, False, "may be wrong, or the network is, which contradicts 6.6\u00a0% of all; see", "So some 50\u00a0%"),
        (330, True, "contradicts 33.0\u00a0% of the labels of validation and test images, mostly by", "some 90\u00a0%"),
    ],
)
def test_the_more_a_network_contradicts_the_less_its_suspects_are_believed(run_of, contradicted, weak, verdict, doubt):
    run, _ = run_of()
    found = Suspected(5, 1000, contradicted, 5)
    assert found.weak is weak
    assert verdict in found.verdict(run) and f"--suspects {run.folder}" in found.verdict(run)
    assert doubt in found.doubt and "3.3\u00a0%" in found.doubt
    assert ("may be wrong" in found.title) is not weak


@pytest.mark.parametrize(("kinds", "folds"), [(["sound"], False), ([], False), (["by_heart", "x"], True)])
def test_where_training_images_were_learnt_by_heart_what_can_judge_them_is_named(run_of, kinds, folds):
    run, _ = run_of()
    run.write_provenance(verdict=[{"kind": kind} for kind in kinds])
    command = f"cnnkit data {run.files.config} --suspects {'folds' if folds else run.folder}"
    assert search_of(run).command == command and Suspected(5, 1000, 20, 5).verdict(run).endswith(command)


def test_what_is_said_of_training_images_is_a_sentence(run_of):
    run, _ = run_of()
    for kind, told in (
        ("sound", "unless the network knows their labels"),
        ("by_heart", "whose labels the network may"),
    ):
        run.write_provenance(verdict=[{"kind": kind}])
        verdict = Suspected(5, 1000, 20, 5).verdict(Run.open(run.folder))
        assert f"; training images, {told}" in verdict and "by heart, are searched by: cnnkit data" in verdict


def test_without_pictures_nobody_is_sent_below(run_of):
    run, _ = run_of()
    assert not any("see below" in Suspected(5, 1000, share, 0).verdict(run) for share in (20, 66, 330))
