from __future__ import annotations

import errno
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cnnkit.core.errors import CnnkitError, DataError, DiskError
from cnnkit.core.lazy import keras, tf
from cnnkit.core.progress import Progress
from cnnkit.core.spec import FileText
from cnnkit.inspection.summary import formula, layer_rows
from cnnkit.models import AnyArchitecture, Hub

SHAPE = (32, 32, 3)
DECAY = 0.5  # as in conftest.py
NAMES = ["conv_kernel", "norm_gamma", "norm_beta", "dw_depthwise_kernel", "dense_kernel"]
STATISTICS = ["norm_moving_mean", "norm_moving_variance"]


def images(count=4, shape=SHAPE):
    return np.random.default_rng(5).integers(0, 256, (count, *shape)).astype(np.float32)


@pytest.fixture
def built(hub_folder):
    """A fresh network of the tiny SavedModel."""
    keras.utils.set_random_seed(1)
    return Hub(handle=str(hub_folder), pixel_range=(-1.0, 1.0)).build(SHAPE, 3)


def backbone(model):
    return model.get_layer("backbone")


def values(variables):
    return {variable.name: variable.numpy() for variable in variables}


def trained(model, **settings):
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), **settings)
    return model.fit(images(8), np.arange(8) % 3, batch_size=4, epochs=1, verbose=0).history["loss"][0]


# What the layer is


def test_features_are_those_of_the_saved_model(built, hub_folder):
    vector = keras.Model(built.input, backbone(built).output)(images()).numpy()
    expected = tf.saved_model.load(str(hub_folder))(tf.constant(images() / 127.5 - 1)).numpy()
    assert vector.shape == (4, 6)
    assert np.abs(expected).max() > 0.1
    assert np.abs(vector - expected).max() < 1e-5


