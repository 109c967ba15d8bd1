from __future__ import annotations

import pytest

from cnnkit import read
from cnnkit.config import differences
from cnnkit.config.file import write
from cnnkit.core.errors import ConfigError

CONFIG = """
name: one
data: {source: {name: folder, path: images}, limit: 10}
model: {name: lenet}
train: {epochs: 10, schedule: {name: constant}, optimizer: {name: sgd}}
"""

STAGES = CONFIG.replace("epochs: 10", "stages: [{epochs: 2}, {epochs: 5}]")


@pytest.fixture
def refused(tmp_path):
    """What keeps a run of a config from going on with the same but for some settings: key and message."""

    def refused(*settings, text=CONFIG):
        (tmp_path / "config.yaml").write_text(text)
        one, other = (read(tmp_path / "config.yaml", *more, files=False) for more in ((), settings))
        return {problem.key: problem.message for problem in differences.refused(one, other, settings)}

    return refused


def test_every_setting_that_differs_is_told_with_both_values(refused):
    assert refused("seed=1", "data.limit=null", "model.dropout=0.2", "train.optimizer.momentum=0.5") == {
        "seed": "the run has `0`, the config `1`",
        "data.limit": "the run has `10`, the config `null`",
        "model.dropout": "the run has `0.0`, the config `0.2`",
        "train.optimizer.momentum": "the run has `0.9`, the config `0.5`",
    }


def test_of_another_class_its_name_is_told_and_what_is_in_a_list_is_found(refused):
    assert refused("model={name: resnet, depth: 20}", "augment=[{name: flip}]") == {
        "model.name": "the run has `lenet`, the config `resnet`",
        "augment.0.name": "the run has nothing, the config `flip`",
    }
    assert refused("train.early_stopping={patience: 3}").keys() == {
        f"train.early_stopping.{name}" for name in ("monitor", "patience", "min_delta")
    }


@pytest.mark.parametrize(
    "setting",
    ["data.source.path=elsewhere", "data.cache.memory_gib=1", "train.time_limit=5", "train.checkpoint.keep=9"],
)
def test_where_images_lie_and_what_is_kept_may_differ(refused, setting):
    assert refused(setting) == {}


def test_epochs_may_become_more_and_the_schedule_another_one_with_them(refused):
    assert refused("train.epochs=20") == {}
    assert refused("train.epochs=20", "train.schedule={name: cosine}") == {}
    assert refused("train.epochs=9") == {
        "train.epochs": "the run has `10`, the config `9`; a run that goes on can only have more"
    }
    assert refused("train.schedule={name: cosine}").keys() == {"train.schedule.name"}


def test_of_stages_the_last_may_be_longer(refused):
    assert refused("train.stages.1.epochs=6", text=STAGES) == {}
    assert refused("train.stages.0.epochs=6", text=STAGES).keys() == {"train.stages.0.epochs"}
    assert refused("train.stages=[{epochs: 2}, {epochs: 5}, {epochs: 1}]", text=STAGES) != {}


def test_a_schedule_that_ends_has_to_be_named_anew(refused):
    text = CONFIG.replace("constant", "cosine")
    [(key, message)] = refused("train.epochs=20", text=text).items()
    assert key == "train.epochs"
    assert "`cosine` ends with the last of 10 epochs" in message
    assert "--set train.schedule.name=constant" in message and "as if there had been 20 from the beginning" in message
    for name in ("constant", "cosine"):
        assert refused("train.epochs=20", f"train.schedule.name={name}", text=text) == {}


@pytest.mark.parametrize(
    ("setting", "gone"),
    [
        ("train.schedule.name=constant", {"end"}),
        ("train.schedule.name=step", {"end"}),
        ("train.schedule.name=cosine", set()),
        ("train.checkpoint.every_steps=500", {"every_minutes"}),
        ("train.checkpoint.every_epochs=1", {"every_minutes"}),
        ("train.checkpoint.every_minutes=1", set()),
    ],
)
def test_over_a_config_with_every_setting_written_out_what_can_not_stand_beside_another_goes(tmp_path, setting, gone):
    (tmp_path / "config.yaml").write_text(CONFIG.replace("constant", "cosine, warmup_epochs: 1"))
    complete = tmp_path / "complete.yaml"
    complete.write_text(write(read(tmp_path / "config.yaml", files=False)))
    one, other = (read(complete, *more, files=False, complete=True) for more in ((), (setting,)))
    assert other.train.schedule.warmup_epochs == 1
    left = {
        found.key.rpartition(".")[2]
        for found in differences.between(one, other)
        if found.after in (None, differences.MISSING)
    }
    assert left == gone
    with pytest.raises(ConfigError, match="every_steps and every_epochs say the same"):
        settings = ("train.checkpoint.every_epochs=1", "train.checkpoint.every_steps=5")
        read(complete, *settings, files=False, complete=True)
