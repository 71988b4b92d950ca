"""VAAL: a discriminator tells unlabelled samples from labelled ones in the latent space of an autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from labelwise.checks import check_count
from labelwise.errors import InputError
from labelwise.models.companions.beside import Companion, Seen
from labelwise.models.companions.common import CompanionRecipe, Lesson, Stream, adam, update
from labelwise.models.companions.vae import Encoder, Vae
from labelwise.models.loop import batch_sizes
from labelwise.models.losses import check_loss


def vae_loss(x: Tensor, decoded: Tensor, mean: Tensor, log_variance: Tensor, beta: float = 1.0) -> Tensor:
    """Return what an autoencoder lowers: squared error + β KL(q(z | x) ‖ N(0, 1)), ().

    The error is a mean over samples and their numbers, the divergence a sum over both samples and latent
    numbers, as in the authors' code: the balance of the two depends on the batch size.

    Args:
        x: (b, ...) the samples.
        decoded: (b, ...) what came back.
        mean: (b, L) of the latent vectors.
        log_variance: (b, L) likewise.
        beta: β.

    Source:
        Sinha, Ebrahimi, Darrell 2019, "Variational Adversarial Active Learning"; code of its authors.
    """
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
    return mse_loss(decoded, x) + beta * divergence


def adversarial_loss(of_labelled: Tensor, of_unlabelled: Tensor) -> Tensor:
    """Return what the autoencoder lowers to fool the discriminator: both parts should seem labelled, ().

    Args:
        of_labelled: (l,) the discriminator's logits of "labelled".
        of_unlabelled: (u,) likewise.

    Source:
        Sinha, Ebrahimi, Darrell 2019, "Variational Adversarial Active Learning"; code of its authors.
    """
    return _as(of_labelled, 1.0) + _as(of_unlabelled, 1.0)


def discriminator_loss(of_labelled: Tensor, of_unlabelled: Tensor) -> Tensor:
    """Return what the discriminator lowers: labelled is 1, unlabelled is 0, ().

    DeepAL+ has 1 for both; that learns nothing and is not followed.

    Args:
        of_labelled: (l,) the discriminator's logits of "labelled".
        of_unlabelled: (u,) likewise.

    Source:
        Sinha, Ebrahimi, Darrell 2019, "Variational Adversarial Active Learning"; code of its authors.
    """
    return _as(of_labelled, 1.0) + _as(of_unlabelled, 0.0)


def _as(logits: Tensor, label: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class Discriminator(nn.Module):
    """Two layers of ReLU units on a latent vector; answers the logit of "labelled"."""

    def __init__(self, latent: int, units: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 1)
        )

    def forward(self, latent: Tensor) -> Tensor:
        found: Tensor = self.layers(latent)
        return found[:, 0]


class Recogniser(Companion):
    """Encodes a sample and answers the probability that it is a labelled one."""

    def __init__(self, encoder: Encoder, discriminator: Discriminator) -> None:
        super().__init__()
        self.encoder, self.discriminator = encoder, discriminator

    def forward(self, seen: Seen) -> Tensor:
        probability: Tensor = self.discriminator(self.encoder(seen.x)[0]).sigmoid()
        return probability


@dataclass(frozen=True, kw_only=True)
class VaalRecipe(CompanionRecipe):
    """Trains a classifier as ever, and an autoencoder against a discriminator; answers `scalars.discriminator`.

    The classifier is the one that a `TorchRecipe` with the same fields trains, to the bit. After it, and for as
    many steps, the autoencoder learns to rebuild labelled and unlabelled samples and to make both seem
    labelled; the discriminator learns to tell them apart by the means of their latent vectors.

    Attributes:
        latent: length of a latent vector.
        width_vae: channels of the autoencoder's first convolution; the paper's are 128, which take 16 times as
            long. For tables, dense layers of eight times as many units.
        beta: β, the weight of the divergence.
        adversary: weight of fooling the discriminator.
        vae_steps: steps of the autoencoder for each step of the classifier, each with a batch of its own.
        discriminator_steps: steps of the discriminator likewise.
        units: of each of the discriminator's two layers.
        most_unlabelled: unlabelled samples read for a fit, drawn from the pool.
        companion_lr: of autoencoder and discriminator.

    Source:
        Sinha, Ebrahimi, Darrell 2019, "Variational Adversarial Active Learning"; code of its authors.

    Deviations:
        The autoencoder is a quarter as wide, and has as many convolutions as the image has sides to halve. The
        three networks share nothing, so they are trained one after the other instead of in turn.
    """

    latent: int = 32
    width_vae: int = 32
    beta: float = 1.0
    adversary: float = 1.0
    vae_steps: int = 2
    discriminator_steps: int = 1
    units: int = 512
    most_unlabelled: int = 5000
    companion_lr: float = 5e-4

    scalar: ClassVar[str] = "discriminator"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent", "width_vae", "vae_steps", "discriminator_steps", "units", "most_unlabelled"):
            check_count(getattr(self, name), name, 1)
        for name in ("beta", "adversary"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} must be at least 0; it is {getattr(self, name)!r}.")

    @property
    def reads(self) -> int:
        return self.most_unlabelled

    def teach(self, lesson: Lesson) -> tuple[Companion | None, Mapping[str, float]]:
        told = lesson.progress
        halfway = None if told is None else lambda done, total: told(done, 2 * total)
        done = self._train(
            lesson.network,
            lesson.x,
            lesson.y,
            lesson.generator,
            lesson.prepare,
            validation=None,
            optimiser_state=None,
            progress=halfway,
        )
        if not len(lesson.pool):
            return None, done.notes
        companion, notes = self._play(lesson)
        return companion, {**done.notes, **notes}

    def _play(self, lesson: Lesson) -> tuple[Companion, dict[str, float]]:
        """Train the autoencoder against the discriminator."""
        device = lesson.device
        vae = Vae(lesson.shape, self.latent, self.width_vae).to(device)
        if self.channels_last:
            vae = vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        judge = Discriminator(self.latent, self.units).to(device)
        of_vae, of_judge = (adam(part, self.companion_lr, device) for part in (vae, judge))
        known, unknown = Stream(lesson.x, lesson, self), Stream(lesson.pool, lesson, self)
        size = min(self.batch_size, len(lesson.x))
        steps = len(batch_sizes(len(lesson.x), self.batch_size))
        notes: dict[str, float] = {}
        for epoch in range(self.epochs):
            sums = torch.zeros(2, device=device)
            for step in range(steps):
                for _ in range(self.vae_steps):
                    fooled, seen = self._rebuild(vae, judge, known.take(size), unknown.take(size))
                    update(seen + self.adversary * fooled, of_vae)
                for _ in range(self.discriminator_steps):
                    with torch.no_grad():
                        means = [vae.encoder(stream.take(size))[0] for stream in (known, unknown)]
                    told_apart = discriminator_loss(*(judge(mean) for mean in means))
                    update(told_apart, of_judge)
                sums += torch.stack([seen.detach(), told_apart.detach()])
                lesson.tell((self.epochs + epoch) * steps + step + 1, 2 * self.epochs * steps)
            vae_, judge_ = (sums / steps).tolist()
            check_loss(vae_ + judge_, "loss of the autoencoder", epoch, replace(self, lr=self.companion_lr))
            notes = {"vae_loss": vae_, "discriminator_loss": judge_}
        return Recogniser(vae.encoder, judge).eval(), notes

    def _rebuild(
        self, vae: Vae, judge: Discriminator, known: Tensor, unknown: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (adversarial loss, autoencoder's loss) of one batch of each part."""
        rebuilt, means = [], []
        for x in (known, unknown):
            decoded, mean, log_variance = vae(x)
            rebuilt.append(vae_loss(x, decoded, mean, log_variance, self.beta))
            means.append(mean)
        return adversarial_loss(*(judge(mean) for mean in means)), torch.stack(rebuilt).sum()
