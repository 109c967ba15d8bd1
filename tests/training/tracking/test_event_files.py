"""Event files, read back by TensorBoard's own readers and by TensorFlow's."""

from __future__ import annotations

import errno

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnnkit.core.errors import DiskError
from cnnkit.core.lazy import tf
from cnnkit.training.tracking.event_files import EventFiles, picture, scalar, text


def points(folder, tag):
    """A curve as TensorBoard reads it."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def test_tensorboard_reads_curves_texts_and_pictures(tmp_path):
    events = EventFiles(tmp_path / "events")
    events.add(1, scalar("epoch/loss", 0.5), scalar("epoch/accuracy", 0.75))
    events.add(2, scalar("epoch/loss", 0.25))
    events.add(0, text("config", "a: ü"))
    events.add(0, picture("sheet", b"\x89PNG", (3, 2)))
    read = EventAccumulator(str(tmp_path / "events")).Reload()
    assert points(tmp_path / "events", "epoch/loss") == [(1, 0.5), (2, 0.25)]
    assert points(tmp_path / "events", "epoch/accuracy") == [(1, 0.75)]
    assert read.Tensors("config")[0].tensor_proto.string_val == ["a: ü".encode()]
    assert read.SummaryMetadata("config").plugin_data.plugin_name == "text"
    image = read.Images("sheet")[0]
    assert (image.width, image.height, image.encoded_image_string) == (3, 2, b"\x89PNG")


def test_the_records_are_those_of_tensorflow(tmp_path):
    """Its reader checks both checksums of each."""
    events = EventFiles(tmp_path)
    for step in range(3):
        events.add(step, scalar("a", step), text("b", "x" * 1000))
    (file,) = tmp_path.iterdir()
    records = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    assert records[0].file_version == "brain.Event:2"
    assert [record.step for record in records[1:]] == [0, 1, 2]
    assert "tfevents" in file.name


def test_what_a_resume_records_again_is_taken_out_and_a_new_file_goes_on(tmp_path):
    before = EventFiles(tmp_path)
    for step in (1, 2, 3, 4):
        before.add(step, scalar("a", step))
    events = EventFiles(tmp_path)
    events.cut(lambda step, tag: step <= 2)
    for step in (3, 4, 5):
        events.add(step, scalar("a", 10 * step))
    assert points(tmp_path, "a") == [(1, 1), (2, 2), (3, 30), (4, 40), (5, 50)]
    first, second = sorted(tmp_path.iterdir())  # in the order in which TensorBoard reads them
    assert points(first, "a") == [(1, 1), (2, 2)]
    assert points(second, "a") == [(3, 30), (4, 40), (5, 50)]


@pytest.mark.parametrize("lost", [1, 5, 20, 30])
def test_what_a_crash_has_left_half_written_is_taken_out(tmp_path, lost):
    before = EventFiles(tmp_path)
    before.add(1, scalar("a", 1))
    before.add(2, scalar("a", 2))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-lost])
    events = EventFiles(tmp_path)
    events.cut(lambda step, tag: True)
    events.add(2, scalar("a", 2))
    assert points(tmp_path, "a") == [(1, 1), (2, 2)]


def test_a_damaged_record_is_taken_out_with_all_behind_it(tmp_path):
    before = EventFiles(tmp_path)
    for step in (1, 2, 3):
        before.add(step, scalar("a", step))
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    size = (len(content) - content.index(b"\x0a", 30)) // 3
    content[-size - 8] ^= 1
    file.write_bytes(content)
    EventFiles(tmp_path).cut(lambda step, tag: True)
    assert points(tmp_path, "a") in ([(1, 1)], [(1, 1), (2, 2)])


def test_a_file_is_left_alone_where_all_of_it_stays(tmp_path):
    EventFiles(tmp_path).add(1, scalar("a", 1))
    (file,) = tmp_path.iterdir()
    before = file.stat().st_ino
    EventFiles(tmp_path).cut(lambda step, tag: True)
    assert file.stat().st_ino == before


def test_what_a_link_leads_to_is_left_alone(tmp_path):
    """As in the folder of a run that came from somebody else."""
    precious = tmp_path / "precious"
    precious.write_text("text")
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "events.out.tfevents.1.x").symlink_to(precious)
    events = EventFiles(folder)
    events.cut(lambda step, tag: False)
    events.add(1, scalar("a", 1))
    assert precious.read_text() == "text"
    (tmp_path / "link").symlink_to(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for work in (lambda events: events.cut(lambda step, tag: False), lambda events: events.add(1, scalar("a", 1))):
        with pytest.raises(OSError, match="is a link"):
            work(EventFiles(tmp_path / "link"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_on_a_full_disk_a_record_is_written_whole_or_not_at_all(tmp_path, disk):
    events = EventFiles(tmp_path)
    events.add(1, scalar("a", 1))
    disk.fail(errno.ENOSPC, taken=20)
    with pytest.raises(DiskError, match="is full"):
        events.add(2, scalar("a", 2))
    assert points(tmp_path, "a") == [(1, 1)]
