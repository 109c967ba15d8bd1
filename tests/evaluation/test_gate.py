from __future__ import annotations

import numpy as np
import pytest

from cnnkit.core.errors import UsageError
from cnnkit.evaluation import calibrate, gate
from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.corruptions import Corruptions
from cnnkit.evaluation.gate import Gate, figures, refuse_unknown
from cnnkit.evaluation.metrics import computed
from cnnkit.evaluation.questions import asked_by
from cnnkit.evaluation.tta import TestTimeAugmentation
from cnnkit.evaluation.two_classes import Costs, TwoClasses

RESULT = {
    "split": "test",
    "images": 200,
    "loss": 0.25,
    "accuracy": 0.9,
    "accuracy_interval": [0.85, 0.94],
    "roc_auc": None,
    "majority_class": {"name": "rose", "accuracy": 0.5},
    "never_predicted": ["tulip"],
    "classes": [
        {"name": "rose", "images": 100, "recall": 0.8, "recall_interval": [0.7, 0.88], "f1_interval": None},
        {"name": "a=b].c", "images": 100, "recall": 1.0, "recall_interval": [0.96, 1.0]},
    ],
    "confusion": [[80, 20], [0, 100]],
    "by": {
        "column": "clinic",
        "values": [{"name": "A", "images": 3, "accuracy": 0.5, "accuracy_interval": [0.2, 0.9]}],
    },
}


def test_every_figure_has_a_name():
    assert figures(RESULT) == {
        "images": 200,
        "loss": 0.25,
        "accuracy": 0.9,
        "accuracy.low": 0.85,
        "accuracy.high": 0.94,
        "roc_auc": None,
        "majority_class.accuracy": 0.5,
        "images[rose]": 100,
        "recall[rose]": 0.8,
        "recall[rose].low": 0.7,
        "recall[rose].high": 0.88,
        "f1[rose].low": None,
        "f1[rose].high": None,
        "images[a=b].c]": 100,
        "recall[a=b].c]": 1.0,
        "recall[a=b].c].low": 0.96,
        "recall[a=b].c].high": 1.0,
        "by.images[A]": 3,
        "by.accuracy[A]": 0.5,
        "by.accuracy[A].low": 0.2,
        "by.accuracy[A].high": 0.9,
    }


@pytest.mark.parametrize(
    ("text", "over", "met"),
    [
        ("accuracy=0.9", False, True),
        ("accuracy = 0.9001", False, False),
        ("accuracy.low=0.85", False, True),
        ("accuracy.low=0.9", False, False),
        ("recall[a=b].c]=1", False, True),
        ("f1[rose].low=0", False, False),
        ("recall[rose].low=0.71", False, False),
        ("by.accuracy[A]=0.5", False, True),
        ("roc_auc=0", False, False),
        ("loss=0.25", True, True),
        ("loss=0.2", True, False),
    ],
)
def test_a_gate_is_met_from_its_value_on(text, over, met):
    asked = Gate.parsed(text, over)
    asked.refuse_unknown(list(figures(RESULT)))
    assert asked.met(RESULT) is met
    assert asked.line(RESULT).startswith("met: " if met else "not met: ")


def test_it_is_told_in_a_line():
    assert Gate.parsed("accuracy.low=0.9").line(RESULT) == "not met: accuracy.low is 0.8500, wanted at least 0.9"
    assert Gate.parsed("loss=0.2", over=True).line(RESULT) == "not met: loss is 0.2500, wanted at most 0.2"
    assert Gate.parsed("roc_auc=0.5").line(RESULT) == "not met: roc_auc has no value, wanted at least 0.5"
    almost = RESULT | {"accuracy": 0.899999}  # rounded it would seem to be enough
    assert Gate.parsed("accuracy=0.9").line(almost) == "not met: accuracy is 0.899999, wanted at least 0.9"


@pytest.mark.parametrize("text", ["accuracy", "=0.9", "accuracy=", "accuracy=high", "accuracy=nan", ""])
def test_what_is_no_gate_is_a_usage_error(text):
    with pytest.raises(UsageError, match=r"should be a figure and a number, such as accuracy=0\.9"):
        Gate.parsed(text)


@pytest.mark.parametrize(
    ("text", "over", "other"),
    [
        ("loss=0.5", False, "over"),
        ("x.log_loss[a].low=1", False, "over"),
        ("two_classes.false_positives=3", False, "over"),
        ("two_classes.chosen.validation.false_negatives=3", False, "over"),
        ("source.known_from_training=0", False, "over"),
        ("tta.times_the_computing=9", False, "over"),
        ("accuracy=0.5", True, "under"),
        ("abstain.answered=0.5", True, "under"),
        ("tta.log_loss_reduction=0", True, "under"),
        ("baseline.network_adds.low=0", True, "under"),
    ],
)
def test_a_figure_that_is_better_the_other_way_round_is_refused(text, over, other):
    with pytest.raises(UsageError, match=f"use --fail-{other}"):
        Gate.parsed(text, over)


