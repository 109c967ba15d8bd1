from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from cnnkit.core.errors import UsageError
from cnnkit.data.index import Index
from cnnkit.evaluation import abstain, by_column, gate, two_classes
from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.by_column import ByColumn
from cnnkit.evaluation.two_classes import Costs, TwoClasses


def exam_of(answers, validation=None, split="test", shown=None):
    """What a question is asked of, without a network."""
    of_splits = {"validation": validation, split: answers}
    return SimpleNamespace(answers=answers, split=split, answers_of=of_splits.__getitem__, shown=shown)


def of_two(truth, probability):
    """Answers of the classes no and yes, from what is right and the probability of yes."""
    probability = np.asarray(probability, np.float64)
    return Answers(np.asarray(truth), np.stack([1 - probability, probability], axis=1), ["no", "yes"])


# Abstain


def of_ranked(right, best=None):
    """Answers right or not, the surest first; by themselves no two are as sure."""
    best = np.linspace(0.99, 0.6, len(right)) if best is None else best
    return of_two(np.asarray(right, int), best)


def test_fifty_nine_answers_without_a_mistake_are_enough_for_95_percent():
    assert abstain.least_images(0.95, begins=1) == 59  # the least n with 0.95^n <= 0.05
    # SciPy's interval leaves as much doubt on either side.
    low = [binomtest(n, n).proportion_ci(0.9, method="exact").low for n in (58, 59)]
    assert low[0] < 0.95 <= low[1]
    assert abstain.threshold_for(of_ranked([1] * 59), 0.95) == 0.0
    assert abstain.threshold_for(of_ranked([1] * 58), 0.95) is None


@pytest.mark.parametrize("sure", [100, 150, 195])
def test_of_200_images_the_surest_that_are_right_are_answered_though_no_two_are_as_sure(sure):
    answers = of_ranked([1] * sure + [0] * (200 - sure))
    best = np.sort(answers.probabilities.max(axis=1))[::-1]
    threshold = abstain.threshold_for(answers, 0.95)
    answered = int((best >= threshold).sum())
    assert answered >= sure
    doubt = binomtest(sure, answered, 0.95, alternative="greater").pvalue  # of an accuracy of 0.95 at the most
    assert doubt <= 0.05


def test_a_mistake_among_the_surest_does_not_end_it():
    assert abstain.threshold_for(of_ranked([0] + [1] * 999), 0.95) == 0.0


def test_what_is_as_probable_is_answered_together_or_not_at_all():
    best = [0.9] * 100 + [0.8] * 100
    assert abstain.threshold_for(of_ranked([1] * 110 + [0] * 90, best), 0.95) == 0.9
    assert abstain.threshold_for(of_ranked([1] * 50 + [0] * 50 + [1] * 100, best), 0.95) is None


@pytest.mark.parametrize("images", [20, 59, 200, 10_000])
@pytest.mark.parametrize("accuracy", [0.5, 0.95, 0.99])
def test_the_first_start_can_be_passed_and_all_of_them_lie_within_the_images(images, accuracy):
    begins = abstain.starts(images, accuracy)
    if not begins:
        assert accuracy**images > 0.05  # all of them right would not be enough
        return
    assert accuracy ** begins[0] <= 0.05 / len(begins) and begins[-1] <= images


def answers_right_as_sure(rng, count):
    """Answers that are right as often as they say, the surest always and the least sure one in five."""
    best = 1 - 0.4 * rng.random(count) ** 2
    return of_two((rng.random(count) < best).astype(int), best)


def answers_right_to_a_border(rng, count):
    """Three quarters of the answers are right always, the others in six of ten times: the border is hard to hit."""
    rank = rng.random(count)
    return of_two((rng.random(count) < np.where(rank > 0.25, 1, 0.6)).astype(int), 0.5 + rank / 2)


def answers_right_too_seldom(rng, count):
    """All of them are right a little less often than is asked for, however sure they are."""
    return of_two((rng.random(count) < 0.945).astype(int), 0.5 + rng.random(count) / 2)