@pytest.mark.parametrize("pixel_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-0.5, 0.25)])
def test_pixels_come_in_the_range_that_was_asked_for(hub_folder, pixel_range):
    low, high = pixel_range
    scaled = Hub(handle=str(hub_folder), pixel_range=pixel_range).scale(np.array([[[[0.0, 127.5, 255.0]]]]))
    assert np.abs(np.ravel(scaled) - [low, (low + high) / 2, high]).max() < 1e-4


def test_weights_have_the_names_and_the_order_of_the_saved_models_lists(built):
    layer = backbone(built)
    assert [weight.name for weight in layer.trainable_weights] == NAMES
    assert [weight.name for weight in layer.non_trainable_weights] == STATISTICS


def test_variables_that_are_not_listed_are_weights_too(tmp_path):
    odd = tf.train.Checkpoint()
    odd.w, odd.b = tf.Variable(tf.ones((3, 2)), name="w"), tf.Variable(tf.ones(2), name="b")
    odd.trainable_variables = [odd.w]
    odd.__call__ = tf.function(
        lambda x: tf.reduce_mean(x, [1, 2]) @ odd.w + odd.b, input_signature=[tf.TensorSpec((None, 8, 8, 3))]
    )
    tf.saved_model.save(odd, str(tmp_path / "odd"))
    layer = backbone(Hub(handle=str(tmp_path / "odd")).build((8, 8, 3), 2))
    assert [[w.name for w in layer.trainable_weights], [w.name for w in layer.non_trainable_weights]] == [["w"], ["b"]]


def test_a_weight_and_its_variable_share_their_memory(built):
    layer = backbone(built)
    before = built(images()).numpy()
    for weight in layer.weights:
        weight.assign(weight + 0.25)
    fresh = built(images()).numpy()
    assert np.abs(fresh - before).max() > 0.01
    for weight in layer.trainable_weights:
        weight.value.assign(weight.value - 0.25)
        assert np.array_equal(weight.numpy(), weight.value.numpy())


def test_a_keras_that_copies_variables_is_refused(hub_folder, monkeypatch):
    class Copying(keras.Variable):
        def _initialize(self, value):
            super()._initialize(tf.Variable(value) if isinstance(value, tf.Variable) else value)

    monkeypatch.setattr(keras, "Variable", Copying)
    with pytest.raises(CnnkitError, match="copies variables"):
        Hub(handle=str(hub_folder)).build(SHAPE, 2)


def test_the_layer_is_float32_in_mixed_precision(hub_folder):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = Hub(handle=str(hub_folder)).build(SHAPE, 3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(model(images()).numpy()).all()
    assert {weight.dtype for weight in backbone(model).weights} == {"float32"}


def test_images_of_any_size_where_the_saved_model_takes_them(make_hub):
    model = Hub(handle=str(make_hub(size=(None, None)))).build((17, 40, 3), 2)
    assert np.isfinite(model(images(2, (17, 40, 3)))).all()
    [row] = [row for row in layer_rows(model) if row.name == "backbone"]
    assert row.macs == 17 * 40 * (4 * 27 + 4 * 9) + 24


# Training


def test_gradients_reach_every_variable_and_are_those_of_the_saved_model(built, hub_folder):
    scaled = tf.constant(images() / 127.5 - 1)
    theirs = tf.saved_model.load(str(hub_folder))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(theirs(scaled, training=True) ** 2)
    expected = tape.gradient(loss, list(theirs.trainable_variables))
    layer = backbone(built)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(scaled, training=True) ** 2)
    found = tape.gradient(loss, [weight.value for weight in layer.trainable_weights])
    for theirs, ours in zip(expected, found, strict=True):
        assert np.any(ours)
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_training_changes_every_weight(built):
    before = values(backbone(built).weights)
    trained(built)
    after = values(backbone(built).weights)
    assert [name for name in before if np.array_equal(before[name], after[name])] == []


def test_a_frozen_backbone_keeps_every_bit_and_the_classifier_learns(built):
    backbone(built).trainable = False
    before = values(backbone(built).weights)
    classifier = built.get_layer("logits").kernel.numpy()
    trained(built)
    after = values(backbone(built).weights)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not np.array_equal(classifier, built.get_layer("logits").kernel.numpy())


def test_a_backbone_that_is_thawed_learns_again(built):
    backbone(built).trainable = False
    trained(built)
    backbone(built).trainable = True
    assert [weight.name for weight in backbone(built).trainable_weights] == NAMES
    before = values(backbone(built).weights)
    trained(built)
    assert not any(np.array_equal(before[w.name], w.numpy()) for w in backbone(built).weights)


@pytest.mark.parametrize(
    ("trainable", "training", "moves"), [(1, 1, True), (1, 0, False), (0, 1, False), (0, 0, False)]
)
def test_statistics_move_only_where_it_is_trained_in_training(built, trainable, training, moves):
    layer = backbone(built)
    layer.trainable = bool(trainable)
    before = values(layer.weights)
    tf.function(lambda x: built(x, training=bool(training)))(tf.constant(images()))
    moved = [weight.name for weight in layer.weights if not np.array_equal(weight.numpy(), before[weight.name])]
    assert moved == (STATISTICS if moves else [])


def test_a_frozen_backbone_in_training_gives_what_it_gives_in_inference(built):
    backbone(built).trainable = False
    assert np.array_equal(built(images(), training=True), built(images(), training=False))


def test_in_inference_it_learns_all_but_its_statistics(built):
    layer = backbone(built)
    layer.in_inference = True
    assert np.array_equal(built(images(), training=True), built(images(), training=False))
    before = values(layer.weights)
    trained(built)
    moved = [weight.name for weight in layer.weights if not np.array_equal(weight.numpy(), before[weight.name])]
    assert moved == NAMES


def test_regularisation_losses_count_only_where_it_is_trained(built):
    layer = backbone(built)
    built(images())
    expected = DECAY * np.sum(np.square(layer.trainable_weights[0].numpy()))
    assert [float(loss) for loss in built.losses] == pytest.approx([expected], rel=1e-5)
    built(images())  # a second call does not add them again
    assert len(built.losses) == 1
    layer.trainable = False
    built(images())
    assert built.losses == []


def test_the_loss_of_training_contains_the_regularisation_losses(hub_folder):
    def loss(trainable):
        keras.utils.set_random_seed(1)
        model = Hub(handle=str(hub_folder)).build(SHAPE, 3)
        kernel = backbone(model).weights[0].numpy()
        backbone(model).trainable = trainable
        model.compile(None, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model.evaluate(images(), np.arange(4) % 3, verbose=0), DECAY * np.sum(np.square(kernel))

    (with_it, expected), (without, _) = loss(True), loss(False)
    assert with_it - without == pytest.approx(expected, rel=1e-4)


def test_l2_is_of_the_kernels(hub_folder):
    model = Hub(handle=str(hub_folder), l2=0.1).build(SHAPE, 3)
    regularized = {weight.name for weight in backbone(model).weights if weight.regularizer}
    assert regularized == {"conv_kernel", "dw_depthwise_kernel", "dense_kernel"}


def test_a_saved_model_without_a_training_argument_can_be_trained(make_hub):
    model = Hub(handle=str(make_hub(training=False))).build(SHAPE, 3)
    before = values(backbone(model).weights)
    trained(model)
    same = [weight.name for weight in backbone(model).weights if np.array_equal(weight.numpy(), before[weight.name])]
    assert same == STATISTICS  # it has no other way


# Saving


def test_weights_saved_and_loaded_make_no_difference(built, hub_folder, tmp_path):
    trained(built)
    built.save_weights(tmp_path / "a.weights.h5")
    other = Hub(handle=str(hub_folder), pixel_range=(-1.0, 1.0)).build(SHAPE, 3)
    assert np.abs(other(images()) - built(images())).max() > 0
    other.load_weights(tmp_path / "a.weights.h5")
    assert np.abs(other(images()) - built(images())).max() == 0.0
    assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), built.get_weights(), strict=True))


