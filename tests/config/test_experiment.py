"""The checks that span the sections of a config."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import pytest

from cnnkit.config import checks, training_checks
from cnnkit.config.catalogue import KINDS
from cnnkit.config.file import read, write
from cnnkit.core.errors import ConfigError, DataError
from cnnkit.core.progress import Progress
from cnnkit.optimization.section import Train

DIGITS = "{name: digits}"
RESNET = "{name: resnet, depth: 20}"


def problems(
    folder: Path, data: str = "", model: str = RESNET, train: str = "", source: str = DIGITS, augment: str = "[]"
) -> dict[str, str]:
    """Message of each problem by its key."""
    file = folder / "mine.yaml"
    file.write_text(f"data: {{source: {source}, {data}}}\nmodel: {model}\ntrain: {{{train}}}\naugment: {augment}\n")
    try:
        read(file)
    except ConfigError as error:
        return {str(problem.key): problem.message for problem in error.problems}
    return {}


def folder_source(root: Path, *classes: str) -> str:
    """A folder source with these class folders, each with a file that is an image by its ending."""
    for name in classes:
        (root / name).mkdir(parents=True)
        (root / name / "0.png").touch()
    return f"{{name: folder, path: {root}}}"


def layers(*entries: str) -> str:
    return f"{{name: sequential, layers: [{', '.join(f'{{{entry}}}' for entry in entries)}]}}"


def test_a_right_config_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path) == {}


# The split


def test_a_split_of_the_source_is_kept_and_asking_for_another_is_an_error(tmp_path: Path) -> None:
    source = folder_source(tmp_path / "d", *(f"{split}/{name}" for split in ("train", "val", "test") for name in "ab"))
    assert problems(tmp_path, "split: {validation: 0.1, test: 0.2}", source=source) == {
        "data.split.test": "the source has a test split of its own, which is kept; leave this out",
        "data.split.validation": "the source has a validation split of its own, which is kept; leave this out",
    }
    assert problems(tmp_path, source=source) == {}


def test_a_split_that_the_source_lacks_may_be_asked_for(tmp_path: Path) -> None:
    source = folder_source(tmp_path / "d", "train/a", "train/b", "test/a", "test/b")
    assert problems(tmp_path, "split: {validation: 0.5}", source=source) == {}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("{validation: 0.5, test: 0.5}", "0.5 for test and 0.5 for validation leaves nothing to train on"),
        ("{validation: 0.9}", "0.15 for test and 0.9 for validation leaves nothing to train on"),
        ("{test: 0.99}", "0.99 for test and 0.15 for validation leaves nothing to train on"),
    ],
)
def test_something_must_be_left_to_train_on(tmp_path: Path, split: str, message: str) -> None:
    assert problems(tmp_path, f"split: {split}") == {"data.split": message}


@pytest.mark.parametrize("percent", range(1, 100))
def test_shares_that_make_a_whole_leave_nothing_whatever_the_rounding(percent: int) -> None:
    from cnnkit.config.checks import problems as found
    from cnnkit.data.section import Data
    from cnnkit.data.sources import Digits
    from cnnkit.data.splitting import Split

    split = Split(validation=float(f"0.{percent:02d}"), test=float(f"0.{100 - percent:02d}"))
    assert [problem.key for problem in found({"data": Data(source=Digits(), split=split)})] == ["data.split"]


@pytest.mark.parametrize("share", ["0", "1", "-0.1", "1.5"])
def test_a_share_is_between_nothing_and_all(tmp_path: Path, share: str) -> None:
    assert problems(tmp_path, f"split: {{validation: {share}}}").keys() == {"data.split.validation"}


def test_a_limit_must_leave_an_image_for_each_split(tmp_path: Path) -> None:
    told = "should be at least 3, an image a class for each of train, validation, test"
    assert problems(tmp_path, "limit: 2") == {"data.limit": told}
    assert problems(tmp_path, "limit: 3") == {}


def test_a_limit_counts_only_the_splits_that_are_to_be_made(tmp_path: Path) -> None:
    own = folder_source(tmp_path / "d", *(f"{split}/{name}" for split in ("train", "val", "test") for name in "ab"))
    assert problems(tmp_path, "limit: 1", source=own) == {}


def test_preprocessing_is_what_the_section_of_the_data_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"data: {{source: {DIGITS}, fit: pad, prepare: [{{name: clahe}}, {{name: blur}}]}}\nmodel: {RESNET}\n"
    )
    preprocessing = read(file).preprocessing((20, 30, 1))
    assert (preprocessing.shape, preprocessing.fit) == ((20, 30, 1), "pad")
    assert [step.name for step in preprocessing.prepare] == ["clahe", "blur"]


# What a check needs to know of a step, a source or a loss is told by its class


def test_the_checks_name_no_class_that_a_config_may_name() -> None:
    named = {section for kind in KINDS if kind.name != "sections" for section in kind.sections}
    for module in (checks, training_checks):
        assert named.isdisjoint(value for value in vars(module).values() if isinstance(value, type))


# The network


@pytest.mark.parametrize(
    ("size", "model", "message"),
    [
        (
            "[31, 64]",
            "{name: resnet, depth: 18}",
            "resnet 18 needs images of at least 32 x 32 pixels; these are 31 x 64",
        ),
        (
            "[64, 31]",
            "{name: resnet, depth: 50}",
            "resnet 50 needs images of at least 32 x 32 pixels; these are 64 x 31",
        ),
        ("[7, 7]", "{name: resnet, depth: 20}", "resnet 20 needs images of at least 8 x 8 pixels; these are 7 x 7"),
        ("[28, 28]", "{name: vgg, depth: 11}", "vgg 11 needs images of at least 32 x 32 pixels; these are 28 x 28"),
    ],
)
def test_images_must_be_large_enough_for_the_network(tmp_path: Path, size: str, model: str, message: str) -> None:
    assert problems(tmp_path, f"image_size: {size}", model) == {"data.image_size": message}


@pytest.mark.parametrize("model", ["{name: resnet, depth: 18}", "{name: resnet, depth: 152}", "{name: vgg, depth: 19}"])
def test_thirty_two_pixels_are_enough(tmp_path: Path, model: str) -> None:
    assert problems(tmp_path, "image_size: [32, 32]", model) == {}


@pytest.mark.parametrize(
    ("model", "key", "message"),
    [
        (
            layers("name: conv, filters: 4", "name: dense, units: 8"),
            "model.layers.1",
            "dense takes a vector, not an image of 32 x 32 x 4; put `{name: flatten}` before it",
        ),
        (
            layers("name: flatten", "name: conv, filters: 4"),
            "model.layers.1",
            "conv takes an image, not a vector of 1,024; put it before `flatten`",
        ),
        (
            layers("name: flatten", "name: max_pool"),
            "model.layers.1",
            "max_pool takes an image, not a vector of 1,024; put it before `flatten`",
        ),
        (
            layers(*["name: max_pool"] * 6, "name: flatten"),
            "model.layers.5",
            "a window of 2 x 2 does not fit in the 1 x 1 pixels that are left here",
        ),
        (
            layers("name: conv, filters: 4, kernel_size: 33, padding: valid", "name: flatten"),
            "model.layers.0",
            "a window of 33 x 33 does not fit in the 32 x 32 pixels that are left here",
        ),
        (
            layers("name: conv, filters: 4, strides: 2"),
            "model.layers.0",
            "ends in an image of 16 x 16 x 4; the classifier takes a vector: end in `{name: flatten}`",
        ),
    ],
)
def test_each_layer_must_be_able_to_take_what_the_one_before_it_gives(
    tmp_path: Path, model: str, key: str, message: str
) -> None:
    assert problems(tmp_path, model=model) == {key: message}


def test_layers_that_fit_are_no_problem(tmp_path: Path) -> None:
    entries = [
        "name: conv, filters: 4",
        *["name: max_pool"] * 5,
        "name: dropout",
        "name: flatten",
        "name: dense, units: 8",
    ]
    assert problems(tmp_path, model=layers(*entries)) == {}


# Training


def test_binary_loss_is_for_two_classes(tmp_path: Path) -> None:
    loss = "loss: {name: binary_cross_entropy}"
    told = "is for two classes; the data has 10: use cross_entropy"
    assert problems(tmp_path, train=loss) == {"train.loss.name": told}
    assert problems(tmp_path, train=loss, source=folder_source(tmp_path / "two", "yes", "no")) == {}
    three = folder_source(tmp_path / "three", "a", "b", "c")
    assert problems(tmp_path, train=loss, source=three).keys() == {"train.loss.name"}


@pytest.mark.parametrize(
    ("epochs", "warmup", "right"), [(3, 3, False), (1, 1.5, False), (3, 2.9, True), (1, 0.5, True)]
)
def test_a_warmup_must_end_before_training_does(tmp_path: Path, epochs: int, warmup: float, right: bool) -> None:
    found = problems(tmp_path, train=f"epochs: {epochs}, schedule: {{name: cosine, warmup_epochs: {warmup}}}")
    assert found.keys() == (set() if right else {"train.schedule.warmup_epochs"})


@pytest.mark.parametrize("section", ["early_stopping", "checkpoint"])
def test_a_monitor_is_one_that_will_exist(tmp_path: Path, section: str) -> None:
    assert problems(tmp_path, train=f"{section}: {{monitor: val_f1}}").keys() == {f"train.{section}.monitor"}
    assert problems(tmp_path, train=f"{section}: {{monitor: val_accuracy}}") == {}


# The source


def test_a_folder_must_hold_two_classes(tmp_path: Path) -> None:
    root = tmp_path / "one"
    told = f"{root} should hold a subfolder of images for each of at least two classes; it holds only one, `a`"
    with pytest.raises(DataError) as error:
        problems(tmp_path, source=folder_source(root, "a"))
    assert [(problem.key, problem.message) for problem in error.value.problems] == [("data.source.path", told)]


def test_without_its_images_a_config_is_checked_as_far_as_can_be(tmp_path: Path) -> None:
    source = f"{{name: folder, path: {tmp_path}/gone}}"
    found = problems(
        tmp_path, "image_size: [16, 16], channels: 3, split: {validation: 0.9}", "{name: vgg}", source=source
    )
    assert found.keys() == {"data.source.path", "data.image_size", "data.split"}


def test_all_checks_are_told_together(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "image_size: [4, 4], split: {validation: 0.9, test: 0.9}",
        train="epochs: 1, loss: {name: binary_cross_entropy}, schedule: {name: constant, warmup_epochs: 1}",
    )
    assert found.keys() == {"data.image_size", "data.split", "train.loss.name", "train.schedule.warmup_epochs"}


# The stages of the training


def stages(*entries: str) -> str:
    return f"stages: [{', '.join(f'{{{entry}}}' for entry in entries)}]"


def test_stages_of_the_network_may_be_named_and_layers_of_them(tmp_path: Path) -> None:
    plan = stages("freeze: backbone", "unfreeze_from: stage2_block1_conv1, epochs: 1", "epochs: 1")
    assert problems(tmp_path, train=plan) == {}


def test_a_stage_that_the_network_lacks_is_a_problem_that_lists_those_it_has(tmp_path: Path) -> None:
    plan = stages("freeze: stage4, epochs: 1", "unfreeze_from: block1, epochs: 1")
    assert problems(tmp_path, train=plan) == {
        "train.stages.0.freeze": "resnet 20 has no stage `stage4`; "
        "it may be backbone, stem, stage1, stage2 or stage3, or a layer of these",
        "train.stages.1.unfreeze_from": "resnet 20 has no stage `block1`; "
        "it may be stem, stage1, stage2 or stage3, or a layer of these",
    }


def test_stages_have_epochs_of_their_own(tmp_path: Path) -> None:
    found = problems(tmp_path, train="epochs: 3, " + stages("epochs: 1"))
    assert found == {"train.epochs": "the stages have epochs of their own; leave this out"}


@pytest.mark.parametrize(
    ("entries", "augment", "said", "lacking"),
    [
        ([""], "[]", "the stages have epochs of their own; move these into the stage that needs them", {0}),
        (["epochs: 1", ""], "[]", "own; move these into the stage that needs them", {1}),
        (["", "freeze: stem"], "[]", "own; move these into the stages that need them", {0, 1}),
        (["freeze: backbone"], "[{name: shift}]", "own; move these into the stage that needs them", {0}),
        (["freeze: backbone"], "[]", "the classifier is fitted, which has no epochs; leave this out", set()),
        (["freeze: backbone", "epochs: 1"], "[]", "the stages have epochs of their own; leave this out", set()),
    ],
)
def test_epochs_beside_stages_are_told_where_they_belong(
    tmp_path: Path, entries: list[str], augment: str, said: str, lacking: set[int]
) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    found = problems(tmp_path, model=PRETRAINED, train="epochs: 10, " + stages(*entries), augment=augment)
    assert said in found.pop("train.epochs")
    assert found.keys() == {f"train.stages.{number}" for number in lacking}


def test_a_stage_freezes_from_one_side_only(tmp_path: Path) -> None:
    found = problems(tmp_path, train=stages("freeze: stem, unfreeze_from: stage2, epochs: 1"))
    assert found == {"train.stages.0": "freeze and unfreeze_from say the same from two sides; leave one out"}
    found = problems(tmp_path, train=stages("unfreeze_from: backbone, epochs: 1"))
    assert "leave it out" in found["train.stages.0.unfreeze_from"]


def test_stages_are_not_compared_by_the_loss_of_training(tmp_path: Path) -> None:
    plan = stages("freeze: backbone", "epochs: 1") + ", checkpoint: {monitor: loss}"
    assert "other parts" in problems(tmp_path, train=plan)["train.checkpoint.monitor"]
    assert problems(tmp_path, train=stages("epochs: 1") + ", checkpoint: {monitor: loss}") == {}


def test_a_layer_of_a_stage_may_have_a_number_behind_the_stages_name(tmp_path: Path) -> None:
    plan = stages("unfreeze_from: dense1, epochs: 1")
    assert problems(tmp_path, "image_size: [32, 32]", model="{name: vgg}", train=plan) == {}


def test_a_decay_of_what_does_not_learn_is_a_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, train=stages("freeze: backbone, epochs: 1, layer_decay: 0.5"))
    assert "nothing learns" in found["train.stages.0.layer_decay"]


def test_a_warm_up_ends_in_every_stage(tmp_path: Path) -> None:
    plan = stages("epochs: 5", "epochs: 2") + ", schedule: {name: constant, warmup_epochs: 2}"
    assert problems(tmp_path, train=plan) == {
        "train.schedule.warmup_epochs": "a warm-up of 2 epochs never ends in 2 epochs"
    }


def test_weights_that_are_not_there_are_a_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, model="{name: resnet, depth: 20, weights: none.weights.h5}")
    assert found == {"model.weights": f"there is no such file or run: {tmp_path / 'none.weights.h5'}"}


def test_a_pretrained_network_is_frozen_unless_stages_say_otherwise(tmp_path: Path) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {{source: {DIGITS}}}\nmodel: {{name: resnet, depth: 20, weights: some.weights.h5}}\n")
    for settings, expected in (
        ((), [("backbone", None)]),
        (("train.optimizer={name: adam}",), [("backbone", 30)]),
        (("train.optimizer={name: sgd}", "train.epochs=4"), [("backbone", 4)]),
        (("augment=[{name: flip}]",), [("backbone", 30)]),
        (("augment=[{name: flip}]", "train.epochs=4"), [("backbone", 4)]),
        (("data.balance={name: smote}",), [("backbone", 30)]),
        (("train.stages=[{epochs: 7}]",), [(None, 7)]),
        (("train.stages=[{freeze: backbone}, {epochs: 7}]",), [("backbone", None), (None, 7)]),
    ):
        experiment = read(file, *settings)
        completed = experiment.completed(experiment.data.source.open(Progress()))
        assert [(stage.freeze, stage.epochs) for stage in completed.train.stages or ()] == expected
        assert completed.train.epochs is None
        assert completed.plan() == experiment.plan()
        # Its config, written and read again, is the same training, to the last default.
        again = tmp_path / "again.yaml"
        again.write_text(write(completed))
        assert read(again) == completed == completed.completed(completed.data.source.open(Progress()))


def test_behind_a_fitted_classifier_adam_is_slow_unless_told_otherwise(tmp_path: Path) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {{source: {DIGITS}}}\nmodel: {{name: resnet, depth: 20, weights: some.weights.h5}}\n")
    fitted, by_steps = "train.stages=[{freeze: backbone}, {epochs: 7}]", "train.stages=[{epochs: 7}]"
    rates = [
        [stage.learning_rate for stage in read(file, *settings).plan()]
        for settings in ((fitted,), (fitted, "train.optimizer.learning_rate=0.5"), (by_steps,))
    ]
    assert rates == [[None, 3e-5], [None, 0.5], [1e-3]]


def test_normalisation_stays_in_inference_where_it_was_pretrained_unless_told_otherwise(tmp_path: Path) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {{source: {DIGITS}}}\nmodel: {{name: resnet, depth: 20, weights: some.weights.h5}}\n")
    plan = "train.stages=[{epochs: 7}, {epochs: 1, batch_norm: batch}, {epochs: 1, batch_norm: inference}]"
    assert [stage.batch_norm for stage in read(file, plan).plan()] == ["inference", "batch", "inference"]
    assert [stage.batch_norm for stage in read(file, plan, "model.weights=null").plan()] == [
        "batch",
        "batch",
        "inference",
    ]


PRETRAINED = "{name: resnet, depth: 20, weights: some.weights.h5}"
NAMES_ONE = "train.optimizer: {name: adam, learning_rate: 3e-3}"


@pytest.mark.parametrize(
    ("train", "key", "message"),
    [
        ("epochs: 5", "train.epochs", f"without epochs; leave this out, or .*{NAMES_ONE}"),
        ("schedule: {name: cosine}", "train.schedule", f"without steps and epochs; .*{NAMES_ONE}"),
        ("schedule: {name: constant}", "train.schedule", NAMES_ONE),
        ("early_stopping: {}", "train.early_stopping", NAMES_ONE),
        ("checkpoint: {monitor: val_loss}", "train.checkpoint.monitor", NAMES_ONE),
        ("checkpoint: {every_steps: 9}", "train.checkpoint.every_steps", NAMES_ONE),
        ("checkpoint: {keep: 9}", "train.checkpoint.keep", NAMES_ONE),
        ("loss: {name: cross_entropy, label_smoothing: 0.1}", "train.loss.label_smoothing", f"smoothing.*{NAMES_ONE}"),
        ("schedule: {name: plateau}", "train.schedule", NAMES_ONE),
        ("clip: {name: norm}", "train.clip", NAMES_ONE),
        ("ema: {}", "train.ema", NAMES_ONE),
        ("sam: {}", "train.sam", NAMES_ONE),
        ("gradient_accumulation: 4", "train.gradient_accumulation", NAMES_ONE),
        ("scale_learning_rate_with_batch: true", "train.scale_learning_rate_with_batch", NAMES_ONE),
        ("loss: {name: mean_squared_error}", "train.loss.name", "fitted by cross_entropy or binary_cross_entropy"),
        ("loss: {name: mean_absolute_error}", "train.loss.name", "fitted by cross_entropy or binary_cross_entropy"),
        ("loss: {name: focal}", "train.loss.name", f"fitted by cross_entropy or binary_cross_entropy.*{NAMES_ONE}"),
        ("jit: true", "train.jit", f"without steps and epochs; .*{NAMES_ONE}"),
        ("steps_per_execution: 4", "train.steps_per_execution", NAMES_ONE),
        ("devices: 2", "train.devices", f"on one device; .*{NAMES_ONE}"),
        ("devices: all", "train.devices", NAMES_ONE),
        (stages("freeze: backbone, epochs: 3"), "train.stages.0.epochs", NAMES_ONE),
        (stages("freeze: backbone, epochs: 3", "epochs: 1"), "train.stages.0.epochs", NAMES_ONE),
        (stages("freeze: backbone, learning_rate: 0.1"), "train.stages.0.learning_rate", "give the stage epochs"),
        (stages("freeze: backbone, batch_norm: batch"), "train.stages.0.batch_norm", "give the stage epochs"),
        (stages("freeze: backbone") + ", optimizer: {name: sgd}", "train.optimizer", "give the stage epochs"),
        (stages("epochs: 1", "freeze: stem"), "train.stages.1", "needs epochs; only a classifier is fitted without"),
        (
            stages("freeze: backbone, epochs: 1, batch_norm: batch") + ", optimizer: {name: sgd}",
            "train.stages.0.batch_norm",
            "nothing here",
        ),
    ],
)
def test_what_a_fitted_classifier_has_no_use_for_is_a_problem_that_names_the_way_to_steps(
    tmp_path: Path, train: str, key: str, message: str
) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    found = problems(tmp_path, model=PRETRAINED, train=train)
    assert list(found) == [key]
    assert re.search(message, found[key]), found


def test_a_penalty_and_dropout_of_the_network_are_no_settings_of_a_fitted_classifier(tmp_path: Path) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    found = problems(tmp_path, model=PRETRAINED.replace("20", "20, l2: 0.1"))
    assert "chosen by folds" in found["model.l2"] and NAMES_ONE in found["model.l2"]
    keras = "{name: keras_application, application: MobileNet, dropout: 0.2}"
    assert list(problems(tmp_path, model=keras)) == ["model.dropout"]
    assert problems(tmp_path, model=keras, train=stages("freeze: backbone", "epochs: 2")) == {}  # it is for the second
    assert problems(tmp_path, model=keras, train="optimizer: {name: adam}") == {}


@pytest.mark.parametrize(("batch_size", "rate"), [(64, 0.025), (256, 0.1), (1024, 0.4)])
def test_a_learning_rate_is_scaled_to_the_images_of_an_update_where_that_is_asked_for(batch_size, rate):
    def rates(**settings):
        plan = Train(optimizer={"name": "sgd", "learning_rate": 0.1}, **settings).plan(False, True, batch_size)
        return [stage.learning_rate for stage in plan]

    staged = {"stages": ({"epochs": 1}, {"epochs": 1, "learning_rate": 0.01})}
    assert rates() == [0.1]
    assert rates(scale_learning_rate_with_batch=True) == pytest.approx([rate])
    assert rates(scale_learning_rate_with_batch=True, **staged) == pytest.approx([rate, rate / 10])
    assert rates(scale_learning_rate_with_batch=True, gradient_accumulation=2) == pytest.approx([2 * rate])


def test_what_steps_need_stays_allowed_where_steps_follow_or_an_optimizer_is_named(tmp_path: Path) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    more = "schedule: {name: constant}, early_stopping: {}, checkpoint: {monitor: val_loss}"
    fine_tuning = f"{stages('freeze: backbone', 'epochs: 3')}, {more}"
    by_steps = f"epochs: 4, optimizer: {{name: sgd}}, loss: {{name: focal}}, {more}"
    both = f"{stages('freeze: backbone', 'epochs: 3')}, optimizer: {{name: sgd}}"
    for train in (fine_tuning, by_steps, both):
        assert problems(tmp_path, model=PRETRAINED, train=train) == {}, train


def test_all_that_is_wrong_beside_a_fitted_classifier_is_told_at_once(tmp_path: Path) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    found = problems(tmp_path, model=PRETRAINED, train="epochs: 5, early_stopping: {}, loss: {name: focal}")
    assert list(found) == ["train.epochs", "train.early_stopping", "train.loss.name"]


@pytest.mark.parametrize(
    ("train", "key", "message"),
    [
        ("devices: 2, jit: true", "train.jit", "XLA does not compile steps that several devices share"),
        ("devices: all, jit: true", "train.jit", "set train.devices to auto"),
        ("devices: 9", "train.devices", "9 devices divide a batch, and data.batch_size gives them 8 images"),
    ],
)
def test_what_several_devices_can_not_do_is_a_problem(tmp_path: Path, train: str, key: str, message: str) -> None:
    found = problems(tmp_path, data="batch_size: 8", train=train)
    assert list(found) == [key]
    assert message in found[key]


@pytest.mark.parametrize(
    "train",
    [
        "devices: 8",
        "devices: all, jit: false",
        "devices: 1, jit: true",
        "devices: cpu, jit: true",
        "devices: 2, gradient_accumulation: 4, precision: mixed_float16, steps_per_execution: 5",
    ],
)
def test_what_several_devices_can_do_is_none(tmp_path: Path, train: str) -> None:
    assert problems(tmp_path, data="batch_size: 8", train=train) == {}


def test_a_saved_model_has_a_precision_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/saved_model.pb").touch()
    hub = f"{{name: hub, handle: {tmp_path / 'hub'}}}"
    for precision in ("mixed_float16", "mixed_bfloat16"):
        found = problems(tmp_path, model=hub, data="channels: 3", train=f"precision: {precision}")
        assert list(found) == ["train.precision"] and "in float32; leave this out" in found["train.precision"]
    assert problems(tmp_path, model=hub, data="channels: 3", train="precision: float32") == {}


def test_a_classifier_on_augmented_images_needs_epochs(tmp_path: Path) -> None:
    h5py.File(tmp_path / "some.weights.h5", "w").close()
    found = problems(tmp_path, model=PRETRAINED, train=stages("freeze: backbone"), augment="[{name: flip}]")
    assert found == {
        "train.stages.0": "needs epochs: a classifier is fitted on features that never change, and images are augmented"
    }


def test_a_stage_of_the_plan_has_the_rate_of_the_optimizer_unless_it_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {{source: {DIGITS}}}\nmodel: {RESNET}\n")
    stages = "train.stages=[{epochs: 1}, {epochs: 1, learning_rate: 0.5}]"
    experiment = read(file, "train.optimizer={name: sgd, learning_rate: 0.25}", stages)
    assert [stage.learning_rate for stage in experiment.plan()] == [0.25, 0.5]
    assert [stage.learning_rate for stage in experiment.train.stages or ()] == [None, 0.5]  # and so it is written
    assert [stage.learning_rate for stage in read(file, "train.optimizer.learning_rate=0.125").plan()] == [0.125]


def test_a_network_that_starts_anew_has_thirty_epochs_unless_told_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {{source: {DIGITS}}}\nmodel: {RESNET}\n")
    experiment = read(file)
    assert experiment.completed(experiment.data.source.open(Progress())).train.epochs == 30


def test_a_setting_of_another_family_is_a_problem_that_names_the_family(tmp_path: Path) -> None:
    found = problems(tmp_path, model="{name: resnet, depth: 20, dense_units: [4]}")
    assert "resnet can't take it" in found["model.dense_units"] and "vgg" in found["model.dense_units"]
    found = problems(tmp_path, train="optimizer: {name: adam, momentum: 0.9}")
    assert found == {"train.optimizer.momentum": "is a setting of sgd and rmsprop, adam can't take it"}


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        ("channels: 1, prepare: [{name: color_space, space: hsv}]", "data.prepare.0", "ends in 3 channels"),
        ("prepare: [{name: grayscale}, {name: color_space, space: lab}]", "data.prepare.1", "put it before grayscale"),
        (
            "channels: 1, prepare: [{name: color_space, space: hsv}, {name: channel, channel: red}]",
            "data.prepare.1.channel",
            "choose by number",
        ),
        ('prepare: [{name: mask, method: file, file: "{stem}.png"}]', "data.prepare.0", "are no files"),
    ],
)
def test_steps_of_preparation_that_do_not_fit_each_other_are_told(tmp_path, data, key, message):
    told = problems(tmp_path, data)
    assert message in told[key]


@pytest.mark.parametrize(
    "step",
    [
        "name: grayscale",
        "name: clahe",
        "name: equalize",
        "name: denoise",
        "name: binarize",
        "name: crop_to_content",
        "name: keep_largest",
        "name: mask",
        "name: segment",
        "name: color_space, space: hsv",
    ],
)
def test_behind_a_color_space_no_step_may_take_its_channels_for_colours(tmp_path, step):
    space = "{name: color_space, space: lab}"
    told = problems(tmp_path, f"prepare: [{space}, {{name: blur}}, {{{step}}}]")
    assert "takes the lab of color_space for red, green and blue; put it before" in told["data.prepare.2"]
    if "space" not in step:
        assert problems(tmp_path, f"prepare: [{space}, {{name: channel, channel: 0}}, {{{step}}}]") == {}


def test_a_mask_from_a_file_and_filters_may_follow_a_color_space(tmp_path):
    steps = '{name: color_space, space: lab}, {name: mask, method: file, file: "{stem}_mask.png"}, {name: blur}'
    source = folder_source(tmp_path / "images", "a", "b")
    assert (
        problems(tmp_path, f"prepare: [{steps}, {{name: erode}}, {{name: resize, longest_side: 9}}]", source=source)
        == {}
    )


def test_steps_of_preparation_that_fit_each_other_are_taken(tmp_path):
    steps = "{name: color_space, space: hsv}, {name: channel, channel: 2}, {name: clahe}"
    assert problems(tmp_path, f"channels: 1, prepare: [{steps}]") == {}
    assert problems(tmp_path, "channels: 3, prepare: [{name: grayscale}]") == {}


def test_a_mask_from_a_file_comes_before_what_moves_pixels(tmp_path):
    steps = '[{name: resize, longest_side: 9}, {name: mask, method: file, file: "{stem}.png"}]'
    told = problems(tmp_path, f"prepare: {steps}", source=folder_source(tmp_path / "images", "a", "b"))
    assert "comes before resize" in told["data.prepare.1"]


@pytest.mark.parametrize(("asked", "has", "expected"), [("auto", "0.02", 0.02), ("0.5", "0.02", 0.5)])
def test_a_rate_that_is_to_be_found_is_that_of_the_run_which_has_found_it(tmp_path, asked, has, expected):
    (tmp_path / "a.yaml").write_text("data: {source: {name: digits}}\nmodel: {name: lenet}\n")
    one, other = (read(tmp_path / "a.yaml", f"train.optimizer.learning_rate={rate}") for rate in (asked, has))
    assert one.with_rate_of(other).train.optimizer.learning_rate == expected


@pytest.mark.parametrize("name", ["sgd", "adam", "lion"])
@pytest.mark.parametrize("scaled", ["false", "true"])
def test_a_look_at_an_experiment_whose_rate_is_to_be_found_takes_the_usual_one(tmp_path, name, scaled):
    (tmp_path / "a.yaml").write_text("data: {source: {name: digits}}\nmodel: {name: lenet}\n")
    settings = (
        f"train.optimizer={{name: {name}, learning_rate: auto}}",
        f"train.scale_learning_rate_with_batch={scaled}",
    )
    experiment = read(tmp_path / "a.yaml", *settings)
    assert [stage.learning_rate for stage in experiment.plan()] == ["auto"]
    usual = type(experiment.train.optimizer)().learning_rate
    assert [stage.learning_rate for stage in experiment.with_usual_rate().plan()] == [usual]


def test_a_rate_that_no_stage_uses_is_not_looked_for(tmp_path):
    text = (
        "data: {source: {name: digits}}\nmodel: {name: lenet}\ntrain:\n  optimizer: {name: sgd, learning_rate: auto}\n"
    )
    (tmp_path / "a.yaml").write_text(text + "  stages: [{epochs: 1, learning_rate: 0.1}]\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:4:\d+: train\.optimizer\.learning_rate: every stage has a rate"):
        read(tmp_path / "a.yaml")
    experiment = read(tmp_path / "a.yaml", "train.stages.0.learning_rate=null")
    assert experiment.plan()[0].learning_rate == "auto"
