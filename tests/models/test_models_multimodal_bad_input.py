"""Data of several modalities that go wrong: each case has a defined answer, or is refused by the name of what is wrong."""

import numpy as np
import pytest
from model_data import NOBODY
from multimodal_data import ALL, SMALL, fit, some, told
from numpy.testing import assert_allclose, assert_array_equal

from labelwise import Campaign, Plan, make, models
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError, ShapeError
from labelwise.models.multimodal.recipe import MultimodalRecipe
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore

ONE = {**SMALL, "epochs": 1}


def finite(signals):
    for name in signals.names:
        value = signals.need(name)
        for part in value if isinstance(value, tuple) else (value,):
            assert np.isfinite(part).all(), name


@pytest.mark.parametrize("fusion", ["head", "dempster-shafer"])
def test_a_modality_missing_everywhere_contributes_nothing(fusion):
    present = np.ones((40, 3), dtype=bool)
    present[:, 1] = False
    data, y = some(present=present)
    validation, test = (Labelled(np.arange(a, a + 8), y[a : a + 8]) for a in (24, 32))
    task = Task("two of three", data, ("a", "b", "c"), np.arange(24), validation, test)
    recipe = MultimodalRecipe(fusion=fusion, **ONE)
    campaign = Campaign(task, recipe, make("bmmal"), MemoryStore(), Plan(start=9, batch=4, budget=13))
    oracle = SimulatedOracle(y, 3)
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))
    for fitted in campaign.state.fits:
        assert fitted.fit["present/shape"] == 0
        assert fitted.analysis["shapley"][1] == 0
    s = told(campaign.fit(), data)
    finite(s)
    assert_array_equal(s.coalitions[:, [2, 3, 6, 7]], s.coalitions[:, [0, 1, 4, 5]])  # with it and without


def test_wrong_shapes_and_kinds_name_the_modality():
    data, y = some()
    predictor = fit(MultimodalRecipe(**ONE), data, y)
    arrays = data.arrays
    for name, wrong, words in (
        ("sound", arrays["sound"][:, :5], r"'sound' must have samples of shape \(6, 4, 1\).*\(5, 4, 1\)"),
        ("shape", arrays["shape"][..., :1], r"'shape' must have samples of shape \(4, 5, 2\).*\(4, 5, 1\)"),
        ("table", np.array(["x"] * 40, dtype=np.dtypes.StringDType()), "'table' must be numbers"),
    ):
        with pytest.raises(ShapeError, match=words):
            told(predictor, ArrayDataset({**arrays, name: wrong}))
    with pytest.raises(ShapeError, match="'shape' must be images"):
        fit(MultimodalRecipe(**ONE), ArrayDataset({**arrays, "shape": np.zeros((40, 2, 2, 2, 2, 2))}), y)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_silent_audio_is_a_spectrogram_that_tells_nothing(kind):
    data, y = some()
    table = data.arrays["table"]
    silent = ArrayDataset({"sound": np.full((40, 6, 4), 7, kind), "table": table})
    s = told(fit(MultimodalRecipe(**ONE), silent, y), silent)
    finite(s)
    assert_allclose(
        s.evidence[:, 0], np.broadcast_to(s.evidence[0, 0], (40, 3)), rtol=1e-4
    )  # the same of all
    sound = data.arrays["sound"].astype(kind)
    sound[35] = 0  # one recording of silence among others that were learnt from
    some_silent = ArrayDataset({"sound": sound, "table": table})
    finite(told(fit(MultimodalRecipe(**ONE), some_silent, y), some_silent))
    loud = ArrayDataset({"sound": np.full((40, 6, 4), 7, kind) + sound, "table": table})
    finite(told(fit(MultimodalRecipe(**ONE), silent, y), loud))  # learnt from silence alone


