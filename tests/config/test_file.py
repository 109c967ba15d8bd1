"""From a YAML file and `--set` to an Experiment, and back."""

from __future__ import annotations

from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from cnnkit.config.catalogue import KINDS, schema, setting_docs
from cnnkit.config.experiment import Experiment
from cnnkit.config.file import configure, read, write
from cnnkit.core.errors import ConfigError
from cnnkit.core.progress import Progress
from cnnkit.core.spec import Spec
from cnnkit.optimization.losses import CrossEntropy
from cnnkit.optimization.optimizers import Adam

GOOD = """\
data:
  source: {name: digits}
augment:
  - {name: shift, fraction: 0.1}
model: {name: resnet, depth: 20}
"""

UNIONS = {kind.name: kind.sections for kind in KINDS if kind.name != "sections"}
SECTIONS = list(dict.fromkeys(section for kind in KINDS for section in kind.sections))

# A value for each setting that has no default, by its name.
REQUIRED: dict[str, Any] = {
    "name": "example",
    "path": "/images",
    "train": "Training",
    "dataset": "mnist",
    "handle": "/networks/mobilenet",
    "filters": 8,
    "units": 8,
    "epochs": 3,
    "application": "MobileNet",
    "layers": ({"name": "conv", "filters": 8}, {"name": "flatten"}),
    "learning_rate": 0.1,
    "source": {"name": "digits"},
    "data": {"source": {"name": "digits"}},
    "model": {"name": "resnet", "depth": 20},
    "space": "lab",
    "channel": "green",
    "kernel": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
}

# Settings for each section that needs one of several, by its name.
ONE_OF_SEVERAL: dict[str, dict[str, Any]] = {
    "resize": {"longest_side": 256},
    "remove_small": {"min_area": 0.001},
}


def minimal(section: type[Spec]) -> dict[str, Any]:
    """The least that a section can be told."""
    values = {name: REQUIRED[name] for name, field in section.model_fields.items() if field.is_required()}
    name = section.model_fields.get("name")
    if name is None or name.is_required():
        return values
    return {"name": name.default} | values | ONE_OF_SEVERAL.get(name.default, {})


