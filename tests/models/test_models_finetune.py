"""The recipe `fine-tune`: where fits start, who teaches the encoder, what is kept, and cold campaigns that restart."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_data import NOBODY, first, halves
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file

from labelwise import Campaign, Plan
from labelwise import make as make_strategy
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError, MissingSignal
from labelwise.functional.batches.active_ft import active_ft
from labelwise.models import encoders, finetune, make, prepared
from labelwise.models.device import seeded
from labelwise.models.networks import build
from labelwise.models.torch import load
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore

QUICK = {
    "network": "strided-cnn",
    "width": 4,
    "epochs": 3,
    "batch_size": 8,
    "pretrain_epochs": 2,
    "device": "cpu",
}
VIT = {"depth": 1, "heads": 2, "patch": 4}
EMBEDDINGS = frozenset({"embeddings"})


@pytest.fixture(autouse=True)
def _nothing_remembered():
    encoders._remembered.clear()


@pytest.fixture
def trainings(monkeypatch):
    """Counts how often an encoder is trained."""
    made, pretrain = [], finetune.pretrain

    def counted(*args, **kwargs):
        made.append(1)
        return pretrain(*args, **kwargs)

    monkeypatch.setattr(finetune, "pretrain", counted)
    return made


def task(n=90, shape=(8, 8), classes=3):
    data, y = halves(n, shape, classes)
    ids = np.arange(n)
    pool, validation, test = ids[: n - 30], ids[n - 30 : n - 15], ids[n - 15 :]
    parts = Labelled(validation, y[validation]), Labelled(test, y[test])
    return Task("halves", data, tuple("abc"[:classes]), pool, *parts), y


def fitted(recipe, some, y, n=12, **more):
    rng = generator(0, "tests")
    return recipe.fit(some.data, first(n, y), some.pool[n:], None, 3, rng, **more)


def embeddings(predictor, some):
    return predictor.infer(some.data, some.pool, EMBEDDINGS).embeddings


def vit_file(path, seed=1, shape=(1, 8, 8)):
    with seeded(seed, torch.device("cpu")):
        network = build("vit", shape, 2, 8, 0.0, VIT).eval()
    save_file(network.state_dict(), path)
    return network


def test_a_fit_starts_from_the_weights_of_the_file(tmp_path):
    some, y = task()
    network = vit_file(tmp_path / "encoder.safetensors")
    weights = {"network": "vit", "width": 8, "options": VIT, "weights": tmp_path / "encoder.safetensors"}
    recipe = make("fine-tune", **{**QUICK, **weights, "epochs": 1, "lr": 1e-12, "weight_decay": 0.0})
    found = embeddings(fitted(recipe, some, y), some)
    # grey images are read with the averages of ImageNet's means and deviations
    x = (torch.from_numpy(some.data.batch(some.pool)["image"] / 255.0) - 0.449) / 0.226
    with torch.no_grad():
        wanted = network(x[:, None].float())[1]
    assert_allclose(found, wanted, atol=1e-4)
    assert_allclose(prepared(recipe, some)[1].features[some.pool], wanted, atol=1e-4)
    moved = embeddings(fitted(replace(recipe, lr=0.05, epochs=5), some, y), some)
    assert np.abs(moved - found).max() > 0.01  # and all of it is trained


def test_the_head_is_fresh_and_belongs_to_the_fit():
    some, y = task()
    recipe, _ = prepared(make("fine-tune", **{**QUICK, "lr": 1e-12}), some)
    heads = []
    for seed in (0, 1, 0):
        rng = generator(seed, "tests")
        predictor = recipe.fit(some.data, first(12, y), some.pool[12:], None, 3, rng)
        heads.append(predictor.network.head.weight.detach().numpy())
    assert_array_equal(heads[0], heads[2])
    assert not np.array_equal(heads[0], heads[1])


def test_a_fit_repeats_and_preparing_changes_nothing_but_the_work(trainings):
    some, y = task()
    recipe = make("fine-tune", **QUICK)
    before = embeddings(fitted(recipe, some, y), some)
    ready, _ = prepared(recipe, some)
    assert len(trainings) == 1  # the second was remembered
    encoders._remembered.clear()
    again, _ = prepared(recipe, some)
    assert len(trainings) == 2
    for one in (ready, again):
        assert_array_equal(embeddings(fitted(one, some, y), some), before)


def test_the_encoder_depends_on_images_settings_and_its_own_seed_only():
    some, _ = task()
    recipe = make("fine-tune", **QUICK)
    weights = recipe.encode(some.data, some.pool).weights
    encoders._remembered.clear()
    same = recipe.encode(some.data, some.pool[::-1]).weights
    for name, array in weights.items():
        assert_array_equal(array, same[name])
    for change in ({"pretrain_seed": 1}, {"pretrain_epochs": 1}, {"flip": True}, {"pretrain_images": 40}):
        other = replace(recipe, **change).encode(some.data, some.pool).weights
        assert not np.array_equal(other["blocks.0.weight"], weights["blocks.0.weight"]), change
    # the embedding's dropout counts, and not what was made before
    dropped = replace(recipe, dropout=0.5).encode(some.data, some.pool).weights
    assert not np.array_equal(dropped["blocks.0.weight"], weights["blocks.0.weight"])
    encoders._remembered.clear()
    alone = replace(recipe, dropout=0.5).encode(some.data, some.pool).weights
    assert_array_equal(alone["blocks.0.weight"], dropped["blocks.0.weight"])
    fewer = recipe.encode(some.data, some.pool[1:]).weights
    assert not np.array_equal(fewer["blocks.0.weight"], weights["blocks.0.weight"])
    ready, _ = prepared(recipe, some)
    for strategy_or_round in ({"epochs": 7}, {"lr": 0.1}, {"label_smoothing": 0.0}):  # of the fine-tuning
        kept, _ = prepared(replace(recipe, **strategy_or_round), some)
        assert kept.encoder is ready.encoder


class Watched(ArrayDataset):
    """Remembers which samples were read."""

    def batch(self, ids):
        self.__dict__.setdefault("seen", set()).update(np.asarray(ids).tolist())
        return super().batch(ids)


def test_law_t_neither_test_nor_validation_samples_teach_and_test_samples_have_no_features():
    some, _ = task()
    watched = replace(some, data=Watched(some.data.arrays))
    recipe = make("fine-tune", **QUICK)
    recipe.encode(watched.data, watched.pool)
    assert watched.data.seen == set(some.pool.tolist())
    encoders._remembered.clear()
    _, with_features = prepared(recipe, watched)
    assert not watched.data.seen & set(some.test.ids.tolist())
    finite = np.isfinite(with_features.features).all(axis=1)
    assert_array_equal(np.flatnonzero(~finite), some.test.ids)
    image = some.data.arrays["image"].copy()
    image[some.validation.ids] = 255 - image[some.validation.ids]
    image[some.test.ids] = 0
    encoders._remembered.clear()
    _, other = prepared(recipe, replace(some, data=ArrayDataset({"image": image})))
    assert_array_equal(other.features[some.pool], with_features.features[some.pool])


def test_given_samples_teach_and_have_features():
    some, y = task()
    given = replace(some, pool=some.pool[10:], given=Labelled(some.pool[:10], y[:10]))
    recipe = make("fine-tune", **QUICK)
    assert_array_equal(
        prepared(recipe, given)[1].features[some.pool], prepared(recipe, some)[1].features[some.pool]
    )


def test_an_encoder_is_kept_on_disk_and_read_by_the_next_process(tmp_path, trainings):
    some, y = task()
    recipe = make("fine-tune", **QUICK)
    ready, one = prepared(recipe, some, tmp_path)
    (file,) = (tmp_path / "encoders").glob("*.safetensors")
    for damage in (None, b"", file.read_bytes()[:-100]):
        encoders._remembered.clear()
        count = len(trainings)
        if damage is not None:
            file.write_bytes(damage)
        again, other = prepared(recipe, some, tmp_path)
        assert len(trainings) == count + (damage is not None)  # a damaged file is made anew
        assert_array_equal(other.features[some.pool], one.features[some.pool])
        assert again.encoder.loss == ready.encoder.loss
        assert_array_equal(embeddings(fitted(again, some, y), some), embeddings(fitted(ready, some, y), some))
    assert len(list((tmp_path / "encoders").glob("*.safetensors"))) == 1


@pytest.mark.parametrize("inputs", [3, {"image": 3}, {"image": {"words": "x"}}, {"image": {"shape": ["x"]}}])
def test_a_kept_file_that_says_odd_things_counts_as_none(inputs, tmp_path):
    about = json.dumps({"inputs": inputs, "loss": 0.0})
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", metadata={"about": about})
    assert encoders.Encoder.load(tmp_path / "odd.safetensors") is None


def test_recipes_without_an_encoder_are_left_alone():
    some, _ = task()
    recipe = make("cnn")
    assert prepared(recipe, some) == (recipe, some)


def test_predictors_are_saved_and_loaded_with_their_options(tmp_path):
    some, y = task()
    vit_file(tmp_path / "encoder.safetensors")
    weights = {"network": "vit", "width": 8, "options": VIT, "weights": str(tmp_path / "encoder.safetensors")}
    predictor = fitted(make("fine-tune", **{**QUICK, **weights}), some, y)
    predictor.save(tmp_path / "fitted.safetensors")
    (tmp_path / "encoder.safetensors").unlink()
    assert_array_equal(embeddings(load(tmp_path / "fitted.safetensors"), some), embeddings(predictor, some))
    # and what was fitted here may be the encoder of the next task
    onwards = make("fine-tune", **{**QUICK, **weights, "weights": str(tmp_path / "fitted.safetensors")})
    assert_allclose(
        onwards.encode(some.data, some.pool).weights["cls_token"],
        predictor.network.cls_token.detach().numpy(),
    )


def test_a_warm_recipe_starts_from_the_encoder_once():
    some, y = task()
    recipe, _ = prepared(make("fine-tune", **QUICK, warm=True), some)
    one = fitted(recipe, some, y)
    assert one.notes["epochs_in_all"] == 3
    two = fitted(recipe, some, y, previous=one.state_dict())
    assert two.notes["epochs_in_all"] == 6
    assert not np.array_equal(embeddings(one, some), embeddings(two, some))


def run(some, y, recipe, store, plan, *, reopen):
    """Finish a campaign; with `reopen` by a fresh recipe, task, strategy and encoder at every step."""
    cold = {"name": "active-ft", "space": "features", "rate": 0.01}

    def opened():
        if reopen:
            encoders._remembered.clear()
        ready, with_features = prepared(recipe, some)
        strategy = make_strategy("warm-up", first=cold, then="margin", labels=1)
        return Campaign(with_features, ready, strategy, store, plan)

    campaign, oracle = opened(), SimulatedOracle(y, 3, passes=0.2, seed=4)
    while ids := campaign.ask():
        for i in ids:
            campaign = opened() if reopen else campaign
            campaign.tell(oracle.answer([i]))
    return campaign


def test_law_r_a_cold_campaign_from_an_encoder_asks_the_same_however_often_it_is_reopened():
    some, y = task()
    recipe = make("fine-tune", **{**QUICK, "pretrain_epochs": 1, "epochs": 1})
    plan = Plan(seed=2, start=5, batch=4, budget=12, cold=True)
    once = run(some, y, recipe, MemoryStore(), plan, reopen=False)
    often = run(some, y, recipe, MemoryStore(), plan, reopen=True)
    assert [a.ids for a in once.state.asks] == [a.ids for a in often.state.asks]
    assert any(
        answer.label is None for answer in once.state.answers.values()
    )  # passes do not move the encoder
    # the first batch is the one that ActiveFT finds in the encoder's features, with the rng of round 0
    _, with_features = prepared(recipe, some)
    rows = active_ft(with_features.features[some.pool], 5, generator(2, "round", 0, "propose"), rate=0.01)
    assert once.state.asks[0].ids == tuple(some.pool[rows].tolist())
    assert set(rows) != set(generator(2, "round", 0, "propose").choice(60, 5, replace=False))  # they moved


def test_a_campaign_without_features_refuses_active_ft_on_them():
    some, _ = task()
    strategy = make_strategy("active-ft", space="features")
    with pytest.raises(MissingSignal, match="features"):
        Campaign(some, make("fine-tune", **QUICK), strategy, MemoryStore(), Plan(cold=True))


def text():
    words = np.array(["a b", "c d", "e f"] * 20, dtype=np.dtypes.StringDType())
    return ArrayDataset({"text": words})


@pytest.mark.parametrize(
    "data", [text(), ArrayDataset({"table": np.zeros((60, 3))}), ArrayDataset({"a": np.zeros((60, 4, 4)), "b": np.zeros((60, 4, 4))})]
)  # fmt: skip
def test_data_without_one_modality_of_images_are_refused(data):
    recipe = make("fine-tune", **QUICK)
    with pytest.raises(InputError, match="one modality of images"):
        prepared(recipe, Task("t", data, ("a", "b"), np.arange(60)))
    with pytest.raises(InputError, match="one modality of images"):
        recipe.fit(data, Labelled(np.arange(2), np.array([0, 1])), NOBODY, None, 2, generator(0, "tests"))


@pytest.mark.parametrize(
    "params,words",
    [
        ({"network": "mlp"}, "network of images"),
        ({"network": lambda shape, n: None}, "network of images"),
        ({"weights": 3}, "weights must be"),
        ({"encoder": "file.pth"}, "name a file by weights"),
        ({"pretraining": {"epoch": 3}}, "Did you mean 'epochs'"),
        ({"pretrain_epochs": 0}, "epochs"),
        ({"pretrain_images": 1}, "pretrain_images"),
    ],
)
def test_impossible_recipes_are_refused(params, words):
    with pytest.raises(InputError, match=words):
        make("fine-tune", **params)


def test_a_missing_file_is_said_when_it_is_needed(tmp_path):
    some, _ = task()
    recipe = make("fine-tune", network="vit", weights=str(tmp_path / "absent.pth"))
    with pytest.raises(InputError, match="Nothing is downloaded"):
        prepared(recipe, some)
