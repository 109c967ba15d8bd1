"""Which candidate a config begins with, and that the other one stands in it too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from cnnkit.config import file as config_file
from cnnkit.config import yaml12
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import UsageError
from cnnkit.inspection.first_config import pretrained
from cnnkit.inspection.first_config.base import Traits
from cnnkit.inspection.first_config.decision import Wish, candidates, decided
from cnnkit.inspection.first_config.duration import Speeds
from cnnkit.inspection.first_config.writing import TO_TAKE_IT
from cnnkit.models import backbones

PHOTOGRAPHS = Traits(
    classes={"daisy": 200, "rose": 200},
    splits={"train": 280, "validation": 60, "test": 60},
    own=frozenset(),
    height=480,
    width=640,
    detail=300,
)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """A machine of a known speed, whose Keras has fetched nothing."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(Speeds, "here", classmethod(lambda cls: cls(1e11)))


def keep(*files: str) -> None:
    for file in files:
        path = cache_folder() / "backbones" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        h5py.File(path, "w").close()


def decision(traits=PHOTOGRAPHS, wish=None, online=False):
    return decided(traits, candidates(traits, wish=wish, online=lambda: online), wish)


def test_photographs_begin_with_what_is_in_the_cache():
    keep("mobilenet_2_5_224_tf_no_top.h5")
    taken = decision()
    assert taken.chosen.kind == "pretrained"
    assert taken.other is not None
    assert taken.other.kind == "from scratch"
    assert "300 pixels" in taken.why
    values = taken.chosen.values()
    assert (values["data"]["image_size"], values["data"]["channels"], values["augment"]) == ([224, 224], 3, [])
    assert "train" not in values


@pytest.mark.parametrize(
    "traits",
    [
        replace(PHOTOGRAPHS, detail=48),  # enlarged
        replace(PHOTOGRAPHS, height=64, width=64, detail=64),
        replace(PHOTOGRAPHS, splits={"train": 50_000, "validation": 60, "test": 60}),
    ],
)
def test_small_enlarged_and_very_many_pictures_begin_from_nothing(traits):
    keep("mobilenet_2_5_224_tf_no_top.h5")
    taken = decision(traits, online=True)
    assert taken.chosen.kind == "from scratch"
    assert taken.other is not None
    assert taken.other.kind == "pretrained"


def test_the_best_that_the_time_allows_is_taken():
    keep("mobilenet_2_5_224_tf_no_top.h5", "xception_weights_tf_dim_ordering_tf_kernels_notop.h5")
    assert decision().chosen.title.startswith("Xception")
    many = replace(
        PHOTOGRAPHS, splits={"train": 15_000, "validation": 60, "test": 60}, classes={"a": 9_000, "b": 9_000}
    )
    assert decision(many).chosen.title.startswith("MobileNet 0.25")


def test_where_none_is_here_one_is_fetched():
    taken = decision(online=True)
    assert taken.chosen.title.startswith("EfficientNetV2B0")
    assert "fetched once" in taken.chosen.model[0].reason


def test_offline_without_one_is_a_line_and_a_network_from_nothing():
    taken = decision()
    assert taken.chosen.kind == "from scratch"
    [note] = taken.notes
    assert note.startswith("Offline")
    assert "backbones" in note


def test_for_pictures_that_would_gain_nothing_nobody_asks_the_net():
    def fail():
        raise AssertionError

    candidates(replace(PHOTOGRAPHS, detail=30), online=fail)


def test_by_hand():
    keep("mobilenet_2_5_224_tf_no_top.h5")
    assert decision(wish=Wish(from_scratch=True)).chosen.kind == "from scratch"
    enlarged = replace(PHOTOGRAPHS, detail=30)
    assert decision(enlarged, Wish(backbone="MobileNetV2")).chosen.title.startswith("MobileNetV2")
    with pytest.raises(UsageError, match="--backbone nothing: there is no folder nothing"):
        decision(wish=Wish(backbone="nothing"))


def photographs(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for i in range(9):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


def uncommented(text: str) -> str:
    """The config with the other candidate in place of all from `data:` on, as its comment says."""
    before, lines = text[: text.index("\ndata:\n") + 1], text.splitlines()
    first = lines.index("# data:")
    assert TO_TAKE_IT in " ".join(line.removeprefix("# ") for line in lines[:first])
    return before + "\n".join(line[2:] for line in lines[first:]) + "\n"


@pytest.mark.parametrize("options", [(), ("--backbone", "mobilenet_2_5_224_tf_no_top")])
def test_both_candidates_stand_in_the_file_and_both_are_right(command, tmp_path, monkeypatch, options):
    keep("mobilenet_2_5_224_tf_no_top.h5")
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "pets")
    code, out, _ = command("init", "pets", *options)
    assert code == 0
    assert "MobileNet 0.25 as it is, a classifier fitted to it" in out
    assert command("check", "pets.yaml")[0] == 0
    chosen = config_file.read("pets.yaml")
    text = Path("pets.yaml").read_text()
    assert max(map(len, text.splitlines())) <= 120
    Path("other.yaml").write_text(uncommented(text))
    assert command("check", "other.yaml")[0] == 0
    other = config_file.read("other.yaml")
    assert (chosen.model.name, other.model.name) == ("keras_application", "sequential")
    assert other.data.source == chosen.data.source
    assert other.train.epochs == yaml12.parse(uncommented(text)).values["train"]["epochs"]


def test_by_hand_from_scratch_no_other_candidate_is_told(command, tmp_path, monkeypatch):
    keep("mobilenet_2_5_224_tf_no_top.h5")
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "pets")
    assert command("init", "pets", "--from-scratch")[0] == 0
    assert "candidate" not in Path("pets.yaml").read_text()
    code, _, err = command("init", "pets", "--from-scratch", "--backbone", "MobileNet", "--force")
    assert (code, "can't both be" in err) == (2, True)


def test_fine_tuning_is_a_right_config_too(tmp_path):
    keep("mobilenet_2_5_224_tf_no_top.h5")
    [backbone] = backbones.found().backbones
    suggested = pretrained.suggest(PHOTOGRAPHS, backbone, epochs=5)
    document = {"name": "x", **suggested.values()}
    document["data"] = {"source": {"name": "digits"}, **suggested.values()["data"]}
    text = "".join(f"{key}: {yaml12.line(value)}\n" for key, value in document.items())
    (tmp_path / "x.yaml").write_text(text)
    plan = config_file.read(tmp_path / "x.yaml").plan()
    assert [(stage.fitted, stage.epochs) for stage in plan] == [(True, None), (False, 5)]
    assert suggested.epochs == 5
    assert "then 5 epochs of all of it" in suggested.title
