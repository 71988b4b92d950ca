"""All recipes with a companion: the contract, purity, one pass, who may be read, what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from model_data import NOBODY, digits, first, halves
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from labelwise.campaign import Campaign, Plan
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError, MissingSignal
from labelwise.models import make
from labelwise.models.base import Predictor, Recipe
from labelwise.models.companions.beside import watch
from labelwise.models.networks import build
from labelwise.models.torch import TorchRecipe
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore
from labelwise.strategies import make as make_strategy

SCALARS = {"learning-loss": "predicted_loss", "vaal": "discriminator", "waal": "critic"}
PAIRS = {"loss-prediction": "learning-loss", "vaal": "vaal", "waal": "waal"}
BASIC = frozenset({"probs", "logits", "embeddings"})
SMALL = {"width": 4, "epochs": 2, "batch_size": 8, "device": "cpu"}
NARROW = {"learning-loss": {"units": 8}, "vaal": {"width_vae": 2, "units": 8}, "waal": {"units": 8}}
every_recipe = pytest.mark.parametrize("name", sorted(SCALARS))


def recipe(name, **fields):
    return make(name, **{**SMALL, **NARROW[name], **fields})


def fit(made, data, y, n=20, pool=None, seed=0, classes=2):
    others = np.arange(n, len(data)) if pool is None else pool
    return made.fit(data, first(n, y), others, None, classes, generator(seed, "tests"))


def everything(name):
    return BASIC | {f"scalars.{SCALARS[name]}"}


def answers(predictor, data, name):
    return predictor.infer(data, np.arange(len(data)), everything(name))


class Counted(ArrayDataset):
    """Remembers which ids were read."""

    def batch(self, ids):
        self.__dict__.setdefault("read", []).append(np.asarray(ids).tolist())
        return super().batch(ids)


@every_recipe
def test_recipe_and_predictor_keep_the_contract(name):
    data, y = halves(40, (8, 8))
    made = recipe(name)
    assert isinstance(made, Recipe)
    assert everything(name) <= made.gives.pool & made.gives.labelled & made.gives.validation
    predictor = fit(made, data, y)
    assert isinstance(predictor, Predictor)
    assert predictor.notes["epochs"] == 2
    assert all(isinstance(value, int | float) for value in predictor.notes.values())
    assert predictor.state_dict() == {}


@every_recipe
@pytest.mark.parametrize("network", ["cnn", "resnet18", "mlp"])
def test_fitting_twice_gives_the_same_bits(name, network):
    data, y = halves(40, (8, 8, 3))
    made = recipe(name, network=network, dropout=0.3, shift=1, flip=True)
    a, b = (answers(fit(made, data, y), data, name) for _ in range(2))
    for signal in everything(name):
        assert_array_equal(a.need(signal), b.need(signal))
    other = answers(fit(made, data, y, seed=1), data, name)
    assert not np.array_equal(a.scalars[SCALARS[name]], other.scalars[SCALARS[name]])


@every_recipe
def test_torch_s_global_generator_does_not_matter_and_is_left_alone(name):
    data, y = halves(40, (8, 8))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        expected = torch.rand(3)
        torch.manual_seed(seed)
        found.append(
            answers(fit(recipe(name, dropout=0.5), data, y), data, name).need(f"scalars.{SCALARS[name]}")
        )
        assert torch.equal(torch.rand(3), expected)
    assert_array_equal(*found)


@every_recipe
def test_everything_is_answered_in_one_pass_and_as_it_is_alone(name):
    data, y = halves(300, (8, 8))
    counted = Counted({"image": data.batch(np.arange(300))["image"]})
    predictor = fit(recipe(name), counted, y)
    del counted.read
    together = answers(predictor, counted, name)
    assert sorted(chain.from_iterable(counted.read)) == list(range(300))  # each sample once
    assert together.names == everything(name)
    scalar = together.scalars[SCALARS[name]]
    assert scalar.shape == (300,)
    assert np.isfinite(scalar).all()
    assert together.embeddings.shape == (300, 16)  # the cnn's dense layer has 4 x width units
    for signal in sorted(everything(name)):
        alone = predictor.infer(counted, np.arange(300), frozenset({signal}))
        assert alone.names == {signal}
        assert_allclose(alone.need(signal), together.need(signal), atol=1e-5)
    assert_allclose(predictor.infer(counted, np.array([7]), everything(name)).need(f"scalars.{SCALARS[name]}"), scalar[7:8], atol=1e-5)  # fmt: skip
    assert predictor.infer(counted, NOBODY, everything(name)).probs.shape == (0, 2)


@every_recipe
def test_draws_and_probes_of_the_classifier_are_there_too(name):
    data, y = halves(40, (8, 8))
    made = recipe(name, dropout=0.5, draws=3)
    predictor = fit(made, data, y)
    wanted = {"draws", "probs", "scalars.boundary", f"scalars.{SCALARS[name]}"}
    found = predictor.infer(data, np.arange(10), frozenset(wanted))
    assert found.names == wanted
    assert found.draws.shape == (10, 3, 2)
    assert_array_equal(found.draws, predictor.infer(data, np.arange(10), frozenset({"draws"})).draws)


@every_recipe
def test_tables_and_several_modalities_are_read(name):
    data, y = halves(60, (4, 4))
    x = data.batch(np.arange(60))["image"]
    table = ArrayDataset({"table": x.reshape(60, -1) / 255})
    assert np.isfinite(answers(fit(recipe(name, network="mlp"), table, y), table, name).need(f"scalars.{SCALARS[name]}")).all()  # fmt: skip
    both = ArrayDataset({"image": x, "table": x.reshape(60, -1)[:, :3] / 255})
    assert np.isfinite(answers(fit(recipe(name, network="mlp"), both, y), both, name).probs).all()


@every_recipe
@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_labels_and_few_unlabelled_samples_are_enough(name, n):
    data, y = halves(10, (8, 8))
    predictor = fit(recipe(name), data, y, n=n)
    assert np.isfinite(answers(predictor, data, name).need(f"scalars.{SCALARS[name]}")).all()


@pytest.mark.parametrize("name", ["vaal", "waal"])
def test_without_unlabelled_samples_the_classifier_is_there_and_the_scalar_is_refused(name):
    data, y = halves(20, (8, 8))
    predictor = fit(recipe(name), data, y, n=20)
    assert predictor.infer(data, np.arange(20), BASIC).probs.shape == (20, 2)
    with pytest.raises(
        MissingSignal, match=f"no scalars.{SCALARS[name]}: at this fit no sample was left unlabelled"
    ):
        answers(predictor, data, name)


@every_recipe
def test_the_pool_s_order_and_labelled_ids_in_it_do_not_matter(name):
    data, y = halves(60, (8, 8))
    made = recipe(name, **({} if name == "learning-loss" else {"most_unlabelled": 16}))
    a = answers(fit(made, data, y), data, name)
    mixed = generator(0, "tests", "order").permutation(60)
    b = answers(fit(made, data, y, pool=mixed), data, name)
    assert_array_equal(a.need(f"scalars.{SCALARS[name]}"), b.need(f"scalars.{SCALARS[name]}"))


@pytest.mark.parametrize("name,most", [("learning-loss", 0), ("vaal", 16), ("waal", 16)])
def test_no_more_of_the_pool_is_read_than_was_said(name, most):
    data, y = halves(100, (8, 8))
    counted = Counted({"image": data.batch(np.arange(100))["image"]})
    fit(recipe(name, **({"most_unlabelled": most} if most else {})), counted, y)
    assert len(set(chain.from_iterable(counted.read)) - set(range(20))) == most


@every_recipe
def test_progress_ends_at_its_total_and_never_falls(name):
    data, y = halves(40, (8, 8))
    told = []
    recipe(name, epochs=15).fit(
        data, first(20, y), np.arange(20, 40), None, 2, generator(0), progress=lambda *at: told.append(at)
    )
    assert told[-1][0] == told[-1][1]
    assert len(told) > 2
    assert told == sorted(told)
    assert len({total for _, total in told}) == 1


@every_recipe
def test_what_companions_cannot_do_is_refused_in_words(name):
    for fields, why in (
        ({"warm": True}, "trains afresh each time"),
        ({"patience": 2}, "trains for all its epochs"),
        ({"precision": "float16"}, "take precision='bfloat16'"),
        ({"companion_lr": 0.0}, "companion_lr must be above 0; it is 0.0"),
        ({"units": 0}, "units must be a whole number of at least 1"),
    ):
        with pytest.raises(InputError, match=why):
            recipe(name, **fields)
    data, y = halves(40, (8, 8))
    with pytest.raises(InputError, match="there is no fit to go on from"):
        recipe(name).fit(data, first(20, y), NOBODY, None, 2, generator(0), previous={"network": {}})
    with pytest.raises(MissingSignal, match="asked for scalars.nonsense"):
        fit(recipe(name), data, y).infer(data, np.arange(3), frozenset({"scalars.nonsense"}))


@every_recipe
def test_bfloat16_trains_too(name):
    data, y = halves(40, (8, 8))
    found = answers(fit(recipe(name, precision="bfloat16"), data, y), data, name)
    assert np.isfinite(found.need(f"scalars.{SCALARS[name]}")).all()


def own_network(shape, n_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 6), nn.ReLU(), nn.Linear(6, n_classes))


@every_recipe
def test_a_network_of_your_own_that_answers_logits_alone(name):
    data, y = halves(40, (8, 8))
    found = answers(fit(recipe(name, network=own_network, width=None), data, y), data, name)
    assert found.embeddings.shape == (40, 6)
    assert np.isfinite(found.need(f"scalars.{SCALARS[name]}")).all()


@pytest.mark.parametrize(
    "network,shape,channels",
    [
        ("cnn", (1, 8, 8), [4, 8, 16]),  # two blocks and the dense layer
        ("cnn", (3, 64, 64), [4, 8, 16, 32]),
        ("resnet18", (1, 8, 8), [4, 8, 16, 32]),  # the four stages
        ("mlp", (7,), [4, 4]),
    ],
)
def test_feature_maps_of_the_house_s_networks(network, shape, channels):
    made = build(network, shape, 3, width=4).eval()
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    seen = watch(made, x, maps=True)
    assert [m.shape[1] for m in seen.maps] == channels
    logits, embedding = made(x)
    assert torch.equal(seen.logits, logits)
    assert torch.equal(seen.embedding, embedding)
    assert watch(made, x).maps == ()
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in made.modules())


def task():
    data, y = digits()
    order = generator(0, "tests", "companions").permutation(len(y))[:300]
    pool, test = order[:240], order[240:]
    classes = tuple(str(c) for c in range(10))
    return Task("digits", data, classes, pool, test=Labelled(test, y[test])), y


@pytest.mark.parametrize("strategy", sorted(PAIRS))
def test_a_campaign_runs_and_a_restart_changes_no_ask(strategy):
    made, y = task()
    plan = Plan(seed=3, start=20, batch=10, budget=50)
    oracle = SimulatedOracle(y, 10)
    asks = []
    for fresh in (False, True):
        store = MemoryStore()

        def opened(store=store):
            return Campaign(made, recipe(PAIRS[strategy]), make_strategy(strategy), store, plan)

        campaign = opened()
        while ids := campaign.ask():
            campaign.tell(oracle.answer(ids))
            campaign = opened() if fresh else campaign
        asks.append([ask.ids for ask in campaign.state.asks])
        assert len(campaign.state.labels) == 50
    assert asks[0] == asks[1]


@pytest.mark.parametrize("strategy", sorted(PAIRS))
def test_a_wrong_pairing_is_refused_when_the_campaign_is_made(strategy):
    made, _ = task()
    wanted = f"scalars.{SCALARS[PAIRS[strategy]]}"
    plan = Plan(seed=3, start=20, batch=10, budget=50)
    with pytest.raises(MissingSignal, match=f"needs {wanted} of the pool samples; TorchRecipe gives "):
        Campaign(made, TorchRecipe("cnn"), make_strategy(strategy), MemoryStore(), plan)
    other = next(name for name in SCALARS if name != PAIRS[strategy])
    with pytest.raises(MissingSignal, match=f"needs {wanted} of the pool samples"):
        Campaign(made, make(other), make_strategy(strategy), MemoryStore(), plan)


def test_fields_of_the_classifier_are_kept():
    made = make("waal", network="mlp", lr=0.5)
    assert (made.network, made.lr, made.companion_lr) == ("mlp", 0.5, 1e-3)
    assert replace(made, epochs=3).epochs == 3
