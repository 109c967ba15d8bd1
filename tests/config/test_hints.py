"""What someone may have meant is said: settings elsewhere, networks by their usual names, entries of lists."""

from __future__ import annotations

import pytest

from cnnkit.config.file import read
from cnnkit.core.errors import ConfigError

CONFIG = """
data: {source: {name: digits}}
augment: [{name: shift}]
model: {name: resnet, depth: 20}
"""


@pytest.fixture
def told(tmp_path):
    """What is said of the config with a setting."""

    def ask(setting, text=CONFIG):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(ConfigError) as raised:
            read(tmp_path / "config.yaml", setting, files=False)
        return str(raised.value).removeprefix(f"--set {setting}: ")

    return ask


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("train.lr=0.1", "train.optimizer.learning_rate"),
        ("lr=0.1", "train.optimizer.learning_rate"),
        ("train.learning_rate=0.1", "train.optimizer.learning_rate"),
        ("train.weight_decay=0.1", "train.optimizer.weight_decay"),
        ("train.momentum=0.9", "train.optimizer.momentum` or `train.ema.momentum"),
        ("train.patience=5", "train.schedule.patience` or `train.early_stopping.patience"),
        ("train.label_smoothing=0.1", "train.loss.label_smoothing"),
        ("train.warmup=1", "train.schedule.warmup_epochs"),
        ("train.batch_size=8", "data.batch_size"),
        ("epochs=3", "train.epochs"),
        ("data.epochs=3", "train.epochs"),
        ("data.validation_split=0.2", "data.split.validation"),
        ("data.augment=[]", "augment"),
        ("optimizer=adam", "train.optimizer"),
    ],
)
def test_a_setting_that_stands_elsewhere_is_named(told, setting, place):
    key = setting.partition("=")[0]
    assert told(setting) == f"{key}: unknown setting here; that is `{place}`"


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("train.ema=true", "not true; {} is one with its defaults"),
        ("train.early_stopping=true", "not true; {} is one with its defaults"),
        ("train.ema=0.99", "not 0.99; write {momentum: 0.99}"),
        ("train.sam=0.1", "not 0.1; write {rho: 0.1}"),
        ("train.early_stopping=val_accuracy", "not the text 'val_accuracy'; write {monitor: val_accuracy}"),
        ("train.early_stopping=5", "not 5; write {patience: 5}"),
        ("train.ema=-3", "not -3"),
        ("data=digits", "not the text 'digits'"),
    ],
)
def test_a_section_in_whose_place_a_value_stands_is_written_out(told, setting, hint):
    assert told(setting) == f"{setting.partition('=')[0]}: should be a section of settings, {hint}"


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        ("train.loss={name: mse}", "{name: mean_squared_error}"),
        ("train.loss={name: MAE}", "{name: mean_absolute_error}"),
        ("train.loss=bce", "{name: binary_cross_entropy}"),
    ],
)
def test_the_first_letters_of_a_name_are_understood(told, setting, written):
    assert written in told(setting)


@pytest.mark.parametrize(
    ("setting", "near"),
    [
        ("train.epoch=3", "epochs"),
        ("data.size=32", "image_size"),
        ("model.depht=3", "depth"),
        ("augments=[]", "augment"),
    ],
)
def test_one_of_the_same_section_comes_first(told, setting, near):
    assert f"unknown setting; did you mean `{near}`?" in told(setting)


def test_a_section_of_few_settings_is_told_in_full(told):
    setting = "train.clip={name: value, limit: 1}"
    assert told(setting) == "train.clip.limit: unknown setting; it may be name, at"
    assert told("train.ema.patience=1") == "train.ema.patience: unknown setting; it may be momentum"


def test_what_is_no_setting_anywhere_gets_those_that_there_are(told):
    assert "train.colour: unknown setting; it may be epochs, stages" in told("train.colour=3")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("resnet", "{name: resnet}"),
        ("ResNet", "{name: resnet}"),
        ("resnet50", "{name: resnet, depth: 50}"),
        ("ResNet-18", "{name: resnet, depth: 18}"),
        ("vgg_16", "{name: vgg, depth: 16}"),
        ("densenet121", "{name: densenet, depth: 121}"),
        ("inceptionv3", "{name: inception, version: 3}"),
        ("mobilenet", "{name: keras_application, application: MobileNet}"),
        ("EfficientNetB0", "{name: keras_application, application: EfficientNetB0}"),
    ],
)
def test_a_network_by_its_usual_name_is_written_out(told, word, written):
    assert told(f"model={word}") == f"model: is a section: write {written}"
    if word != "resnet":
        assert told(f"model={{name: {word}}}").endswith(f"there is no `{word}`; did you mean {written}?")


@pytest.mark.parametrize("word", ["resnet51", "vgg1000", "resnt", "network"])
def test_what_is_no_network_is_said_to_be_none(told, word):
    assert f"and there is no `{word}`; " in told(f"model={word}")
    assert f"model.name: there is no `{word}`; " in told(f"model={{name: {word}}}")


@pytest.mark.parametrize(
    ("setting", "parent", "entry"),
    [
        ("augment.0.fraction=0.2", "augment", "{name: shift, fraction: ...}"),
        ("augment.0.degrees=5", "augment", "{name: rotate, degrees: ...}"),
        ("augment.3=flip", "augment", "{name: flip}"),
        ("data.prepare.0.tiles=4", "data.prepare", "{name: clahe, tiles: ...}"),
        ("train.stages.1.epochs=5", "train.stages", "{epochs: ...}"),
    ],
)
@pytest.mark.parametrize("empty", ["", "augment: []\n"])
def test_an_entry_of_a_list_that_is_not_there_can_not_be_changed(told, setting, parent, entry, empty):
    text = CONFIG.replace("augment: [{name: shift}]\n", empty)
    assert told(setting, text) == (
        f"{setting.partition('=')[0]}: {parent} has no entries, so there is none to change; set all of it: "
        f"--set '{parent}=[{entry}]'"
    )


def test_the_entries_of_a_list_have_numbers(told):
    assert told("augment.fraction=0.2").endswith("its entries have numbers from 0 on: augment.0.fraction")
    assert "there is no entry `4`; the list has 1, counted from 0" in told("augment.4.fraction=0.2")


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        ("augment=flip", "[{name: flip}]"),
        ("augment=Rotate", "[{name: rotate}]"),
        ("data.prepare=clahe", "[{name: clahe}]"),
    ],
)
def test_the_one_entry_of_a_list_is_written_out(told, setting, written):
    assert f"should be a list: write {written}" in told(setting)