def test_a_keras_file_does_not_hold_the_path_and_says_what_to_do(built, hub_folder, tmp_path):
    assert str(hub_folder) not in json.dumps(backbone(built).get_config())
    built.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="load the run that made it"):
        keras.models.load_model(tmp_path / "a.keras")


def test_an_exported_network_gives_the_same(built, tmp_path):
    trained(built)
    built.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    assert np.abs(exported.serve(tf.constant(images())) - built(images())).max() < 1e-5


def test_a_run_keeps_a_copy_and_needs_no_original(hub_folder, tmp_path):
    original = shutil.copytree(hub_folder, tmp_path / "original")
    (original / "keras_metadata.pb").write_text("not needed")
    (original / "notes").mkdir()
    (original / "assets" / "labels.txt").write_text("a")
    run = tmp_path / "run"
    run.mkdir()
    hub = Hub(handle=str(original))
    copy = run / "backbone"
    assert hub.with_files_in(copy) == hub  # nothing is there yet
    model = hub.build(SHAPE, 3)
    hub.with_files_in(copy, copy=True)
    hub.with_files_in(copy, copy=True)  # again changes nothing
    original.rename(tmp_path / "gone")
    assert sorted(path.name for path in run.iterdir()) == ["backbone"]
    found = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file())
    files = ["variables/variables.data-00000-of-00001", "variables/variables.index"]
    assert found == ["assets/labels.txt", "fingerprint.pb", "saved_model.pb", *files]
    copied = hub.with_files_in(copy)
    assert isinstance(copied, Hub) and copied.handle == str(copy)
    assert copied.pixel_range == hub.pixel_range
    again = copied.build(SHAPE, 3)
    again.set_weights(model.get_weights())
    assert np.array_equal(again(images()), model(images()))


