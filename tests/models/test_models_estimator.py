"""EstimatorRecipe: scikit-learn classifiers on images, tables, text and mixtures of them."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
from model_data import NOBODY, digits, first, halves
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError, MissingSignal, TrainingError, UnknownName
from labelwise.models import make
from labelwise.models.base import Predictor, Recipe
from labelwise.models.estimator import ESTIMATORS, EstimatorRecipe
from labelwise.seeds import generator

PROBS = frozenset({"probs"})
OWN = [
    LogisticRegression(C=0.5),
    RandomForestClassifier(20),
    KNeighborsClassifier(3),
    GaussianNB(),
    CalibratedClassifierCV(LinearSVC(), cv=3),
    make_pipeline(StandardScaler(), RandomForestClassifier(20)),
]


def fit(recipe, data, y, n=40, classes=2, seed=0):
    return recipe.fit(data, first(n, y), NOBODY, None, classes, generator(seed, "tests"))


def probs(predictor, data):
    return predictor.infer(data, np.arange(len(data)), PROBS).probs


def texts(values):
    return np.array(values, dtype=np.dtypes.StringDType())


@pytest.mark.parametrize("estimator", [*ESTIMATORS, *OWN], ids=str)
def test_classifiers_learn_and_repeat_to_the_bit(estimator):
    data, y = halves(80, (6, 6))
    recipe = EstimatorRecipe(estimator)
    a, b = (probs(fit(recipe, data, y), data) for _ in range(2))
    assert_array_equal(a, b)
    assert a.dtype == np.float32
    assert_allclose(a.sum(1), 1, atol=1e-6)
    assert (a.argmax(1) == y).mean() > 0.9


@pytest.mark.parametrize("name", ["logistic", "forest"])
def test_the_table_s_recipes_learn_digits(name):
    data, y = digits()
    order = generator(0, "tests", "digits").permutation(len(y))
    recipe = make(name)
    assert isinstance(recipe, Recipe)
    predictor = recipe.fit(data, Labelled(order[:500], y[order[:500]]), NOBODY, None, 10, generator(0, "fit"))
    assert isinstance(predictor, Predictor)
    assert predictor.state_dict() == {}
    answers = predictor.infer(data, order[500:], PROBS).probs.argmax(1)
    assert (answers == y[order[500:]]).mean() > 0.9


def test_other_seeds_give_other_forests():
    data, y = digits()
    recipe = EstimatorRecipe(RandomForestClassifier(10, random_state=0))  # the user's number does not count
    one, other = (probs(fit(recipe, data, y, n=50, classes=10, seed=seed), data) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_the_caller_s_estimator_is_neither_changed_nor_followed():
    data, y = halves(40, (6, 6))
    own = RandomForestClassifier(10)
    recipe = EstimatorRecipe(own)
    fit(recipe, data, y)
    assert not hasattr(own, "classes_")
    assert own.random_state is None
    own.set_params(n_estimators=3)
    assert fit(recipe, data, y).fitted.n_estimators == 10


def test_missing_classes_get_probability_0_and_columns_stay_in_place():
    data, y = halves(60, (6, 6))
    signals = probs(fit(EstimatorRecipe("logistic"), data, np.where(y == 1, 4, 1), classes=6), data)
    assert signals.shape == (60, 6)
    assert_array_equal(signals[:, [0, 2, 3, 5]], 0)
    assert_array_equal(signals.argmax(1)[:40], np.where(y == 1, 4, 1)[:40])


@pytest.mark.parametrize("n", [1, 5])
def test_a_single_class_is_the_answer_for_everything(n):
    data, _y = halves(20, (6, 6))
    predictor = fit(EstimatorRecipe("logistic"), data, np.full(20, 2), n=n, classes=4)
    assert predictor.notes == {"single_class": 1}
    assert_array_equal(probs(predictor, data), np.tile([0, 0, 1, 0], (20, 1)))


def test_params_reach_the_estimator():
    data, y = halves(40, (6, 6))
    predictor = fit(EstimatorRecipe("forest", {"n_estimators": 7}), data, y)
    assert len(predictor.fitted.estimators_) == 7
    with pytest.raises(InputError, match="do not suit RandomForestClassifier"):
        EstimatorRecipe("forest", {"trees": 7})


def test_text_is_read_by_words_and_pairs():
    negated = ["not good at all", "good not bad"] * 20
    data = ArrayDataset({"review": texts(negated)})
    y = np.arange(40) % 2  # the same words; the pairs "not good" and "not bad" differ
    predictor = fit(EstimatorRecipe("logistic", {"C": 100.0}), data, y)
    unseen = ArrayDataset({"review": texts(["not good", "not bad"])})
    assert_array_equal(probs(predictor, unseen).argmax(1), [0, 1])


@pytest.mark.parametrize("informative", ["image", "table", "text"])
def test_each_of_several_modalities_is_learned_from(informative):
    rng = generator(0, "tests", "mixed")
    images, y = halves(80, (4, 4))
    parts = {
        "image": images.arrays["image"] if informative == "image" else np.zeros((80, 4, 4), np.uint8),
        "table": rng.normal(size=(80, 2)) + 4 * y[:, None] * (informative == "table"),
        "text": texts(["yes" if label and informative == "text" else "no" for label in y]),
    }
    data = ArrayDataset(parts)
    predictor = fit(EstimatorRecipe("logistic"), data, y)
    assert (probs(predictor, data).argmax(1) == y)[40:].mean() > 0.9
    assert predictor.notes["features"] == 16 + 2 + 2**18
    chosen = fit(EstimatorRecipe("logistic", modalities=[informative]), data, y)
    assert (probs(chosen, data).argmax(1) == y)[40:].mean() > 0.9


def test_missing_values_and_absent_modalities_are_filled():
    rng = generator(0, "tests", "missing")
    y = rng.integers(0, 2, 80)
    table = rng.normal(size=(80, 3)) + 4 * y[:, None]
    table[::3, 0] = np.nan
    table[:, 2] = np.nan
    present = np.ones((80, 2), bool)
    present[::4, 1] = False
    data = ArrayDataset({"table": table, "text": texts(["hello"] * 80)}, present=present)
    answers = probs(fit(EstimatorRecipe("logistic"), data, y), data)
    assert (answers.argmax(1) == y).mean() > 0.9


def test_a_text_that_is_absent_reads_as_no_text():
    data = ArrayDataset(
        {"t": texts(["good", "bad", "good", ""])}, present=np.array([[1], [1], [0], [1]], bool)
    )
    answers = probs(fit(EstimatorRecipe("logistic"), data, np.array([0, 1, 0, 1]), n=2), data)
    assert_array_equal(answers[2], answers[3])
    assert not np.array_equal(answers[0], answers[2])


def test_images_are_read_between_0_and_1():
    data = ArrayDataset({"i": np.array([[[0, 51]], [[255, 102]]], np.uint8)})
    predictor = fit(EstimatorRecipe("logistic"), data, np.array([0, 1]), n=2)
    assert_allclose(predictor.features.read(data, np.arange(2)), [[0, 0.2], [1, 0.4]], rtol=1e-6)


def test_answers_come_in_blocks_and_progress_is_told():
    data = ArrayDataset({"t": np.arange(9000.0)})
    told = []
    predictor = fit(EstimatorRecipe("logistic"), data, np.arange(9000) // 20, n=40, classes=450)
    signals = predictor.infer(data, np.arange(9000), PROBS, progress=lambda *at: told.append(at))
    assert told == [(4096, 9000), (8192, 9000), (9000, 9000)]
    few = predictor.infer(data, np.array([8999, 5, 5000]), PROBS)
    assert_allclose(few.probs, signals.probs[[8999, 5, 5000]], rtol=1e-5, atol=1e-12)
    assert predictor.infer(data, NOBODY, PROBS).probs.shape == (0, 450)


@pytest.mark.parametrize("estimator", [LinearSVC(), SVC(), StandardScaler()], ids=str)
def test_estimators_without_probabilities_are_refused_with_the_cure(estimator):
    with pytest.raises(InputError, match=r"no predict_proba.*CalibratedClassifierCV"):
        EstimatorRecipe(estimator)


@pytest.mark.parametrize("estimator", [LogisticRegression, 3, None])
def test_what_is_no_estimator_is_refused(estimator):
    with pytest.raises(InputError, match=r"an instance of a scikit-learn classifier"):
        EstimatorRecipe(estimator)


def test_an_unknown_estimator_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'logistic'"):
        EstimatorRecipe("logistics")


def test_an_estimator_that_refuses_the_samples_says_which():
    data, _y = halves(40, (6, 6))
    with pytest.raises(
        TrainingError, match="CalibratedClassifierCV could not be fitted on 3 samples of 2 classes"
    ):
        fit(EstimatorRecipe(CalibratedClassifierCV(LinearSVC(), cv=3)), data, np.arange(40) % 2, n=3)
    text = ArrayDataset({"t": texts(["a b", "c d"] * 5)})
    with pytest.raises(TrainingError, match=r"GaussianNB could not be fitted.*sparse"):
        fit(EstimatorRecipe("bayes"), text, np.arange(10) % 2, n=10)


def test_a_fit_that_does_not_converge_is_noted_and_not_shouted():
    data, y = digits()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor = fit(EstimatorRecipe("logistic", {"max_iter": 2}), data, y, n=100, classes=10)
    assert predictor.notes["not_converged"] == 1


class Shouting(GaussianNB):
    def fit(self, x, y):
        warnings.warn("something else", UserWarning, stacklevel=1)
        return super().fit(x, y)


def test_other_warnings_reach_the_caller():
    data, y = halves(40, (6, 6))
    with pytest.warns(UserWarning, match="something else"):
        fit(EstimatorRecipe(Shouting()), data, y)


def test_nothing_but_probabilities_is_given():
    data, y = halves(40, (6, 6))
    with pytest.raises(MissingSignal, match="gives probs; asked for embeddings"):
        fit(EstimatorRecipe("logistic"), data, y).infer(data, np.arange(3), frozenset({"embeddings"}))


def test_a_named_recipe_is_plain_values_and_frozen():
    recipe = EstimatorRecipe("forest", {"n_estimators": 5}, modalities=["image"])
    assert json.loads(json.dumps(dataclasses.asdict(recipe)))["params"] == {"n_estimators": 5}
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.threads = 2


@pytest.mark.parametrize("name", ["logistic", "forest"])
def test_global_numpy_draws_do_not_matter(name):
    data, y = halves(40, (6, 6))
    state = np.random.get_state()  # noqa: NPY002 - reads the global generator to prove that nobody used it
    fit(EstimatorRecipe(name), data, y)
    after = np.random.get_state()  # noqa: NPY002
    assert_array_equal(after[1], state[1])
    assert after[2] == state[2]
