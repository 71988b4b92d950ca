"""Networks without their last layer, one a modality of a multimodal network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labelwise.checks import check_name
from labelwise.errors import InputError
from labelwise.models import networks

EncoderMaker = Callable[[tuple[int, ...]], nn.Module]


class Body(nn.Module):
    """A network of the house without its head: (b, ...) -> embeddings (b, D)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        assert isinstance(network.head, nn.Linear)
        network.head = nn.Identity()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        embedding: Tensor = self.network(x)[1]
        return embedding


def build(
    modality: str,
    maker: str | EncoderMaker,
    shape: tuple[int, ...],
    *,
    width: int | None = None,
    dropout: float = 0.0,
) -> tuple[nn.Module, int]:
    """Return a fresh encoder and the width D of what it answers; weights come from torch's current generator.

    Args:
        modality: its name, for messages.
        maker: a row of `labelwise.models.networks.TABLE`, or your own `(shape) -> nn.Module` that answers (b, D).
        shape: of a sample: (channels, height, width), (channels, frames, height, width) or (features,).
        width: of a named network, as in `networks.build`.
        dropout: likewise.

    Raises:
        UnknownName: no network has this name.
        InputError: a network for images was chosen for something else, or your callable returned no module or one
            that does not answer (b, D).
    """
    if isinstance(maker, str):
        check_name(maker, tuple(networks.TABLE), f"encoder of modality {modality!r}")
        if networks.only_images(maker) and len(shape) not in (3, 4):
            raise InputError(
                f"Encoder {maker!r} reads images; modality {modality!r} has samples of shape {shape}. Take 'mlp'."
            )
        network = networks.build(maker, shape, 1, width, dropout)
        assert isinstance(network.head, nn.Linear)
        into = network.head.in_features
        return Body(network), into
    encoder = maker(shape)
    if not isinstance(encoder, nn.Module):
        raise InputError(
            f"The encoder of modality {modality!r} must be an nn.Module; its callable returned {encoder!r}."
        )
    encoder.eval()
    with torch.inference_mode():
        told = encoder(torch.zeros(2, *shape))
    if not isinstance(told, Tensor) or told.ndim != 2 or len(told) != 2:
        got = tuple(told.shape) if isinstance(told, Tensor) else type(told).__name__
        raise InputError(
            f"The encoder of modality {modality!r} must answer 2 samples of shape {shape} with embeddings (2, D); "
            f"got {got}."
        )
    return encoder, told.shape[1]