@pytest.mark.parametrize("drawn", [answers_right_as_sure, answers_right_to_a_border, answers_right_too_seldom])
def test_what_is_answered_is_right_so_often_in_95_of_100_runs(drawn):
    rng = np.random.default_rng(0)
    judged = drawn(rng, 50_000)
    best, right = judged.probabilities.max(axis=1), judged.labels == judged.predicted
    found = [abstain.threshold_for(drawn(rng, 200), 0.95) for _ in range(300)]
    broken = sum(threshold is not None and right[best >= threshold].mean() < 0.95 for threshold in found)
    # No more than chance makes of 5 %.
    assert binomtest(broken, len(found), 0.05, alternative="greater").pvalue > 0.01


def test_a_threshold_divides_the_sure_from_the_unsure_answers():
    validation = of_two([1] * 180 + [0] * 20, [0.9] * 150 + [0.6] * 50)  # 30 of the unsure ones are right
    found = Abstain(0.95).answered(exam_of(of_two([1, 1, 0, 1], [0.95, 0.9, 0.99, 0.7]), validation))
    assert found["threshold"] == 0.9
    assert (found["images_answered"], found["answered"], found["accuracy"]) == (3, 0.75, 2 / 3)
    assert (found["validation"]["images_answered"], found["validation"]["accuracy"]) == (150, 1.0)
    first, second = Abstain(0.95).lines(found)
    assert first.startswith("abstain: below probability 0.9000 say nothing")
    assert second.startswith("  here 75.0 % would be answered (3), with accuracy 0.6667 (95 % interval ")


def test_where_all_is_right_all_may_be_answered():
    found = Abstain(0.9).answered(exam_of(of_two([1] * 200, [0.8] * 200), of_two([1] * 200, [0.8] * 200)))
    assert (found["threshold"], found["answered"], found["accuracy"]) == (0.0, 1.0, 1.0)
    assert next(Abstain(0.9).lines(found)).startswith("abstain: all may be answered")


def test_where_no_threshold_is_enough_that_is_said_with_what_would_be_needed():
    found = Abstain(0.95).answered(exam_of(of_two([1], [0.9]), of_two([1] * 20, np.linspace(0.6, 0.9, 20))))
    assert (found["threshold"], found["answered"], found["accuracy"]) == (None, 0.0, None)
    assert found["images_needed"] == 59
    assert "more validation images (data.split.validation)" in next(Abstain(0.95).lines(found))
    [line] = Abstain(0.95).lines(found)
    assert "at least 59 answers without a mistake" in line and "20 validation images" in line


@pytest.mark.parametrize("share", [0, 1, -0.5, 95, math.nan, 1 - 2**-53])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(UsageError, match=rf"--abstain {share}: should be a share above 0 and up to 0\.99999,"):
        Abstain(share)


def test_the_largest_share_is_told_as_it_is():
    found = Abstain(0.99999).answered(exam_of(of_two([1, 0], [0.9, 0.1]), of_two([1, 0], [0.9, 0.1])))
    assert "right at least 99.999 % of the time" in next(Abstain(0.99999).lines(found))
    assert found["images_needed"] == math.ceil(math.log(0.05) / math.log(0.99999))


# Two classes


TRUTH = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
PROBABILITY = [0.9, 0.7, 0.5, 0.3, 0.8, 0.4, 0.35, 0.2, 0.1, 0.05]


def test_sensitivity_and_specificity_are_the_recalls_of_scikit_learn():
    answers = of_two(TRUTH, PROBABILITY)
    found = TwoClasses().answered(exam_of(answers))
    taken = np.asarray(PROBABILITY) >= 0.5
    assert found["positive"] == "yes"
    assert found["sensitivity"] == recall_score(TRUTH, taken) == 0.75
    assert found["specificity"] == recall_score(TRUTH, taken, pos_label=0) == 5 / 6
    (_, false_positives), (false_negatives, _) = confusion_matrix(TRUTH, taken)
    assert (found["false_positives"], found["false_negatives"]) == (false_positives, false_negatives)
    low, high = found["sensitivity_interval"]
    wilson = binomtest(3, 4).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high))


