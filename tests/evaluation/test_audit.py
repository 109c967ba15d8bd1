"""The audit of augmentations by a trained run: what it counts, what it names, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from cnnkit import Run, read, train
from cnnkit.commands import preview
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import DataError, TrainingError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.augmentations.base import Mixing
from cnnkit.evaluation import audit as auditing
from cnnkit.evaluation.audit import Effect, audit
from cnnkit.runs import checkpoints

SIDES = """\
data:
  source: {name: folder, path: sides}
  image_size: [8, 8]
  channels: 1
  split: {validation: 0.5, test: 0.1}
  batch_size: 16
augment: [{name: flip}, {name: brightness, strength: 0}, {name: flip, direction: vertical}]
model: {name: sequential, layers: [{name: flatten}]}
"""

SLOPE, LEAN = 20.0, 0.1
"""The network below: how much a brighter half tells it, and how much brighter the right one may be for `left`."""


def picture(number):
    """Left and right half of random brightness, the upper half of the picture as the lower."""
    left, right = np.random.default_rng(number).integers(40, 216, 2)
    return np.tile(np.repeat(np.uint8([left, right]), 4), (8, 1))


@pytest.fixture
def sides(tmp_path, monkeypatch):
    """Pictures that are brighter on the left or on the right, in the working folder beside their config."""
    monkeypatch.chdir(tmp_path)
    for number in range(120):
        pixels = picture(number)
        folder = Path("sides") / ("left" if pixels[0, 0] > pixels[0, -1] else "right")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    Path("sides.yaml").write_text(SIDES)
    return read("sides.yaml")


@pytest.fixture
def run(sides):
    """A run whose network answers `left` where the left half is brighter, or darker by less than LEAN of white."""
    experiment = sides.completed(sides.data.source.open(Progress()))
    made = Run.create(experiment, Path("run"))
    index = experiment.data.index(experiment.data.source.open(Progress()), Progress())
    made.write_split(index, experiment.data.splits(index), [""] * len(index))
    made.write_provenance(data={"classes": ["left", "right"]}, files=made.hashes())
    model = experiment.model.build((8, 8, 1), 2)
    *_, dense = model.layers
    half = np.repeat([1.0, -1.0], 4)
    # What the network makes of pixels before: black and white are -1 and 1, so halves differ by twice as much.
    weights = SLOPE / 2 * np.tile(half, 8).reshape(64, 1) / 32 * [[1, 0]]
    dense.set_weights([weights.astype(np.float32), np.float32([SLOPE * LEAN, 0])])
    checkpoints.save(checkpoints.Weights.of(model), made.files.checkpoints, "best", 1, {})
    return made


def leads(run):
    """By how much of white the left half of each validation image is brighter, and whether it is of class `left`."""
    rows = run.split("validation")
    pixels = [picture(int(Path(name).stem)).astype(float) / 255 for name, *_ in rows]
    return np.array([p[0, 0] - p[0, -1] for p in pixels]), np.array([label == "left" for _, label, *_ in rows])


def test_what_turns_wrong_is_counted_and_named(run, sides):
    told = audit(run, sides, Progress(), draws=2)
    lead, left = leads(run)
    right = left == (lead + LEAN > 0)
    lead, left = lead[right], left[right]
    # Mirrored, the lead of each is the opposite.
    wrong = left != (-lead + LEAN > 0)
    clearly = wrong & (SLOPE * abs(-lead + LEAN) > np.log(3))
    assert 0 < (~right).sum() < wrong.sum() < len(wrong)  # a test that counts something
    flip, brightness, vertical = told.audited
    assert (told.asked, told.right, told.draws) == (len(right), right.sum(), 1)  # of changes that are always the same
    assert flip.effect.wrong == wrong.mean()
    expected = binomtest(int(wrong.sum()), len(wrong)).proportion_ci(method="wilson")
    assert flip.effect.wrong_interval == pytest.approx((expected.low, expected.high))
    assert flip.effect.clearly_wrong == clearly.mean()
    assert flip.effect.most_often is not None
    becomes_left = (wrong & ~left).sum() / (~left).sum()
    becomes_right = (wrong & left).sum() / left.sum()
    both = {("left", "right"): becomes_right, ("right", "left"): becomes_left}
    most = flip.effect.most_often
    assert both[most.label, most.taken_for] == pytest.approx(most.share)
    for harmless in (brightness, vertical):
        assert (harmless.effect.wrong, harmless.effect.most_often) == (0, None)
    assert [audited.effect.verdict for audited in told.audited] == ["destroys", "harmless", "harmless"]
    assert told.as_json()["destroy_labels"] == ["flip"]


def test_the_same_is_tried_at_a_third_of_its_strength(run, sides):
    changed = [{"name": "shift", "fraction": 0.375}, {"name": "flip"}, {"name": "shift", "fraction": 0.0}]
    experiment = read("sides.yaml", f"augment={changed}".replace("'", ""))
    shift, flip, nothing = audit(run, experiment, Progress()).audited
    assert shift.weaker.augmentation.fraction == pytest.approx(0.125)
    assert 0 <= shift.weaker.effect.wrong < shift.effect.wrong
    assert flip.weaker is None
    assert flip.as_json()["at_a_third"] is None
    assert nothing.effect.wrong == nothing.weaker.effect.wrong == 0


def test_the_probability_does_not_count_but_what_happens_then(run, sides):
    rare, always = (
        audit(run, read("sides.yaml", f"augment=[{{name: flip, probability: {p}}}]"), Progress()).audited[0].effect
        for p in (0.01, 1.0)
    )
    assert rare == always


def test_both_directions_of_a_flip_are_asked_about(run, sides):
    # Mirrored left-right every other time: half of what always does it.
    (always,) = audit(run, read("sides.yaml", "augment=[{name: flip}]"), Progress()).audited
    (both,) = audit(run, read("sides.yaml", "augment=[{name: flip, direction: both}]"), Progress(), draws=12).audited
    assert both.effect.wrong == pytest.approx(always.effect.wrong / 2, abs=0.1)


def test_what_changes_nothing_at_this_size_is_told_and_not_recommended(run, command):
    words = ["--audit", "run", "--set", "augment=[{name: shift, fraction: 0.15}, {name: rotate, degrees: 0}]"]
    code, out, err = command("preview", "sides.yaml", *words)
    document = json.loads(command("preview", "sides.yaml", *words, "--json")[1])
    shift, rotate = document["augmentations"]
    assert (code, err) == (0, "")
    assert (shift["unchanged"], shift["at_a_third"]["unchanged"], rotate["unchanged"]) == (False, True, True)
    assert "no change" in out
    assert "rotate degrees 0 changes nothing at this size." in out
    assert "0.05 seems harmless" not in out


def test_where_a_third_changes_nothing_the_advice_says_so(run, sides):
    (shift,) = audit(run, read("sides.yaml", "augment=[{name: shift, fraction: 0.15}]"), Progress()).audited
    named = replace(shift, effect=replace(shift.effect, verdict="destroys"))
    told = preview._advice(named)
    assert told == "leave it out, or make it a little weaker; shift fraction 0.05 changes nothing at this size"


def test_what_is_always_the_same_is_done_once(run, sides):
    experiment = read("sides.yaml", "augment=[{name: flip}, {name: flip, direction: both}, {name: shift}]")
    told = audit(run, experiment, Progress())
    assert [audited.effect.draws for audited in told.audited] == [1, 4, 4]
    assert audit(run, experiment, Progress(), draws=2).audited[0].effect == told.audited[0].effect


@pytest.mark.parametrize("setting", ["data.limit=3", "data.split.validation=0.3", "data.split={validation: 0.3}"])
def test_settings_without_effect_are_refused(run, sides, setting):
    with pytest.raises(UsageError, match=r"^--set .* has no effect on --audit: the run is asked about its own"):
        audit(run, sides, Progress(), settings=[setting])
    audit(run, sides, Progress(), settings=["seed=3", "data.cache.memory_gib=1"], images=5, draws=1)


def test_fewer_images_may_be_asked_about(run, sides):
    told = audit(run, sides, Progress(), images=10)
    assert told.asked == 10
    assert told == audit(run, sides, Progress(), images=10)


def test_draws_end_when_the_time_is_up(run, sides, monkeypatch):
    monkeypatch.setattr(auditing, "SECONDS", 0.0)
    sides = read("sides.yaml", "augment=[{name: shift}]")
    told = audit(run, sides, Progress())
    assert (told.draws, told.cut_short) == (1, True)
    screen = Screen()
    with screen.console.capture() as said:
        screen.say(*preview.about_audit(told))
    assert "(1 draw each, as there was no time for more; --variants asks for them)" in " ".join(said.get().split())
    assert audit(run, sides, Progress(), draws=3).draws == 3


def test_mixing_is_left_out(run):
    experiment = read("sides.yaml", "augment=[{name: flip}, {name: mixup}]")
    told = audit(run, experiment, Progress())
    assert ([one.words() for one in told.audited], told.mixing) == (["flip"], ("mixup",))
    with pytest.raises(UsageError, match="augment lists mixup, and mixing changes labels"):
        audit(run, read("sides.yaml", "augment=[{name: mixup}]"), Progress())


def test_nothing_is_written_into_the_run(run, sides):
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    audit(run, sides, Progress())
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_another_way_to_prepare_is_told(run, sides):
    assert not audit(run, sides, Progress()).other_view
    other = audit(run, read("sides.yaml", "data.prepare=[{name: clahe}]"), Progress())
    assert other.other_view
    assert other.as_json()["other_view"]


def test_every_augmentation_can_be_asked_about(run):
    changes = [one for one in get_args(get_args(AnyAugmentation)[0]) if not issubclass(one, Mixing)]
    names = [one.model_fields["name"].default for one in changes if not one.for_colour]
    experiment = read("sides.yaml", f"augment=[{', '.join(f'{{name: {name}}}' for name in names)}]")
    told = audit(run, experiment, Progress(), images=5, draws=1)
    assert [audited.augmentation.name for audited in told.audited] == names
    assert all(audited.augmentation.certain().probability in (1.0, 0.5) for audited in told.audited)
    assert [audited.words().split()[0] for audited in told.audited] == names


# What is refused


def test_a_run_for_other_classes_is_refused(run):
    (Path("other") / "cat").mkdir(parents=True)
    (Path("other") / "dog").mkdir()
    for name in ("cat/1.png", "dog/2.png"):
        Image.fromarray(picture(1)).save(Path("other") / name)
    experiment = read("sides.yaml", "data.source.path=other")
    told = r"the run has 2 classes \(left, right\) and the config has 2 classes \(cat, dog\)"
    with pytest.raises(UsageError, match=told):
        audit(run, experiment, Progress())


def test_a_run_for_images_of_another_size_is_refused(run):
    with pytest.raises(UsageError, match=r"images of 8 x 8 x 1 .* the config asks for 16 x 16 x 1"):
        audit(run, read("sides.yaml", "data.image_size=[16, 16]"), Progress())


def test_what_is_no_run_is_refused(sides):
    with pytest.raises(UsageError, match="nowhere is not a run of cnnkit"):
        audit("nowhere", sides, Progress())


def test_images_that_are_gone_are_told_and_found_where_they_are_now(run, sides):
    Path("sides").rename("moved")
    experiment = read("sides.yaml", "data.source.path=moved")
    with pytest.raises(DataError, match=r"--set data\.source\.path"):
        audit(run, experiment, Progress())
    told = audit(run, experiment, Progress(), settings=["data.source.path=moved"])
    assert told.as_json()["destroy_labels"] == ["flip"]


def test_a_run_without_weights_is_refused(run, sides):
    (run.files.checkpoints / "best.json").unlink()
    with pytest.raises(TrainingError, match=r"best\.json is missing"):
        audit(run, sides, Progress())


# When an augmentation is named


def answers(*rows):
    """Probabilities of ten classes: (the right class, the answer, its probability, that of the right one) each."""
    made = np.zeros((1, len(rows), 10))
    for i, (label, answer, sure, of_right) in enumerate(rows):
        made[0, i, label], made[0, i, answer] = of_right, sure
    return made, np.array([row[0] for row in rows])


def effect(*rows):
    return Effect.of(*answers(*rows), [str(k) for k in range(10)])


RIGHT = [(label, label, 0.9, 0.9) for label in range(10)]


def test_a_network_that_wavers_does_not_make_a_label_destroyed():
    wavering = effect(*[(label, (label + 1) % 10, 0.5, 0.3) for label in range(10)] * 20)
    assert (wavering.wrong, wavering.clearly_wrong) == (1.0, 0.0)
    assert wavering.verdict != "destroys"
    sure = effect(*[(label, (label + 1) % 10, 0.5, 0.1) for label in range(10)] * 20)
    assert (sure.wrong, sure.clearly_wrong, sure.verdict) == (1.0, 1.0, "destroys")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_of_a_handful_of_images_nothing_is_said_either_way(count):
    wrong, right = [(1, 7, 0.9, 0.0)], [(1, 1, 0.9, 0.9)]
    assert effect(*wrong * count).verdict == effect(*right * count).verdict == "too_few"


def test_so_many_images_as_exclude_more_than_the_threshold_are_said_to_be_harmless():
    # Of 34 images that stay right up to 10.2 % may turn wrong (Wilson: z^2 / (n + z^2)), of 35 up to 9.9 %.
    assert effect(*(RIGHT * 4)[:34]).verdict == "too_few"
    assert effect(*(RIGHT * 4)[:35]).verdict == "harmless"


def test_a_class_that_seems_destroyed_and_is_too_small_to_tell_is_not_called_harmless():
    rest = (RIGHT[:6] + RIGHT[7:]) * 20
    verdicts = {count: effect(*[(6, 9, 0.95, 0.01)] * count, *rest).verdict for count in (0, 1, 4, 5)}
    assert verdicts == {0: "harmless", 1: "too_few", 4: "too_few", 5: "destroys"}


def test_the_more_classes_there_are_the_surer_it_has_to_be_of_one():
    # 8 of 16 images of a class: Wilson's lower end is 28 % with z = 1.96 of one class, and 20.2 % with z = 2.81 of 1 -
    # 0.05 / 10; 25 % is between them.
    spoilt = [(6, 9, 0.95, 0.01)] * 8 + [(6, 6, 0.9, 0.9)] * 8
    low = binomtest(8, 16).proportion_ci(0.95, method="wilson").low
    corrected = binomtest(8, 16).proportion_ci(1 - 0.05 / 10, method="wilson").low
    assert corrected < auditing.OF_A_CLASS < low
    assert effect(*spoilt, *(RIGHT[:6] + RIGHT[7:]) * 40).verdict == "too_few"


def test_few_images_are_no_proof():
    # Two of ten are 20 %, and may well be 6 % (Wilson); 20 of 100 are more than 10 %.
    wrong = [(label, 0, 0.9, 0.0) for label in (1, 2)]
    assert effect(*wrong, *RIGHT[2:]).verdict != "destroys"
    assert effect(*(wrong + RIGHT[2:]) * 10).verdict == "destroys"


def test_a_single_class_that_is_destroyed_is_found_among_many():
    rest = RIGHT[:6] + RIGHT[7:]
    six_to_nine = effect(*([(6, 9, 0.95, 0.01), *rest] * 12))
    assert six_to_nine.clearly_wrong_interval[0] < auditing.OF_ALL
    assert six_to_nine.verdict == "destroys"
    most = six_to_nine.most_often
    assert (most.label, most.taken_for, most.share) == ("6", "9", 1.0)
    assert six_to_nine.wrong_probability == pytest.approx(0.95)


def test_several_draws_of_an_image_do_not_make_more_images():
    one, labels = answers(*[(label, 0, 0.9, 0.0) for label in (1, 2)], *RIGHT[2:])
    names = [str(k) for k in range(10)]
    once, often = Effect.of(one, labels, names), Effect.of(np.repeat(one, 50, axis=0), labels, names)
    assert often.wrong == once.wrong
    assert often.wrong_interval == once.wrong_interval
    assert often.clearly_wrong_interval == once.clearly_wrong_interval
    assert often.most_often == once.most_often
    assert often.verdict != "destroys"


# A run on digits


DIGITS = """\
data:
  source: {name: digits}
  image_size: [16, 16]
  channels: 1