def config(folder: Path, text: str = GOOD, name: str = "mine.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path, *settings: str) -> list[tuple[str | None, str]]:
    """Key and message of each problem."""
    with pytest.raises(ConfigError) as caught:
        read(file, *settings)
    return [(problem.key, problem.message) for problem in caught.value.problems]


def test_a_config_of_two_sections_is_enough(tmp_path: Path) -> None:
    experiment = read(config(tmp_path, "data: {source: {name: digits}}\nmodel: {name: resnet}\n"))
    assert experiment.data.source.name == "digits"
    assert experiment.model.depth == 18
    assert experiment.completed(experiment.data.source.open(Progress())).train.epochs == 30


def test_an_experiment_is_called_like_its_file_unless_it_has_a_name(tmp_path: Path) -> None:
    assert read(config(tmp_path)).name == "mine"
    assert read(config(tmp_path, "name: other\n" + GOOD)).name == "other"


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    text = GOOD + "train: {optimizer: {name: adam, learning_rate: 1e-3}}\n"
    assert read(config(tmp_path, text)).train.optimizer.learning_rate == 0.001


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    assert read(config(tmp_path, "\ufeff" + GOOD)).data.source.name == "digits"


@pytest.mark.parametrize("name", ["yes", "no", "017x", "1.5.2", "caf\u00e9", "red flowers"])
def test_words_of_other_yamls_and_tongues_are_names(tmp_path: Path, name: str) -> None:
    assert read(config(tmp_path, f"name: {name}\n{GOOD}")).name == name


# --set


def test_set_replaces_a_value_of_the_file(tmp_path: Path) -> None:
    assert read(config(tmp_path), "model.depth=32").model.depth == 32


def test_set_adds_a_value_in_a_section_that_the_file_has(tmp_path: Path) -> None:
    assert read(config(tmp_path), "data.batch_size=8").data.batch_size == 8


def test_set_adds_a_section_that_the_file_lacks(tmp_path: Path) -> None:
    experiment = read(config(tmp_path), "train.optimizer.name=sgd", "train.optimizer.momentum=0.5")
    assert (experiment.train.optimizer.name, experiment.train.optimizer.momentum) == ("sgd", 0.5)


def test_set_reaches_an_entry_of_a_list(tmp_path: Path) -> None:
    assert read(config(tmp_path), "augment.0.fraction=0.2").augment[0].fraction == 0.2


def test_set_replaces_a_whole_section(tmp_path: Path) -> None:
    experiment = read(config(tmp_path), "model={name: vgg, depth: 11}")
    assert (experiment.model.name, experiment.model.depth) == ("vgg", 11)


def test_set_replaces_a_whole_list(tmp_path: Path) -> None:
    assert read(config(tmp_path), "augment=[]").augment == ()
    assert [step.name for step in read(config(tmp_path), "augment=[{name: flip}, {name: shift}]").augment] == [
        "flip",
        "shift",
    ]


def test_set_takes_values_as_the_file_does(tmp_path: Path) -> None:
    settings = ["train.optimizer={name: sgd, learning_rate: 5e-2, nesterov: true}", "data.image_size=[48, 64]"]
    experiment = read(config(tmp_path), *settings, "data.limit=null", "name='17'", " seed = 3 # three")
    assert experiment.train.optimizer.learning_rate == 0.05
    assert experiment.train.optimizer.nesterov is True
    assert experiment.data.image_size == (48, 64)
    assert (experiment.data.limit, experiment.name, experiment.seed) == (None, "17", 3)


def test_an_equals_sign_may_stand_in_a_value(tmp_path: Path) -> None:
    ((key, message),) = problems(config(tmp_path), "data.source={name: folder, path: /no/a=b}")
    assert (key, message) == ("data.source.path", "/no/a=b: there is no such folder")


def test_of_two_settings_of_a_key_the_later_holds(tmp_path: Path) -> None:
    assert read(config(tmp_path), "seed=1", "seed=2").seed == 2


def test_set_mends_what_is_wrong_in_the_file(tmp_path: Path) -> None:
    file = config(tmp_path, GOOD + "train: {epochs: 0}\n")
    assert problems(file) == [("train.epochs", "should be at least 1, not 0")]
    assert read(file, "train.epochs=1").train.epochs == 1


def test_set_makes_a_config_of_an_empty_file(tmp_path: Path) -> None:
    assert read(config(tmp_path, ""), "data.source.name=digits", "model.name=resnet").model.name == "resnet"


@pytest.mark.parametrize(
    ("setting", "key", "message"),
    [
        ("train.epochs=yes", "train.epochs", "should be a whole number, not the text 'yes'"),
        ("train.epochs='5'", "train.epochs", "should be a whole number, not the text '5' (without quotes)"),
        ("train.epochs=.nan", "train.epochs", "should be a whole number, not nan"),
        ("data.batch_size=", "data.batch_size", "should be a whole number, not empty (null)"),
        ("train.epochs=[5]", "train.epochs", "should be a whole number, not a list"),
        ("train.epoch=5", "train.epoch", "unknown setting; did you mean `epochs`?"),
        ("modle.depth=20", "modle", "unknown setting; did you mean `model`?"),
        ("3=4", "3", "unknown setting; it may be name, seed, data, augment, model, train"),
        ("model.name=resnet50", "model.name", "there is no `resnet50`; did you mean {name: resnet, depth: 50}?"),
        ("data.image_size=[32]", "data.image_size", "should have 2 values, not 1"),
        (
            "data.image_size.0=32",
            "data.image_size.0",
            "data.image_size has no entries, so there is none to change; set all of it: --set 'data.image_size=[...]'",
        ),
        ("augment.0.fractoin=0.1", "augment.0.fractoin", "unknown setting; did you mean `fraction`?"),
        ("augment.1.fraction=0.1", "augment.1.fraction", "there is no entry `1`; the list has 1, counted from 0"),
        (
            "augment.x=0.1",
            "augment.x",
            "augment is a list, and its entries have numbers from 0 on: augment.0.x",
        ),
        ("model.depth.x=0.1", "model.depth.x", "`x` is looked for in 20, which has no settings"),
        (
            "data={source: {name: digits}, limit: 5, limit: 6}",
            "data.limit",
            "stands twice in this section, first in line 1",
        ),
        ("train.epochs=!!int 5", "train.epochs", "the tag !!int means nothing in a config"),
        ("train.epochs=a: b: c", "train.epochs", "a second `:` in one line; quote the text, or start a new line"),
        ("train.epochs=[", "train.epochs", "a value is missing here"),
    ],
)
def test_a_wrong_setting_is_told_by_its_option_and_key_not_by_a_line(
    tmp_path: Path, setting: str, key: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(config(tmp_path), setting)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line, problem.column) == (f"--set {setting}", None, None)
    assert (problem.key, problem.message) == (key, message)


@pytest.mark.parametrize("setting", ["train.epochs", "", "=5", " =5", "train..epochs=5", ".=5", "train.=5"])
def test_a_setting_without_key_or_value_is_shown_an_example(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(config(tmp_path), setting)
    assert str(caught.value) == f"--set {setting}: should be KEY=VALUE, for example train.epochs=10"


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    found = problems(config(tmp_path, GOOD + "x: 1\n"), "nothing", "seed=[", "train.epochs=0", "augment.7.name=flip")
    assert {key for key, _ in found} == {"x", None, "seed", "train.epochs", "augment.7.name"}


def test_what_a_setting_breaks_elsewhere_is_told_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(config(tmp_path), "model.name=vgg")
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (5, "model.depth")
    assert problem.message == "can't be 20; it may be 11, 13, 16, 19"


# Paths


FOLDER = "data: {source: {name: folder, path: images}}\nmodel: {name: resnet}\n"


def images(folder: Path) -> Path:
    for name in ("no", "yes"):
        (folder / "images" / name).mkdir(parents=True)
        (folder / "images" / name / "0.png").touch()
    return folder / "images"


def test_a_relative_path_counts_from_the_folder_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there = images(tmp_path / "configs")
    config(tmp_path / "configs", FOLDER)
    for path in ("configs/mine.yaml", tmp_path / "configs" / "mine.yaml"):
        assert read(path).data.source.path == str(there)


def test_a_relative_path_of_a_setting_counts_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = images(tmp_path)
    file = config(tmp_path / "configs", FOLDER)
    assert read(file, "data.source.path=images").data.source.path == str(here)
    assert read(file, "data.source={name: folder, path: ./x/../images}").data.source.path == str(here)


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    there = images(tmp_path / "elsewhere")
    assert read(config(tmp_path, FOLDER.replace("images", str(there)))).data.source.path == str(there)


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    there = images(tmp_path / "home")
    assert read(config(tmp_path, FOLDER.replace("images", "~/images"))).data.source.path == str(there)


def test_folders_that_moved_are_no_problem_where_only_the_config_is_asked_for(tmp_path: Path) -> None:
    file = config(tmp_path, FOLDER)
    assert problems(file) == [("data.source.path", f"{tmp_path}/images: there is no such folder")]
    assert read(file, files=False).data.source.path == str(tmp_path / "images")


# Problems


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
train:
  optimizer: {name: sgd, momentum: 2, nesterov: yes}
  epochs: 0
data:
  source: {name: digit}
  limit: 0
model: {name: vgg, depth: 12, dense_units: [0, many]}
extra: 1
"""
    with pytest.raises(ConfigError) as caught:
        read(config(tmp_path, text))
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (2, "train.optimizer.momentum"),
        (2, "train.optimizer.nesterov"),
        (3, "train.epochs"),
        (5, "data.source.name"),
        (6, "data.limit"),
        (7, "model.depth"),
        (7, "model.dense_units.0"),
        (7, "model.dense_units.1"),
        (8, "extra"),
    ]


def test_a_broken_section_does_not_hide_what_is_wrong_between_the_others(tmp_path: Path) -> None:
    text = "data: {source: {name: digits}, image_size: [8, 8]}\nmodel: {name: resnet}\ntrain: {epochs: 0}\n"
    assert [key for key, _ in problems(config(tmp_path, text))] == ["data.image_size", "train.epochs"]


def test_a_file_that_is_not_there_has_a_neighbour(tmp_path: Path) -> None:
    config(tmp_path, name="digits.yaml")
    assert problems(tmp_path / "digit.yaml") == [(None, "there is no such file; did you mean `digits.yaml`?")]


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    assert problems(tmp_path) == [(None, "is a folder, not a config file")]


@pytest.mark.parametrize(
    ("key", "suggested"),
    [("Seed", "seed"), ("augmentation", "augment"), ("modell", "model"), ("trian", "train"), ("TRAIN", "train")],
)
def test_the_nearest_name_is_told(tmp_path: Path, key: str, suggested: str) -> None:
    assert problems(config(tmp_path, f"{GOOD}{key}: 1\n")) == [(key, f"unknown setting; did you mean `{suggested}`?")]


# Origins


def test_each_value_knows_where_it_came_from(tmp_path: Path) -> None:
    settings = ["train.optimizer={name: sgd}", "seed=3"]
    origins = {".".join(map(str, path)): origin for path, _, origin in configure(config(tmp_path), settings).rows()}
    assert origins["name"] == "the file's name"
    assert origins["data.source.name"] == "line 2"
    assert origins["augment.0.fraction"] == "line 4"
    assert origins["model.depth"] == "line 5"
    assert origins["seed"] == "--set seed=3"
    assert origins["train.optimizer.name"] == "--set train.optimizer={name: sgd}"
    assert origins["train.optimizer.momentum"] == "default"
    assert origins["data.image_size"] == "default"


def test_what_the_source_decides_is_told_as_such(tmp_path: Path) -> None:
    completed = configure(config(tmp_path), ["data.channels=3"]).completed()
    assert (completed.experiment.data.image_size, completed.experiment.data.channels) == ((32, 32), 3)
    origins = {path: origin for path, _, origin in completed.rows()}
    assert origins["data", "image_size"] == "the source"
    assert origins["data", "channels"] == "--set data.channels=3"


# Every class of every union


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_the_defaults_of_a_section_are_right(section: type[Spec]) -> None:
    made = section.model_validate(minimal(section))
    assert section.model_validate(made.model_dump()) == made


the_schema = cache(schema)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_of_a_section_is_described(section: type[Spec]) -> None:
    told = the_schema() if section is Experiment else the_schema()["$defs"][section.__name__]
    told_by_its_class = {"name"} if section.model_fields.get("name") and section is not Experiment else set()
    for name in section.model_fields.keys() - told_by_its_class:
        assert setting_docs(section)[name], f"{section.__name__}.{name} has no docstring under it"
        assert told["properties"][name].get("description"), f"{section.__name__}.{name} is not described in the schema"
    assert section.__doc__


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_section_takes_no_other_setting_and_does_not_change(section: type[Spec]) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        section.model_validate(minimal(section) | {"surely_not_a_setting": 1})
    with pytest.raises(ValueError, match="frozen"):
        setattr(section.model_validate(minimal(section)), next(iter(section.model_fields)), None)


def examples() -> list[dict[str, Any]]:
    """Experiments that between them use every class of every union."""
    found = []
    kinds = ("architectures", "sources", "augmentations", "losses", "optimizers", "schedules", "balances")
    for row in zip_longest(*(UNIONS[kind] for kind in kinds)):
        model, source, step, loss, optimizer, schedule, balance = (
            minimal(section or UNIONS[kind][0]) for kind, section in zip(kinds, row, strict=True)
        )
        train = {"loss": loss, "optimizer": optimizer, "schedule": schedule, "early_stopping": {"patience": 2}}
        data = {"source": source, "image_size": (32, 48), "split": {"validation": 0.2}, "balance": balance}
        found.append({"name": "example", "data": data, "augment": (step, step), "model": model, "train": train})
    for section in UNIONS["preparations"]:  # of which some leave no colours for an augmentation
        data = {"source": {"name": "digits"}, "image_size": (32, 48), "prepare": (minimal(section),)}
        found.append(found[0] | {"data": data, "augment": ()})
    layers = tuple(minimal(section) for section in UNIONS["layers"])
    found.append(found[0] | {"model": {"name": "sequential", "layers": layers}})
    folder = {"name": "folder", "path": "/data/it's a: b #c/[a-z]/\u82b1 \U0001f33b/no"}
    found += [found[0] | {"data": {"source": folder}, "name": name} for name in ("yes", "null", "017", "1e3", "a - b")]
    return found


@pytest.mark.parametrize("values", examples(), ids=lambda values: f"{values['name']}-{values['model']['name']}")
def test_what_is_written_is_read_again(tmp_path: Path, values: dict[str, Any]) -> None:
    experiment = Experiment.model_validate(values)
    text = write(experiment)
    # Checks between sections are another matter: only what is written counts here.
    try:
        again = read(config(tmp_path, text), files=False)
    except ConfigError as error:
        pytest.fail(f"{error}\n{text}")
    assert again == experiment
    assert write(again) == text


def test_what_is_written_is_complete(tmp_path: Path) -> None:
    file = config(tmp_path, write(read(config(tmp_path))), "written.yaml")
    assert [path for path, _, origin in configure(file).rows() if origin == "default"] == []


def test_a_setting_of_what_is_there_by_default_needs_no_name(tmp_path):
    config = tmp_path / "short.yaml"
    config.write_text("data: {source: {name: digits}}\nmodel: {name: resnet}\n")
    experiment = read(config, "train.optimizer.learning_rate=0.01", "train.loss.label_smoothing=0.1")
    assert experiment.train.optimizer == Adam(learning_rate=0.01)
    assert experiment.train.loss == CrossEntropy(label_smoothing=0.1)
