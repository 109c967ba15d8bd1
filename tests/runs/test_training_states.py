"""States on disk: what is saved is had again, what is damaged or hostile is named, and the one before is used."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import resource
import struct
from hashlib import sha256
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from cnnkit.core.errors import DiskError, TrainingError
from cnnkit.runs import training_states
from cnnkit.runs.training_states import Position

GIB = 2**30


def arrays(seed=0):
    """One of each kind, in an order of no kind."""
    random = np.random.default_rng(seed)
    return {
        "0000:dense/kernel": random.normal(size=(3, 4)).astype(np.float32),
        "seeds": np.array([seed, 2**32 - 1], np.uint32),
        "iterations": np.array(7 + seed, np.int64),
        "flag": np.array(True),
        "half": random.normal(size=5).astype(np.float16),
        "bfloat": random.normal(size=(2, 1, 3)).astype(ml_dtypes.bfloat16),
        "double": np.array([np.nan, np.inf, -0.0]),
        "empty": np.empty((0, 3), np.float32),
        "bytes": np.arange(3, dtype=np.uint8),
        "signed": np.arange(-1, 2, dtype=np.int8),
    }


def facts(stage=1, epoch=0, update=0, **more):
    return {"stage": stage, "epoch": epoch, "update": update, **more}


MORE = {"observers": {"StopEarly": {"best": 0.1 + 0.2, "waited": 3}}, "last": float("nan"), "none": None, "ü": [1]}


@pytest.fixture
def folder(tmp_path):
    """A folder with states after 3 epochs, and after 3 epochs and 40 updates."""
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    training_states.save(folder, arrays(1), facts(epoch=3))
    training_states.save(folder, arrays(2), facts(epoch=3, update=40, **MORE))
    return folder


OLDER, NEWER = "state-01-0003-00000000", "state-01-0003-00000040"


def same(ours, theirs):
    return list(ours) == list(theirs) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(ours.values(), theirs.values(), strict=True)
    )


def test_what_was_saved_is_had_again_to_the_last_bit(folder):
    state = training_states.newest(folder, pytest.fail)
    assert same(state.arrays, arrays(2))
    assert repr(state.facts) == repr(facts(epoch=3, update=40, **MORE))  # NaN is not equal to itself
    assert state.position == Position(1, 3, 40) and str(state.position) == "3 epochs and 40 updates"
    assert same(training_states.read(folder, Position(1, 3, 0)).arrays, arrays(1))


def test_the_files_are_those_of_the_format_and_named_by_their_position(folder):
    names = {f"{name}.{ending}" for name in (OLDER, NEWER) for ending in ("json", "safetensors")}
    assert {path.name for path in folder.iterdir()} == names
    content = (folder / f"{NEWER}.safetensors").read_bytes()
    assert json.loads((folder / f"{NEWER}.json").read_text()) == {
        "stage": 1,
        "epoch": 3,
        "update": 40,
        "file": f"{NEWER}.safetensors",
        "bytes": len(content),
        "sha256": sha256(content).hexdigest(),
    }
    plain = {name: array for name, array in arrays(2).items() if name != "bfloat"}
    theirs = safetensors.numpy.load_file(folder / f"{NEWER}.safetensors")
    assert all(theirs[name].tobytes() == array.tobytes() for name, array in plain.items())


@pytest.mark.parametrize(
    ("earlier", "later"), [((1, 9, 5), (1, 10, 0)), ((1, 9999, 3), (1, 10000, 0)), ((1, 4, 7), (2, 4, 0))]
)
def test_later_states_are_newer_whatever_their_names_look_like(tmp_path, earlier, later):
    for position in (later, earlier):
        training_states.save(tmp_path, arrays(), facts(*position))
    assert training_states.newest(tmp_path, pytest.fail).position == later


def test_arrays_of_another_network_are_refused_before_any_is_read(folder, monkeypatch):
    state = training_states.newest(folder, pytest.fail)
    monkeypatch.setattr(type(state), "arrays", property(lambda _: pytest.fail("read")))
    fitting = {name: (array.shape, array.dtype.name) for name, array in arrays().items()}
    state.require(fitting)
    for change, words in (
        ({"half": ((6,), "float16")}, "half is 5 float16 there and 6 float16 here"),
        ({"iterations": ((), "int32")}, "iterations is scalar int64 there and scalar int32 here"),
        ({"more": ((1, 2), "bool")}, "more is not there and 1x2 bool here"),
    ):
        with pytest.raises(TrainingError, match=f"is of another network or optimizer: {words}"):
            state.require(fitting | change)
    with pytest.raises(TrainingError, match="seeds is 2 uint32 there and not here"):
        state.require({name: layout for name, layout in fitting.items() if name != "seeds"})


# What is damaged or hostile. Each takes the folder, and the files of the newer state and of the older.


def flip_a_bit(data, pointer, _):
    content = bytearray(data.read_bytes())
    content[-3] ^= 1
    data.write_bytes(content)


def flip_a_bit_of_the_header(data, pointer, _):
    content = data.read_bytes()
    data.write_bytes(content.replace(b'"F32"', b'"I32"', 1))


def cut_short(data, pointer, _):
    data.write_bytes(data.read_bytes()[:-10])


def longer(data, pointer, _):
    data.write_bytes(data.read_bytes() + b"more")


def remove(data, pointer, _):
    data.unlink()


def swap(data, pointer, older):
    own, other = data.read_bytes(), older.read_bytes()
    data.write_bytes(other)
    older.write_bytes(own)


def take_the_files_of_another(data, pointer, older):
    data.write_bytes(older.read_bytes())
    pointer.write_text(older.with_suffix(".json").read_text())


def named(data, pointer, content=None, **changes):
    """Puts other content in place, for which the pointer has the right size and hash."""
    if content is not None:
        data.write_bytes(content)
    content = data.read_bytes()
    told = json.loads(pointer.read_text()) | {"bytes": len(content), "sha256": sha256(content).hexdigest()} | changes
    pointer.write_text(json.dumps(told))


def file(header, rest=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + rest


def another_position(data, pointer, older):
    named(data, pointer, older.read_bytes())


def a_pickle(data, pointer, _):
    class Harm:
        def __reduce__(self):
            return exec, ("raise SystemExit(1)",)

    named(data, pointer, pickle.dumps(Harm()))


def text(data, pointer, _):
    named(data, pointer, b"weights")


def nothing(data, pointer, _):
    named(data, pointer, b"")


METADATA = {
    "facts": json.dumps(facts(epoch=3, update=40)),
    "order": '["a"]',
}


def headed(entry, rest=b"", **metadata):
    def harm(data, pointer, _):
        named(data, pointer, file({"__metadata__": METADATA | metadata, "a": entry}, rest))

    return harm


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def twice(data, pointer, _):
    part = json.dumps(entry([1], 0, 4))
    header = f'{{"__metadata__": {json.dumps(METADATA)}, "a": {part}, "a": {json.dumps(entry([1], 4, 8))}}}'
    named(data, pointer, file(header.encode(), bytes(8)))


def giant_header(data, pointer, _):
    named(data, pointer, file(b"{}", length=10 * GIB))


def deep_facts(data, pointer, _):
    headed(entry([1], 0, 4), bytes(4), facts="[" * 100_000)(data, pointer, _)


def link(data, pointer, _):
    outside = data.parents[2] / "outside"
    data.rename(outside)
    data.symlink_to(outside)


def link_for_a_pointer(data, pointer, _):
    outside = data.parents[2] / "outside"
    pointer.rename(outside)
    pointer.symlink_to(outside)


def folder_for_a_file(data, pointer, _):
    data.unlink()
    data.mkdir()


def told(content):
    def harm(data, pointer, _):
        pointer.write_bytes(content)

    return harm


def tells(**changes):
    def harm(data, pointer, _):
        pointer.write_text(json.dumps(json.loads(pointer.read_text()) | changes))

    return harm


DAMAGED, REFUSED, DATA, POINTER = "is damaged", "is refused", f"{NEWER}.safetensors", f"{NEWER}.json"

HARM = {
    "a bit": (flip_a_bit, DATA, "its SHA-256 is not the one it was saved with"),
    "a bit of the header": (flip_a_bit_of_the_header, DATA, "its SHA-256 is not"),
    "cut short": (cut_short, DATA, r"it has [\d,]+ bytes of"),
    "longer": (longer, DATA, r"it has [\d,]+ bytes of"),
    "removed": (remove, DATA, "is missing"),
    "another's files": (take_the_files_of_another, POINTER, f"it should be of {NEWER}"),
    "another's arrays, renamed": (another_position, DATA, "its header is not that of"),
    "a pickle": (a_pickle, DATA, DAMAGED),
    "a text": (text, DATA, DAMAGED),
    "nothing": (nothing, DATA, DAMAGED),
    "10 GB in a shape": (headed(entry([10 * GIB // 4], 0, 10 * GIB), bytes(4)), DATA, DAMAGED),
    "10 GB in a shape alone": (headed(entry([10 * GIB // 4], 0, 4), bytes(4)), DATA, DAMAGED),
    "more than any machine has": (headed(entry([2**40, 2**40], 0, 4), bytes(4)), DATA, DAMAGED),
    "a negative shape": (headed(entry([-1], 0, 4), bytes(4)), DATA, DAMAGED),
    "a shape of NaN": (headed(entry([float("nan")], 0, 4), bytes(4)), DATA, DAMAGED),
    "a shape that is none": (headed(entry("many", 0, 4), bytes(4)), DATA, DAMAGED),
    "a hole": (headed(entry([1], 4, 8), bytes(8)), DATA, DAMAGED),
    "more than is told of": (headed(entry([1], 0, 4), bytes(8)), DATA, DAMAGED),
    "a type of no kind": (headed(entry([1], 0, 4, "O32"), bytes(4)), DATA, DAMAGED),
    "a type that is not saved": (headed(entry([4], 0, 4, "F8_E5M2"), bytes(4)), DATA, DAMAGED),
    "two of a name": (twice, DATA, DAMAGED),
    "a header of 10 GB": (giant_header, DATA, DAMAGED),
    "facts that are none": (headed(entry([1], 0, 4), bytes(4), facts="[1]"), DATA, DAMAGED),
    "facts without an end": (deep_facts, DATA, DAMAGED),
    "an order of others": (headed(entry([1], 0, 4), bytes(4), order='["b"]'), DATA, DAMAGED),
    "a link": (link, DATA, "is refused: it is a link"),
    "a link for a pointer": (link_for_a_pointer, POINTER, "is refused: it is a link"),
    "a folder": (folder_for_a_file, DATA, "is refused: it is no file"),
    "a pointer of nothing": (told(b""), POINTER, DAMAGED),
    "a pointer that is half there": (told(b'{"stage": 1, "epo'), POINTER, DAMAGED),
    "a pointer of bytes": (told(b"\xff\xfe\x00"), POINTER, DAMAGED),
    "a pointer that is a list": (told(b"[]"), POINTER, DAMAGED),
    "a pointer without an end": (told(b"[" * 4000), POINTER, DAMAGED),
    "a pointer of 10 MB": (told(b" " * 10_000_000), POINTER, "it is far too large"),
    "a pointer elsewhere": (tells(file="../../outside"), POINTER, "it should be of"),
    "a pointer to a folder": (tells(file="/etc/passwd"), POINTER, "it should be of"),
    "a pointer of another epoch": (tells(epoch=4), POINTER, "it should be of"),
    "a pointer with another hash": (tells(sha256="0" * 64), DATA, "its SHA-256 is not"),
    "a pointer with a hash that is none": (tells(sha256=None), POINTER, "should tell bytes and sha256"),
    "a pointer with a size that is none": (tells(bytes=True), POINTER, "should tell bytes and sha256"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_is_damaged_or_means_harm_is_named_and_the_one_before_is_used(folder, harm):
    do, file_named, words = HARM[harm]
    do(folder / DATA, folder / POINTER, folder / f"{OLDER}.safetensors")
    said = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    state = training_states.newest(folder, said.append)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB
    assert state.position == Position(1, 3, 0) and same(state.arrays, arrays(1))
    (line,) = said
    assert line.startswith(str(folder / file_named)) and re.search(words, line) and "\n" not in line
    assert line.endswith("; the state after 3 epochs is used") and len(line) < len(str(folder)) + 300


@pytest.mark.parametrize("harm", ["removed", "damaged", "elsewhere"])
def test_a_state_whose_best_weights_are_not_what_they_were_is_not_used_either(folder, harm):
    weights = folder / "best-0004.weights.h5"
    weights.write_bytes(b"weights")
    best = {"epoch": 4, "file": weights.name, "sha256": sha256(b"weights").hexdigest()}
    if harm == "elsewhere":
        best["file"] = "../best-0004.weights.h5"
    training_states.save(folder, arrays(3), facts(epoch=4, best_checkpoint=best))
    if harm == "removed":
        weights.unlink()
    if harm == "damaged":
        weights.write_bytes(b"weighty")
    said = []
    assert training_states.newest(folder, said.append).position == Position(1, 3, 40)
    (line,) = said
    assert "0004" in line and line.endswith("; the state after 3 epochs and 40 updates is used")


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
@pytest.mark.parametrize("file", [DATA, POINTER, "best-0003.weights.h5"])
def test_what_the_disk_does_not_give_back_is_named_and_the_one_before_is_used(folder, monkeypatch, file, number):
    (folder / "best-0003.weights.h5").write_bytes(b"weights")
    best = {"epoch": 3, "file": "best-0003.weights.h5", "sha256": sha256(b"weights").hexdigest()}
    training_states.save(folder, arrays(2), facts(epoch=3, update=40, best_checkpoint=best))
    before = Path.open

    def failing(path, *arguments, **options):
        if path == folder / file:
            raise OSError(number, os.strerror(number), str(path))
        return before(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", failing)
    said = []
    assert training_states.newest(folder, said.append).position == Position(1, 3, 0)
    assert said == [f"{folder / file} can't be read: {os.strerror(number)}; the state after 3 epochs is used"]


def test_where_two_are_swapped_both_are_named_and_none_is_used(folder):
    swap(folder / DATA, folder / POINTER, folder / f"{OLDER}.safetensors")
    with pytest.raises(TrainingError) as raised:
        training_states.newest(folder, pytest.fail)
    first, second, last = str(raised.value).splitlines()
    assert NEWER in first and OLDER in second
    assert last.startswith(f"{folder.parent} has no other state to go on from; train it anew with: cnnkit train ")


def test_without_a_state_it_says_so(tmp_path):
    with pytest.raises(TrainingError, match="has no state to go on from: none was saved before it ended"):
        training_states.newest(tmp_path / "run" / "checkpoints", pytest.fail)


def test_10_gb_of_nothing_are_not_read_into_memory(folder):
    """A file with a hole in it takes no room on the disk, and may have any hash that its pointer tells."""
    header = file({"__metadata__": METADATA, "a": entry([10 * GIB // 4], 0, 10 * GIB)})
    with (folder / DATA).open("wb") as sparse:
        sparse.write(header)
        sparse.truncate(len(header) + 10 * GIB)
    tells(bytes=len(header) + 10 * GIB)(folder / DATA, folder / POINTER, None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    state = training_states._state(folder / DATA, Position(1, 3, 40))  # as if the hash were right
    with pytest.raises(TrainingError, match="a is 2684354560 float32 there and 3x4 float32 here"):
        state.require({"a": ((3, 4), "float32")})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


# What ends a save.

MOMENTS = ["written", "synced", "renamed", "named"]


@pytest.mark.parametrize("where", MOMENTS)
def test_an_end_at_any_moment_leaves_the_states_before(folder, monkeypatch, where):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    seen = []

    def end(moment):
        seen.append(moment)
        if moment == where:
            raise KeyboardInterrupt

    monkeypatch.setattr(training_states, "_pause", end)
    with pytest.raises(KeyboardInterrupt):
        training_states.save(folder, arrays(3), facts(epoch=4))
    assert seen == MOMENTS[: MOMENTS.index(where) + 1]
    assert before.items() <= {path.name: path.read_bytes() for path in folder.iterdir()}.items()
    newest = training_states.newest(folder, pytest.fail)
    assert newest.position == (Position(1, 4, 0) if where == "named" else Position(1, 3, 40))


@pytest.mark.parametrize("taken", [0, 500, "all"])
def test_on_a_full_disk_the_states_before_stand_and_nothing_else(folder, disk, taken):
    """Full before the arrays, within them, and between them and the file that names them."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    disk.fail(errno.ENOSPC, taken=(folder / f"{OLDER}.safetensors").stat().st_size if taken == "all" else taken)
    with pytest.raises(DiskError, match="is full"):
        training_states.save(folder, arrays(3), facts(epoch=4))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_disk_that_gives_back_something_else_is_told(folder, monkeypatch):
    before = {path.name for path in folder.iterdir()}

    def harm(moment):
        if moment == "synced":
            (written,) = folder.glob(".writing-*")
            flip_a_bit(written, None, None)

    monkeypatch.setattr(training_states, "_pause", harm)
    with pytest.raises(DiskError, match=r"0004-00000000\.safetensors does not hold what was written to it"):
        training_states.save(folder, arrays(3), facts(epoch=4))
    assert {path.name for path in folder.iterdir()} == before
