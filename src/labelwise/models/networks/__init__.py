"""The table of networks: name -> its class and what it reads; each answers (logits, embedding)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from labelwise.checks import check_name
from labelwise.errors import InputError, did_you_mean
from labelwise.models.networks.video import Frames

# name -> (where the class lives, does it read images only)
TABLE: dict[str, tuple[str, bool]] = {
    "cnn": ("labelwise.models.networks.cnn:Cnn", True),
    "strided-cnn": ("labelwise.models.networks.cnn:StridedCnn", True),
    "resnet18": ("labelwise.models.networks.resnet:ResNet18", True),
    "mlp": ("labelwise.models.networks.mlp:Mlp", False),
    "vit": ("labelwise.models.networks.vit:Vit", True),
    "r2plus1d18": ("labelwise.models.networks.video:R2Plus1D18", False),
}
VIDEO = ("r2plus1d18",)  # those that read frames in their order, and nothing else


def build(
    name: str,
    shape: tuple[int, ...],
    n_classes: int,
    width: int | None = None,
    dropout: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Return a fresh network; its weights come from torch's current generator.

    Its forward pass returns (logits (b, C), embedding (b, D)), the embedding being the input of its last
    layer, a plain `nn.Linear` named `head`: so the gradient of the loss with respect to that layer is (p -
    onehot) ⊗ embedding.

    Args:
        name: a row of `TABLE`.
        shape: of one sample: (channels, height, width), (channels, frames, height, width) or (features,). A network
            of images reads the frames of a video one by one; its embedding is their mean.
        n_classes: C.
        width: channels of the first block, or units of a hidden layer; None: the network's own.
        dropout: share of the embedding that is dropped while training, in [0, 1).
        options: what else the network's class takes: the depth and patch of a "vit"; None: its own defaults.

    Raises:
        UnknownName: no network has this name.
        InputError: the network has no such option, or cannot be built with it, or reads other shapes.
    """
    check_name(name, tuple(TABLE), "network")
    module, _, attribute = TABLE[name][0].partition(":")
    sizes: dict[str, Any] = {} if width is None else {"width": width}
    kind = getattr(import_module(module), attribute)
    known = set(inspect.signature(kind).parameters) - {"shape", "n_classes", "width", "dropout"}
    for key in options or {}:
        if key not in known:
            raise InputError(f"Network {name!r} has no option {key!r}. {did_you_mean(key, known)}")
    if name in VIDEO and len(shape) != 4:
        raise InputError(
            f"Network {name!r} reads videos, (channels, frames, height, width); these samples are of shape {shape}. "
            f"Take {'resnet18' if len(shape) == 3 else 'mlp'!r}."
        )
    framed = only_images(name) and len(shape) == 4
    seen = (shape[0], *shape[2:]) if framed else shape
    made: nn.Module = kind(seen, n_classes, dropout=dropout, **sizes, **(options or {}))
    return Frames(made) if framed else made


def only_images(name: str) -> bool:
    """Return whether the network reads nothing but images (and spectrograms, which look like grey ones), and the
    frames of a video one by one."""
    return TABLE[name][1]
