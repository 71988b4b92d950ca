"""A variational autoencoder for images (convolutional) and for tables (dense)."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

MOST_BLOCKS = 4


class Encoder(nn.Module):
    """Turns samples into mean and log variance of their latent vectors.

    Images: up to four convolutions 4 x 4 with stride 2, batch norm and ReLU, each doubling the channels, as
    long as a side of two pixels is left; tables, and images one pixel high: two dense layers with ReLU.

    Args:
        shape: (channels, height, width) or (features,).
        latent: length of a latent vector.
        width: channels of the first convolution; a dense layer has eight times as many units, as the fourth
            convolution has channels.
    """

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        self.sides = _sides(shape)  # of the maps, from the image to the smallest
        layers: list[nn.Module] = []
        if len(self.sides) > 1:
            channels = [shape[0], *(width * 2**block for block in range(len(self.sides) - 1))]
            for into, out in pairwise(channels):
                convolution = nn.Conv2d(into, out, 4, 2, padding=1, bias=False)
                layers += [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            self.end: tuple[int, ...] = (channels[-1], *self.sides[-1])
            layers.append(nn.Flatten())
        else:
            units = 8 * width
            layers += [nn.Flatten(), nn.Linear(prod(shape), units), nn.ReLU(inplace=True)]
            layers += [nn.Linear(units, units), nn.ReLU(inplace=True)]
            self.end = (units,)
        self.body = nn.Sequential(*layers)
        self.mean = nn.Linear(prod(self.end), latent)
        self.log_variance = nn.Linear(prod(self.end), latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.body(x)
        return self.mean(seen), self.log_variance(seen)


class Decoder(nn.Module):
    """Turns latent vectors back into samples; the mirror of an encoder.

    Args:
        encoder: whose mirror it is.
        shape: of a sample.
        latent: length of a latent vector.
        width: as the encoder's.
    """

    def __init__(self, encoder: Encoder, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(latent, prod(encoder.end)), nn.Unflatten(1, encoder.end)]
        sides = encoder.sides
        if len(sides) > 1:
            for block in reversed(range(len(sides) - 1)):
                (height, breadth), smaller = sides[block], sides[block + 1]
                odd = (height - 2 * smaller[0], breadth - 2 * smaller[1])  # what halving rounded away
                out = width * 2 ** (block - 1) if block else shape[0]
                into = width * 2**block
                layers += [nn.ReLU(inplace=True), nn.ConvTranspose2d(into, out, 4, 2, 1, output_padding=odd)]
                if block:
                    layers.append(nn.BatchNorm2d(out))
        else:
            units = encoder.end[0]
            layers += [nn.ReLU(inplace=True), nn.Linear(units, units), nn.ReLU(inplace=True)]
            layers += [nn.Linear(units, prod(shape)), nn.Unflatten(1, shape)]
        self.body = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        decoded: Tensor = self.body(latent)
        return decoded


class Vae(nn.Module):
    """Encoder and decoder; returns (reconstruction, mean, log variance), the latent vector drawn between them.

    Draws come from torch's global generator: see `labelwise.models.device.seeded`.
    """

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(shape, latent, width)
        self.decoder = Decoder(self.encoder, shape, latent, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(x)
        drawn = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return self.decoder(drawn), mean, log_variance


def _sides(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the sides of an image and of the maps of each block; no more than the sides themselves for tables."""
    if len(shape) != 3:
        return [(0, 0)]
    sides = [(shape[1], shape[2])]
    while len(sides) <= MOST_BLOCKS and min(sides[-1]) >= 2:
        sides.append((sides[-1][0] // 2, sides[-1][1] // 2))
    return sides
