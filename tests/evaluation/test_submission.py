"""`predict --sample`: a CSV in the form of a sample, as the competitions of Kaggle ask for it."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
import zipfile

import pytest

from cnnkit import Run, predict, read
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.evaluation import submission
from cnnkit.evaluation.predict import NewImage
from cnnkit.runs import checkpoints

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [6, 5], channels: 3, batch_size: 2}
model: {name: sequential, layers: [{name: flatten}]}
"""
BREEDS = ("beagle", "collie", "poodle")


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Makes a run of these classes as training leaves it, with weights drawn by chance."""
    made = {}

    def make(*classes):
        if classes not in made:
            folder = tmp_path_factory.mktemp("run")
            (folder / "tiny.yaml").write_text(CONFIG)
            experiment = read(folder / "tiny.yaml")
            made[classes] = Run.create(experiment, folder / "run")
            made[classes].write_provenance(data={"classes": list(classes)}, files=made[classes].hashes())
            keras.utils.set_random_seed(4)
            network = experiment.model.build((6, 5, 3), len(classes))
            checkpoints.save(checkpoints.Weights.of(network), made[classes].files.checkpoints, "best", 1, {})
        return made[classes]

    return make


@pytest.fixture
def photos(image_folder):
    """photos/{1.png, 2.jpg, more/3.png, 10.png}"""
    return image_folder({".": ["1.png", "2.jpg", "10.png"], "more": ["3.png"]}, name="photos")


@pytest.fixture
def sample_of(tmp_path):
    """Writes a sample from its text."""

    def write(text, encoding="utf-8"):
        file = tmp_path / "sample.csv"
        file.write_bytes(text.encode(encoding))
        return file

    return write


def predicted(run, photos):
    """What `predict` says of each, by the name of the file."""
    return {told.image.rsplit("/", 1)[1]: told for told in predict(run, [photos])}


def columns(sample, classes, positive=None):
    return submission.columns_of(submission.read(sample), classes, positive, Progress())


def images(*names):
    """Images below a folder `photos`."""
    return [NewImage(f"photos/{name}", f"photos/{name}", name) for name in names]


def matched(sample, found):
    return [image.below for image in submission.matched(submission.read(sample), found)]


# What is written


def test_a_column_takes_the_likeliest_class(run_of, photos, sample_of):
    run = run_of(*BREEDS)
    told = predicted(run, photos)
    made = submission.submission(run, [photos], sample_of("id,breed\n3,beagle\n10,beagle\n1,beagle\n"))
    expected = [[name, told[f"{name}.png"].label] for name in ("3", "10", "1")]
    assert list(csv.reader(io.StringIO(made.text))) == [["id", "breed"], *expected]
    assert (made.rows, made.left_out) == (3, 1)


def test_a_column_a_class_takes_probabilities_in_the_order_of_the_sample(run_of, photos, sample_of):
    run = run_of(*BREEDS)
    told = predicted(run, photos)
    text = submission.submission(run, [photos], sample_of("id,poodle,beagle,collie\n2.jpg,0,0,0\n1.png,0,0,0\n")).text
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["id", "poodle", "beagle", "collie"]
    assert [row[0] for row in rows] == ["2.jpg", "1.png"]
    for name, *numbers in rows:
        probabilities = told[name].probabilities
        expected = [probabilities["poodle"], probabilities["beagle"], probabilities["collie"]]
        assert [float(number) for number in numbers] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("classes", "header", "positive", "meant"),
    [
        (("0", "1"), "id,has_cactus", None, "1"),
        (("yes", "no"), "id,rust", None, "yes"),
        (("cat", "dog"), "id,dog", None, "dog"),
        (("cat", "dog"), "id,label", "cat", "cat"),
        (BREEDS, "id,label", "collie", "collie"),
    ],
)
def test_a_column_of_numbers_takes_the_probability_of_the_class_that_is_meant(
    run_of, photos, sample_of, classes, header, positive, meant
):
    run = run_of(*classes)
    told = predicted(run, photos)
    text = submission.submission(run, [photos], sample_of(f"{header}\n1,0.5\n2,0.5\n"), positive).text
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == header.split(",")
    expected = [told[name].probabilities[meant] for name in ("1.png", "2.jpg")]
    assert [float(number) for _, number in rows[1:]] == pytest.approx(expected, rel=1e-5)


def test_a_small_probability_is_no_certain_zero(sample_of):
    form = submission.read(sample_of("id,dog\n1,0\n"))
    told = submission.Prediction("1.png", "cat", 1.0, {"cat": 1.0, "dog": 1.25e-12})
    text = submission._filled(form, ("dog",), images("1.png"), [told])
    assert float(text.splitlines()[1].split(",")[1]) == 1.25e-12


def test_images_in_an_archive_are_called_by_its_name(run_of, photos, sample_of, tmp_path):
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for name in ("1.png", "2.jpg"):
            archive.write(photos / name, f"test/{name}")
    run = run_of(*BREEDS)
    told = list(predict(run, [tmp_path / "test.zip"]))
    assert [entry.image for entry in told] == [str(tmp_path / f"test.zip/test/{name}") for name in ("1.png", "2.jpg")]
    expected = [entry.label for entry in predict(run, [photos / "1.png", photos / "2.jpg"])]
    assert [entry.label for entry in told] == expected
    made = submission.submission(run, [tmp_path / "test.zip"], sample_of("id,breed\n2,beagle\ntest/1.png,beagle\n"))
    assert made.text.splitlines() == ["id,breed", f"2,{expected[1]}", f"test/1.png,{expected[0]}"]


# How people's samples look


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid,breed\n1,beagle\n2,poodle\n",
        "id;breed\n1;beagle\n2;poodle\n",
        "id\tbreed\n1\tbeagle\n2\tpoodle\n",
        '"id","breed"\r\n"1","beagle"\r\n"2","poodle"\r\n',
        '"id";"breed"\n"1";"beagle"\n"2";"poodle"\n',
        "id, breed\n1, beagle\n\n2, poodle\n\n",
        "id,breed\n1,\n2,\n",
    ],
    ids=["a BOM", "semicolons", "tabs", "quotes", "quotes and semicolons", "spaces and empty lines", "no example"],
)
def test_a_sample_is_read_as_programs_write_it(sample_of, text):
    sample = submission.read(sample_of(text))
    assert [name.strip() for name in sample.header] == ["id", "breed"]
    assert [row.id for row in sample.rows] == ["1", "2"]
    assert columns(sample.file, BREEDS) == ()


def test_the_separator_and_what_needs_quotes_are_kept(run_of, photos, sample_of):
    sample = sample_of('id;"a; b";c\n1;0;0\n')
    text = submission.submission(run_of("a; b", "c"), [photos], sample).text
    assert next(csv.reader(io.StringIO(text), delimiter=";")) == ["id", "a; b", "c"]
    assert text.splitlines()[1].count(";") == 2


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "should have a header"),
        ("id\n1\n", 1, "at least one column behind it"),
        ("id,breed\n", None, "no row"),
        ("id,breed\n1,beagle\n2\n", 3, "has 1 columns, the header 2"),
        ("id,breed\n1,beagle\n2,beagle\n1,beagle\n", 4, "`1` is in line 2 too"),
        ('id,breed\n1,"beagle\n', 2, "can't be read as CSV"),
    ],
    ids=["empty", "one column", "no rows", "a short row", "an id twice", "an open quote"],
)
def test_what_is_no_sample_is_told_with_its_line(sample_of, text, line, said):
    sample = sample_of(text)
    with pytest.raises(DataError) as error:
        submission.read(sample)
    [problem] = error.value.problems
    assert (problem.file, problem.line) == (str(sample), line)
    assert said in problem.message


def test_a_sample_in_another_encoding_is_told(sample_of):
    with pytest.raises(DataError, match=r"sample\.csv:.*UTF-16.*save it as a CSV file in UTF-8"):
        submission.read(sample_of("id,Hund\u00e9\n1,0\n", encoding="utf-16"))


# Which class a column takes


@pytest.mark.parametrize(
    ("text", "classes", "line", "said"),
    [
        ("id,beagle,colie,poodle\n1,0,0,0\n", BREEDS, 1, "`colie` is no class of the run; did you mean `collie`?"),
        ("id,beagle,poodle\n1,0,0\n", BREEDS, 1, "no column for the class `collie`"),
        ("id,beagle,collie,poodle,beagle\n1,0,0,0,0\n", BREEDS, 1, "`beagle` is there twice"),
        ("id,breed\n1,beagle\n2,Beagle\n", BREEDS, 3, "`Beagle` under `breed` is no class of the run; did you mean"),
        ("id,breed\n1,0\n2,119\n", BREEDS, 3, "`119` under `breed` is no class"),
        ("id,breed\n1,0.5\n", BREEDS, 2, "add --positive CLASS"),
    ],
    ids=["a strange column", "a missing column", "a column twice", "a strange label", "a number", "a probability"],
)
def test_columns_that_are_not_of_the_run_are_told_with_their_line(sample_of, text, classes, line, said):
    sample = sample_of(text)
    with pytest.raises(DataError) as error:
        columns(sample, classes)
    [problem] = error.value.problems
    assert (problem.file, problem.line) == (str(sample), line)
    assert said in problem.message


def test_numbers_that_are_classes_are_labels_and_the_other_way_is_named(sample_of, said):
    assert submission.columns_of(submission.read(sample_of("id,label\n1,0\n2,0\n")), ("0", "1"), None, said) == ()
    assert said.lines == ["`label` is filled with the likeliest class; --positive 1 gives the probability of `1`"]


@pytest.mark.parametrize("value", ["0.5", "0"])
def test_which_of_two_classes_is_positive_is_asked_where_nothing_tells(sample_of, value):
    with pytest.raises(UsageError, match="say of which: --positive cat or --positive dog"):
        columns(sample_of(f"id,label\n1,{value}\n"), ("cat", "dog"))


@pytest.mark.parametrize(
    ("text", "positive", "said"),
    [
        ("id,label\n1,0\n", "dot", "no such class; did you mean `dog`"),
        ("id,cat,dog\n1,0,0\n", "dog", "has 2 columns behind the id"),
    ],
)
def test_a_positive_class_that_is_none_or_of_no_use_is_told(sample_of, text, positive, said):
    with pytest.raises(UsageError, match=said):
        columns(sample_of(text), ("cat", "dog"), positive)


# Which image an id means


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["2.png", "1.png"], ["2.png", "1.png"]),
        (["2", "1"], ["2.png", "1.png"]),
        (["a/1", "b/1.png"], ["a/1.png", "b/1.png"]),
        (["photos/1.png", "./2.png", "a\\1.png"], ["1.png", "2.png", "a/1.png"]),
        (["x.y"], ["a/x.y.jpg"]),
        (["1.png", "a/1.png"], ["1.png", "a/1.png"]),
    ],
    ids=["names", "without ending", "paths", "other paths", "a dot in a name", "the path below the folder first"],
)
def test_an_id_is_the_path_or_its_end_with_or_without_ending(sample_of, ids, found):
    sample = sample_of("id,breed\n" + "".join(f"{name},beagle\n" for name in ids))
    there = {"1.png", "2.png", "a/1.png", "b/1.png", "a/x.y.jpg"}
    there -= {"a/1.png", "b/1.png"} if "1" in ids else set()
    assert matched(sample, images(*sorted(there))) == found


@pytest.mark.parametrize(("on_disk", "in_sample"), [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize("ending", ["", ".png"])
def test_an_id_may_encode_accents_in_another_way_than_the_disk(sample_of, on_disk, in_sample, ending):
    there, asked = (unicodedata.normalize(form, "Käfer/ö1") for form in (on_disk, in_sample))
    sample = sample_of(f"id,breed\n{asked}{ending},beagle\n2,beagle\n")
    assert matched(sample, images(f"{there}.png", "2.png")) == [f"{there}.png", "2.png"]


def test_of_two_images_that_differ_in_encoding_alone_the_one_that_is_written_is_meant(sample_of):
    two = [unicodedata.normalize(form, "ö.png") for form in ("NFC", "NFD")]
    assert matched(sample_of(f"id,breed\n{two[1]},a\n{two[0]},a\n"), images(*two)) == [two[1], two[0]]


@pytest.mark.parametrize("name", ["1", "1.png"])
def test_two_images_for_an_id_are_named(sample_of, name):
    sample = sample_of(f"id,breed\n2,beagle\n{name},beagle\n")
    with pytest.raises(DataError) as error:
        matched(sample, images("2.png", "a/1.png", "b/1.png"))
    assert str(error.value) == (
        f"{sample}:3: the id `{name}` may mean `photos/a/1.png` or `photos/b/1.png`; leave one of them out"
    )


def test_an_image_that_is_named_twice_is_one(sample_of):
    assert matched(sample_of("id,breed\n1,beagle\n"), images("1.png", "1.png")) == ["1.png"]


def test_ids_without_an_image_are_counted_and_the_first_is_named(sample_of):
    sample = sample_of("id,breed\n1,beagle\n21,beagle\n3,beagle\n")
    with pytest.raises(DataError) as error:
        matched(sample, images("1.png", "2.png"))
    assert str(error.value) == (
        f"{sample}:3: there is no image for the id `21`, nor for 1 other ids: none of the 2 is called so, with or "
        "without its ending"
    )


# The command


def test_the_command_writes_the_submission(run_of, photos, sample_of, tmp_path, command):
    run = run_of(*BREEDS)
    sample = sample_of("id,breed\n1,beagle\n2,beagle\n3,beagle\n")
    output = tmp_path / "submission.csv"
    code, out, err = command("predict", run.folder, photos, "--sample", sample, "--output", output)
    assert (code, out) == (0, "")
    assert output.read_text() == submission.submission(run, [photos], sample).text
    assert "1 of 4 images is not in" in err
    assert f"3 rows in the form of {sample}, written to {output}" in err
    assert command("predict", run.folder, photos, "--sample", sample)[1] == output.read_text()
    _, out, _ = command("predict", run.folder, photos, "--sample", sample, "--output", output, "--force", "--json")
    told = {"run": str(run.folder), "sample": str(sample), "output": str(output), "rows": 3, "left_out": 1}
    told["skipped"] = {}
    assert json.loads(out) == told


def test_what_folders_and_patterns_leave_out_is_told_before_an_id_has_no_image(
    run_of, photos, sample_of, own_folder, command, tmp_path
):
    own_folder(photos / "runs" / "first", "run")
    run, output = run_of(*BREEDS).folder, tmp_path / "submission.csv"
    sample = sample_of("id,breed\n1,beagle\n")
    for words in (photos / "**" / "*", photos):
        code, out, err = command("predict", run, words, "--sample", sample, "--output", output, "--json", "--force")
        assert code == 0 and "files: of a run of cnnkit" in err
        assert json.loads(out)["skipped"].keys() == {"of a run of cnnkit"}
    sample = sample_of("id,breed\n1,beagle\nbest,beagle\n")
    code, _, err = command("predict", run, photos / "**" / "*", "--sample", sample)
    assert code == 3 and err.index("left out: ") < err.index("no image for the id `best`")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id,breed\n1,beagle\n4,beagle\n", 3),
        ("id,breed\n1,beagle\nbroken,beagle\n", 3),
        ("id,cat\n1,cat\n", 2),
        ("id,beagle,collie,cat\n1,0,0,0\n", 1),
    ],
    ids=["an id without image", "a broken image", "another class", "another column"],
)
def test_a_wrong_sample_exits_3_and_nothing_is_written(run_of, photos, sample_of, tmp_path, command, text, line):
    (photos / "broken.png").write_bytes((photos / "1.png").read_bytes()[:60])
    sample, output = sample_of(text), tmp_path / "submission.csv"
    code, out, err = command("predict", run_of(*BREEDS).folder, photos, "--sample", sample, "--output", output)
    assert (code, out) == (3, "")
    assert f"{sample}:{line}: " in err
    assert not output.exists()


def test_a_wrong_call_exits_2(run_of, photos, sample_of, tmp_path, command):
    words = ["predict", run_of(*BREEDS).folder, photos, "--sample"]
    sample = sample_of("id,breed\n1,beagle\n")
    for more, said in [
        ([sample, "--format", "jsonl"], "--format jsonl"),
        ([sample, "--json"], "--output"),
        ([sample, "--output", sample], "this is what the command reads"),
        ([tmp_path / "nothing.csv"], "nothing.csv: there is no such file"),
        ([tmp_path], "there is no such file"),
        ([sample, "--positive", "cat"], "--positive cat"),
    ]:
        code, _, err = command(*words, *more)
        assert code == 2, err
        assert "--json" in more or said in err
    assert sample.read_text() == "id,breed\n1,beagle\n"


def test_ten_thousand_classes_are_filled(sample_of):
    classes = tuple(f"class number {i}" for i in range(10_000))
    sample = sample_of(f"id,{','.join(reversed(classes))}\n1{',0' * 10_000}\n")
    assert columns(sample, classes) == tuple(reversed(classes))


def test_a_sample_of_german_excel_has_its_lines_and_its_separator(sample_of):
    sample = sample_of("sep=;\nid;beagle;collie;Poodle\n1;0;0;0\n")
    assert submission.read(sample).separator == ";"
    with pytest.raises(DataError, match=r"sample\.csv:2: the column `Poodle` is no class"):
        columns(sample, BREEDS)


def test_a_sample_with_other_separators_is_told_which_are_read(sample_of):
    with pytest.raises(DataError, match="columns are separated by `,` `;`, tabs or spaces"):
        submission.read(sample_of("id|breed\n1|beagle\n"))
