"""A CPU that is divided into three devices trains as one that is not; see on_logical_devices.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a process with three devices found."""
    folder = tmp_path_factory.mktemp("devices")
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, here / "on_logical_devices.py", folder],
        env=os.environ | {"PYTHONPATH": path, "CNNKIT_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "case", ["plain", "uneven", "few", "accumulated", "averaged", "sharp", "adam", "stages", "features", "fitted"]
)
def test_weights_and_metrics_are_those_of_one_device_to_rounding(found, case):
    one, three = found[case]["cpu"], found[case]["3"]
    assert np.abs(np.subtract(three["weights"], one["weights"])).max() < 1e-5
    assert three["metrics"] == pytest.approx(one["metrics"], abs=1e-5)
    assert three["validation"] == pytest.approx(one["validation"], abs=1e-5)
    assert one["computing"]["devices"] == ["CPU:0"]
    assert three["computing"]["devices"] == ["CPU:0", "CPU:1", "CPU:2"]


def test_what_is_validated_is_what_is_evaluated(found):
    """With batch normalisation and dropout too, whose copies differ within an update."""
    case = found["normalised"]
    assert case["validation"] == pytest.approx(case["metrics"][2], abs=1e-5)


def test_a_run_that_was_killed_goes_on_to_the_same_bits(found):
    assert found["resumed"]["again"] == found["resumed"]["whole"]


def test_more_devices_than_there_are_is_an_error_of_the_config(found):
    assert found["refused"].startswith("2 train.devices: 4 are asked for, and this machine has no GPU; its CPU counts")
    assert "3 devices" in found["refused"]


def test_moving_statistics_are_the_mean_of_the_devices_by_their_images(found):
    first, second = found["inside"]["mean"]
    assert first == second == pytest.approx(found["inside"]["expected"], abs=1e-6)


def test_each_device_has_dropout_of_its_own(found):
    """The first and the third image are the same, and so are the normalised ones of the second device but for it."""
    (seed, count), (other, same) = found["inside"]["seeds"]
    assert seed != other and count == same == 1
