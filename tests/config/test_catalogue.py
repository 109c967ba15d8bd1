"""What `cnnkit list` and `cnnkit schema` tell, which follows from the classes themselves."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from cnnkit.config.catalogue import KINDS, Kind, Variant, doc, options, schema, title, variants
from cnnkit.config.experiment import Experiment
from cnnkit.core.spec import Spec
from cnnkit.models import AnyArchitecture

UNIONS = [kind for kind in KINDS if kind.name != "sections"]
SECTIONS = list(dict.fromkeys(section for kind in KINDS for section in kind.sections))
OPTIONS = [(section, option) for section in SECTIONS for option in options(section)]


def kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("architectures", {"sequential", "lenet", "alexnet", "vgg", "resnet", "densenet", "inception", "snn", "hub"}),
        ("layers", {"conv", "max_pool", "flatten", "dense", "dropout", "separable_conv", "batch_norm", "residual"}),
        ("sources", {"digits", "folder", "manifest", "arrays", "idx", "archive", "keras", "tfds"}),
        (
            "augmentations",
            {
                *("flip", "rotate", "shift", "zoom", "shear", "affine", "perspective", "crop", "random_resized_crop"),
                *("brightness", "contrast", "saturation", "hue", "gamma", "grayscale", "blur", "sharpen", "noise"),
                *("jpeg", "erasing", "rand_augment", "trivial_augment", "mixup", "cutmix"),
            },
        ),
        (
            "losses",
            {"cross_entropy", "focal", "binary_cross_entropy", "mean_squared_error", "mean_absolute_error"},
        ),
        ("balances", {"none", "class_weight", "oversample", "undersample", "smote", "borderline_smote"}),
        (
            "optimizers",
            {"sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam", "adamax", "lion", "lamb"},
        ),
        (
            "schedules",
            {
                *("constant", "step", "multi_step", "exponential", "polynomial", "cosine", "cosine_restarts"),
                *("one_cycle", "plateau"),
            },
        ),
        ("clips", {"global_norm", "norm", "value"}),
        ("trackers", {"mlflow", "wandb"}),
    ],
)
def test_each_kind_lists_at_least_these(name: str, members: set[str]) -> None:
    assert members <= {title(section) for section in kind(name).sections}


@pytest.mark.parametrize("kind", UNIONS, ids=lambda kind: kind.name)
def test_names_of_a_kind_are_words_and_differ(kind: Kind) -> None:
    names = [title(section) for section in kind.sections]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_section_says_what_it_is_in_a_sentence(section: type[Spec]) -> None:
    assert doc(section)[0].isupper()
    assert doc(section).endswith((".", ")"))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_of_a_section_is_an_option_but_for_the_name_that_chooses_it(section: type[Spec]) -> None:
    chosen_by = set() if section is Experiment else {"name"}
    assert {option.name for option in options(section)} == section.model_fields.keys() - chosen_by


@pytest.mark.parametrize(("section", "option"), OPTIONS, ids=lambda value: getattr(value, "name", "") or str(value))
def test_every_option_is_told_in_words(section: type[Spec], option: Any) -> None:
    assert (option.doc and option.doc[0].isupper()) or option.doc[0] in "`0123456789"
    assert option.doc.endswith((".", ")"))
    assert option.type
    assert "e+" not in option.type  # 2147483648 can be read, 2.14748e+09 can't


@pytest.mark.parametrize(
    ("name", "section", "option", "type_", "default"),
    [
        ("architectures", "vgg", "depth", "11 | 13 | 16 | 19", "16"),
        ("architectures", "vgg", "dense_units", "list of whole number >= 1", "[4096, 4096]"),
        ("architectures", "vgg", "normalization", "batch | group | layer | none", "none"),
        ("layers", "conv", "filters", "whole number >= 1", "required"),
        ("layers", "dropout", "rate", "number >= 0, < 1", "0.5"),
        ("layers", "residual", "layers", "list of section", "required"),
        ("layers", "max_pool", "strides", "whole number >= 1 or null", "null"),
        ("sources", "folder", "path", "text", "required"),
        ("sources", "manifest", "label_column", "text", "label"),
        ("sources", "arrays", "labels", "text or null", "null"),
        ("sources", "archive", "holds", "section or null", "null"),
        ("augmentations", "shift", "fill", "edge | black | reflect", "edge"),
        ("augmentations", "crop", "fill", "edge | black | reflect", "black"),
        ("augmentations", "rotate", "degrees", "number >= 0, <= 180", "15"),
        ("augmentations", "jpeg", "quality", "whole number >= 1, <= 100", "50"),
        ("augmentations", "random_resized_crop", "area", "[number >= 0, <= 1, number >= 0, <= 1]", "[0.08, 1]"),
        ("optimizers", "adam", "learning_rate", "number > 0 or auto", "0.001"),
        ("optimizers", "adam", "epsilon", "number > 0", "1e-07"),
        ("sections", "data", "source", "section", "required"),
        ("sections", "data", "channels", "1 | 3 or null", "null"),
        ("sections", "train", "epochs", "whole number >= 1 or null", "null"),
        ("sections", "train", "optimizer", "section or null", "adam"),
        ("sections", "(top)", "name", "text", "the file's name"),
        ("sections", "(top)", "augment", "list of section", "[]"),
    ],
)
def test_an_option_is_told_with_its_type_and_default(
    name: str, section: str, option: str, type_: str, default: str
) -> None:
    (found,) = (member for member in kind(name).sections if title(member) == section)
    (told,) = (entry for entry in options(found) if entry.name == option)
    assert (told.type, told.default) == (type_, default)


the_schema = cache(schema)


def definitions() -> dict[str, Any]:
    return {**the_schema()["$defs"], "the top": the_schema()}


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(the_schema())) == the_schema()
    assert the_schema()["$schema"].startswith("https://json-schema.org/")


def test_the_schema_asks_for_what_a_file_must_have() -> None:
    assert set(the_schema()["required"]) == {"data", "model"}


def test_the_schema_knows_every_section() -> None:
    assert {section.__name__ for section in SECTIONS} - {"Experiment"} <= the_schema()["$defs"].keys()


def test_the_schema_allows_no_other_key() -> None:
    assert [name for name, part in definitions().items() if part.get("additionalProperties") is not False] == []


def test_the_schema_describes_every_setting() -> None:
    silent = [
        f"{name}.{key}"
        for name, part in definitions().items()
        for key, value in part["properties"].items()
        if not value.get("description") and "const" not in value
    ]
    assert silent == []


@pytest.mark.parametrize("kind", UNIONS, ids=lambda kind: kind.name)
def test_the_schema_asks_a_member_of_a_union_for_its_name(kind: Kind) -> None:
    for section in kind.sections:
        part = the_schema()["$defs"][section.__name__]
        assert part["properties"]["name"]["const"] == get_args(section.model_fields["name"].annotation)[0]
        assert "name" in part.get("required", []), "without its name a section is an error, so an editor should say so"


# Every network of the families

VARIANTS = list(variants())
OF_MANY = {"sequential", "hub"}  # as many networks as one can think of, or as others have trained


def test_every_family_has_a_network_or_as_many_as_one_likes() -> None:
    named = {variant.model["name"] for variant in VARIANTS}
    assert named == {title(section) for section in kind("architectures").sections} - OF_MANY


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant.model.values())))
def test_what_is_listed_may_be_written_and_takes_the_images_of_its_paper(variant: Variant) -> None:
    adapter: Any = TypeAdapter(AnyArchitecture)
    architecture = adapter.validate_python(variant.model)
    assert architecture.stages() == variant.stages
    assert list(architecture.problems(variant.image_shape)) == []
    assert variant.smallest_image <= min(variant.image_shape[:2])
    too_small = (variant.smallest_image - 1, variant.smallest_image, variant.image_shape[2])
    assert any("pixels" in problem.message for problem in architecture.problems(too_small))
    assert variant.paper


def test_networks_differ_and_are_counted_when_asked() -> None:
    assert len({str(variant.model) for variant in VARIANTS}) == len(VARIANTS) > 70
    assert all(variant.parameters is None and variant.macs is None for variant in VARIANTS)
    counted = list(variants(lambda architecture: (architecture.smallest_image, 5)))
    assert all((v.parameters, v.macs) == (v.smallest_image, 5) for v in counted)


def test_the_settings_of_a_section_come_before_those_of_its_kind() -> None:
    section = next(section for section in kind("architectures").sections if title(section) == "vgg")
    assert section.settings() == [
        *("name", "depth", "dense_units", "activation", "initializer", "normalization", "dropout", "scaling"),
        *("l2", "weights"),
    ]
    assert list(section().model_dump()) == section.settings()
