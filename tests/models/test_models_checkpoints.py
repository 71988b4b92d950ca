"""Weights from files: both formats, the wrappings of public files, and everything that is refused."""

import argparse
import os

import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file

from labelwise.errors import InputError
from labelwise.models.checkpoints import put_weights, read_weights
from labelwise.models.device import seeded
from labelwise.models.networks import build

CPU = torch.device("cpu")
TINY = {"depth": 1, "heads": 2, "patch": 4}


def made(seed, shape=(3, 8, 8), classes=5, **options):
    with seeded(seed, CPU):
        return build("vit", shape, classes, 8, 0.0, {**TINY, **options}).eval()


def written(path, weights):
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


def embedding(network, shape=(3, 8, 8)):
    with torch.no_grad():
        return network(torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)))[1]


@pytest.mark.parametrize("kind", ["safetensors", "pth", "pt"])
def test_weights_written_and_read_make_the_same_encoder(kind, tmp_path):
    one, other = made(1), made(2)
    head = other.head.weight.clone()
    path = written(tmp_path / f"weights.{kind}", one.state_dict())
    assert not torch.equal(embedding(one), embedding(other))
    put_weights(other, read_weights(path), str(path))
    assert torch.equal(embedding(one), embedding(other))
    assert torch.equal(other.head.weight, head)  # the task's own


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"model": w, "epoch": 300},  # DeiT
        lambda w: {
            "teacher": {f"module.backbone.{k}": v for k, v in w.items()},
            "student": {},
        },  # DINO, in full
        lambda w: {"state_dict": {f"module.{k}": v for k, v in w.items()}},
        lambda w: {f"network/{k}": v for k, v in w.items()},  # of a saved predictor
    ],
)
def test_the_wrappings_of_public_files_are_taken_off(wrap, tmp_path):
    weights = made(1).state_dict()
    found = read_weights(written(tmp_path / "weights.pth", wrap(weights)))
    assert set(found) == {name for name in weights if not name.startswith("head.")}


def test_positions_of_another_image_size_are_interpolated():
    network = made(2, (3, 16, 16))
    weights = {k: v for k, v in made(1).state_dict().items() if not k.startswith("head.")}
    put_weights(network, weights, "file")
    assert network.pos_embed.shape == (1, 17, 8)
    assert torch.equal(network.pos_embed[0, 0], weights["pos_embed"][0, 0])


def test_a_grey_image_is_read_as_three_equal_channels():
    colour, grey = made(1), made(2, (1, 8, 8))
    weights = {k: v for k, v in colour.state_dict().items() if not k.startswith("head.")}
    put_weights(grey, weights, "file")
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        assert_allclose(grey(x)[1], colour(x.expand(-1, 3, -1, -1))[1], atol=1e-6)


def test_a_file_of_another_network_is_refused_with_the_names():
    weights = {k: v for k, v in made(1, depth=2).state_dict().items() if not k.startswith("head.")}
    with pytest.raises(InputError, match=r"also holds blocks\.1\.norm1\.weight.* and 8 more.*depth"):
        put_weights(made(1), weights, "file")
    del weights["cls_token"]
    with pytest.raises(InputError, match=r"lacks cls_token"):
        put_weights(made(1, depth=2), weights, "file")
    narrow = {k: v for k, v in made(1, patch=2).state_dict().items() if not k.startswith("head.")}
    with pytest.raises(InputError, match=r"patch_embed\.proj\.weight has shape \(8, 3, 2, 2\) there"):
        put_weights(made(1), narrow, "file")


@pytest.mark.parametrize("shape", [(2, 5, 8), (1, 1, 8), (1, 0, 8), (5, 8), (1, 5, 9)])
def test_positions_of_an_odd_shape_are_refused(shape):
    weights = {k: v for k, v in made(1).state_dict().items() if not k.startswith("head.")}
    with pytest.raises(InputError, match="pos_embed has shape"):
        put_weights(made(2, (3, 16, 16)), {**weights, "pos_embed": torch.zeros(shape)}, "file")


@pytest.mark.parametrize(
    "odd",
    [
        torch.full((1, 1, 8), float("nan")),
        torch.full((1, 1, 8), float("inf")),
        torch.zeros((1, 1, 8), dtype=torch.complex64),
        torch.zeros((1, 1, 8)).to_sparse(),
    ],
    ids=["nan", "inf", "complex", "sparse"],
)
def test_weights_that_are_no_plain_numbers_are_refused(odd):
    weights = {k: v for k, v in made(1).state_dict().items() if not k.startswith("head.")}
    with pytest.raises(InputError, match="file: cls_token must hold finite real numbers"):
        put_weights(made(2), {**weights, "cls_token": odd}, "file")


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_a_file_that_holds_code_is_refused_and_the_code_not_run(tmp_path):
    mark = tmp_path / "pwned"
    torch.save({"model": Evil(str(mark))}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="could run code"):
        read_weights(tmp_path / "evil.pth")
    assert not mark.exists()
    torch.save({"model": made(1).state_dict(), "args": argparse.Namespace(lr=1)}, tmp_path / "args.pth")
    with pytest.raises(InputError, match="state dict alone"):
        read_weights(tmp_path / "args.pth")


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("content", [b"", b"hello world", bytes(range(256)) * 8])
def test_a_damaged_file_is_refused_in_words(kind, content, tmp_path):
    path = tmp_path / f"weights.{kind}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|could run code"):
        read_weights(path)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file .*Nothing is downloaded"):
        read_weights(tmp_path / "absent.pth")
    with pytest.raises(InputError, match="must name a .safetensors"):
        read_weights(tmp_path / "weights.bin")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(InputError, match="no named tensors"):
        read_weights(tmp_path / "none.pth")