@pytest.mark.parametrize("taken", [0, 100, 5000])
def test_a_copy_that_fails_leaves_nothing(hub_folder, tmp_path, disk, taken):
    disk.fail(errno.ENOSPC, taken=taken)
    with pytest.raises(DiskError, match=f"is full: {tmp_path / 'copy'}"):
        Hub(handle=str(hub_folder)).with_files_in(tmp_path / "copy", copy=True)
    assert list(tmp_path.iterdir()) == []


# What summary tells


def test_the_summary_counts_parameters_and_multiply_adds(built):
    rows = {row.name: row for row in layer_rows(built)}
    row = rows["backbone"]
    assert row.output_shape == (6,)
    assert row.parameters == 108 + 4 + 4 + 4 + 4 + 36 + 24
    assert row.trainable == row.parameters - 8
    # convolution, depthwise convolution, dense layer
    assert row.macs == 32 * 32 * 4 * 27 + 32 * 32 * 4 * 9 + 4 * 6
    assert row.receptive_field is None and rows["logits"].receptive_field is None
    assert sum(row.parameters for row in rows.values()) == built.count_params()


def test_what_training_keeps_is_found_in_the_graph(built):
    # Behind the convolution, the normalisation (a product and a sum, besides a few numbers of each channel), the
    # depthwise convolution; then the vectors.
    image = 32 * 32 * 4
    sizes = [size for size in backbone(built).sizes if size >= image]
    assert sizes == [image] * len(sizes) and 4 <= len(sizes) <= 6
    [row] = [row for row in layer_rows(built) if row.name == "backbone"]
    assert row.activations == backbone(built).sizes


def test_the_formula_of_many_arrays_tells_their_number():
    assert formula([(3, 3, 8, 8), *[(8,)] * 20]) == "21 arrays = 736"
    assert formula([(3, 3, 8, 8), (8,)]) == "3x3x8x8 + 8 = 584"


# What check tells, without TensorFlow


def test_a_relative_handle_counts_from_the_configs_folder(tmp_path):
    read = TypeAdapter(AnyArchitecture).validate_python
    url = "https://tfhub.dev/google/imagenet/x/4"
    for handle, expected in [
        (FileText("models/x", tmp_path), str(tmp_path / "models" / "x")),
        (FileText(url, tmp_path), url),
        (FileText("http://127.0.0.1:80/x.tar.gz", tmp_path), "http://127.0.0.1:80/x.tar.gz"),
        ("/a/../b", "/b"),
    ]:
        hub = read({"name": "hub", "handle": handle})
        assert hub.handle == expected
        assert type(hub.handle) is str


@pytest.mark.parametrize("handle", ["gs://bucket/x", "ftp://a/b", "file:///a", "", None, 3])
def test_a_handle_is_an_address_of_the_web_or_a_path(handle):
    with pytest.raises(ValidationError):
        Hub(handle=handle)


@pytest.mark.parametrize("pixel_range", [(1.0, 0.0), (1.0, 1.0), (0.0, float("inf")), (0.0,)])
def test_the_range_of_pixels_rises(pixel_range):
    with pytest.raises(ValidationError):
        Hub(handle="x", pixel_range=pixel_range)


def test_grey_images_are_a_problem_that_names_the_way_out():
    [problem] = Hub(handle="x").problems((32, 32, 1))
    assert problem.key == "handle" and "data.channels: 3" in problem.message
    assert list(Hub(handle="x").problems(SHAPE)) == []


def file(name):
    return lambda folder: (folder / name).write_bytes(b"x")


def link(folder):
    (folder / "saved_model.pb").write_bytes(b"x")
    (folder / "variables").mkdir()
    (folder / "variables" / "variables.index").symlink_to("/etc/hostname")


def link_of_a_folder(folder):
    (folder / "saved_model.pb").write_bytes(b"x")
    (folder / "variables").symlink_to("/etc")


def deeper(folder):
    (folder / "4").mkdir()
    (folder / "4" / "saved_model.pb").write_bytes(b"x")


