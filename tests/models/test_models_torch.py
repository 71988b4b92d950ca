"""TorchRecipe and TorchPredictor: what they learn, repeat, continue, refuse and leave untouched."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from model_data import NOBODY, digits, first, halves
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import save_file
from torch import nn

from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError, MissingSignal, ShapeError, TrainingError, UnknownName
from labelwise.models import make
from labelwise.models.base import Predictor, Recipe
from labelwise.models.torch import TorchRecipe, load
from labelwise.seeds import generator

ALL = frozenset({"probs", "logits", "embeddings"})
CPU = {"device": "cpu"}
SMALL = {"network": "cnn", "width": 4, "epochs": 2, "batch_size": 8, "device": "cpu"}


def fit(recipe, data, y, n=40, classes=2, seed=0, **more):
    return recipe.fit(data, first(n, y), NOBODY, None, classes, generator(seed, "tests"), **more)


def probs(predictor, data, names=ALL):
    return predictor.infer(data, np.arange(len(data)), names)


def test_recipe_and_predictor_keep_the_contract():
    data, y = halves(40, (8, 8))
    recipe = make("cnn", width=4, epochs=1, device="cpu")
    assert isinstance(recipe, Recipe)
    assert isinstance(fit(recipe, data, y), Predictor)


def test_cnn_learns_digits():
    data, y = digits()
    order = generator(0, "tests", "digits").permutation(len(y))
    train, rest = order[:500], order[500:]
    recipe = TorchRecipe("cnn", width=8, epochs=10, batch_size=32, **CPU)
    predictor = recipe.fit(data, Labelled(train, y[train]), NOBODY, None, 10, generator(0, "fit"))
    signals = predictor.infer(data, rest, frozenset({"probs"}))
    assert (signals.probs.argmax(1) == y[rest]).mean() > 0.9


@pytest.mark.parametrize("name", ["cnn", "resnet18", "mlp"])
@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 3)])
def test_fitting_twice_gives_the_same_bits(name, shape):
    data, y = halves(40, shape)
    recipe = TorchRecipe(name, width=4, epochs=2, batch_size=8, dropout=0.3, shift=1, flip=True, **CPU)
    a, b = (probs(fit(recipe, data, y), data) for _ in range(2))
    for signal in ALL:
        assert_array_equal(a.need(signal), b.need(signal))
    other = probs(fit(recipe, data, y, seed=1), data)
    assert not np.array_equal(a.probs, other.probs)


def test_a_fit_leaves_torch_as_it_was():
    data, y = halves(40, (8, 8))
    torch.manual_seed(5)  # the test's own draws: they must go on as if nothing had happened
    expected = torch.rand(3)
    torch.manual_seed(5)
    before = torch.get_num_threads()
    predictor = fit(TorchRecipe(**{**SMALL, "dropout": 0.5, "threads": before + 1}), data, y)
    probs(predictor, data)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.rand(3), expected)


def test_the_state_of_the_global_generator_does_not_matter():
    data, y = halves(40, (8, 8))
    recipe = TorchRecipe(**SMALL, dropout=0.5)
    torch.manual_seed(1)
    a = probs(fit(recipe, data, y), data)
    torch.manual_seed(2)
    assert_array_equal(probs(fit(recipe, data, y), data).probs, a.probs)


def test_signals_fit_together():
    data, y = halves(60, (8, 8), classes=3)
    predictor = fit(TorchRecipe(**SMALL), data, y, classes=3)
    signals = probs(predictor, data)
    assert signals.probs.dtype == signals.logits.dtype == signals.embeddings.dtype == np.float32
    assert_allclose(signals.probs.sum(1), 1, atol=1e-6)
    e = np.exp(signals.logits.astype(float))
    assert_allclose(signals.probs, e / e.sum(1, keepdims=True), atol=1e-6)
    head = predictor.network.head
    rebuilt = signals.embeddings @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert_allclose(rebuilt, signals.logits, atol=1e-4)


def test_only_the_named_signals_are_given_and_ids_come_back():
    data, y = halves(40, (8, 8))
    signals = fit(TorchRecipe(**SMALL), data, y).infer(data, np.array([30, 4]), frozenset({"logits"}))
    assert signals.names == {"logits"}
    assert signals.ids.tolist() == [30, 4]


def test_a_sample_is_answered_alone_as_among_others():
    data, y = halves(40, (8, 8))
    predictor = fit(TorchRecipe(**SMALL), data, y)  # batch norm must not compare it with its neighbours
    alone = np.concatenate([predictor.infer(data, np.array([i]), ALL).logits for i in range(5)])
    assert_allclose(alone, probs(predictor, data).logits[:5], atol=1e-5)


@pytest.mark.parametrize("block", [1, 7, 40, 1000])
def test_answers_do_not_depend_on_the_block(block):
    data, y = halves(40, (8, 8))
    told = []
    a = probs(fit(TorchRecipe(**SMALL), data, y), data)
    predictor = fit(TorchRecipe(**SMALL, infer_batch=block), data, y)
    b = predictor.infer(data, np.arange(40), ALL, progress=lambda *at: told.append(at))
    assert_allclose(b.embeddings, a.embeddings, atol=1e-5)
    assert told[-1] == (40, 40)
    assert len(told) == -(-40 // block)


def test_nobody_is_answered_with_empty_signals():
    data, y = halves(40, (8, 8, 3))
    signals = fit(TorchRecipe(**SMALL), data, y).infer(data, NOBODY, ALL)
    assert signals.probs.shape == (0, 2)
    assert signals.embeddings.shape == (0, 16)  # the cnn's dense layer has 4 x width units


def test_warm_rounds_continue_as_one_longer_training_would():
    data, y = halves(40, (8, 8))
    recipe = TorchRecipe(**{**SMALL, "epochs": 1}, warm=True)
    one = fit(recipe, data, y, n=20)
    two = fit(recipe, data, y, n=40, previous=one.state_dict(), seed=1)
    fresh = fit(recipe, data, y, n=40, seed=1)
    assert two.notes["epochs_in_all"] == 2
    assert not np.array_equal(probs(two, data).probs, probs(fresh, data).probs)
    # the optimiser goes on too: Adam counted 3 steps of 8, 8, 4 and then 5 of 8
    assert {moment["step"] for moment in two.optimiser.values()} == {8.0}


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_warm_fit_from_a_stored_state_equals_one_from_memory(optimiser):
    data, y = halves(40, (8, 8, 3))
    recipe = TorchRecipe(**{**SMALL, "epochs": 1, "optimiser": optimiser}, warm=True)
    state = fit(recipe, data, y, n=20).state_dict()
    assert_only_plain_values(state)
    stored = copied(state)
    a = fit(recipe, data, y, previous=state, seed=1)
    b = fit(recipe, data, y, previous=stored, seed=1)
    assert_array_equal(probs(a, data).logits, probs(b, data).logits)
    assert_equal_trees(state, stored)  # and the fit did not write to what it was given


def assert_only_plain_values(tree, path="state"):
    if isinstance(tree, dict):
        for name, value in tree.items():
            assert isinstance(name, str)
            assert_only_plain_values(value, f"{path}.{name}")
    elif isinstance(tree, list):
        assert all(isinstance(item, int | float | str) for item in tree), path
    else:
        assert isinstance(tree, np.ndarray | int | float | str), f"{path} is {type(tree)}"


def copied(tree):
    """The same values in other memory, C-ordered, as a store gives them back."""
    if isinstance(tree, dict):
        return {name: copied(value) for name, value in tree.items()}
    return np.array(tree, order="C") if isinstance(tree, np.ndarray) else tree


def assert_equal_trees(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_equal_trees(a[name], b[name])
    else:
        assert_array_equal(a, b)


def test_cold_recipes_keep_no_state():
    data, y = halves(20, (8, 8))
    assert fit(TorchRecipe(**SMALL), data, y, n=20).state_dict() == {}


def test_a_state_of_another_network_is_refused():
    data, y = halves(40, (8, 8))
    state = fit(TorchRecipe(**SMALL, warm=True), data, y).state_dict()
    with pytest.raises(InputError, match=r"'blocks.0.weight' has shape \(4, 1, 3, 3\), here \(8, 1, 3, 3\)"):
        fit(TorchRecipe(**{**SMALL, "width": 8}, warm=True), data, y, previous=state)
    with pytest.raises(InputError, match="n_classes 2; this fit has 3"):
        fit(TorchRecipe(**SMALL, warm=True), data, y, classes=3, previous=state)
    with pytest.raises(InputError, match="optimiser_name 'adam'; this fit has 'sgd'"):
        fit(TorchRecipe(**SMALL, warm=True, optimiser="sgd"), data, y, previous=state)
    with pytest.raises(InputError, match="none of a warm TorchRecipe: it lacks epochs, inputs, network, opt"):
        fit(TorchRecipe(**SMALL, warm=True), data, y, previous={"n_classes": 2})
    renamed = ArrayDataset({"scan": data.batch(np.arange(40))["image"]})
    with pytest.raises(InputError, match=r"reads the modalities \['image'\]; this fit reads \['scan'\]"):
        fit(TorchRecipe(**SMALL, warm=True), renamed, y, previous=state)


def test_a_fit_that_fails_leaves_torch_as_it_was():
    data, y = halves(40, (8, 8))
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with pytest.raises(TrainingError):
        fit(TorchRecipe(**{**SMALL, "lr": 1e30, "threads": threads + 1}), data, y)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("n", [1, 2, 9])  # 9 = 8 + 1: a last batch of one sample
def test_awkward_numbers_of_samples_are_learned_from(n):
    data, y = halves(20, (8, 8))
    assert np.isfinite(probs(fit(TorchRecipe(**SMALL), data, y, n=n), data).probs).all()


def test_classes_may_be_missing_from_training():
    data, y = halves(40, (8, 8))
    signals = probs(fit(TorchRecipe(**SMALL), data, y, classes=5), data)
    assert signals.probs.shape == (40, 5)


def test_nothing_to_learn_from_is_refused():
    data, y = halves(40, (8, 8))
    with pytest.raises(InputError, match="training samples must be a whole number of at least 1; it is 0"):
        fit(TorchRecipe(**SMALL), data, y, n=0)


def test_labels_out_of_range_are_refused():
    data, _ = halves(4, (8, 8))
    with pytest.raises(InputError, match=r"train\.y: row 2 is label 2"):
        fit(TorchRecipe(**SMALL), data, np.array([0, 1, 2, 0]), n=4)


def test_float_images_are_read_like_bytes():
    data, y = halves(40, (8, 8))
    floats = ArrayDataset({"image": (data.arrays["image"] / 255).astype(np.float32)})
    a = probs(fit(TorchRecipe(**{**SMALL, "epochs": 1}), data, y), data)
    b = probs(fit(TorchRecipe(**{**SMALL, "epochs": 1}), floats, y), floats)
    # the same numbers up to rounding of (x - m) / s; Adam's first steps are signs, so rounding is seen
    assert_allclose(b.probs, a.probs, atol=0.02)


def test_given_constants_take_the_place_of_measured_ones():
    data, y = halves(20, (8, 8, 3))
    recipe = TorchRecipe(**SMALL, mean=[0.5], std=(0.25, 0.5, 1.0))
    reader = fit(recipe, data, y, n=20).reader
    assert_allclose(reader.scales["image"].centre, [0.5] * 3)
    assert_allclose(reader.scales["image"].spread, [0.25, 0.5, 1.0])
    with pytest.raises(InputError, match="mean and std must hold 1 or 3 numbers"):
        fit(TorchRecipe(**SMALL, mean=(0.1, 0.2), std=(1.0, 1.0)), data, y, n=20)


def test_early_stopping_uses_the_validation_samples():
    data, y = halves(60, (8, 8))
    recipe = TorchRecipe(**{**SMALL, "epochs": 40}, patience=2)
    held = Labelled(np.arange(40, 60), y[40:])
    predictor = recipe.fit(data, first(20, y), NOBODY, held, 2, generator(0, "t"))
    assert predictor.notes["best_epoch"] <= predictor.notes["epochs"] <= 40
    again = predictor.infer(data, held.ids, frozenset({"logits"})).logits.astype(float)
    log_p = again - np.log(np.exp(again).sum(1, keepdims=True))
    nll = -log_p[np.arange(20), held.y].mean()
    assert_allclose(nll, predictor.notes["validation_loss"], rtol=1e-3, atol=1e-5)


def test_mlp_reads_all_dense_modalities_with_missing_values():
    images, y = halves(60, (4, 4))
    rng = generator(0, "tests", "table")
    table = rng.normal(size=(60, 3)) + y[:, None]
    table[::5, 1] = np.nan
    present = np.ones((60, 2), bool)
    present[::7, 0] = False
    data = ArrayDataset({"image": images.arrays["image"], "table": table}, present=present)
    predictor = fit(TorchRecipe("mlp", width=16, epochs=20, batch_size=8, **CPU), data, y)
    signals = probs(predictor, data)
    assert signals.embeddings.shape == (60, 16)
    assert (signals.probs.argmax(1) == y)[40:].mean() > 0.8


def test_what_a_network_cannot_read_is_named():
    text = np.array(["a", "b"] * 5, dtype=np.dtypes.StringDType())
    data = ArrayDataset({"photo": np.zeros((10, 8, 8), np.uint8), "note": text, "age": np.zeros((10, 1))})
    y = np.arange(10) % 2
    with pytest.raises(
        InputError, match=r"'photo' \(image\), 'note' \(text\), 'age' \(table\).*'mlp', 'logistic'"
    ):
        fit(TorchRecipe("cnn", **CPU), data, y, n=10)
    with pytest.raises(InputError, match="'cnn' reads one modality of images; the data hold 'note'"):
        fit(TorchRecipe("cnn", modalities=("note",), **CPU), data, y, n=10)
    with pytest.raises(InputError, match="'cnn' reads one modality of images; the data hold 'age'"):
        fit(TorchRecipe("cnn", modalities=("age",), **CPU), data, y, n=10)
    with pytest.raises(UnknownName, match="Did you mean 'photo'"):
        fit(TorchRecipe("cnn", modalities=("foto",), **CPU), data, y, n=10)
    chosen = fit(TorchRecipe("cnn", width=2, epochs=1, modalities=["photo"], **CPU), data, y, n=10)
    assert probs(chosen, data).probs.shape == (10, 2)


def test_other_samples_than_at_the_fit_are_refused():
    data, y = halves(20, (8, 8))
    predictor = fit(TorchRecipe(**SMALL), data, y, n=20)
    with pytest.raises(ShapeError, match="as at the fit"):
        probs(predictor, halves(4, (9, 9))[0])


def test_a_signal_that_no_network_gives_is_refused():
    data, y = halves(20, (8, 8))
    with pytest.raises(MissingSignal, match="asked for draws"):
        probs(fit(TorchRecipe(**SMALL), data, y, n=20), data, frozenset({"draws"}))


def own(shape, n_classes):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 6), nn.ReLU(), nn.Linear(6, n_classes)
    )


def test_a_network_of_ones_own_gives_embeddings_too():
    data, y = halves(40, (8, 8))
    predictor = fit(TorchRecipe(own, epochs=5, batch_size=8, **CPU), data, y)
    signals = probs(predictor, data)
    last = predictor.network[3]
    rebuilt = signals.embeddings @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    assert_allclose(rebuilt, signals.logits, atol=1e-5)
    assert (signals.probs.argmax(1) == y).mean() > 0.9


def test_networks_of_ones_own_that_cannot_work_are_refused():
    data, y = halves(20, (8, 8))
    with pytest.raises(InputError, match=r"must return an nn\.Module; it returned None"):
        fit(TorchRecipe(lambda shape, n_classes: None, **CPU), data, y, n=20)
    with pytest.raises(InputError, match=r"logits of shape \(2, 2\); got \(2, 64\)"):
        fit(TorchRecipe(lambda shape, n_classes: nn.Flatten(), **CPU), data, y, n=20)

    def convolutional(shape, n_classes):
        return nn.Sequential(nn.Conv2d(1, n_classes, 8), nn.Flatten())

    with pytest.raises(MissingSignal, match=r"no nn\.Linear"):
        probs(fit(TorchRecipe(convolutional, epochs=1, **CPU), data, y, n=20), data)


@pytest.mark.parametrize(
    "bad,words",
    [
        ({"network": 5}, "network must be a name or a callable"),
        ({"dropout": 1.0}, "dropout must lie in"),
        ({"width": 0}, "width"),
        ({"mean": (0.5,)}, "given together"),
        ({"mean": (0.5,), "std": (0.0,)}, "std above 0"),
        ({"epochs": -1}, "epochs"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(bad, words):
    with pytest.raises(InputError, match=words):
        TorchRecipe(**bad)


def test_a_wrong_field_is_refused_by_the_table():
    with pytest.raises(InputError, match="'epoch'"):
        make("cnn", epoch=3)


def test_a_recipe_is_plain_values_and_frozen():
    recipe = TorchRecipe("cnn", modalities=["image"], milestones=[0.5])
    again = TorchRecipe(**json.loads(json.dumps(dataclasses.asdict(recipe))))
    assert again == recipe
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 3


def test_probabilities_are_safe_for_huge_logits_and_many_classes():
    class Huge(nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.scale = nn.Parameter(torch.full((n_classes,), 1e30))

        def forward(self, x):
            return x.flatten(1)[:, :1] * self.scale * torch.linspace(-1, 1, len(self.scale))

    data, _y = halves(6, (8, 8))
    recipe = TorchRecipe(
        lambda shape, n_classes: Huge(n_classes), epochs=1, lr=1e-12, label_smoothing=0.0, **CPU
    )
    signals = probs(fit(recipe, data, np.full(6, 999), n=6, classes=1000), data, frozenset({"probs"}))
    assert_allclose(signals.probs.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("warm", [False, True])
def test_a_saved_predictor_answers_the_same(tmp_path, warm):
    data, y = halves(40, (8, 8, 3))
    predictor = fit(TorchRecipe(**SMALL, warm=warm), data, y)
    predictor.save(tmp_path / "p.safetensors")
    again = load(tmp_path / "p.safetensors", device="cpu")
    assert again.recipe == predictor.recipe
    assert again.notes == predictor.notes
    assert_array_equal(probs(again, data).logits, probs(predictor, data).logits)
    assert_equal_trees(again.state_dict(), predictor.state_dict())


def test_a_saved_network_of_ones_own_needs_its_callable(tmp_path):
    data, y = halves(40, (8, 8))
    predictor = fit(TorchRecipe(own, epochs=1, **CPU), data, y)
    predictor.save(tmp_path / "p.safetensors")
    with pytest.raises(InputError, match="pass its callable"):
        load(tmp_path / "p.safetensors")
    again = load(tmp_path / "p.safetensors", own, device="cpu")
    assert_array_equal(probs(again, data).logits, probs(predictor, data).logits)


def test_files_that_are_no_predictor_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"not a predictor")
    with pytest.raises(InputError, match="cannot be read as a predictor"):
        load(tmp_path / "x")
    with pytest.raises(InputError, match="cannot be read as a predictor"):
        load(tmp_path / "absent")
    save_file({"network/w": np.zeros(1)}, tmp_path / "other")
    with pytest.raises(InputError, match="must be a predictor of version 1; it is something else"):
        load(tmp_path / "other")
    save_file(
        {}, tmp_path / "torn", metadata={"labelwise-predictor": "1", "about": '{"recipe": {"network": "mlp"}'}
    )
    with pytest.raises(InputError, match="is damaged"):
        load(tmp_path / "torn")
