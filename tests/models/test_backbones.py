"""Which pretrained backbones are found, where, and what a config has to say of them."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter

from cnnkit.core.cache import cache_folder
from cnnkit.models import AnyArchitecture, backbones
from cnnkit.models.backbones import Unusable
from cnnkit.models.keras_application import NETWORKS
from cnnkit.models.known_backbones import FETCHED, KNOWN, UNKNOWN


@pytest.fixture(autouse=True)
def no_keras_of_mine(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_HOME", raising=False)


def put(name: str, facts: object = None, saved_model: bool = False) -> Path:
    """A backbone in the cache: a file of weights, or a folder with a SavedModel, and what is said of it."""
    place = cache_folder() / "backbones" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix:
        h5py.File(place, "w").close()
        if facts is not None:
            place.with_suffix(".json").write_text(json.dumps(facts))
        return place
    place.mkdir()
    if saved_model:
        (place / "saved_model.pb").touch()
    else:
        h5py.File(place / "weights.h5", "w").close()
    if facts is not None:
        (place / "backbone.json").write_text(json.dumps(facts))
    return place


def test_an_empty_cache_has_none():
    assert backbones.found() == backbones.Found((), ())


def test_a_saved_model_is_used_as_its_json_says():
    place = put("mine", {"pixel_range": [-1, 1], "size": 160}, saved_model=True)
    [found] = backbones.found().backbones
    assert found.model == {"name": "hub", "handle": str(place), "pixel_range": [-1.0, 1.0]}
    assert (found.title, found.size) == ("mine", (160, 160))


def test_a_file_of_weights_is_of_the_application_that_its_json_says():
    place = put("small.h5", {"application": "mobilenet", "alpha": 0.5, "size": [192, 160]})
    [found] = backbones.found().backbones
    assert found.model == {
        "name": "keras_application",
        "application": "MobileNet",
        "alpha": 0.5,
        "weights": str(place),
    }
    assert (found.title, found.size) == ("MobileNet 0.5", (192, 160))


@pytest.mark.parametrize(
    ("file", "application", "alpha"),
    [
        ("mobilenet_v1_025_224_imagenet.h5", "MobileNet", 0.25),
        ("mobilenet_2_5_224_tf_no_top.h5", "MobileNet", 0.25),
        ("mobilenet_1_0_224_tf_no_top.h5", "MobileNet", None),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5", "MobileNetV2", 0.35),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224_no_top.h5", "MobileNetV2", 1.4),
        ("weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5", "MobileNetV3Small", 0.75),
        ("efficientnetb0_notop.h5", "EfficientNetB0", None),
        ("efficientnetv2-b0_notop.h5", "EfficientNetV2B0", None),
        ("resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5", "ResNet50V2", None),
        ("inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5", "InceptionResNetV2", None),
        ("NASNet-mobile-no-top.h5", "NASNetMobile", None),
        ("convnext_tiny_notop.h5", "ConvNeXtTiny", None),
    ],
)
def test_what_is_called_as_keras_calls_its_own_needs_no_json(file, application, alpha):
    put(file)
    [found] = backbones.found().backbones
    assert (found.model["application"], found.model.get("alpha")) == (application, alpha)
    TypeAdapter(AnyArchitecture).validate_python({k: v for k, v in found.model.items() if k != "weights"})


@pytest.mark.parametrize(
    ("name", "by_keras", "pixels"),
    [
        ("hub_mobilenet_v1_025_224", True, [-1.0, 1.0]),
        ("imagenet_mobilenet_v2_100_224", False, [0.0, 1.0]),
        ("efficientnetb0", True, [0.0, 255.0]),
    ],
)
def test_a_saved_model_that_is_called_so_has_the_usual_range_and_says_that_it_is_assumed(name, by_keras, pixels):
    place = put(name, saved_model=True)
    if by_keras:
        (place / "keras_metadata.pb").touch()
    [found] = backbones.found().backbones
    assert found.model["pixel_range"] == pixels
    assert "usual range" in found.remark
    assert found.known.accuracy > 45 and found.known != UNKNOWN


def test_a_saved_model_of_resnet_has_no_range_that_one_could_assume():
    place = put("resnet50", saved_model=True)
    (place / "keras_metadata.pb").touch()
    assert "does not say which range" in backbones.found().notes[0]


def test_a_folder_that_is_called_so_counts_by_its_own_name():
    put("mobilenet_v1_025_224")
    [found] = backbones.found().backbones
    assert found.title == "MobileNet 0.25"


@pytest.mark.parametrize(
    ("name", "facts", "saved_model", "told"),
    [
        ("mine", None, True, "does not say which range of pixels"),
        ("best.h5", None, False, "does not say which network"),
        ("best.h5", {"application": "MobileNetV9"}, False, "no application `MobileNetV9`; did you mean `MobileNetV2`?"),
        ("best.h5", {"application": "VGG16", "alpha": 0.5}, False, "one width only"),
        ("mine", {"pixels": [0, 1]}, True, "backbone.json: pixels:"),
        ("mine", {"pixel_range": [0, 1, 2]}, True, "backbone.json: pixel_range:"),
    ],
)
def test_what_can_not_be_used_is_told_of_and_nothing_else_suffers(name, facts, saved_model, told):
    put(name, facts, saved_model)
    put("efficientnetb0_notop.h5")
    found = backbones.found()
    assert [each.title for each in found.backbones] == ["EfficientNetB0"]
    [note] = found.notes
    assert told in note


def test_an_empty_folder_and_one_of_two_files_are_told_of():
    put("two")
    (cache_folder() / "backbones" / "two" / "other.h5").touch()
    (cache_folder() / "backbones" / "none").mkdir()
    assert ["2 files of weights" in note or "no SavedModel" in note for note in backbones.found().notes] == [True] * 2


def test_what_keras_has_fetched_is_found_where_it_keeps_it(tmp_path, monkeypatch):
    own = cache_folder() / "keras" / "models"
    of_others = tmp_path / "home" / ".keras" / "models"
    for folder, file in ((own, "efficientnetb0_notop.h5"), (of_others, "mobilenet_2_5_224_tf_no_top.h5")):
        folder.mkdir(parents=True)
        h5py.File(folder / file, "w").close()
    (of_others / "mobilenet_5_0_224_tf.h5").touch()  # with a classifier
    found = {each.title: each.model for each in backbones.found().backbones}
    assert found.keys() == {"EfficientNetB0", "MobileNet 0.25"}
    assert "weights" not in found["EfficientNetB0"]  # a training looks there by itself
    assert found["MobileNet 0.25"]["weights"] == str(of_others / "mobilenet_2_5_224_tf_no_top.h5")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home" / ".keras"))
    assert "weights" not in {each.title: each.model for each in backbones.found().backbones}["MobileNet 0.25"]


def test_the_better_one_comes_first():
    for file in ("mobilenet_2_5_224_tf_no_top.h5", "efficientnetv2-b0_notop.h5", "efficientnetb0_notop.h5"):
        put(file)
    titles = [each.title for each in backbones.found().backbones]
    assert titles == ["EfficientNetV2B0", "EfficientNetB0", "MobileNet 0.25"]


def test_one_is_named_by_its_folder_its_name_in_the_cache_or_as_an_application(tmp_path, monkeypatch):
    place = put("mine", {"pixel_range": [-1, 1]}, saved_model=True)
    put("resnet50_weights_notop.h5")
    monkeypatch.chdir(tmp_path)
    assert backbones.named(str(place)) == backbones.named("mine")
    assert backbones.named("resnet50_weights_notop").title == "ResNet50"
    assert backbones.named("mobilenetv2").model == {"name": "keras_application", "application": "MobileNetV2"}
    assert backbones.named("mobilenetv2").fetched


def test_a_saved_model_that_is_named_by_hand_takes_the_range_of_tf_hub_and_says_so(tmp_path):
    (tmp_path / "vector").mkdir()
    (tmp_path / "vector" / "saved_model.pb").touch()
    found = backbones.named(str(tmp_path / "vector"))
    assert found.model["pixel_range"] == [0.0, 1.0]
    assert "Nothing says" in found.remark


@pytest.mark.parametrize(("name", "told"), [("MobileNetV9", "did you mean `MobileNetV2`?"), ("x", "there are `mine`")])
def test_a_name_that_nothing_has_is_told_with_what_there_is(name, told):
    put("mine", {"pixel_range": [0, 1]}, saved_model=True)
    with pytest.raises(Unusable) as raised:
        backbones.named(name)
    assert told in str(raised.value)


def test_what_is_known_is_of_networks_that_there_are():
    for application, alpha in KNOWN:
        assert alpha is None or alpha in NETWORKS[application].alphas
    assert all((name, None) in KNOWN for name in FETCHED)


CUT_OFF = {
    "cut off": lambda content: content[: len(content) // 2],
    "a few bytes short": lambda content: content[:-5],
    "empty": lambda content: b"",
    "a page of the web": lambda content: b"<!DOCTYPE html><html><head><title>404</title></head></html>",
    "the first bytes lost": lambda content: content[8:],
}


@pytest.fixture(params=CUT_OFF)
def broken(request, tmp_path):
    """A file of weights that was cut off, or is none."""
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["layer/kernel"] = np.zeros((16, 16), np.float32)
    place = tmp_path / "mobilenet_2_5_224_tf_no_top.h5"
    place.write_bytes(CUT_OFF[request.param]((tmp_path / "whole.h5").read_bytes()))
    return place


def test_a_broken_file_of_weights_is_none_and_that_is_said(broken):
    with pytest.raises(Unusable, match=r"no_top\.h5 is (damaged|of another kind)"):
        backbones.named(str(broken))
    kept, of_keras = cache_folder() / "backbones", cache_folder() / "keras" / "models"
    for folder in (kept, of_keras):
        folder.mkdir(parents=True)
        shutil.copy(broken, folder)
    found = backbones.found()
    assert not found.backbones
    assert [str(folder) in note for folder, note in zip((kept, of_keras), found.notes, strict=True)] == [True] * 2
    assert found.notes[0].endswith(("; fetch or copy it again", ".h5 or .keras"))
    assert found.notes[1].endswith("; remove it, and it is fetched again")


def test_a_config_with_a_broken_file_of_weights_is_told_so_without_tensorflow(broken):
    model = TypeAdapter(AnyArchitecture).validate_python({"name": "lenet", "weights": str(broken)})
    [problem] = model.absent()
    assert problem.key == "weights"
    assert str(broken) in problem.message


def test_of_a_file_that_was_cut_off_it_is_told_how_much_is_there(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layer/kernel"] = np.zeros((16, 16), np.float32)
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[:2000])
    model = TypeAdapter(AnyArchitecture).validate_python({"name": "lenet", "weights": str(tmp_path / "a.h5")})
    [problem] = model.absent()
    has = f"of its {len(whole):,} bytes it has the first 2,000"
    assert problem.message.endswith(f"is damaged: {has}; fetch or copy it again")


@pytest.mark.parametrize("cut", [0, 30])
def test_an_archive_of_keras_is_looked_at_too(tmp_path, cut):
    place = tmp_path / "a.keras"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("model.weights.h5", b"0" * 100)
    place.write_bytes(place.read_bytes()[: place.stat().st_size - cut])
    model = TypeAdapter(AnyArchitecture).validate_python({"name": "lenet", "weights": str(place)})
    assert [problem.message.startswith(f"{place} is damaged") for problem in model.absent()] == [True] * bool(cut)
