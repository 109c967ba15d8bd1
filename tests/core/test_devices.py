"""What `train.devices` comes to on machines with more and fewer GPUs; how devices share work is tested in training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cnnkit.core import devices
from cnnkit.core.devices import Devices
from cnnkit.core.errors import ConfigError


@pytest.fixture
def machine(monkeypatch):
    """TensorFlow's answers on a machine with so many GPUs, and logical CPUs; it may have begun to compute."""

    def make(gpus, cpus=1, begun=False):
        there = [f"GPU {number}" for number in range(gpus)]
        visible = {"GPU": there, "CPU": ["CPU"] * cpus}

        def show(chosen, kind):
            if begun:
                raise RuntimeError("Visible devices cannot be modified after being initialized")
            visible[kind] = list(chosen)

        config = SimpleNamespace(
            list_physical_devices=lambda kind: there,
            get_visible_devices=lambda kind: visible[kind],
            list_logical_devices=lambda kind: visible[kind],
            set_visible_devices=show,
        )
        monkeypatch.setattr(devices, "tf", SimpleNamespace(config=config))
        return visible

    return make


@pytest.mark.parametrize(
    ("gpus", "setting", "names"),
    [
        (0, "auto", ["CPU:0"]),
        (1, "auto", ["GPU:0"]),
        (4, "auto", ["GPU:0"]),
        (4, "cpu", ["CPU:0"]),
        (0, "cpu", ["CPU:0"]),
        (4, "all", ["GPU:0", "GPU:1", "GPU:2", "GPU:3"]),
        (1, "all", ["GPU:0"]),
        (0, "all", ["CPU:0"]),
        (4, 2, ["GPU:0", "GPU:1"]),
        (4, 1, ["GPU:0"]),
        (0, 1, ["CPU:0"]),
    ],
)
def test_a_setting_takes_gpus_and_hides_the_others(machine, gpus, setting, names):
    visible = machine(gpus)
    found = Devices.of(setting)
    assert list(found.names) == names
    assert found.several == (len(names) > 1)
    assert found.gpu == names[0].startswith("GPU")
    assert len(visible["GPU"]) == sum(name.startswith("GPU") for name in names)


def test_a_cpu_that_was_divided_counts_as_several(machine):
    machine(0, cpus=3)
    assert Devices.of(2).names == ("CPU:0", "CPU:1")
    assert Devices.of("all").names == ("CPU:0", "CPU:1", "CPU:2")
    assert Devices.of("auto").names == Devices.of("cpu").names == ("CPU:0",)


@pytest.mark.parametrize(
    ("gpus", "setting", "words"),
    [
        (2, 3, "3 are asked for, and this machine has 2 GPUs; `auto` takes one"),
        (1, 2, "2 are asked for, and this machine has 1 GPU"),
        (0, 2, "2 are asked for, and this machine has no GPU; its CPU counts as 1 device"),
    ],
)
def test_more_devices_than_there_are_is_an_error_that_counts_them(machine, gpus, setting, words):
    machine(gpus)
    with pytest.raises(ConfigError, match=words) as raised:
        Devices.of(setting)
    assert raised.value.problems[0].key == "train.devices"


def test_where_tensorflow_has_begun_its_gpus_stay_and_are_not_silently_used(machine):
    machine(2, begun=True)
    assert Devices.of("auto").names == ("GPU:0",)
    assert Devices.of("all").names == ("GPU:0", "GPU:1")
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES=-1"):
        Devices.of("cpu")