@pytest.mark.parametrize("figure", ["images", "temperature", "tta.p", "majority_class.accuracy", "abstain.threshold"])
def test_a_figure_that_is_better_neither_way_may_be_held_against_both(figure):
    assert [Gate.parsed(f"{figure}=0.5", over).over for over in (False, True)] == [False, True]


def test_an_unknown_figure_is_refused_with_the_nearest_ones():
    with pytest.raises(UsageError, match=r"no such figure.*`recall\[rose\]`"):
        Gate.parsed("recall[rosee]=0.5").refuse_unknown(list(figures(RESULT)))
    with pytest.raises(UsageError, match=r"at hand: `images`, `loss`, `accuracy`, `roc_auc`"):
        Gate.parsed("zzz=0.5").refuse_unknown(list(figures(RESULT)))


@pytest.mark.parametrize(
    ("text", "over", "told"),
    [
        ("accuracy=1.5", False, r"accuracy is always in 0\.\.1"),
        ("macro_f1=90", False, r"macro_f1 is always in 0\.\.1; 90 % is 0\.9"),
        ("two_classes.sensitivity.low=95", False, r"always in 0\.\.1; 95 % is 0\.95"),
        ("f1[rose]=-0.1", False, r"f1\[rose\] is always in 0\.\.1"),
        ("brier=3", True, r"brier is always in 0\.\.2"),
        ("loss=-1", True, "loss is always 0 or more"),
        ("abstain.answered=90", False, r"abstain\.answered is always in 0\.\.1; 90 % is 0\.9"),
        ("baseline.network_adds=5", False, r"baseline\.network_adds is always in -1\.\.1"),
        ("tta.adds.low=-2", False, r"in -1\.\.1"),
        ("tta.p=5", True, r"in 0\.\.1; 5 % is 0\.05"),
        ("two_classes.false_positives=-1", True, "is always 0 or more"),
    ],
)
def test_what_a_figure_can_not_be_is_refused(text, over, told):
    with pytest.raises(UsageError, match=told):
        Gate.parsed(text, over)


def test_the_same_figure_is_asked_for_once():
    with pytest.raises(UsageError, match=r"--fail-under accuracy=0\.8: accuracy=0\.9 is asked for as well"):
        Gate.all(["accuracy=0.9", "f1[rose]=0.5", "accuracy = 0.8"], [])
    both = Gate.all(["accuracy=0.9", "accuracy.low=0.8"], ["loss=1"])
    assert [gate.figure for gate in both] == ["accuracy", "accuracy.low", "loss"]


@pytest.mark.parametrize("classes", [["no", "yes"], [*"abcdefg"]])
def test_the_figures_of_all_answers_are_known_before_there_are_any(classes):
    """Few images, of one class, have figures without a value and intervals without ends; their names are the same."""
    told = computed(Answers(np.zeros(2, int), np.eye(len(classes))[[0, 1]], classes))
    for name in figures(told):
        refuse_unknown([Gate(name, 0.5)], classes, {})


def test_an_unknown_figure_is_refused_before_there_are_any():
    with pytest.raises(UsageError, match=r"--fail-under acuracy=0\.9: there is no such figure.*`accuracy`"):
        refuse_unknown([Gate("acuracy", 0.9)], ["no", "yes"], {})
    with pytest.raises(UsageError, match=r"no such figure.*`f1\[yes\]`"):
        refuse_unknown([Gate("f1[yess]", 0.9)], ["no", "yes"], {"by": None})
    with pytest.raises(UsageError, match="no such figure"):
        refuse_unknown([Gate("by.accuracy[north]", 0.9)], ["no", "yes"], {"abstain": ["answered"]})
    with pytest.raises(UsageError, match=r"no such figure.*`abstain\.answered`"):
        refuse_unknown([Gate("abstain.answred", 0.9)], ["no", "yes"], {"abstain": ["answered"]})
    refuse_unknown([Gate("by.accuracy[north]", 0.9)], ["no", "yes"], {"by": None})  # the images tell


ASKED = [
    Abstain(0.9),
    Baseline(),
    Corruptions(),
    TestTimeAugmentation(2),
    TwoClasses(),
    TwoClasses(costs=Costs(1, 5)),
    TwoClasses(sensitivity=0.9),
]


def test_of_each_figure_that_can_be_asked_for_its_range_is_known():
    answers = Answers(np.zeros(2, int), np.eye(7)[[0, 1]], [*"abcdefg"])
    names = [*figures(computed(answers)), *(f"calibrated.{name}" for name in calibrate.FIGURES)]
    for question in ASKED:
        told = question.figures(["no", "yes"])
        assert told
        names += [f"{question.name}.{name}" for name in told]
    assert [name for name in names if not gate._kind(name)] == []


def test_a_question_that_could_not_be_answered_meets_no_gate():
    asked, told = Gate.parsed("baseline.network_adds=-1"), {"baseline": {"impossible": "out of memory"}}
    assert not asked.met(told)
    assert asked.line(told) == "not met: baseline.network_adds has no value, wanted at least -1"


