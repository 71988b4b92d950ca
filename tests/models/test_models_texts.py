"""Networks read text: hashed words, what is missing, save and load, companions, draws and probes."""

from __future__ import annotations

import os

import numpy as np
import pytest
from model_data import NOBODY, first
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils import murmurhash3_32
from torch import nn

from labelwise.data import make as make_task
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError, ShapeError
from labelwise.models import make
from labelwise.models.inputs import Reader
from labelwise.models.probes import PROBES
from labelwise.models.texts import Words
from labelwise.models.torch import TorchRecipe, load
from labelwise.seeds import generator
from labelwise.signals import Signals

CPU = {"device": "cpu", "threads": 1}
SMALL = {"width": 16, "epochs": 10, "batch_size": 8, "text_features": 64, **CPU}
BASIC = frozenset({"probs", "logits", "embeddings"})


def texts(*words: str) -> np.ndarray:
    return np.array(words, dtype=np.dtypes.StringDType())


def notes(n: int = 160) -> tuple[ArrayDataset, np.ndarray]:
    """Texts of noise in which one word tells the class."""
    rng = generator(0, "tests", "texts")
    y = rng.integers(0, 2, n)
    noise = rng.integers(0, 12, (n, 4))
    said = (
        " ".join(["card" if label else "cash", *(f"noise{k}" for k in row)])
        for label, row in zip(y, noise, strict=True)
    )
    return ArrayDataset({"note": texts(*said)}), y


def fit(recipe, data, y, n=120, classes=2, **more):
    return recipe.fit(
        data, first(n, y), np.arange(n, len(data)), None, classes, generator(0, "tests"), **more
    )


def answers(predictor, data, names=BASIC) -> Signals:
    return predictor.infer(data, np.arange(len(data)), names)


# ------------------------------------------------------------------------------------------------ words


def test_words_and_pairs_are_counted_in_the_columns_of_their_hashes():
    # "to be to": to twice, be once, the pairs "to be" and "be to" once each; scikit-learn's column of a token is
    # |murmurhash3_32(token)| mod F. The four do not collide among 32, so the counts are 2, 1, 1, 1 of length √7, and
    # the row's length is √32. "I" and "!" are no words.
    columns = [abs(murmurhash3_32(token)) % 32 for token in ("to", "be", "to be", "be to")]
    assert len(set(columns)) == 4
    expected = np.zeros(32)
    expected[columns] = np.array([2, 1, 1, 1]) * np.sqrt(32 / 7)
    read = Words(32).read("note", texts("To be, I to!"), None)
    assert read.dtype == np.float32
    assert_allclose(read, [expected], rtol=1e-6)


def test_rows_are_those_of_the_vectorizer_times_the_root_of_their_columns():
    data, _ = notes()
    plain = HashingVectorizer(ngram_range=(1, 2), n_features=64, alternate_sign=False)
    said = data.batch(np.arange(160))["note"]
    read = Words(64).read("note", said, None)
    assert_allclose(read, 8 * plain.transform(list(said)).toarray(), rtol=1e-6)
    assert_allclose((read**2).mean(axis=1), 1, rtol=1e-6)


def test_texts_that_are_missing_or_empty_are_zeros():
    absent = np.array([False, True, False, False])
    read = Words(8).read("note", texts("card", "card", "", "? !"), absent)
    assert_array_equal(read.any(axis=1), [True, False, False, False])
    assert Words(8).read("note", texts(), None).shape == (0, 8)
    gone = np.array(["card", None], dtype=np.dtypes.StringDType(na_object=None))
    assert_array_equal(Words(8).read("note", gone, None).any(axis=1), [True, False])


def test_what_is_no_text_any_more_is_refused():
    with pytest.raises(
        ShapeError, match=r"'note' must be text \(b,\), as at the fit; it is float64 of shape \(3, 2\)"
    ):
        Words(8).read("note", np.zeros((3, 2)), None)
    reader = Reader.measure(ArrayDataset({"age": np.zeros(2)}), np.arange(2), ("age",))
    with pytest.raises(ShapeError, match="'age' must be numbers, as at the fit"):
        reader.read(ArrayDataset({"age": texts("old", "young")}), np.arange(2))


def test_text_stands_beside_tables_and_images_and_survives_the_state():
    data = ArrayDataset(
        {
            "age": np.array([[1.0], [3.0]]),
            "note": texts("card", "cash"),
            "photo": np.array([[[0]], [[255]]], np.uint8),
        },
        present=np.array([[True, True, True], [True, False, True]]),
    )
    reader = Reader.measure(data, np.arange(2), ("age", "note", "photo"), text_features=8)
    assert reader.shape == (10,)
    read = reader.read(data, np.arange(2))
    assert_allclose(read[:, [0, 9]], [[-1, -1], [1, 1]], atol=1e-6)
    assert_allclose(np.linalg.norm(read[:, 1:9], axis=1), [np.sqrt(8), 0], rtol=1e-6)
    again = Reader.from_state(reader.state_dict(), ("age", "note", "photo"))
    assert_array_equal(again.read(data, np.arange(2)), read)


# ---------------------------------------------------------------------------------------------- networks


