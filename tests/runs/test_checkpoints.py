from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import zipfile

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
    checkpoints.save(checkpoints.Weights.of(model), folder, "best", 3, {"metrics": {"loss": 1.0}})
    model.set_weights([weight + 1 for weight in model.get_weights()])
    checkpoints.save(checkpoints.Weights.of(model), folder, "best", 7, {"metrics": {"loss": 0.5}})
    checkpoints.remove_others(folder, "best", {"best-0007.weights.h5"})
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
    checkpoints.save(checkpoints.Weights.of(model), folder, "last", 9, {})
    names = ["best-0007.weights.h5", "best.json", "last-0009.weights.h5", "last.json"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_the_hash_is_that_of_the_file(saved):
    folder, _ = saved
    pointer = json.loads((folder / "best.json").read_text())
    assert pointer["sha256"] == hashlib.sha256((folder / pointer["file"]).read_bytes()).hexdigest()


def test_weights_that_were_looked_into_are_read_again_only_where_the_file_is_another(saved, monkeypatch):
    folder, _ = saved
    weights, hashed, seen = folder / "best-0007.weights.h5", [], {}
    sha256 = checkpoints.reading.sha256
    monkeypatch.setattr(checkpoints.reading, "sha256", lambda path: hashed.append(path) or sha256(path))
    for _ in range(2):
        checkpoints.verified(folder, "best", seen)
    checkpoints.load(network(), folder, "best", seen)
    assert hashed == [weights]
    content, facts = weights.read_bytes(), weights.stat()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(weights, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(TrainingError, match="is damaged"):
        checkpoints.load(network(), folder, "best", seen)


def test_the_same_epoch_can_be_saved_again(saved):
    folder, model = saved
    checkpoints.save(checkpoints.Weights.of(model), folder, "best", 7, {"metrics": {"loss": 0.4}})
    assert checkpoints.load(network(), folder, "best")["metrics"] == {"loss": 0.4}


def test_who_removes_old_weights_may_find_them_gone_and_is_told_of_a_disk_that_fails(saved, monkeypatch):
    folder, _ = saved
    (folder / "best-0007.weights.h5").unlink()
    monkeypatch.setattr(checkpoints, "files", lambda *_: ["best-0007.weights.h5"])  # it was there a moment ago
    checkpoints.remove_others(folder, "best", ())

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(checkpoints.Path, "unlink", read_only)
    with pytest.raises(DiskError, match="is read-only"):
        checkpoints.remove_others(folder, "best", ())


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
WHOLE = '{"epoch": %s, "file": %s, "sha256": %s}'
POINTERS = [
    b"",
    b'{"epoch": 7, "fi',
    b"\xff\xfe\x00",
    b"{}",
    b"[]",
    b"null",
    b'{"epoch": 7}',
    (WHOLE % ("8", '"best-0007.weights.h5"', '"0"')).encode(),
    (WHOLE % ("[7]", '"best-0007.weights.h5"', '"0"')).encode(),
    (WHOLE % ("7", '"best-0007.weights.h5"', "null")).encode(),
    (WHOLE % ("7", '"../best-0007.weights.h5"', '"0"')).encode(),
    (WHOLE % ("7", '"/etc/passwd"', '"0"')).encode(),
    (WHOLE % ("7", '".."', '"0"')).encode(),
    (WHOLE % ("7", '""', '"0"')).encode(),
    b"[" * 60_000,
    b" " * 10_000_000,
]


@pytest.mark.parametrize(
    "harm", [*HARM, *map(pointer, POINTERS)], ids=[h.__name__ for h in HARM] + [str(text[:60]) for text in POINTERS]
)
def test_a_damaged_checkpoint_is_refused_and_named(saved, harm):
    folder, _ = saved
    harm(folder)
    with pytest.raises(TrainingError, match="best") as raised:
        checkpoints.load(network(), folder, "best")
    assert raised.value.exit_code == 4


# Files that mean harm, with the hash that the run has for them.


def within(change):
    def harm(folder, file):
        with h5py.File(file, "a") as opened:
            change(opened, folder)

    return harm


def kernel_is(make):
    def change(opened, folder):
        del opened["layers/dense/vars/0"]
        make(opened, "layers/dense/vars/0", folder)

    return within(change)


def elsewhere(opened, name, folder):
    with h5py.File(folder / "secret.h5", "w") as file:
        file["numbers"] = np.ones((2, 3), np.float32)
    opened[name] = h5py.ExternalLink("secret.h5", "numbers")


def raw(opened, name, folder):
    (folder / "secret").write_bytes(bytes(24))
    opened.create_dataset(name, (2, 3), "f4", external=[(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)])


def virtual(opened, name, folder):
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "numbers", (2, 3))
    opened.create_virtual_dataset(name, layout)


def soft(opened, name, _):
    opened[name] = h5py.SoftLink("/layers/dense/vars/1")


def claims_10_gb(opened, name, _):
    opened.create_dataset(name, (2**31, 5), "u1", chunks=(2**20, 5))


def contiguous_10_gb(opened, name, _):
    opened.create_dataset(name, (2**31, 5), "u1")


def packed(opened, name, _):
    opened.create_dataset(name, data=np.zeros((10**6, 5), np.float32), compression=9)


def objects(opened, name, _):
    opened.create_dataset(name, (2, 3), h5py.string_dtype())


def references(opened, name, _):
    opened.create_dataset(name, (2, 3), h5py.ref_dtype)


def records(opened, name, _):
    opened.create_dataset(name, (2, 3), [("a", "f4"), ("b", "f4")])


def a_type(opened, name, _):
    opened[name] = np.dtype("f4")


def around(opened, folder):
    opened["layers/dense/again"] = opened["layers"]


def deep(opened, folder):
    opened.create_group("layers/" + "/".join("x" * 40))


def pickled(opened, folder):
    opened["layers/dense/vars"].attrs["name"] = np.void(pickle.dumps(print))


def texts(opened, folder):
    opened["layers/dense/vars"].attrs["name"] = ["text" * 1000] * 1000


def of_an_array(opened, folder):
    opened["layers/dense/vars/0"].attrs.create("dtype", ["bfloat16"] * 9, dtype=h5py.string_dtype())


def a_reference(opened, folder):
    opened["layers"].attrs["to"] = opened["layers"].ref


def a_pickle(folder, file):
    file.write_bytes(pickle.dumps(print))


def an_archive(folder, file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.weights.h5", b"x")


HOSTILE = {
    "a link elsewhere": (kernel_is(elsewhere), "is a link, which may lead elsewhere"),
    "numbers elsewhere": (kernel_is(raw), "lie in other files"),
    "numbers of another file": (kernel_is(virtual), "lie in other files"),
    "a link within": (kernel_is(soft), "is a link, which may lead elsewhere"),
    "10 GB": (kernel_is(claims_10_gb), "claims 10.7 GB, and the file has"),
    "10 GB in a piece": (kernel_is(contiguous_10_gb), "claims 10.7 GB, and the file has"),
    "packed numbers": (kernel_is(packed), "claims 20 MB, and the file has"),
    "objects": (kernel_is(objects), "should hold numbers"),
    "references": (kernel_is(references), "should hold numbers"),
    "records": (kernel_is(records), "should hold numbers"),
    "a type": (kernel_is(a_type), "should be a dataset"),
    "groups around": (within(around), "inside one another"),
    "deep groups": (within(deep), "inside one another"),
    "many long texts": (within(texts), "is no text of Keras"),
    "texts of an array": (within(of_an_array), "is no text of Keras"),
    "a reference": (within(a_reference), "is no text of Keras"),
    "a pickle": (a_pickle, "it is no HDF5 file"),
    "an archive": (an_archive, "it is no HDF5 file"),
}


def with_its_hash(folder, file):
    told = json.loads((folder / "best.json").read_text())
    told["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "best.json").write_text(json.dumps(told))


@pytest.mark.parametrize("harm", HOSTILE)
def test_a_file_that_means_harm_is_refused_before_keras_reads_it(saved, monkeypatch, harm):
    folder, _ = saved
    do, words = HOSTILE[harm]
    file = folder / "best-0007.weights.h5"
    do(folder, file)
    with_its_hash(folder, file)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: pytest.fail("read"))
    with pytest.raises(TrainingError, match=words) as raised:
        checkpoints.load(network(), folder, "best")
    assert str(raised.value).startswith(f"{file} is ") or str(raised.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    "harm", [*map(pointer, [*POINTERS, (WHOLE % ("3", '"best-0003.weights.h5"', '"0"')).encode()])]
)
def test_whatever_names_the_weights_is_put_back_and_what_was_damaged_named(saved, harm):
    folder, _ = saved
    known, said = checkpoints.read(folder, "best"), []
    checkpoints.put_back(folder, "best", known, pytest.fail)
    harm(folder)
    checkpoints.put_back(folder, "best", known, said.append)
    assert checkpoints.verified(folder, "best") == (folder / "best-0007.weights.h5", known)
    assert all(line.endswith("; it is written anew") and "best.json is damaged" in line for line in said)


def test_an_attribute_that_nobody_reads_does_no_harm(saved):
    folder, model = saved
    within(pickled)(folder, folder / "best-0007.weights.h5")
    with_its_hash(folder, folder / "best-0007.weights.h5")
    other = network()
    checkpoints.load(other, folder, "best")
    assert np.array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_link_out_of_the_run_is_refused(saved):
    folder, _ = saved
    file = folder / "best-0007.weights.h5"
    file.rename(folder.parent / "outside")
    file.symlink_to(folder.parent / "outside")
    with pytest.raises(TrainingError, match="is refused: it is a link, and leads out of the run"):
        checkpoints.load(network(), folder, "best")


def test_weights_of_another_network_are_refused(saved):
    with pytest.raises(TrainingError, match="does not fit"):
        checkpoints.load(network(units=4), saved[0], "best")


@pytest.mark.parametrize("where", ["written", "synced", "renamed", "named"])
def test_a_crash_at_any_moment_leaves_the_old_pair_or_the_new_one(saved, monkeypatch, where):
    folder, model = saved
    before = model.get_weights()
    model.set_weights([weight + 1 for weight in before])

    def crash(moment):
        if moment == where:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "_pause", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(checkpoints.Weights.of(model), folder, "best", 8, {})
    other, whole = network(), where == "named"
    assert checkpoints.load(other, folder, "best")["epoch"] == (8 if whole else 7)
    assert np.array_equal(other.get_weights()[0], before[0] + whole)


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
        content = checkpoints.Weights.of(model).serialised()
        assert held(io.BytesIO(content)) == held(tmp_path / "theirs.weights.h5")
        assert checkpoints.Weights.of(model).serialised() == content


@pytest.mark.parametrize("taken", [0, 2000, 20_000])
def test_on_a_full_disk_the_old_pair_stands_and_nothing_else(saved, disk, taken):
    """Full before the weights, within them, and between them and the file that names them."""
    folder, model = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    size = len(checkpoints.Weights.of(model).serialised())
    disk.fail(errno.ENOSPC, taken=size if taken > size else taken)
    with pytest.raises(DiskError, match="is full"):
        checkpoints.save(checkpoints.Weights.of(model), folder, "best", 8, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert checkpoints.load(network(), folder, "best")["epoch"] == 7
