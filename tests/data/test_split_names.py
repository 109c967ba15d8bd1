from __future__ import annotations

import pytest

from cnnkit.data.split_names import split_of


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            "train",
            "train Train TRAIN training Training training_set trainset train-images flowers_train seg_train train2017 "
            "TrainImages TRAIN_SET trainingData Train_Data trainval train_val my.train.set 1_train trainSet",
        ),
        (
            "validation",
            "val valid validation Validation VALID dev eval val2017 valid_set validset validationSet imgs-val "
            "flowersVal DEV_set",
        ),
        ("test", "test Test TEST testing Testing test_set test1 seg_test testset TestImages x_TEST test-a TST"),
    ],
)
def test_a_split_is_known_by_whatever_is_written_around_its_name(split, names):
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    "name",
    [
        *("cat", "", "7", "contest", "latest", "strain", "restrain", "untrained", "interval", "medieval", "device"),
        *("devil", "valley", "Testarossa", "trainer", "évaluer", "fold1", "images", "labels"),
        *("train_test", "Train-Test-Split", "val_test", "train_val_test"),
    ],
)
def test_other_words_are_no_splits_and_neither_are_names_of_several(name):
    assert split_of(name) is None


def test_blanks_around_a_name_and_within_do_not_matter():
    assert [split_of(" train "), split_of("Test images"), split_of("my validation set\n")] == [
        "train",
        "test",
        "validation",
    ]