def test_an_mlp_learns_from_text_and_from_text_beside_a_table():
    data, y = notes()
    alone = answers(fit(TorchRecipe("mlp", **SMALL), data, y), data)
    assert (alone.probs.argmax(1) == y)[120:].mean() > 0.8
    assert alone.embeddings.shape == (160, 16)
    table = generator(0, "tests", "table").normal(size=(160, 3)).astype(np.float32)
    both = ArrayDataset({"note": data.arrays["note"], "noise": table})
    beside = answers(fit(TorchRecipe("mlp", **SMALL), both, y), both)
    assert (beside.probs.argmax(1) == y)[120:].mean() > 0.8


def test_a_text_is_answered_alike_in_any_company():
    data, y = notes()
    predictor = fit(TorchRecipe("mlp", **SMALL), data, y)
    together = answers(predictor, data)
    blocks = fit(TorchRecipe("mlp", **{**SMALL, "infer_batch": 7}), data, y)
    alone = [predictor.infer(data, np.array([id_]), BASIC) for id_ in range(160)]
    for name in BASIC:
        assert_allclose(answers(blocks, data).need(name), together.need(name), rtol=1e-4, atol=1e-5)
        assert_allclose(
            np.concatenate([one.need(name) for one in alone]), together.need(name), rtol=1e-4, atol=1e-5
        )
    assert predictor.infer(data, NOBODY, BASIC).embeddings.shape == (0, 16)


def test_a_saved_network_reads_text_as_before(tmp_path):
    data, y = notes()
    predictor = fit(TorchRecipe("mlp", **SMALL), data, y)
    predictor.save(tmp_path / "p.safetensors")
    again = load(tmp_path / "p.safetensors", device="cpu")
    for name in BASIC:
        assert_array_equal(answers(again, data).need(name), answers(predictor, data).need(name))


def test_warm_rounds_keep_the_columns_of_the_first():
    data, y = notes()
    state = fit(TorchRecipe("mlp", **SMALL, warm=True), data, y).state_dict()
    wider = TorchRecipe("mlp", **{**SMALL, "text_features": 128}, warm=True)
    assert fit(wider, data, y, previous=state).reader.shape == (64,)


def test_a_network_of_ones_own_reads_text_as_columns():
    data, y = notes()
    predictor = fit(
        TorchRecipe(lambda shape, c: nn.Linear(shape[0], c), **{**SMALL, "width": None, "lr": 0.01}), data, y
    )
    assert (answers(predictor, data).probs.argmax(1) == y)[120:].mean() > 0.8


def test_draws_and_probes_answer_on_text():
    data, y = notes()
    predictor = fit(TorchRecipe("mlp", **SMALL, dropout=0.3, draws=3), data, y)
    names = {"draws"} | {f"scalars.{name}" for name in PROBES}
    signals = answers(predictor, data, frozenset(names))
    assert signals.draws.shape == (160, 3, 2)
    assert set(signals.scalars) == set(PROBES)


@pytest.mark.parametrize(
    "name, scalar, fields",
    [
        ("learning-loss", "predicted_loss", {"units": 8}),
        ("vaal", "discriminator", {"width_vae": 2, "units": 8}),
        ("waal", "critic", {"units": 8}),
    ],
)
def test_companions_train_on_text(name, scalar, fields):
    data, y = notes()
    predictor = fit(make(name, network="mlp", **SMALL, **fields), data, y)
    signals = answers(predictor, data, BASIC | {f"scalars.{scalar}"})
    assert (signals.probs.argmax(1) == y)[120:].mean() > 0.8
    assert np.ptp(signals.scalars[scalar]) > 0


def test_twins_and_ensembles_are_made_of_text():
    data, y = notes()
    twins = fit(make("dfal", network="mlp", **SMALL), data, y)
    assert twins.notes["twins"] > 0
    several = fit(make("ensemble", member={"name": "mlp", **SMALL}, size=2), data, y)
    assert answers(several, data, frozenset({"draws"})).draws.shape == (160, 2, 2)


def test_what_does_not_suit_text_is_refused():
    data, y = notes()
    with pytest.raises(InputError, match="text_features must be"):
        TorchRecipe("mlp", text_features=0)
    with pytest.raises(InputError, match="one modality of images; the data hold 'note'.*take 'mlp'"):
        fit(TorchRecipe("cnn", **CPU), data, y)
    with pytest.raises(InputError, match="mean and std are for recipes that read one modality of images"):
        fit(TorchRecipe("mlp", mean=(0.5,), std=(0.5,), **CPU), data, y)


@pytest.mark.skipif(
    "LABELWISE_DATA" not in os.environ, reason="LABELWISE_DATA names no folder of real data sets"
)
def test_an_mlp_learns_banking77():
    made = make_task("banking77", validation=0)
    pool = generator(0, "tests", "banking").permutation(made.task.pool)  # the training part
    y = np.asarray(made.truth)
    train, rest = pool[:600], pool[600:1600]
    predictor = make("mlp", width=128, epochs=10, **CPU).fit(
        made.task.data, Labelled(train, y[train]), NOBODY, None, 77, generator(0, "fit")
    )
    signals = predictor.infer(made.task.data, rest, frozenset({"probs"}))
    assert (signals.probs.argmax(1) == y[rest]).mean() > 0.4  # chance is 1/77; 0.53 was seen