ABSENT = [
    ("nothing", lambda folder: None, "there is no such folder"),
    ("a.h5", file("a.h5"), "keras_application"),
    ("a.keras", file("a.keras"), "keras_application"),
    ("a.tar.gz", file("a.tar.gz"), "unpack it"),
    ("a.txt", file("a.txt"), "a SavedModel is a folder"),
    ("", lambda folder: None, "holds no saved_model.pb, so it is no SavedModel"),
    ("", deeper, "give "),
    ("", file("tfhub_module.pb"), "TF1"),
    ("", link, "leads out of the folder"),
    ("", link_of_a_folder, "leads out of the folder"),
]


@pytest.mark.parametrize(("name", "make", "expected"), ABSENT, ids=[expected for _, _, expected in ABSENT])
def test_what_is_no_saved_model_is_told_at_check(tmp_path, name, make, expected):
    make(tmp_path)
    hub = Hub(handle=str(tmp_path / name))
    [problem] = hub.absent()
    assert problem.key == "handle"
    assert expected in problem.message and str(tmp_path) in problem.message and "\n" not in problem.message
    with pytest.raises(DataError, match=r"^model\.handle: "):
        hub.build(SHAPE, 2)


def test_a_link_to_a_whole_saved_model_is_fine(hub_folder, tmp_path):
    (tmp_path / "link").symlink_to(hub_folder)
    assert list(Hub(handle=str(tmp_path / "link")).absent()) == []


def test_weights_that_are_not_there_are_told_too(hub_folder):
    [problem] = Hub(handle=str(hub_folder), weights="/no/such/run").absent()
    assert problem.key == "weights"


