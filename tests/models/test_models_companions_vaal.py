"""VAAL: its losses to the digit, an autoencoder of any shape, and a discriminator that knows who is labelled."""

import numpy as np
import pytest
import torch
from model_data import first, halves
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

from functional.golden_numbers import cases
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError
from labelwise.models.companions.vaal import VaalRecipe, adversarial_loss, discriminator_loss, vae_loss
from labelwise.models.companions.vae import Vae
from labelwise.models.device import seeded
from labelwise.models.torch import TorchRecipe
from labelwise.seeds import generator

CASES = cases("vaal")
CLOSE = {"atol": 1e-10, "rtol": 0}  # the golden file's


def logits(probabilities):
    return torch.from_numpy(np.log(probabilities / (1 - probabilities)))


def test_the_game_s_losses_are_the_golden_ones():
    given, out = CASES["bce"]["in"], CASES["bce"]["out"]
    labelled, unlabelled = logits(given["d_labelled"]), logits(given["d_unlabelled"])
    assert_allclose(adversarial_loss(labelled, unlabelled).item(), out["vae_adversarial"], **CLOSE)
    assert_allclose(discriminator_loss(labelled, unlabelled).item(), out["discriminator"], **CLOSE)
    # what DeepAL+ trains its discriminator with is what is meant to fool it
    assert out["discriminator_deepal_plus"] == out["vae_adversarial"] != out["discriminator"]


@pytest.mark.parametrize("beta", ["1.0", "0.5"])
def test_the_autoencoder_s_loss_is_the_golden_one(beta):
    given, out = (
        {k: torch.from_numpy(np.asarray(v)) for k, v in CASES["vae"][s].items()} for s in ("in", "out")
    )
    found = vae_loss(given["x"], given["recon"], given["mu"], given["logvar"], float(beta))
    assert_allclose(found, out[f"loss_beta{beta}"], **CLOSE)
    error = vae_loss(given["x"], given["recon"], given["mu"], given["logvar"], 0.0)
    assert_allclose(error, out["mse"], **CLOSE)
    assert_allclose((found - error) / float(beta), out["kld_sum"], **CLOSE)


def test_a_latent_vector_that_is_normal_already_costs_nothing():
    x = torch.ones(3, 2)
    assert vae_loss(x, x, torch.zeros(3, 4), torch.zeros(3, 4)).item() == 0


def test_discriminator_loss_by_hand():
    # at logit 0 each part costs ln 2, whatever its label; at ±ln 3 the right one costs ln(4/3)
    zero, sure = torch.zeros(2), torch.full((2,), np.log(3.0))
    assert_allclose(discriminator_loss(zero, zero), 2 * np.log(2), rtol=1e-6)
    assert_allclose(discriminator_loss(sure, -sure), 2 * np.log(4 / 3), rtol=1e-6)
    assert_allclose(adversarial_loss(sure, -sure), np.log(4 / 3) + np.log(4), rtol=1e-6)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 28, 28), (1, 15, 7), (2, 33, 64), (1, 2, 3), (1, 1, 9), (1, 1, 1), (5,), (1,)]
)
def test_what_comes_back_has_the_shape_of_what_went_in(shape):
    with seeded(0, torch.device("cpu")):
        x = torch.rand(3, *shape)
        decoded, mean, log_variance = Vae(shape, 7, 4)(x)
    assert decoded.shape == x.shape
    assert mean.shape == log_variance.shape == (3, 7)


def test_cifar_has_the_convolutions_of_the_paper():
    encoder = Vae((3, 32, 32), 32, 128).encoder
    channels = [layer.out_channels for layer in encoder.body if isinstance(layer, torch.nn.Conv2d)]
    assert channels == [128, 256, 512, 1024]
    assert encoder.end == (1024, 2, 2)