YES_NO, THREE = ["no", "yes"], ["ant", "bee", "cat"]


@pytest.mark.parametrize(
    ("text", "classes", "asked", "told"),
    [
        ("ece=0.1", THREE, (), r"near it, or at hand: `calibration\.ece`$"),
        ("ECE.high=0.1", THREE, (), r"at hand: `calibration\.ece\.high`$"),
        ("specificity=0.1", YES_NO, (TwoClasses(),), r"at hand: `two_classes\.specificity`$"),
        ("answered=0.1", THREE, (), r"`abstain\.answered` \(add --abstain 0\.95\)"),
        ("abstain.answered=0.1", THREE, (), r"abstain\.answered=0\.1: that is not asked for; add --abstain 0\.95$"),
        ("abstain.answred=0.1", THREE, (), r"at hand: `abstain\.answered` \(add --abstain 0\.95\)"),
        ("abstain.answred=0.1", THREE, (Abstain(0.9),), r"at hand: `abstain\.answered`"),
        ("tta.adds.low=0", THREE, (), "that is not asked for; add --tta 8$"),
        ("tta.zzzzzz=0", THREE, (), r"at hand: `tta\.views` \(add --tta 8\), "),
        ("corruptions.mean_accuracy=0", THREE, (), "; add --corruptions$"),
        ("corruptions.accuracy=0", THREE, (), r"`corruptions\.mean_accuracy` \(add --corruptions\)"),
        ("baseline.network_adds=0", THREE, (), "; leave --no-baseline out$"),
        ("two_classes.sensitivity=0", THREE, (), "; only a run of two classes has it$"),
        ("two_classes.cost=0", YES_NO, (TwoClasses(),), "; add --costs 1:5$"),
        ("two_classes.chosen.threshold=0", YES_NO, (TwoClasses(),), "; add --costs 1:5, or add --sensitivity 0.95$"),
        ("two_classes.sensitivty=0", YES_NO, (TwoClasses(),), r"at hand: `two_classes\.sensitivity`, "),
        ("by.accuracy[north]=0", THREE, (), r"`by\.accuracy\[VALUE\]` \(add --by COLUMN\)"),
        ("calibrated.temperature=0", THREE, (), "; add --calibrate$"),
        ("source.known_from_training=0", THREE, (), "; add --images or --manifest$"),
    ],
)
def test_a_figure_that_is_not_asked_for_is_told_with_what_asks_for_it(text, classes, asked, told):
    beside = {question.name: question.figures(classes) for question in asked}
    option_over = text.partition("=")[0].lower().startswith(("ece", "two_classes.cost", "source"))
    with pytest.raises(UsageError, match=told):
        refuse_unknown([Gate.parsed(text, over=option_over)], classes, beside, asked_by(classes, beside))


@pytest.mark.parametrize(
    ("low", "p", "line"),
    [
        (0.0001, 0.062, "met: baseline.network_adds.low is 0.0001, wanted at least 0{}it may be chance (p = 0.062)"),
        (
            -0.001,
            0.04,
            "not met: baseline.network_adds.low is -0.0010, wanted at least 0{}it is more than chance (p = 0.04)",
        ),
        (0.1, 0.001, "met: baseline.network_adds.low is 0.1000, wanted at least 0"),
        (-0.1, 0.6, "not met: baseline.network_adds.low is -0.1000, wanted at least 0"),
        (-0.1, None, "not met: baseline.network_adds.low is -0.1000, wanted at least 0"),
    ],
)
def test_a_gate_on_a_difference_says_where_its_test_has_another_word(low, p, line):
    found = {"baseline": {"network_adds": 0.2, "network_adds_interval": [low, 0.3], "p": p}}
    expected = line.format("; by McNemar's test, which is computed in another way, ")
    assert Gate.parsed("baseline.network_adds.low=0").line(found) == expected
    assert "McNemar" not in Gate.parsed("baseline.network_adds.low=-0.5").line(found)
    assert "McNemar" not in Gate.parsed("baseline.network_adds.high=0").line(found)


def test_all_that_asks_for_a_figure_are_options_of_the_command(command):
    _, told, _ = command("evaluate", "--help")
    for how in {*asked_by(YES_NO, ()).values(), *asked_by(THREE, ()).values()}:
        assert all(word in told for word in how.replace(",", "").split() if word.startswith("--"))


def test_a_gate_has_its_form_in_the_document():
    assert Gate.parsed("accuracy.low=0.9").as_json(RESULT) == {
        "name": "accuracy.low",
        "value": 0.85,
        "direction": "at least",
        "bound": 0.9,
        "met": False,
    }
    unknown = Gate.parsed("calibration.ece=1", over=True).as_json(RESULT)
    assert (unknown["value"], unknown["direction"], unknown["met"]) == (None, "at most", False)