def test_check_needs_no_tensorflow(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text(
        "data: {source: {name: digits}, channels: 3}\nmodel:\n  name: hub\n  handle: nothing\n  pixel_range: [1, 0]\n"
    )
    code = (
        "import sys\nfrom cnnkit.commands.main import main\n"
        "try:\n    main()\nfinally:\n    print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "check", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stdout.endswith("False\n")
    assert f"{config}:5:" in done.stderr and "second number should be above" in done.stderr
    config.write_text(config.read_text().replace("[1, 0]", "[0, 1]"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stdout.endswith("False\n")
    assert f"{config}:4:" in done.stderr and f"there is no such folder: {tmp_path / 'nothing'}" in done.stderr


# What building tells


UNFIT = [
    ({}, (48, 32, 3), "set data.image_size: [32, 32]"),
    ({"channels": 1}, SHAPE, "set data.channels: 1"),
    ({"channels": 1}, (48, 32, 3), "take one that does"),
    ({"batch": 1}, SHAPE, "takes (1, 32, 32, 3) of float32"),
    ({"dtype": "uint8"}, SHAPE, "of uint8"),
    ({"output": "map"}, SHAPE, "makes (any number, 32, 32, 4) of float32 of images, not a vector"),
    ({"output": "several"}, SHAPE, "{a: (any number, 6) of float32, b: "),
    ({"listed": False}, SHAPE, "has no variables to train"),
]


@pytest.mark.parametrize(("differences", "shape", "expected"), UNFIT, ids=[expected for _, _, expected in UNFIT])
def test_a_saved_model_that_does_not_fit_says_so_when_built(make_hub, differences, shape, expected):
    folder = make_hub(**differences)
    with pytest.raises(DataError) as caught:
        Hub(handle=str(folder)).build(shape, 2)
    [problem] = caught.value.problems
    assert problem.key == "model.handle"
    assert expected in problem.message and str(folder) in problem.message and "\n" not in problem.message


def test_a_saved_model_with_signatures_only_is_refused(tmp_path):
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(4)])
    model.export(tmp_path / "exported", verbose=False)
    with pytest.raises(DataError, match="signatures only"):
        Hub(handle=str(tmp_path / "exported")).build(SHAPE, 2)


@pytest.mark.slow
def test_gradients_that_were_not_saved_are_told_in_one_line(make_hub, tmp_path):
    folder = make_hub(custom_gradient=True)
    config = tmp_path / "a.yaml"
    config.write_text(
        "data: {source: {name: digits}, channels: 3, image_size: [32, 32]}\n"
        f"model: {{name: hub, handle: {folder}}}\n"
    )
    # In a process of its own: in this one, TensorFlow still knows the gradient.
    command = [sys.executable, "-m", "cnnkit", "summary", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (3, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"model.handle: {folder} ") and "experimental_custom_gradients=True" in line


def cut(name):
    def damage(folder):
        path = next(folder.rglob(name))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def garbage(name):
    def damage(folder):
        path = next(folder.rglob(name))
        path.write_bytes(np.random.default_rng(1).bytes(path.stat().st_size))

    return damage


def empty(name):
    return lambda folder: next(folder.rglob(name)).write_bytes(b"")


def lost(name):
    return lambda folder: next(folder.rglob(name)).unlink()


PARTS = ("saved_model.pb", "variables.index", "variables.data-00000-of-00001")
DAMAGES = [(kind.__name__, name, kind(name)) for kind in (cut, garbage, empty, lost) for name in PARTS][:-3]
DAMAGES += [("lost", name, lost(name)) for name in PARTS[1:]]
DAMAGES += [("lost", "variables", lambda folder: shutil.rmtree(folder / "variables"))]


@pytest.mark.parametrize(("kind", "name", "damage"), DAMAGES, ids=[f"{kind}-{name}" for kind, name, _ in DAMAGES])
def test_a_damaged_saved_model_is_told(hub_folder, tmp_path, kind, name, damage):
    folder = shutil.copytree(hub_folder, tmp_path / "copy")
    damage(folder)
    with pytest.raises(DataError) as caught:
        Hub(handle=str(folder)).build(SHAPE, 2)
    [problem] = caught.value.problems
    assert problem.key == "model.handle" and str(folder) in problem.message and "\n" not in problem.message


# Downloads


class Server(ThreadingHTTPServer):
    """Hands out bytes by path, and remembers what was asked for; a path in `cut_off` ends early."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.cut_off: dict[str, int] = {}
        self.asked: list[str] = []

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path[1:].partition("?")
        self.server.asked.append(path)
        content = self.server.files.get(path)
        if content is None or "tf-hub-format=compressed" not in query:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.cut_off.get(path, len(content))])

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def packed(folder, mode="w:gz"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        archive.add(folder, arcname=".")
    return content.getvalue()


class Watcher(Progress):
    def __init__(self):
        self.tasks = []

    def task(self, what, total):
        self.tasks.append(what)
        return super().task(what, total)


def cached(tmp_path):
    folder = tmp_path / "cache" / "hub"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.exists() else []


def test_a_download_is_kept_for_the_next_time_and_in_the_run(server, hub_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", "/elsewhere")
    monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "UNCOMPRESSED")
    server.files["x/1"] = packed(hub_folder)
    hub = Hub(handle=server.url("x/1"))
    assert list(hub.absent()) == [] and server.asked == []
    watcher = Watcher()
    hub.fetch(watcher)
    assert watcher.tasks == [f"downloading {hub.handle}"]
    model = hub.build(SHAPE, 2)
    assert server.asked == ["x/1"]
    assert len(cached(tmp_path)) == 1
    assert os.environ["TFHUB_CACHE_DIR"] == "/elsewhere"
    hub.with_files_in(tmp_path / "copy", copy=True)
    server.files.clear()
    hub.fetch(watcher)
    hub.build(SHAPE, 2)
    assert server.asked == ["x/1"]
    shutil.rmtree(tmp_path / "cache")
    again = hub.with_files_in(tmp_path / "copy").build(SHAPE, 2)
    again.set_weights(model.get_weights())
    assert np.array_equal(again(images()), model(images()))
    assert server.asked == ["x/1"]


def refused(hub, *texts):
    with pytest.raises(DataError) as caught:
        hub.fetch(Progress())
    [problem] = caught.value.problems
    assert problem.key == "model.handle" and "\n" not in problem.message
    for text in texts:
        assert text in problem.message


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_download_that_is_cut_off_anywhere_never_counts(server, hub_folder, tmp_path, mode):
    content = packed(hub_folder, mode)
    server.files["x"] = content
    hub = Hub(handle=server.url("x"))
    # Between two of its files too, where an archive looks as if it were whole.
    places = [len(content) * part // 7 for part in range(7)]
    if mode == "w":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            places = [member.offset for member in archive.getmembers()]
    for place in places:
        server.cut_off["x"] = place
        refused(hub, hub.handle, "can't be downloaded", str(tmp_path / "cache" / "hub"), "unpack it")
        assert cached(tmp_path) == []
    server.cut_off.clear()
    hub.fetch(Progress())
    assert len(cached(tmp_path)) == 1


def test_what_cannot_be_downloaded_says_why_and_what_else_there_is(server, hub_folder, tmp_path):
    cache = str(tmp_path / "cache" / "hub")
    refused(Hub(handle=server.url("nothing")), server.url("nothing"), "404", cache, "give the folder")
    server.files["page"] = b"<html>a page</html>"
    refused(Hub(handle=server.url("page")), "does not appear to be a valid module", cache)
    server.files["page"] = b""
    refused(Hub(handle=server.url("page")), cache)
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as archive:
        member = tarfile.TarInfo("../../evil")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    server.files["evil"] = evil.getvalue()
    refused(Hub(handle=server.url("evil")), "invalid", cache)
    assert cached(tmp_path) == [] and not list(tmp_path.rglob("evil"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused(Hub(handle=f"http://127.0.0.1:{port}/x"), "refused", cache)
    refused(Hub(handle="http://no-such-host.invalid/x"), "no-such-host.invalid", cache)
    refused(Hub(handle="http://127.0.0.1:port/x"), "port", cache)


def test_a_cache_that_cannot_be_written_is_told(server, hub_folder, tmp_path):
    (tmp_path / "cache").write_text("a file")
    refused(Hub(handle=server.url("x")), str(tmp_path / "cache" / "hub"))


def test_a_download_that_is_no_saved_model_is_told(server, hub_folder, tmp_path):
    folder = shutil.copytree(hub_folder, tmp_path / "tf1")
    (folder / "tfhub_module.pb").write_bytes(b"x")
    server.files["tf1"] = packed(folder)
    refused(Hub(handle=server.url("tf1")), server.url("tf1"), "TF1")
    server.files["deep"] = packed(tmp_path)
    refused(Hub(handle=server.url("deep")), server.url("deep"), "saved_model.pb")


def test_a_damaged_copy_says_which_folder_to_delete(server, hub_folder, tmp_path):
    server.files["x"] = packed(hub_folder)
    hub = Hub(handle=server.url("x"))
    hub.fetch(Progress())
    [name] = cached(tmp_path)
    folder = tmp_path / "cache" / "hub" / name
    cut("saved_model.pb")(folder)
    with pytest.raises(DataError, match="delete that folder to fetch it again") as caught:
        hub.build(SHAPE, 2)
    assert str(folder) in str(caught.value) and hub.handle in str(caught.value)
    shutil.rmtree(folder)
    hub.build(SHAPE, 2)
    assert server.asked == ["x", "x"]


@pytest.mark.slow
def test_a_local_folder_needs_no_tensorflow_hub_and_an_address_prints_nothing(server, hub_folder):
    server.files["x"] = packed(hub_folder)
    code = (
        "import sys\nfrom cnnkit.models import Hub\n"
        "for handle in sys.argv[1:]:\n"
        "    Hub(handle=handle).build((32, 32, 3), 2)\n"
        "    print('tensorflow_hub' in sys.modules, 'tf_keras' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(hub_folder), server.url("x")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["False False", "True True"]
