"""A network that also learns from adversarial twins of the labelled samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from labelwise.models.base import Progress
from labelwise.models.loop import Prepare, Trained
from labelwise.models.probes import OVERSHOOT, deepfool
from labelwise.models.torch import TorchRecipe


@dataclass(frozen=True)
class DfalRecipe(TorchRecipe):
    """Trains a network on the labelled samples, then on them and their DeepFool twins with the same labels.

    A twin is the sample moved just across the nearest boundary of the network as trained so far, x + 1.02 r; it keeps
    the label that was answered for x, so one label counts twice. Together with the strategy `deepfool` this is DFAL.

    A fit trains twice: `epochs` on n samples, then `epochs` more on up to 2 n; DeepFool in between takes three to
    ten steps of at most 10 backward passes a sample. Samples whose label no step flips have no twin; the notes say how
    many `twins` there were. Early stopping, warm rounds and all fields are those of `TorchRecipe`.

    Source:
        Ducoffe, Precioso 2018, "Adversarial Active Learning for Deep Networks: a Margin Based Approach".

    Deviations:
        - Twins are made anew of the current network at each fit, for all labelled samples; the paper keeps those that
          the network of each query made.
    """

    def _train(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor,
        generator: torch.Generator,
        prepare: Prepare,
        *,
        validation: tuple[Tensor, Tensor] | None,
        optimiser_state: Mapping[int, Any] | None,
        progress: Progress | None,
    ) -> Trained:
        def half(at: int) -> Progress | None:
            tell = progress
            if tell is None:
                return None
            return lambda done, total: tell(at * total + done, 2 * total)

        first = super()._train(
            network,
            x,
            y,
            generator,
            prepare,
            validation=validation,
            optimiser_state=optimiser_state,
            progress=half(0),
        )
        both, labels = with_twins(network, x, y, prepare, self.batch_size)
        second = super()._train(
            network,
            both,
            labels,
            generator,
            prepare,
            validation=validation,
            optimiser_state=first.optimiser.state_dict()["state"],
            progress=half(1),
        )
        notes = {
            **second.notes,
            "epochs": first.notes["epochs"] + second.notes["epochs"],
            "twins": len(labels) - len(y),
        }
        return Trained(second.optimiser, notes)


def with_twins(
    network: nn.Module, x: Tensor, y: Tensor, prepare: Prepare, block: int
) -> tuple[Tensor, Tensor]:
    """Return the samples as scaled floats followed by the twins that DeepFool finds, and the labels of both.

    Args:
        network: in eval mode.
        x: (n, ...) in whatever form `prepare` reads.
        y: (n,) labels.
        prepare: makes a batch of x what the network reads.
        block: samples at once.
    """
    plain, twins, kept = [], [], []
    for some, labels in zip(x.split(block), y.split(block), strict=True):  # type: ignore[no-untyped-call]
        read = prepare(some)
        r, flipped = deepfool(network, read)
        plain.append(read)
        twins.append((read + (1 + OVERSHOOT) * r)[flipped])
        kept.append(labels[flipped])
    both = torch.cat(plain + twins)
    held = both.permute(0, 2, 3, 1) if both.ndim == 4 else both  # images are held with channels last
    return held.contiguous(), torch.cat([y, *kept])