@pytest.mark.parametrize("network", ["cnn", "mlp"])
def test_the_classifier_is_the_plain_one_to_the_bit(network):
    data, y = halves(60, (8, 8))
    fields = {"network": network, "width": 4, "epochs": 3, "batch_size": 8, "device": "cpu", "dropout": 0.2}
    both = (VaalRecipe(**fields, width_vae=2), TorchRecipe(**fields))
    pool = np.arange(20, 60)
    found = [
        recipe.fit(data, first(20, y), pool, None, 2, generator(0))
        .infer(data, pool, frozenset({"logits"}))
        .logits
        for recipe in both
    ]
    assert_array_equal(*found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "table"])
def test_the_discriminator_separates_what_looks_different(kind):
    """Labelled samples have bright bands 0 and 1; the pool has them, too, and a third that nobody labelled."""
    images, y = halves(600, (8, 8), classes=3)
    data = images
    if kind == "table":
        data = ArrayDataset({"pixels": images.batch(np.arange(600))["image"].reshape(600, -1) / 255})
    known = np.flatnonzero(y < 2)[:150]
    rest = np.setdiff1d(np.arange(600), known)
    recipe = VaalRecipe("cnn" if kind == "images" else "mlp", width=4, width_vae=8, epochs=20, device="cpu")
    predictor = recipe.fit(data, Labelled(known, y[known]), rest, None, 3, generator(0))
    found = predictor.infer(data, np.arange(600), frozenset({"scalars.discriminator"}))
    labelled = found.scalars["discriminator"]
    assert ((labelled >= 0) & (labelled <= 1)).all()
    new = rest[y[rest] == 2]
    others = rest[y[rest] < 2]
    # both 0.5 for a discriminator that knows nothing
    assert roc_auc_score(np.repeat([1, 0], [known.size, new.size]), labelled[np.r_[known, new]]) > 0.8
    assert roc_auc_score(np.repeat([1, 0], [others.size, new.size]), labelled[np.r_[others, new]]) > 0.8


def test_the_autoencoder_learns_to_fool_the_discriminator():
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    x[40:, 0] += 3
    data, train = ArrayDataset({"table": x}), Labelled(np.arange(40), (x[:40, 1] > 0).astype(np.int64))
    small = {"width": 4, "width_vae": 2, "latent": 4, "units": 16, "epochs": 20, "batch_size": 20, "device": "cpu"}  # fmt: skip
    found = []
    for adversary in (0.0, 3.0):
        recipe = VaalRecipe("mlp", **small, adversary=adversary, beta=0.01, companion_lr=5e-3)
        predictor = recipe.fit(data, train, np.arange(40, 80), None, 2, generator(0))
        found.append(predictor.notes["discriminator_loss"])
    assert found[1] > found[0] + 0.2  # 1.3 to 0.8; one that knows nothing has 2 ln 2 = 1.4


def test_latent_vectors_are_drawn_with_the_variance_of_the_encoder():
    vae = Vae((1,), 2, 4)
    del vae.encoder, vae.decoder  # modules may be replaced by modules only
    vae.encoder = lambda x: (x.expand(-1, 2), torch.full((len(x), 2), np.log(4.0)))
    vae.decoder = torch.nn.Identity()
    with seeded(0, torch.device("cpu")):
        drawn = vae(torch.full((20_000, 1), 3.0))[0]
    # of 40,000 draws the mean is off by 0.01 (standard deviation), theirs by 0.007; five of them
    assert abs(float(drawn.mean()) - 3) < 0.05
    assert abs(float(drawn.std()) - 2) < 0.035


@pytest.mark.parametrize(
    "field", ["latent", "width_vae", "vae_steps", "discriminator_steps", "most_unlabelled"]
)
def test_counts_must_be_counts(field):
    with pytest.raises(InputError, match=f"{field} must be a whole number of at least 1; it is 0"):
        VaalRecipe(**{field: 0})


@pytest.mark.parametrize("field", ["beta", "adversary"])
def test_weights_must_not_be_negative(field):
    with pytest.raises(InputError, match=f"{field} must be at least 0; it is -1"):
        VaalRecipe(**{field: -1})
