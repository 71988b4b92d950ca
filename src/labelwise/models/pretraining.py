"""An encoder without labels: two views of one image are to lie together, those of different images apart (SimCLR)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, normalize

from labelwise.checks import check_count
from labelwise.errors import InputError, TrainingError
from labelwise.models.base import Progress
from labelwise.models.device import can_fuse
from labelwise.models.loop import Prepare, batch_sizes

_TELL_EVERY = 20  # batches
ASPECT = 4 / 3  # of a crop, at most


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How an encoder is trained without labels.

    Attributes:
        epochs: passes over the images.
        batch_size: images a step; each has two views, and all other views of the step are to lie apart.
        lr: of Adam at its highest; it falls to 0 along a cosine.
        weight_decay: of Adam.
        temperature: τ of the loss.
        projection: units of the two layers on top of the embedding that are thrown away afterwards.
        crop: smallest share of an image that a view shows, in (0, 1].
        flip: views are mirrored left-right with probability 1/2.
        colour: a view's contrast is scaled by up to 1 ± colour, its brightness moved by up to ± colour spreads, each
            channel by itself.
    """

    epochs: int = 20
    batch_size: int = 256
    lr: float = 2e-3
    weight_decay: float = 1e-4
    temperature: float = 0.2
    projection: int = 128
    crop: float = 0.4
    flip: bool = False
    colour: float = 0.4

    def __post_init__(self) -> None:
        check_count(self.epochs, "epochs", 1)
        check_count(self.batch_size, "batch_size", 2)
        check_count(self.projection, "projection", 1)
        for name, low, high in (("lr", 0, math.inf), ("temperature", 0, math.inf), ("crop", 0, 1)):
            value = getattr(self, name)
            if not (low < value <= high and value < math.inf):
                raise InputError(
                    f"{name} of the pretraining must lie above {low}, up to {high}; it is {value!r}."
                )
        for name in ("weight_decay", "colour"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(
                    f"{name} of the pretraining must be at least 0; it is {getattr(self, name)!r}."
                )


def contrastive_loss(z: Tensor, temperature: float) -> Tensor:
    """Return how hard it is to find each view's twin among all other views: the mean of
    -ln( e^{s(i, twin)/τ} / Σ_{k ≠ i} e^{s(i, k)/τ} ), s the cosine.

    Args:
        z: (2 m, D) projections; rows i and m + i are views of one image.
        temperature: τ.

    Returns:
        () the mean over 2 m views.

    Source:
        Chen, Kornblith, Norouzi, Hinton 2020, "A Simple Framework for Contrastive Learning of Visual Representations",
        equation 1 (NT-Xent).
    """
    m = len(z) // 2
    z = normalize(z, dim=1)
    similar = (z @ z.T / temperature).fill_diagonal_(-math.inf)
    twins = torch.cat([torch.arange(m, 2 * m), torch.arange(m)]).to(z.device)
    return cross_entropy(similar, twins)


def views(x: Tensor, how: Pretraining, generator: torch.Generator) -> Tensor:
    """Return one random view of each image: a crop resized to the full size, perhaps mirrored, with other contrast.

    Args:
        x: (b, channels, H, W) standardised.
        how: sizes of the changes.
        generator: on the CPU.
    """
    b, channels = x.shape[:2]

    def lot(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape or (b,), generator=generator) * (high - low) + low

    side, aspect = lot(how.crop, 1).sqrt(), torch.exp(lot(-0.5, 0.5) * math.log(ASPECT))
    aspect = torch.minimum(torch.maximum(aspect, side), 1 / side)  # neither side longer than the image's
    wide, tall = side * aspect, side / aspect
    across, down = lot(-1, 1) * (1 - wide), lot(-1, 1) * (1 - tall)
    mirrored = torch.where(lot(0, 1) < 0.5, -1.0, 1.0) if how.flip else torch.ones(b)
    nothing = torch.zeros(b)
    rows = (torch.stack([mirrored * wide, nothing, across], 1), torch.stack([nothing, tall, down], 1))
    grid = affine_grid(torch.stack(rows, 1).to(x.device), list(x.shape), align_corners=False)
    seen = grid_sample(x, grid, padding_mode="border", align_corners=False)
    if how.colour:
        gain = torch.exp(lot(-1, 1, b, channels, 1, 1) * math.log1p(how.colour))
        seen = seen * gain.to(x.device) + lot(-how.colour, how.colour, b, channels, 1, 1).to(x.device)
    return seen


def pretrain(
    network: nn.Module,
    x: Tensor,
    how: Pretraining,
    generator: torch.Generator,
    prepare: Prepare,
    *,
    progress: Progress | None = None,
) -> float:
    """Train `network` in place so that its embeddings tell images apart and views of one image not; return the loss.

    The layers on top draw their weights from torch's global generator: see `labelwise.models.device.seeded`.

    Args:
        network: on the device; answers (logits, embedding) and has a `head`, which is not trained.
        x: (n, H, W, channels) images as `prepare` reads them, on the device; at least 2.
        how: the settings.
        generator: on the CPU; orders the images and draws the views.
        prepare: makes a batch of x what the network reads.
        progress: told (batches done, batches in all).

    Raises:
        TrainingError: the loss is no number.

    Source:
        Chen, Kornblith, Norouzi, Hinton 2020, "A Simple Framework for Contrastive Learning of Visual Representations".

    Deviations:
        Adam instead of LARS, small batches; no blur and no grey views, for small images.
    """
    device, head = x.device, network.head
    assert isinstance(head, nn.Linear)
    top = nn.Sequential(
        nn.Linear(head.in_features, how.projection),
        nn.BatchNorm1d(how.projection),
        nn.ReLU(inplace=True),
        nn.Linear(how.projection, how.projection),
    ).to(device)
    body = [weight for name, weight in network.named_parameters() if not name.startswith("head.")]
    optimiser = torch.optim.Adam(
        [*body, *top.parameters()], how.lr, weight_decay=how.weight_decay, fused=can_fuse(device)
    )
    sizes = batch_sizes(len(x), how.batch_size)
    steps, step, mean = how.epochs * len(sizes), 0, math.nan
    network.train()
    for epoch in range(how.epochs):
        total = torch.zeros((), device=device)
        order = torch.randperm(len(x), generator=generator).to(device)
        for rows in torch.split(order, sizes):
            for group in optimiser.param_groups:
                group["lr"] = how.lr * (1 + math.cos(math.pi * step / steps)) / 2
            images = prepare(x.index_select(0, rows))
            both = torch.cat([views(images, how, generator), views(images, how, generator)])
            loss = contrastive_loss(top(network(both)[1]), how.temperature)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            total += loss.detach() * len(rows)
            step += 1
            if progress is not None and (step % _TELL_EVERY == 0 or step == steps):
                progress(step, steps)
        mean = float(total) / len(x)
        if not math.isfinite(mean):
            raise TrainingError(
                f"The loss of the pretraining must stay a number; it is {mean} in epoch {epoch + 1}. Try a smaller rate."
            )
    network.eval()
    return mean