def test_empty_text_is_read_as_no_word():
    data, y = some()
    words = np.array([["red", "green", ""][i % 3] for i in range(40)], dtype=np.dtypes.StringDType())
    recipe = MultimodalRecipe(text_features=32, **ONE)
    for text in (words, np.array([""] * 40, dtype=np.dtypes.StringDType())):
        held = ArrayDataset({"caption": text, "table": data.arrays["table"]})
        predictor = fit(recipe, held, y)
        s = told(predictor, held)
        finite(s)
        assert s.present.all()  # an empty text is there, and says nothing
        empty = np.flatnonzero(text == "")
        assert_allclose(
            s.evidence[empty, 0], np.broadcast_to(s.evidence[empty[0], 0], (len(empty), 3)), rtol=1e-5
        )
        assert_array_equal(predictor.reading.read(held, empty).rows[:, : 4 * 32], 0)


def test_a_validation_part_without_some_class_still_calibrates_and_is_measured():
    data, y = some()
    known = np.flatnonzero(y < 2)
    validation = Labelled(known[:6], y[known[:6]])
    rest = np.setdiff1d(np.arange(40), validation.ids)
    assert 2 not in validation.y and 2 in y[rest]
    task = Task("no third", data, ("a", "b", "c"), rest, validation)
    campaign = Campaign(
        task, MultimodalRecipe(**ONE), make("bmmal"), MemoryStore(), Plan(start=9, batch=4, budget=13)
    )
    oracle = SimulatedOracle(y, 3)
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))
    fitted = campaign.state.fits[-1]
    assert all(np.isfinite(fitted.fit[f"temperature/{name}"]) for name in data.modalities)
    assert fitted.analysis["by class"][2] is None
    assert all(0 <= value <= 1 for value in fitted.analysis["by class"][0])


def test_labels_without_some_class_are_learnt():
    data, y = some()
    only = np.flatnonzero(y < 2)[:12]
    recipe = MultimodalRecipe(**ONE)
    s = told(recipe.fit(data, Labelled(only, y[only]), NOBODY, None, 3, generator(0)), data, ALL)
    finite(s)
    assert s.probs.shape == (40, 3)


def test_texts_may_come_as_objects_but_gaps_must_be_told():
    texts = np.array(["a word", "", "two"], object)
    data = ArrayDataset({"text": texts, "table": np.zeros((3, 2))})
    assert (
        data.arrays["text"].dtype == np.dtypes.StringDType()
        and data.arrays["text"].tolist() == texts.tolist()
    )
    texts[1] = None
    with pytest.raises(InputError, match="Modality 'text' .* row 1 is None.*`present`"):
        ArrayDataset({"text": texts, "table": np.zeros((3, 2))})


def test_samples_of_unequal_shape_are_refused_by_their_modality():
    words = r"All samples of modality 'image' must have one shape; sample 0 has \(4, 4\) and sample 1 has \(4, 5\)"
    with pytest.raises(ShapeError, match=words):
        ArrayDataset({"image": [np.zeros((4, 4)), np.zeros((4, 5))]})


def test_what_is_present_is_plainly_yes_or_no():
    data, _ = some()
    there = np.ones((40, 3), dtype=int)
    there[3, 1] = 0
    held = ArrayDataset(data.arrays, present=there)
    assert held.present.dtype == bool and not held.present[3, 1] and held.present.sum() == 119
    assert_array_equal(ArrayDataset(data.arrays, present=there.tolist()).present, held.present)
    for odd, words in ((2, "row 3 holds 2 for shape"), (np.nan, "row 3 holds nan for shape")):
        wrong = there.astype(type(odd))
        wrong[3, 1] = odd
        with pytest.raises(InputError, match=words):
            ArrayDataset(data.arrays, present=wrong)
    with pytest.raises(ShapeError, match="present must hold numbers"):
        ArrayDataset(data.arrays, present=np.full((40, 3), "yes"))
    with pytest.raises(ShapeError, match=r"present must have shape \(n=40, M=3\)"):
        ArrayDataset(data.arrays, present=there[:, :2])


def test_a_misspelt_field_of_a_recipe_names_the_nearest():
    with pytest.raises(InputError, match="'multimodal' has no field 'projeciton'. Did you mean 'projection'"):
        models.make("multimodal", projeciton=8)
