"""Videos: what the networks make of frames, and how recipes read a modality of them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from labelwise import models
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError, ShapeError
from labelwise.models.device import seeded
from labelwise.models.inputs import Reader, kind_of
from labelwise.models.networks import build
from labelwise.seeds import generator

CPU = torch.device("cpu")
rng = generator(0, "test", "video")


def made(name, shape, n_classes=3, **sizes):
    with seeded(0, CPU):
        return build(name, shape, n_classes, **sizes)


def some(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_r2plus1d18_has_the_parameters_of_the_public_network():
    # torchvision's r2plus1d_18 for the 400 classes of Kinetics, as its documentation counts them
    network = made("r2plus1d18", (3, 5, 112, 112), 400)
    assert sum(parameter.numel() for parameter in network.parameters()) == 31_505_325
    assert network.head.in_features == 512


@pytest.mark.parametrize("frames", [1, 5, 8])
def test_r2plus1d18_reads_any_number_of_frames(frames):
    network = made("r2plus1d18", (3, frames, 16, 12), width=4).train()
    logits, embedding = network(some(2, 3, frames, 16, 12))
    assert logits.shape == (2, 3) and embedding.shape == (2, 32)
    assert torch.equal(network.head(embedding), logits)


def test_r2plus1d18_sees_the_order_of_the_frames_and_a_network_of_images_does_not():
    x = some(2, 3, 4, 16, 16)
    backwards = x.flip(2)
    order = made("r2plus1d18", (3, 4, 16, 16), width=4).eval()
    assert not torch.allclose(order(x)[1], order(backwards)[1], atol=1e-4)
    for name in ("cnn", "strided-cnn", "resnet18"):
        network = made(name, (3, 4, 16, 16), width=4).eval()
        assert torch.allclose(network(x)[1], network(backwards)[1], atol=1e-5)


def test_a_network_of_images_answers_the_mean_of_its_frames():
    x = some(2, 1, 3, 8, 8)
    video = made("cnn", (1, 3, 8, 8), width=4).eval()
    image = made("cnn", (1, 8, 8), width=4).eval()  # the same seed: the same weights
    each = torch.stack([image(x[:, :, t])[1] for t in range(3)])
    logits, embedding = video(x)
    assert torch.allclose(embedding, each.mean(0), atol=1e-6)
    assert torch.allclose(logits, image.head(embedding), atol=1e-6)


def test_a_network_of_videos_refuses_images():
    with pytest.raises(InputError, match=r"reads videos.*\(3, 8, 8\).*'resnet18'"):
        made("r2plus1d18", (3, 8, 8))
    with pytest.raises(InputError, match=r"\(7,\).*'mlp'"):
        made("r2plus1d18", (7,))


# ------------------------------------------------------------------------------------------------ reading


def videos(n, moving=True):
    """Bright squares that step to the right (class 1) or to the left (class 0) over four frames."""
    y = np.arange(n) % 2
    x = np.zeros((n, 4, 8, 8, 3), np.uint8)
    for k in range(n):
        row = int(rng.integers(0, 7))
        for t in range(4):
            at = 2 * t if y[k] else 6 - 2 * t
            x[k, t, row : row + 2, at : at + 2] = 200
    return x, y


def test_a_video_is_scaled_by_the_channels_of_the_training_samples():
    x, _ = videos(6)
    data = ArrayDataset({"video": x})
    ids = np.arange(6)
    assert kind_of("video", x) == "video"
    reader = Reader.measure(data, ids, ["video"])
    assert reader.shape == (3, 4, 8, 8)
    share = x.reshape(-1, 3) / 255
    assert_allclose(reader.scales["video"].centre, share.mean(0), atol=1e-12)
    assert_allclose(reader.scales["video"].spread, share.std(0), atol=1e-12)
    held = reader.read(data, ids)
    assert held.dtype == np.uint8
    assert_array_equal(held, x)
    with pytest.raises(ShapeError, match="as at the fit"):
        reader.read(ArrayDataset({"video": x[:, :2]}), ids)


def both(n):
    x, y = videos(n)
    sound = rng.standard_normal((n, 6, 9)).astype(np.float32)
    sound[:, 0] += 2 * y[:, None]
    present = np.ones((n, 2), bool)
    present[:4, 0] = False
    present[4:8, 1] = False
    return ArrayDataset({"video": x, "audio": sound}, present), y


class Flat3d(nn.Module):
    """An encoder of somebody's own with a convolution in three dimensions."""

    def __init__(self, shape):
        super().__init__()
        self.conv = nn.Conv3d(shape[0], 4, 3, padding=1)

    def forward(self, x):
        return self.conv(x).mean(dim=(2, 3, 4))


@pytest.mark.parametrize("encoder", [None, "cnn", "r2plus1d18", Flat3d])
def test_the_multimodal_recipe_reads_videos_beside_sounds(encoder):
    data, y = both(24)
    encoders = None if encoder is None else {"video": encoder}
    recipe = models.make(
        "multimodal", encoders=encoders, width=4, projection=8, epochs=1, batch_size=8, dropout=0.1, draws=2
    )
    assert recipe.channels_last  # the default, which weights of three-dimensional convolutions must survive
    train = Labelled(np.arange(16), y[:16])
    fitted = recipe.fit(data, train, np.arange(16, 24), None, 2, generator(0, "fit"))
    names = frozenset({"probs", "modal_embeddings", "draws"})
    told = fitted.infer(data, np.arange(24), names)
    assert told.probs.shape == (24, 2) and told.draws.shape == (24, 2, 2)
    assert not told.modal_embeddings[0][:4].any()  # no video, nothing read
    assert told.modal_embeddings[0][4:].any(axis=1).all()
    again = recipe.fit(data, train, np.arange(16, 24), None, 2, generator(0, "fit"))
    assert_array_equal(again.infer(data, np.arange(24), names).probs, told.probs)


def test_only_a_network_that_sees_the_order_learns_a_direction():
    x, y = videos(80)
    data = ArrayDataset({"video": x})
    train, rest = Labelled(np.arange(60), y[:60]), np.arange(60, 80)
    recipe = models.make("mlp", network="r2plus1d18", width=4, epochs=12, batch_size=12, lr=0.01)
    fitted = recipe.fit(data, train, rest, None, 2, generator(0, "fit"))
    told = fitted.infer(data, rest, frozenset({"probs"}))
    assert (told.probs.argmax(1) == y[60:]).mean() > 0.9


@pytest.mark.parametrize("name", ["mlp", "logistic"])
def test_models_without_frames_read_a_video_as_pixels(name):
    x, y = videos(30)
    data = ArrayDataset({"video": x})
    params = {"width": 8, "epochs": 2} if name == "mlp" else {}
    fitted = models.make(name, **params).fit(
        data, Labelled(np.arange(20), y[:20]), np.arange(20, 30), None, 2, generator(0, "fit")
    )
    assert fitted.infer(data, np.arange(30), frozenset({"probs"})).probs.shape == (30, 2)
