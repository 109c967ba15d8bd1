from __future__ import annotations

import errno
import hashlib
import io
import json

import pytest

from cnnkit.core.errors import DiskError, TrainingError
from cnnkit.core.lazy import h5py, keras, np
from cnnkit.runs import checkpoints


def network(units=3):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units, name="dense")])


@pytest.fixture
def saved(tmp_path):
    """A folder in which epochs 3 and 7 of a network were saved, and the network."""
    folder = tmp_path / "checkpoints"
    model = network()
    checkpoints.save(model, folder, "best", 3, {"metrics": {"loss": 1.0}})
    model.set_weights([weight + 1 for weight in model.get_weights()])
    checkpoints.save(model, folder, "best", 7, {"metrics": {"loss": 0.5}})
    return folder, model


def test_what_was_saved_is_loaded(saved):
    folder, model = saved
    other = network()
    facts = checkpoints.load(other, folder, "best")
    assert facts["epoch"] == 7 and facts["metrics"] == {"loss": 0.5}
    for ours, theirs in zip(other.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_only_the_last_of_a_name_is_left(saved):
    folder, model = saved
    assert sorted(path.name for path in folder.iterdir()) == ["best-0007.weights.h5", "best.json"]
    checkpoints.save(model, folder, "last", 9, {})
    names = ["best-0007.weights.h5", "best.json", "last-0009.weights.h5", "last.json"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_the_hash_is_that_of_the_file(saved):
    folder, _ = saved
    pointer = json.loads((folder / "best.json").read_text())
    assert pointer["sha256"] == hashlib.sha256((folder / pointer["file"]).read_bytes()).hexdigest()


def test_the_same_epoch_can_be_saved_again(saved):
    folder, model = saved
    checkpoints.save(model, folder, "best", 7, {"metrics": {"loss": 0.4}})
    assert checkpoints.load(network(), folder, "best")["metrics"] == {"loss": 0.4}


def test_without_a_checkpoint_it_says_so(tmp_path):
    with pytest.raises(TrainingError, match="no checkpoint yet"):
        checkpoints.load(network(), tmp_path / "checkpoints", "best")


def flip_a_bit(folder):
    file = folder / "best-0007.weights.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_short(folder):
    file = folder / "best-0007.weights.h5"
    file.write_bytes(file.read_bytes()[:-10])


def remove(folder):
    (folder / "best-0007.weights.h5").unlink()


def pointer(content):
    def harm(folder):
        (folder / "best.json").write_bytes(content)

    return harm


HARM = [flip_a_bit, cut_short, remove]
POINTERS = [b"", b'{"epoch": 7, "fi', b"\xff\xfe\x00", b"{}", b"[]", b"null", b'{"epoch": 7}']


@pytest.mark.parametrize(
    "harm", [*HARM, *map(pointer, POINTERS)], ids=[h.__name__ for h in HARM] + list(map(str, POINTERS))
)
def test_a_damaged_checkpoint_is_refused_and_named(saved, harm):
    folder, _ = saved
    harm(folder)
    with pytest.raises(TrainingError, match="best") as raised:
        checkpoints.load(network(), folder, "best")
    assert raised.value.exit_code == 4


def test_weights_of_another_network_are_refused(saved):
    with pytest.raises(TrainingError, match="does not fit"):
        checkpoints.load(network(units=4), saved[0], "best")


def test_a_crash_between_weights_and_pointer_leaves_the_old_pair(saved, monkeypatch):
    folder, model = saved

    def crash(*_):
        raise KeyboardInterrupt

    before = model.get_weights()
    model.set_weights([weight + 1 for weight in before])
    monkeypatch.setattr(checkpoints.atomic, "write_json", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(model, folder, "best", 8, {})
    other = network()
    assert checkpoints.load(other, folder, "best")["epoch"] == 7
    assert np.array_equal(other.get_weights()[0], before[0])


def held(file):
    """All that an HDF5 file holds: the attributes of each group and array, and the bytes of each array."""
    found = {}

    def note(name, part):
        array = (part.shape, str(part.dtype), part[()].tobytes()) if isinstance(part, h5py.Dataset) else None
        found[name] = {key: str(value) for key, value in part.attrs.items()}, array

    with h5py.File(file) as opened:
        opened.visititems(note)
    return found


def test_what_is_serialised_in_memory_is_what_keras_writes(tmp_path):
    """The state of a dropout layer, a network within another and one without weights are saved too."""
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    outer = keras.Sequential([keras.Input((3,)), inner, keras.layers.BatchNormalization()])
    for model in (network(), outer, keras.Sequential([keras.Input((3,)), keras.layers.Flatten()])):
        model.save_weights(tmp_path / "theirs.weights.h5")
        content = checkpoints.serialised(model)
        assert held(io.BytesIO(content)) == held(tmp_path / "theirs.weights.h5")
        assert checkpoints.serialised(model) == content


@pytest.mark.parametrize("taken", [0, 2000, 20_000])
def test_on_a_full_disk_the_old_pair_stands_and_nothing_else(saved, disk, taken):
    """Full before the weights, within them, and between them and the file that names them."""
    folder, model = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    size = len(checkpoints.serialised(model))
    disk.fail(errno.ENOSPC, taken=size if taken > size else taken)
    with pytest.raises(DiskError, match="is full"):
        checkpoints.save(model, folder, "best", 8, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert checkpoints.load(network(), folder, "best")["epoch"] == 7