@pytest.mark.parametrize(
    ("classes", "given", "positive"),
    [
        (["no", "yes"], None, "yes"),
        (["positive", "negative"], None, "positive"),
        (["healthy", "sick"], None, "sick"),
        (["infected", "uninfected"], "infected", "infected"),
    ],
)
def test_the_positive_class_is_that_which_is_meant(classes, given, positive):
    answers = Answers(np.asarray([0, 1]), np.asarray([[0.9, 0.1], [0.2, 0.8]]), classes)
    assert TwoClasses(given).answered(exam_of(answers))["positive"] == positive


def cost_of(truth, probability, threshold, costs):
    pairs = zip(truth, probability, strict=True)
    return sum(
        costs.false_positive if p >= threshold and not t else costs.false_negative if p < threshold and t else 0
        for t, p in pairs
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("costs", [Costs(1, 1), Costs(1, 5), Costs(20, 1)])
def test_no_threshold_costs_less_than_the_one_that_is_chosen(seed, costs):
    rng = np.random.default_rng(seed)
    truth, probability = rng.random(40) < 0.3, rng.integers(0, 11, 40) / 10  # ties, and 0 and 1 among them
    chosen = two_classes.cheapest(truth, probability, costs)
    least = min(cost_of(truth, probability, t, costs) for t in np.linspace(0, 1.01, 102))
    assert cost_of(truth, probability, chosen, costs) == least


def test_of_thresholds_that_cost_the_same_that_of_right_probabilities_is_taken():
    chosen = two_classes.cheapest(np.asarray([False, True]), np.asarray([0.01, 0.99]), Costs(1, 4))
    assert chosen == pytest.approx(1 / (1 + 4))  # Elkan 2001, theorem 1


@pytest.mark.parametrize(("sensitivity", "threshold"), [(0.25, 0.9), (0.5, 0.7), (0.6, 0.5), (0.75, 0.5), (1.0, 0.3)])
def test_the_highest_threshold_that_finds_as_many_is_chosen(sensitivity, threshold):
    assert two_classes.finding(np.asarray(TRUTH) == 1, np.asarray(PROBABILITY), sensitivity) == threshold


def test_a_threshold_is_chosen_on_validation_and_shown_where_it_is_asked():
    answers, validation = of_two([1, 0], [0.4, 0.45]), of_two(TRUTH, PROBABILITY)
    question = TwoClasses(sensitivity=1.0)
    found = question.answered(exam_of(answers, validation))
    chosen = found["chosen"]
    assert (found["sensitivity"], chosen["threshold"], chosen["sensitivity"], chosen["specificity"]) == (0, 0.3, 1, 0)
    assert (chosen["validation"]["sensitivity"], chosen["validation"]["specificity"]) == (1, 0.5)
    assert "from probability 0.3000 on, chosen on validation to find 1 of them" in list(question.lines(found))[1]


@pytest.mark.parametrize(
    "costs, truth, told",
    [(Costs(1, 50), [1, 1, 0, 1], "every"), (Costs(50, 1), [0, 0, 1, 0], "no"), (Costs(1, 1), [0, 1, 1, 1], "")],
)
def test_a_threshold_that_tells_nothing_apart_is_told(costs, truth, told):
    answers, question = of_two(truth, [0.2, 0.5, 0.6, 0.9]), TwoClasses("yes", costs)
    said = list(question.lines(question.answered(exam_of(answers, answers))))
    last = f"  careful: there {told} image of validation is taken for `yes`, so it tells nothing apart"
    assert (said[-1] == last) == bool(told)


@pytest.mark.parametrize(
    ("positive", "wanted", "careful"),
    # Wilson's lower end where all n are found is n / (n + 1.96^2): at least 0.9 from n = 34.6 on.
    [(2, 0.9, True), (34, 0.9, True), (35, 0.9, False), (35, 0.95, True), (200, 1.0, True)],
)
def test_a_sensitivity_that_so_few_positive_images_can_not_tell_is_told_as_such(positive, wanted, careful):
    validation = of_two([1] * positive + [0] * 2, [0.9] * positive + [0.2] * 2)
    question = TwoClasses(sensitivity=wanted)
    _, line, *others = question.lines(question.answered(exam_of(of_two([1, 0], [0.4, 0.3]), validation)))
    low = positive / (positive + 1.959964**2)
    assert f"to find {wanted:g} of them (there 1.0000 of {positive}, {low:.4f} to 1.0000): sens" in line
    start = (
        f"  careful: chosen on {positive} positive images, which can't tell {wanted:g}: even if all of them are found"
    )
    assert [told.startswith(start) for told in others] == [True] * careful


def test_costs_are_told_for_an_image():
    question = TwoClasses(costs=Costs(1, 3))
    found = question.answered(exam_of(of_two(TRUTH, PROBABILITY), of_two(TRUTH, PROBABILITY)))
    assert found["cost"] == (1 * 1 + 1 * 3) / 10
    assert found["chosen"]["cost"] == (3 * 1) / 10  # from 0.3 on: none is overlooked, and 0.8, 0.4, 0.35 are taken
    assert "cost 0.3 an image" in list(question.lines(found))[1]


def test_without_images_of_a_class_there_is_no_figure():
    found = TwoClasses().answered(exam_of(of_two([0, 0], [0.1, 0.7])))
    assert (found["sensitivity"], found["sensitivity_interval"], found["specificity"]) == (None, None, 0.5)
    assert "no sensitivity, as no image is positive" in next(TwoClasses().lines(found))


@pytest.mark.parametrize("text", ["1", "1:2:3", "0:1", "a:b", "1:-1", "nan:1", "1:inf", ""])
def test_costs_in_another_form_are_refused(text):
    with pytest.raises(UsageError, match="such as 1:5"):
        Costs.parsed(text)


def test_what_is_for_two_classes_is_refused_for_others():
    with pytest.raises(UsageError, match="--costs: is for two classes, and the run has 3 classes"):
        TwoClasses(costs=Costs(1, 2)).refuse_others("abc")
    with pytest.raises(UsageError, match=r"--positive yess: the run has no such class; did you mean `yes`\?"):
        TwoClasses("yess").refuse_others(["no", "yes"])
    with pytest.raises(UsageError, match="leave one of them out"):
        TwoClasses(costs=Costs(1, 2), sensitivity=0.9)
    with pytest.raises(UsageError, match="--sensitivity 95"):
        TwoClasses(sensitivity=95)


@pytest.mark.parametrize(
    ("question", "option"), [(TwoClasses(costs=Costs(1, 2)), "--costs"), (TwoClasses(sensitivity=1), "--sensitivity")]
)
def test_a_validation_of_one_class_chooses_no_threshold(question, option):
    def of(*labels):
        rows = {"validation": [SimpleNamespace(label=label) for label in labels]}
        return SimpleNamespace(classes=["no", "yes"], folder="runs/first", split=rows.__getitem__)

    question.refuse(of("no", "yes", "no"))
    with pytest.raises(
        UsageError, match=f"{option}: a threshold is .* runs/first has images of `no` only there; leave"
    ):
        question.refuse(of("no", "no"))
    with pytest.raises(UsageError, match="has no images there"):
        question.refuse(of())
    TwoClasses("no").refuse(of("no"))  # sensitivity and specificity at a half need no validation


@pytest.mark.parametrize(
    "question", [Abstain(0.5), TwoClasses(), TwoClasses(costs=Costs(1, 2)), TwoClasses(sensitivity=0.5)]
)
@pytest.mark.parametrize("truth", [TRUTH, [0] * 10])
def test_what_figures_there_will_be_is_known_before(question, truth):
    found = question.answered(exam_of(of_two(truth, PROBABILITY), of_two(TRUTH, PROBABILITY)))
    assert set(gate.figures(found)) == set(question.figures(["no", "yes"]))


# By a column


def test_each_value_has_its_figures_and_the_worst_comes_first():
    labels, predicted = np.asarray([0, 1, 2, 0, 1, 0, 0]), np.asarray([0, 1, 0, 0, 0, 0, 1])
    values = ["a", "a", "a", "b", "b", "", "b"]
    found = by_column.figures(Answers(labels, np.eye(3)[predicted], "xyz"), values)
    assert [(entry["name"], entry["images"], entry["accuracy"]) for entry in found] == [
        ("b", 3, 1 / 3),
        ("a", 3, 2 / 3),
        ("(empty)", 1, 1.0),
    ]
    of_b, of_a = found[0], found[1]
    assert of_a["macro_f1"] == pytest.approx(f1_score([0, 1, 2], [0, 1, 0], average="macro"))
    # Those of b are of x and y; z, of which there is none, says nothing of them.
    assert of_b["macro_f1"] == pytest.approx(f1_score([0, 1, 0], [0, 0, 1], average="macro"))
    wilson = binomtest(2, 3).proportion_ci(0.95, method="wilson")
    assert of_a["accuracy_interval"] == pytest.approx([wilson.low, wilson.high])


def shown_of(rows=None, groups=None, count=3):
    """Images that a table lists, or none."""
    index = Index(
        classes=("no", "yes"),
        names=[f"{i}.png" for i in range(count)],
        labels=np.zeros(count, np.int64),
        digests=[""] * count,
        splits=[None] * count,
        open=str,
        groups=groups,
        rows=rows,
    )
    return SimpleNamespace(images=SimpleNamespace(index=index), numbers=range(count))


TABLES = {
    "table.csv": "path,sex,label\n0.png,f,no\n1.png,m,no\n2.png,f,no\n",
    "table.jsonl": '{"path": "0.png", "sex": "f"}\n{"path": "1.png", "sex": "m"}\n{"path": "2.png", "sex": "f"}\n',
    "bare.csv": "0.png,f,no\n1.png,m,no\n2.png,f,no\n",
}


@pytest.mark.parametrize(
    ("name", "first", "column"), [("table.csv", 2, "sex"), ("table.jsonl", 1, "sex"), ("bare.csv", 1, "2")]
)
def test_the_values_are_those_of_the_rows(tmp_path, name, first, column):
    file = tmp_path / name
    file.write_text(TABLES[name])
    shown = shown_of([(str(file), line) for line in (first + 2, first, first + 1)])
    found = ByColumn(column).answered(exam_of(of_two([0, 0, 0], [0.1, 0.2, 0.9]), shown=shown))
    assert [(each["name"], each["images"], each["accuracy"]) for each in found["values"]] == [("m", 1, 0), ("f", 2, 1)]
    assert set(ByColumn(column).figures(["no", "yes"], shown.images.index)) == set(gate.figures(found))
    assert ByColumn(column).figures(["no", "yes"]) is None  # before the images are read
    lines = list(ByColumn(column).lines(found))
    assert lines[0] == f"by {column}, the worst first:" and lines[1].startswith("  m: accuracy 0.0000 (0.0000 to ")


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text(TABLES["table.csv"])
    listed = shown_of([(str(file), 2)], count=1).images.index
    with pytest.raises(UsageError, match=r"--by six: the columns are `path`, `sex`, `label`; did you mean `sex`\?"):
        ByColumn("six").refuse_images(listed)
    ByColumn("sex").refuse_images(listed)
    with pytest.raises(UsageError, match="--by sex: images that no table lists have no columns; --manifest takes a"):
        ByColumn("sex").refuse_images(shown_of(count=1).images.index)


def test_groups_that_a_pattern_tells_are_a_column_too():
    shown = shown_of(groups=["anna", None, "anna"])
    found = ByColumn("group").answered(exam_of(of_two([0, 0, 0], [0.1, 0.2, 0.9]), shown=shown))
    assert [(each["name"], each["accuracy"]) for each in found["values"]] == [("anna", 0.5), ("(empty)", 1.0)]
