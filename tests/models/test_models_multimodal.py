"""MultimodalRecipe and its predictor: laws of modalities, what is missing, what it learns, repeats and refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from model_data import NOBODY, first
from multimodal_data import ALL, RULES, SMALL, equal, fit, holes, some, told
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from labelwise import Campaign, Plan, models
from labelwise import data as sets
from labelwise import make as make_strategy
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError, MissingSignal, ShapeError, UnknownName
from labelwise.models import make
from labelwise.models.base import Predictor, Recipe
from labelwise.models.multimodal.network import Told
from labelwise.models.multimodal.recipe import MultimodalRecipe
from labelwise.models.probes import PROBES
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore


def test_recipe_and_predictor_keep_the_contract():
    data, y = some()
    recipe = make("multimodal", **SMALL)
    assert isinstance(recipe, Recipe)
    assert recipe.gives.labelled == recipe.gives.validation == ALL
    assert recipe.gives.pool == ALL | {f"scalars.{name}" for name in PROBES}
    assert not recipe.warm
    predictor = fit(recipe, data, y)
    assert isinstance(predictor, Predictor)
    assert predictor.state_dict() == {}
    assert all(isinstance(value, float | int) for value in predictor.notes.values())


@pytest.mark.parametrize("fusion", ["head", *RULES])
def test_signals_fit_together(fusion):
    data, y = some(present=holes())
    predictor = fit(MultimodalRecipe(fusion=fusion, **SMALL), data, y)
    s = told(predictor, data)
    assert s.names == ALL
    assert s.evidence.shape == s.modal_probs.shape == (40, 3, 3)
    assert (s.evidence >= 0).all() and s.evidence.dtype == np.float32
    alpha = s.evidence.astype(float) + 1
    assert_allclose(s.modal_probs, alpha / alpha.sum(2, keepdims=True), rtol=1e-5)
    e = np.exp(s.logits.astype(float))
    assert_allclose(s.probs, e / e.sum(1, keepdims=True), atol=1e-6)
    assert_array_equal(s.present, holes())
    assert [part.shape for part in s.modal_embeddings] == [(40, 8)] * 3
    network = predictor.network
    if fusion == "head":
        rebuilt = s.embeddings @ network.head.weight.detach().numpy().T + network.head.bias.detach().numpy()
        assert_allclose(rebuilt, s.logits, atol=1e-5)
        return
    assert_array_equal(s.embeddings, np.concatenate(s.modal_embeddings, axis=1))
    there = np.where(holes()[..., None], s.evidence, 0).astype(float)
    fused = {
        "weighted": there.sum(1) / 3,
        "mean": there.sum(1) / holes().sum(1)[:, None],
        "product": (there + 1).prod(1) - 1,
        "dempster-shafer": 3 * ((there / 3 + 1).prod(1) - 1),
    }[fusion]
    assert_allclose(s.logits, np.log(fused + 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", ["head", "weighted", "dempster-shafer"])
def test_the_order_of_modalities_permutes_their_answers_and_nothing_else(fusion):
    weights = {"table": 3.0, "sound": 1.0, "shape": 2.0}
    recipe = MultimodalRecipe(fusion=fusion, weights=weights, **SMALL)
    present, turned = holes(), ("table", "sound", "shape")
    (data, y), (other, _) = some(present=present), some(present=present, order=turned)
    a, b = told(fit(recipe, data, y), data), told(fit(recipe, other, y), other)
    close = {"rtol": 1e-3, "atol": 1e-4}  # sums in another order
    where = [2, 0, 1]
    assert_allclose(b.probs, a.probs, **close)
    assert_allclose(b.evidence, a.evidence[:, where], **close)
    assert_allclose(b.modal_probs, a.modal_probs[:, where], **close)
    assert_array_equal(b.present, a.present[:, where])
    for m, part in enumerate(b.modal_embeddings):
        assert_allclose(part, a.modal_embeddings[where[m]], **close)
    equal_weights = told(fit(dataclasses.replace(recipe, weights=None), data, y), data)
    assert np.array_equal(equal_weights.probs, a.probs) == (fusion == "dempster-shafer")  # reads no weights


def test_a_missing_modality_is_no_evidence_and_leaves_the_others_alone():
    data, y = some()
    predictor = fit(MultimodalRecipe(**SMALL), data, y)
    whole = told(predictor, data)
    present = np.ones((40, 3), dtype=bool)
    present[:20, 1] = False
    s = told(predictor, ArrayDataset(data.arrays, present))
    assert_allclose(s.evidence[:, [0, 2]], whole.evidence[:, [0, 2]], rtol=1e-6)
    assert_array_equal(s.evidence[:20, 1], 0)
    assert_array_equal(s.modal_probs[:20, 1], np.float32(1 / 3))
    assert_array_equal(s.modal_embeddings[1][:20], 0)
    assert_allclose(s.evidence[20:], whole.evidence[20:], rtol=1e-5, atol=1e-6)
    assert_allclose(s.probs[20:], whole.probs[20:], atol=1e-6)
    assert not np.allclose(s.probs[:20], whole.probs[:20], atol=1e-3)


def test_what_stands_in_the_place_of_a_missing_modality_teaches_nothing():
    present = holes()
    data, y = some(present=present)
    junk = {
        name: np.where(
            present[:, m].reshape(-1, *[1] * (array.ndim - 1)), array, np.nan if name != "sound" else 77
        )
        for m, (name, array) in enumerate(data.arrays.items())
    }
    junk["sound"] = junk["sound"].astype(np.uint8)
    other = ArrayDataset(junk, present)
    recipe = MultimodalRecipe(modality_dropout=0.3, **SMALL)
    validation = Labelled(np.arange(30, 40), y[30:])
    a, b = (fit(recipe, d, y, validation=validation) for d in (data, other))
    assert a.notes == b.notes
    equal(told(a, data), told(b, other))


def test_a_modality_that_no_labelled_sample_has_counts_as_missing_everywhere():
    present = np.ones((40, 3), dtype=bool)
    present[:30, 0] = False
    data, y = some(present=present)
    predictor = fit(MultimodalRecipe(**SMALL), data, y, validation=Labelled(np.arange(35, 40), y[35:]))
    assert predictor.notes["present/sound"] == 0
    assert predictor.notes["present/table"] == 1
    assert "accuracy/sound" not in predictor.notes
    assert predictor.notes["temperature/sound"] == 1
    s = told(predictor, data)
    assert_array_equal(s.evidence[:, 0], 0)
    assert_array_equal(s.present, present)
    only = np.zeros((40, 3), dtype=bool)
    only[:, 0] = True  # nothing that the network reads: it answers the same for all, and numbers
    blind = told(predictor, ArrayDataset(data.arrays, only))
    assert_allclose(blind.probs, np.broadcast_to(blind.probs[0], (40, 3)), atol=1e-6)


def test_one_present_sample_in_a_batch_is_enough_for_batch_norm():
    present = np.ones((40, 3), dtype=bool)
    present[1:, 0] = False
    data, y = some(present=present)
    s = told(fit(MultimodalRecipe(**SMALL), data, y), data)
    assert np.isfinite(s.evidence).all()
    assert (s.evidence[0, 0] > 0).all()
    assert told(fit(MultimodalRecipe(**SMALL), data, y, n=1), data).probs.shape == (40, 3)


@pytest.mark.parametrize("fusion", ["head", "product"])
def test_fitting_twice_gives_the_same_bits_and_leaves_torch_as_it_was(fusion):
    data, y = some(present=holes())
    recipe = MultimodalRecipe(fusion=fusion, dropout=0.3, modality_dropout=0.3, draws=2, **SMALL)
    names = ALL | {"draws"}
    torch.manual_seed(5)  # the test's own draws: they must go on as if nothing had happened
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, b = (told(fit(recipe, data, y), data, names) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    equal(a, b)
    assert not np.array_equal(a.probs, told(fit(recipe, data, y, seed=1), data).probs)
    assert not np.array_equal(
        a.probs, told(fit(dataclasses.replace(recipe, modality_dropout=0.0), data, y), data).probs
    )


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_answers_do_not_depend_on_the_block(block):
    data, y = some(present=holes())
    recipe = MultimodalRecipe(dropout=0.4, draws=3, **SMALL)
    names = ALL | {"draws"}
    a = told(fit(recipe, data, y), data, names)
    predictor = fit(dataclasses.replace(recipe, infer_batch=block), data, y)
    steps, passes = [], []
    predictor.network.register_forward_hook(lambda *_: passes.append(1))
    b = predictor.infer(data, np.arange(40), names, lambda *at: steps.append(at))
    equal(a, b, rtol=1e-4, atol=1e-5)
    assert steps[-1] == (40, 40)
    assert len(passes) == 4 * -(-40 // block)  # the answer and three draws a block, whatever its samples


def test_draws_differ_and_are_probabilities():
    data, y = some()
    recipe = MultimodalRecipe(dropout=0.4, draws=5, **SMALL)
    assert "draws" in recipe.gives.pool
    s = told(fit(recipe, data, y), data, frozenset({"draws"}))
    assert s.draws.shape == (40, 5, 3)
    assert_allclose(s.draws.sum(2), 1, atol=1e-5)
    assert (s.draws.std(1) > 0).any()


def test_only_the_named_signals_are_given_and_nobody_is_answered_with_empty_ones():
    data, y = some()
    predictor = fit(MultimodalRecipe(**SMALL), data, y)
    s = told(predictor, data, frozenset({"evidence"}), np.array([30, 4]))
    assert s.names == {"evidence"} and s.ids.tolist() == [30, 4]
    empty = told(predictor, data, ALL, NOBODY)
    assert empty.evidence.shape == (0, 3, 3) and empty.probs.shape == (0, 3)
    with pytest.raises(MissingSignal, match="draws.*dropout"):
        told(predictor, data, frozenset({"draws"}))


def test_the_objective_by_numpy():
    from labelwise.functional.evidence import weighted_fusion
    from labelwise.functional.evidential_loss import evidential_loss

    rng = generator(0, "tests", "objective")
    e, there, y = rng.gamma(1, 5, (6, 2, 4)), rng.random((6, 2)) < 0.7, rng.integers(0, 4, 6)
    logits, e = rng.normal(size=(6, 4)), e * there[..., None]
    opinion = weighted_fusion(e, [0.5, 0.5])
    rest = (
        torch.zeros(6, 4),
        torch.zeros(6, 2, 4),
        torch.tensor(e),
        torch.zeros(6, 2, 4),
        torch.tensor(there),
    )
    for fusion, epoch, weight in (("head", 3, 0.15), ("weighted", 25, 0.5)):
        recipe = MultimodalRecipe(fusion=fusion, unimodal=0.4, kl=0.5, **SMALL)
        alone = sum(there[:, m] * evidential_loss(e[:, m], y, kl_weight=weight) for m in range(2))
        if fusion == "head":
            fused = np.log(np.exp(logits).sum(1)) - logits[np.arange(6), y]
        else:
            fused = evidential_loss(opinion, y, kl_weight=weight)
        answer = Told(torch.tensor(logits), *rest, None if fusion == "head" else torch.tensor(opinion))
        lowered, reported = recipe._objective(answer, torch.tensor(y), epoch)
        wanted = ((fused + 0.4 * alone) / 1.8).mean()
        assert_allclose([float(lowered), float(reported)], wanted, rtol=1e-5)


def test_digits_are_read_better_from_both_halves_than_from_either():
    simulation = sets.make("digit-halves", seed=0)
    task = simulation.task
    recipe = make("multimodal", width=8, projection=32, epochs=12, batch_size=32, lr=0.003, device="cpu")
    plan = Plan(start=100, batch=100, budget=300)
    campaign = Campaign(task, recipe, make_strategy("margin"), MemoryStore(), plan)
    oracle = SimulatedOracle(simulation.truth, task.n_classes)
    asked = []
    while ids := campaign.ask():
        asked += ids
        campaign.tell(oracle.answer(ids))
    assert len(set(asked)) == 300
    ids = np.array(asked)
    train = Labelled(ids, np.array([simulation.truth[i] for i in asked]))
    predictor = recipe.fit(task.data, train, NOBODY, task.validation, 10, generator(1, "tests"))
    s = told(predictor, task.data, ALL, task.test.ids)
    both = (s.probs.argmax(1) == task.test.y).mean()
    alone = [(s.modal_probs[:, m].argmax(1) == task.test.y).mean() for m in range(2)]
    assert both > 0.9
    assert both > max(alone) + 0.05 and min(alone) > 0.6


def test_the_fused_head_learns_what_no_modality_knows_alone():
    rng = generator(0, "tests", "parity")
    a, b = rng.integers(0, 2, (2, 400))
    arrays = {"a": a + rng.normal(0, 0.2, 400), "b": b + rng.normal(0, 0.2, 400)}
    data, y = ArrayDataset(arrays), a ^ b
    recipe = MultimodalRecipe(**{**SMALL, "width": 16, "epochs": 20, "batch_size": 32, "lr": 0.01})
    s = told(fit(recipe, data, y, n=200, classes=2), data, ALL, np.arange(200, 400))
    assert (s.probs.argmax(1) == y[200:]).mean() > 0.95
    assert max((s.modal_probs[:, m].argmax(1) == y[200:]).mean() for m in range(2)) < 0.65


def test_text_tables_and_networks_of_your_own():
    words = np.array(
        [["red", "green", "blue"][i % 3] + " thing" for i in range(40)], dtype=np.dtypes.StringDType()
    )
    y = np.arange(40) % 3
    table, _ = some()
    data = ArrayDataset({"caption": words, "table": table.arrays["table"]})
    seen = []

    def mine(shape):
        seen.append(shape)
        return nn.Sequential(nn.Linear(shape[0], 5), nn.Tanh())

    recipe = MultimodalRecipe(encoders={"table": mine}, text_features=64, **{**SMALL, "epochs": 15})
    predictor = fit(recipe, data, y)
    assert seen == [(7,)]
    assert predictor.notes["accuracy/caption"] == 1
    s = told(predictor, data)
    assert (s.modal_probs[30:, 0].argmax(1) == y[30:]).all()


@pytest.mark.parametrize("name", ["cnn", "resnet18", "mlp"])
def test_named_encoders_read_images(name):
    data, y = some()
    recipe = MultimodalRecipe(encoders={"sound": name, "shape": name}, **{**SMALL, "epochs": 1, "width": 4})
    assert np.isfinite(told(fit(recipe, data, y, n=12), data).evidence).all()


def test_validation_fits_temperatures_and_stops_early():
    data, y = some()
    validation = Labelled(np.arange(30, 40), y[30:])
    recipe = MultimodalRecipe(patience=1, **{**SMALL, "epochs": 6})
    predictor = fit(recipe, data, y, validation=validation)
    assert predictor.notes["best_epoch"] >= 1
    found = [predictor.notes[f"temperature/{name}"] for name in data.modalities]
    assert any(t != 1 for t in found)
    assert_allclose(predictor.network.temperature, found)
    plain = fit(dataclasses.replace(recipe, calibrate=False), data, y, validation=validation)
    assert [plain.notes[f"temperature/{name}"] for name in data.modalities] == [1, 1, 1]
    assert_array_equal(told(plain, data).logits, told(predictor, data).logits)


@pytest.mark.parametrize(
    "field", [{"super_loss": 0.25}, {"label_smoothing": 0.1}, {"evidential": "squared_error"}]
)
def test_other_losses_train_otherwise(field):
    data, y = some()
    a, b = (told(fit(MultimodalRecipe(**SMALL, **more), data, y), data) for more in ({}, field))
    assert np.isfinite(b.probs).all() and not np.array_equal(a.probs, b.probs)


def test_bad_fields_are_refused():
    for field, words in (
        ({"fusion": "dempster"}, "fusion"),
        ({"evidential": "mse"}, "evidential loss"),
        ({"encoders": {"a": "resnet"}}, "encoder of modality 'a'"),
    ):
        with pytest.raises(UnknownName, match=words):
            MultimodalRecipe(**field)
    for field, words in (
        ({"weights": {"a": 0.0}}, "weight of modality 'a' must be finite and above 0"),
        ({"weights": [1, 2]}, r"weights must be a table .*; it is \[1, 2\]"),
        ({"encoders": ["mlp"]}, r"encoders must be a table .*; it is \['mlp'\]"),
        ({"encoders": {"a": 3}}, "encoder of modality 'a' must be a name or a callable"),
        ({"modality_dropout": 1.0}, "modality_dropout"),
        ({"unimodal": -1.0}, "unimodal"),
        ({"annealing": 0}, "annealing"),
        ({"flip": True}, "neither moves nor mirrors"),
        ({"fusion": "mean", "label_smoothing": 0.1}, "label_smoothing is for fusion='head'"),
    ):
        with pytest.raises(InputError, match=words):
            MultimodalRecipe(**field)


def test_bad_data_are_refused_by_name():
    data, y = some()
    one = ArrayDataset({"table": data.arrays["table"]})
    with pytest.raises(InputError, match="at least two modalities; the data hold 'table' alone"):
        fit(MultimodalRecipe(**SMALL), one, y)
    for field in ({"encoders": {"smell": "mlp"}}, {"weights": {"smell": 1.0}}):
        with pytest.raises(UnknownName, match="smell"):
            fit(MultimodalRecipe(**SMALL, **field), data, y)
    with pytest.raises(InputError, match="weights must name every modality; sound, table"):
        fit(MultimodalRecipe(weights={"shape": 1.0}, **SMALL), data, y)
    with pytest.raises(InputError, match="'cnn' reads images; modality 'table'"):
        fit(MultimodalRecipe(encoders={"table": "cnn"}, **SMALL), data, y)
    with pytest.raises(InputError, match="modality 'table' must answer 2 samples"):
        fit(MultimodalRecipe(encoders={"table": lambda shape: nn.Flatten(0)}, **SMALL), data, y)
    with pytest.raises(InputError, match="modality 'table' must be an nn.Module"):
        fit(MultimodalRecipe(encoders={"table": lambda shape: 3}, **SMALL), data, y)
    with pytest.raises(InputError, match="draws=2 needs dropout"):
        fit(MultimodalRecipe(draws=2, **SMALL), data, y)
    with pytest.raises(InputError, match="no fit to go on from"):
        MultimodalRecipe(**SMALL).fit(data, first(5, y), NOBODY, None, 3, generator(0), previous={"a": 1})
    predictor = fit(MultimodalRecipe(**SMALL), data, y)
    smaller = ArrayDataset({**data.arrays, "table": data.arrays["table"][:, :5]})
    with pytest.raises(ShapeError, match="'table' must have samples of shape"):
        told(predictor, smaller)
    with pytest.raises(InputError, match="as at the fit and in that order; they have shape, sound, table"):
        told(predictor, some(order=("shape", "sound", "table"))[0])
    present = np.ones((40, 3), dtype=bool)
    present[17] = False
    nothing = ArrayDataset(data.arrays, present)
    for call in (lambda: told(predictor, nothing), lambda: fit(MultimodalRecipe(**SMALL), nothing, y)):
        with pytest.raises(InputError, match="Sample 17 has none of the modalities sound, shape, table"):
            call()


def test_the_table_knows_it():
    assert "multimodal" in models.TABLE
