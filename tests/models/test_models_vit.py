"""The vision transformer: sizes and names of DeiT, attention by hand, and torch's own layers as a second opinion."""

import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn.functional import interpolate

from labelwise.errors import InputError
from labelwise.models.device import seeded
from labelwise.models.networks import build
from labelwise.models.networks.vit import Attention, DropPath, Layer, Vit, patch_for, resized_positions

CPU = torch.device("cpu")
TINY = {"depth": 2, "heads": 2, "patch": 4}


def made(shape=(1, 8, 8), width=8, **options):
    with seeded(0, CPU):
        return Vit(shape, 3, width=width, **{**TINY, **options}).eval()


def without_head(network):
    return sum(p.numel() for name, p in network.named_parameters() if not name.startswith("head."))


def test_deit_small_has_the_parameters_of_the_paper_under_the_public_names():
    with torch.device("meta"):
        network = build("vit", (3, 224, 224), 10)
    # a layer: 2 norms 2·2·384, qkv 384·1152 + 1152, proj 384² + 384, fc1 384·1536 + 1536, fc2 1536·384 + 384
    layer = 1536 + 443_520 + 147_840 + 591_360 + 590_208
    around = 3 * 16 * 16 * 384 + 384 + 384 + 197 * 384 + 2 * 384  # patches, class token, positions, last norm
    assert without_head(network) == 12 * layer + around == 21_665_664  # DeiT-Small without its head
    names = list(network.state_dict())
    assert names[:4] == ["cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]
    assert [name.removeprefix("blocks.11.") for name in names if name.startswith("blocks.11.")] == [
        "norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
        "norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias",
    ]  # fmt: skip
    assert names[-4:] == ["norm.weight", "norm.bias", "head.weight", "head.bias"]
    assert network.blocks[0].attn.heads == 6
    assert network.norm.eps == network.blocks[3].norm2.eps == 1e-6


@pytest.mark.parametrize("width,heads,count", [(192, 3, 5_524_416), (768, 12, 85_798_656)])
def test_the_width_alone_makes_deit_tiny_and_deit_base(width, heads, count):
    with torch.device("meta"):
        network = Vit((3, 224, 224), 10, width=width)
    assert network.blocks[0].attn.heads == heads
    assert without_head(network) == count


@pytest.mark.parametrize(
    "heads,expected",
    [
        # one head: token (1, 0) weighs itself by e^(1/√2) against 1, 0.6698
        (1, [[0.66976, 0.33024], [0.33024, 0.66976]]),
        # two heads of one unit: where q = 1, e against 1, 0.7311; where q = 0, one half
        (2, [[0.73106, 0.5], [0.5, 0.73106]]),
    ],
)
def test_attention_is_what_a_hand_finds(heads, expected):
    attention = Attention(2, heads)
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.eye(2).repeat(3, 1))  # q = k = v = x
        attention.proj.weight.copy_(torch.eye(2))
        attention.qkv.bias.zero_()
        attention.proj.bias.zero_()
        found = attention(torch.eye(2)[None])
    assert_allclose(found[0], expected, atol=1e-5)


def test_a_layer_computes_what_torch_s_own_computes():
    with seeded(3, CPU):
        ours, theirs = (
            Layer(12, 3, 20, 0.0).eval(),
            nn.TransformerEncoderLayer(
                12, 3, 20, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True
            ).eval(),
        )
        x = torch.randn(4, 5, 12)
        for p in ours.parameters():
            nn.init.normal_(p, std=0.5)
    pairs = {
        "self_attn.in_proj_weight": "attn.qkv.weight", "self_attn.in_proj_bias": "attn.qkv.bias",
        "self_attn.out_proj.weight": "attn.proj.weight", "self_attn.out_proj.bias": "attn.proj.bias",
        "linear1.weight": "mlp.fc1.weight", "linear1.bias": "mlp.fc1.bias", "linear2.weight": "mlp.fc2.weight",
        "linear2.bias": "mlp.fc2.bias", "norm1.weight": "norm1.weight", "norm1.bias": "norm1.bias",
        "norm2.weight": "norm2.weight", "norm2.bias": "norm2.bias",
    }  # fmt: skip
    state = ours.state_dict()
    theirs.load_state_dict({name: state[other] for name, other in pairs.items()})
    with torch.no_grad():
        assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_the_embedding_is_the_class_token_after_the_last_norm():
    network, x = made(), torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        patches = torch.stack(
            [x[:, 0, i : i + 4, j : j + 4].flatten(1) for i in (0, 4) for j in (0, 4)], dim=1
        )
        proj = network.patch_embed.proj
        tokens = patches @ proj.weight.flatten(1).T + proj.bias
        tokens = torch.cat([network.cls_token.expand(2, 1, 8), tokens], dim=1) + network.pos_embed
        wanted = network.norm(network.blocks(tokens))[:, 0]
        logits, embedding = network(x)
    assert_allclose(embedding, wanted, atol=1e-6)
    assert torch.equal(network.head(embedding), logits)