augment:
  - {name: rotate, degrees: 180}
  - {name: flip, direction: vertical}
  - {name: shift, fraction: 0.05}
model:
  name: sequential
  layers: [{name: conv, filters: 16}, {name: max_pool}, {name: conv, filters: 32}, {name: max_pool}, {name: flatten}]
train: {epochs: 6, optimizer: {name: adam, learning_rate: 5e-3}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_digits_upside_down_are_named_and_digits_moved_a_little_are_not(tmp_path, seed):
    (tmp_path / "digits.yaml").write_text(DIGITS)
    experiment = read(tmp_path / "digits.yaml")
    train(read(tmp_path / "digits.yaml", "augment=[]", f"seed={seed}"), tmp_path / "run")
    told = audit(tmp_path / "run", experiment, Progress(), draws=2)
    assert told.right > 240
    assert told.as_json()["destroy_labels"] == ["rotate degrees 180", "flip direction vertical"]
    for audited in told.audited[:2]:
        assert audited.effect.clearly_wrong > 0.3
    # This network has never seen a digit that was moved, so it errs a little; but not as if labels were destroyed.
    assert told.audited[2].effect.verdict != "destroys"
    assert told.audited[2].effect.clearly_wrong < 0.1


# A run on subjects that have no left and right, as flowers


BLOSSOMS = """\
data:
  source: {name: folder, path: blossoms}
  image_size: [16, 16]
augment:
  - {name: flip}
  - {name: hue, degrees: 180}
model:
  name: sequential
  layers: [{name: conv, filters: 8}, {name: max_pool}, {name: conv, filters: 16}, {name: max_pool}, {name: flatten}]
train: {epochs: 6, optimizer: {name: adam, learning_rate: 1e-2}}
"""


def blossom(colour, number):
    """A disc of a colour with a darker middle, somewhere on a green ground, in some light."""
    chance = np.random.default_rng(number)
    y, x = np.mgrid[:16, :16] - chance.uniform(5.5, 9.5, (2, 1, 1))
    distance, radius = np.hypot(x, y), chance.uniform(3.5, 5.5)
    image = np.where((distance < radius)[..., None], colour, (40, 110, 50)) * np.where(distance < 2, 0.5, 1)[..., None]
    return np.clip(image * chance.uniform(0.8, 1.1) + chance.normal(0, 8, (16, 16, 3)), 0, 255).astype(np.uint8)


def test_blossoms_mirrored_are_not_named_and_blossoms_of_other_colours_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, (name, colour) in enumerate(
        {"poppy": (220, 40, 40), "gentian": (50, 60, 220), "rape": (230, 210, 40)}.items()
    ):
        (Path("blossoms") / name).mkdir(parents=True)
        for number in range(160):
            Image.fromarray(blossom(colour, 1000 * k + number)).save(Path("blossoms") / name / f"{number}.png")
    Path("blossoms.yaml").write_text(BLOSSOMS)
    train(read("blossoms.yaml", "augment=[]"), "run")
    flip, hue = audit("run", read("blossoms.yaml"), Progress(), draws=2).audited
    assert (flip.effect.verdict, hue.effect.verdict) == ("harmless", "destroys")
