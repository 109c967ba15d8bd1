"""A clean folder is called clean; each fault that is planted in it is found under its kind, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.core.progress import Progress
from cnnkit.data.section import Data
from cnnkit.data.sources import Folder
from cnnkit.inspection.doctor import examine, fix_list
from cnnkit.inspection.doctor.base import Report

EACH = {"train": 14, "test": 6}
CLASSES = ("cat", "dog", "emu")


def photo(number: int) -> Image.Image:
    """A picture like a photo, of another scene for each number: a smooth random field in each colour."""
    random = np.random.default_rng(number)
    field = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
    smooth = np.asarray(field.resize((96, 72), Image.Resampling.BICUBIC), np.float64)
    return Image.fromarray(np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean") / "photos"
    number = 0
    for split, count in EACH.items():
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                photo(number).save(root / split / name / f"{i:02d}.jpg", quality=90)
                number += 1
    return root


@pytest.fixture
def photos(clean: Path, tmp_path: Path) -> Path:
    """A copy of the clean folder to plant faults in."""
    return Path(shutil.copytree(clean, tmp_path / "photos"))


def examined(root: Path, exclude: Path | None = None) -> Report:
    data = Data(source=Folder(path=str(root)), exclude=str(exclude) if exclude else None)
    return examine.examine(data, Progress())


def truncated(root: Path) -> None:
    file = root / "train/cat/00.jpg"
    file.write_bytes(file.read_bytes()[:1500])


def text(root: Path) -> None:
    (root / "train/cat/text.png").write_text("These are words.\n")


def empty_file(root: Path) -> None:
    (root / "test/dog/empty.png").write_bytes(b"")


def empty_class(root: Path) -> None:
    (root / "train/owl").mkdir()


def wide(root: Path) -> None:
    photo(1000).resize((12_000, 4_000)).save(root / "train/dog/wide.jpg")


def cmyk(root: Path) -> None:
    photo(1001).convert("CMYK").save(root / "train/emu/print.jpg")


def animated(root: Path) -> None:
    photo(1002).save(root / "train/cat/moves.gif", save_all=True, append_images=[photo(1003)])


def misnamed(root: Path) -> None:
    photo(1004).save(root / "test/emu/really_png.jpg", format="PNG")


def pages(root: Path) -> None:
    photo(1007).save(root / "train/cat/pages.tif", save_all=True, append_images=[photo(1008)])


def extra_bytes(root: Path) -> None:
    photo(1009).save(root / "train/dog/camera.jpg")
    content = (root / "train/dog/camera.jpg").read_bytes()
    (root / "train/dog/camera.jpg").write_bytes(content[:-2] + bytes(range(1, 30)) + content[-2:])


def flipped_bit(root: Path) -> None:
    photo(1010).save(root / "train/emu/flipped.png")
    content = bytearray((root / "train/emu/flipped.png").read_bytes())
    content[len(content) // 2] ^= 4
    (root / "train/emu/flipped.png").write_bytes(content)


def page_of_a_server(root: Path) -> None:
    (root / "train/emu/missing.jpg").write_text("<!DOCTYPE html><html><body>404</body></html>")


def rotated(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(1005).save(root / "train/cat/side.jpg", exif=exif)


def sixteen_bit(root: Path) -> None:
    grey = np.asarray(photo(1006).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(root / "train/cat/deep.png")


def leak(root: Path) -> None:
    shutil.copy(root / "train/dog/03.jpg", root / "test/dog/again.jpg")


def two_classes(root: Path) -> None:
    shutil.copy(root / "train/dog/04.jpg", root / "train/cat/a_dog.jpg")


def only_in_train(root: Path) -> None:
    (root / "train/yak").mkdir()
    for i in range(12):
        photo(2000 + i).save(root / "train/yak" / f"{i}.jpg")


def near_leak(root: Path) -> None:
    with Image.open(root / "train/dog/05.jpg") as picture:
        picture.resize((120, 90), Image.Resampling.LANCZOS).save(root / "test/dog/resized.jpg", quality=60)


@dataclass(frozen=True)
class Fault:
    """What is planted, and under which kind, how severe and with which files it should be found."""

    plant: Callable[[Path], None]
    kind: str
    severity: str
    files: frozenset[str]


def fault(plant: Callable[[Path], None], kind: str, severity: str, *files: str) -> Fault:
    return Fault(plant, kind, severity, frozenset(files))


FAULTS = (
    fault(truncated, "undecodable", "error", "train/cat/00.jpg"),
    fault(text, "undecodable", "error", "train/cat/text.png"),
    fault(empty_file, "undecodable", "error", "test/dog/empty.png"),
    fault(empty_class, "empty_class", "error"),
    fault(wide, "odd_size", "warning", "train/dog/wide.jpg"),
    fault(cmyk, "cmyk", "warning", "train/emu/print.jpg"),
    fault(pages, "pages", "note", "train/cat/pages.tif"),
    fault(extra_bytes, "remarked", "note", "train/dog/camera.jpg"),
    fault(flipped_bit, "undecodable", "error", "train/emu/flipped.png"),
    fault(page_of_a_server, "undecodable", "error", "train/emu/missing.jpg"),
    fault(animated, "animated", "warning", "train/cat/moves.gif"),
    fault(misnamed, "wrong_extension", "warning", "test/emu/really_png.jpg"),
    fault(rotated, "rotated", "note", "train/cat/side.jpg"),
    fault(sixteen_bit, "sixteen_bit", "warning", "train/cat/deep.png"),
    fault(leak, "leak", "error", "train/dog/03.jpg", "test/dog/again.jpg"),
    fault(two_classes, "contradicting_labels", "error", "train/cat/a_dog.jpg", "train/dog/04.jpg"),
    fault(only_in_train, "missing_class", "warning"),
    fault(near_leak, "near_leak", "warning", "train/dog/05.jpg", "test/dog/resized.jpg"),
)


def serious(report: Report) -> Iterator[tuple[str, str, frozenset[str]]]:
    """What is called an error or a warning."""
    return ((f.kind, f.severity, frozenset(f.files)) for f in report.findings if f.severity != "note")


def test_nothing_is_wrong_with_clean_photos(photos: Path) -> None:
    report = examined(photos)
    assert report.findings == ()
    assert report.verdict == "good"


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.plant.__name__ for fault in FAULTS])
def test_a_fault_is_found_and_nothing_else(photos: Path, fault: Fault) -> None:
    fault.plant(photos)
    report = examined(photos)
    expected = (fault.kind, fault.severity, fault.files)
    assert expected in [(f.kind, f.severity, frozenset(f.files)) for f in report.findings]
    assert [found for found in serious(report) if found != expected] == []


def test_all_faults_are_found_side_by_side(photos: Path) -> None:
    for fault in FAULTS:
        fault.plant(photos)
    report = examined(photos)
    found = {(f.kind, f.severity, frozenset(f.files)) for f in report.findings}
    assert {(fault.kind, fault.severity, fault.files) for fault in FAULTS} - found == set()
    assert set(serious(report)) - {(fault.kind, fault.severity, fault.files) for fault in FAULTS} == set()


def test_what_the_doctor_would_leave_out_makes_the_data_right(photos: Path, tmp_path: Path) -> None:
    for fault in FAULTS:
        if fault.plant not in (empty_class, only_in_train):  # what no file is to blame for
            fault.plant(photos)
    list_file = tmp_path / "leave_out.txt"
    data = Data(source=Folder(path=str(photos)))
    fix_list.write(list_file, examined(photos), data)
    after = examined(photos, list_file)
    assert [finding for finding in after.findings if finding.severity == "error"] == []
    names = {Path(name) for name in list_file.read_text().splitlines() if not name.startswith("#")}
    assert Path("train/dog/03.jpg") in names
    assert Path("test/dog/again.jpg") not in names, "what judges stays"