@pytest.mark.parametrize("side,patch", [(224, 16), (112, 16), (64, 8), (32, 4), (28, 4), (8, 1), (1, 1)])
def test_smaller_images_get_smaller_patches(side, patch):
    assert patch_for(side) == patch


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 15, 15), (1, 40, 64), (4, 1, 1)])
def test_every_image_size_is_read(shape):
    with seeded(0, CPU):
        network = build("vit", shape, 5, 16, 0.0, {"depth": 1})
        logits, embedding = network.train()(torch.rand(3, *shape))
    assert (logits.shape, embedding.shape) == ((3, 5), (3, 16))
    assert type(network.head) is nn.Linear


def test_a_border_that_no_patch_covers_is_padded_and_counts():
    network, x = made((1, 9, 8)), torch.zeros(1, 1, 9, 8)
    changed = x.clone()
    changed[0, 0, 8] = 1  # the ninth row
    assert network.grid == (3, 2)
    with torch.no_grad():
        assert not torch.equal(network(x)[0], network(changed)[0])


@pytest.mark.parametrize("size", [12, 6])
def test_images_are_resized_like_by_interpolation(size):
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        inside = made(size=size, patch=3)(x)[0]
        resized = interpolate(x, size=(size, size), mode="bicubic", antialias=True)
        outside = made((1, size, size), patch=3)(resized)[0]
    assert_allclose(inside, outside, atol=1e-5)


def test_positions_of_another_grid_are_interpolated_and_the_class_token_s_stays():
    # a plane is what bicubic interpolation keeps, but near the border: 4 x 4 places at 0.5, 1.5, ... of one axis
    ramp = torch.arange(4.0).repeat(4, 1).flatten()  # grows across, not down
    positions = torch.cat([torch.full((1, 1, 2), 9.0), torch.stack([ramp, ramp + 1], 1)[None]], dim=1)
    found = resized_positions(positions, (2, 8))
    assert found.shape == (1, 17, 2)
    assert found[0, 0].tolist() == [9.0, 9.0]
    # between the places 1 and 2 the eight finer ones lie at 1.25 and 1.75
    assert_allclose(found[0, 1:].reshape(2, 8, 2)[0, 3:5, 0], [1.25, 1.75], atol=0.05)
    assert torch.equal(resized_positions(positions, (4, 4)), positions)
    with pytest.raises(InputError, match="square grid"):
        resized_positions(positions[:, :-1], (2, 2))


def test_drop_path_leaves_branches_out_while_training_and_keeps_their_mean():
    drop, branch = DropPath(0.25), torch.ones(4000, 2, 3)
    with seeded(0, CPU):
        found = drop.train()(branch)
    values = found.flatten(1)
    assert bool(
        ((values == 0).all(1) | (values == 1 / 0.75).all(1)).all()
    )  # a sample's whole branch, or nothing
    assert (values[:, 0] == 0).float().mean() == pytest.approx(0.25, abs=0.03)  # 4 standard deviations
    assert torch.equal(drop.eval()(branch), branch)
    assert [layer.drop_path.share for layer in made(depth=3, drop_path=0.2).blocks] == [0.0, 0.1, 0.2]


@pytest.mark.parametrize(
    "options,words",
    [
        ({"heads": 3}, "heads must divide"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"patch": 0}, "patch"),
    ],
)
def test_impossible_sizes_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        made(**options)


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'depth'"):
        build("vit", (1, 8, 8), 2, options={"dept": 2})
    with pytest.raises(InputError, match="no option 'depth'"):
        build("cnn", (1, 8, 8), 2, options={"depth": 2})
