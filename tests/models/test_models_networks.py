"""Networks: shapes, the head that gradient embeddings rely on, and folding."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from labelwise.errors import UnknownName
from labelwise.models.device import seeded
from labelwise.models.networks import build
from labelwise.models.saved import folded

CPU = torch.device("cpu")
IMAGES = [(1, 8, 8), (1, 4, 8), (1, 28, 28), (1, 40, 64), (3, 64, 64), (3, 15, 15), (4, 1, 1)]


def made(name, shape, **sizes):
    with seeded(0, CPU):
        return build(name, shape, 5, **sizes)


def some(shape, n=3):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("name,width", [("cnn", 4), ("strided-cnn", 4), ("resnet18", 4), ("mlp", 8)])
def test_every_network_reads_every_image_size(name, width, shape):
    network = made(name, shape, width=width)
    logits, embedding = network.train()(some(shape))
    assert logits.shape == (3, 5)
    assert embedding.shape == (3, network.head.in_features)


@pytest.mark.parametrize(
    "name,shape",
    [("cnn", (1, 28, 28)), ("strided-cnn", (1, 28, 28)), ("resnet18", (3, 16, 16)), ("mlp", (7,))],
)
def test_the_head_is_a_plain_linear_layer_on_the_embedding(name, shape):
    network = made(name, shape, width=8).eval()
    logits, embedding = network(some(shape))
    assert type(network.head) is nn.Linear
    assert torch.equal(network.head(embedding), logits)


@pytest.mark.parametrize(
    "shape,blocks,units",
    [((1, 28, 28), 2, 128), ((1, 63, 63), 2, 128), ((1, 40, 64), 3, 256), ((3, 100, 100), 3, 256)],
)
def test_cnn_has_the_sizes_of_system_c(shape, blocks, units):
    network = made("cnn", shape)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [32, 64, 128][:blocks]  # spec 3.4
    assert network.head.in_features == units


def test_cnn_has_as_many_parameters_for_mnist_as_counted_by_hand():
    # 9·32 + 2·32, 9·32·64 + 2·64, 64·7·7·128 + 2·128, 128·10 + 10
    by_hand = 288 + 64 + 18432 + 128 + 401408 + 256 + 1290
    assert sum(p.numel() for p in build("cnn", (1, 28, 28), 10).parameters()) == by_hand


def test_strided_cnn_has_as_many_parameters_for_mnist_as_counted_by_hand():
    # 28 -> 14 -> 7 pixels a side; no bias beside a batch norm, which has two numbers a channel
    blocks = (16 * 1 * 25 + 2 * 16) + (32 * 16 * 9 + 2 * 32)
    by_hand = blocks + (32 * 7 * 7 * 64 + 2 * 64) + (64 * 10 + 10)
    assert sum(p.numel() for p in build("strided-cnn", (1, 28, 28), 10).parameters()) == by_hand


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (3, 64, 64), (1, 300, 20)])
def test_strided_cnn_reads_images_of_any_size(shape):
    network = build("strided-cnn", shape, 3, width=4).eval()
    logits, embedding = network(torch.zeros(2, *shape))
    assert (logits.shape, embedding.shape) == ((2, 3), (2, 16))


def test_cnn_stays_small_for_large_images():
    sizes = [
        sum(p.numel() for p in build("cnn", (3, side, side), 10).parameters()) for side in (64, 224, 512)
    ]
    assert (
        max(sizes) <= sizes[0]
    )  # 64 pixels leave 8 x 8 cells, and more than that never reach the dense layer


def test_resnet18_has_as_many_parameters_as_the_paper_s():
    # torchvision's resnet18 for 1,000 classes has 11,689,512; 513,000 of them are its last layer
    large = sum(p.numel() for p in build("resnet18", (3, 224, 224), 10).parameters())
    assert large == 11_689_512 - 513_000 + 5_130
    small = sum(p.numel() for p in build("resnet18", (3, 32, 32), 10).parameters())
    assert large - small == 64 * 3 * (49 - 9)  # a 3x3 stem instead of 7x7


def test_resnet18_makes_three_channels_of_grey_images():
    assert build("resnet18", (1, 28, 28), 10, width=4).adapter.weight.shape == (3, 1, 1, 1)
    assert isinstance(build("resnet18", (3, 28, 28), 10, width=4).adapter, nn.Identity)


def test_resnet18_keeps_the_resolution_of_small_images():
    seen = []
    network = made("resnet18", (3, 32, 32), width=4)
    network.stem.register_forward_hook(lambda *parts: seen.append(parts[-1].shape[2:]))
    network(some((3, 32, 32)))
    assert tuple(seen[0]) == (32, 32)


def test_dropout_acts_while_training_only():
    network = made("mlp", (6,), width=64, dropout=0.5)
    x = some((6,))
    assert not torch.equal(network.train()(x)[0], network(x)[0])
    assert torch.equal(network.eval()(x)[0], network(x)[0])


@pytest.mark.parametrize("name,shape", [("cnn", (1, 12, 12)), ("resnet18", (1, 12, 12))])
def test_a_folded_network_answers_as_before(name, shape):
    network = made(name, shape, width=8)
    with seeded(1, CPU):
        for _ in range(5):
            network.train()(torch.randn(16, *shape))  # running statistics away from 0 and 1
    network.eval()
    fast = folded(network)
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) for layer in fast.modules())
    with torch.inference_mode():
        for before, after in zip(network(some(shape)), fast(some(shape)), strict=True):
            assert_allclose(after.numpy(), before.numpy(), rtol=1e-4, atol=1e-5)  # float32 through 20 layers
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def test_an_unknown_network_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'resnet18'"):
        build("resnet", (1, 8, 8), 2)


def test_max_before_relu_is_relu_before_max():
    x = torch.from_numpy(np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)[:, :, ::-1].copy())
    pool = nn.MaxPool2d(2)
    assert torch.equal(torch.relu(pool(x)), pool(torch.relu(x)))
