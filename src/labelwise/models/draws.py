"""Draws from a network: dropout that stays on while answering, with masks that belong to the draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from labelwise.seeds import derived_seed

_WHOLE = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # drop whole channels


def dropout_layers(network: nn.Module) -> list[nn.Module]:
    """Return the layers of a network that drop at random while training; those built with p = 0 do not."""
    kinds = (nn.Dropout, *_WHOLE)
    return [layer for layer in network.modules() if isinstance(layer, kinds) and 0 < layer.p < 1]


class Masks:
    """Puts fixed dropout masks into a network in eval mode: draw s is one thinned network for all samples.

    A mask is a function of (seed, draw, layer) and of nothing else. So what a sample is answered does not depend on
    who stands beside it, nor on the order or size of blocks; and the draws of different samples belong together,
    as scores of whole batches (BatchBALD) need them: p(y₁, y₂) = mean_s p_s(y₁) p_s(y₂) asks both of the same network.
    A single sample's draws have the law of ordinary dropout.

    Args:
        network: in eval mode.
        seed: of the masks.
        draws: S. Row 0 of the masks drops nothing, rows 1 ... S are the draws.

    Source:
        Gal, Ghahramani 2016, "Dropout as a Bayesian Approximation"; one mask for all samples: Kirsch, van Amersfoort,
        Gal 2019, "BatchBALD", section 3.3 (consistent dropout).
    """

    def __init__(self, network: nn.Module, seed: int, draws: int) -> None:
        self.layers, self.seed, self.draws = dropout_layers(network), seed, draws
        self._masks: dict[tuple[int, torch.Size], Tensor] = {}
        self._rows, self._apart = range(1), False

    @contextmanager
    def on(self, rows: range) -> Iterator[None]:
        """Answer with these rows of the masks inside the block.

        With k rows the first dropout layer makes k · b samples of b, row by row, and the layers behind it see that
        many: what lies before runs once. This suits networks that are one chain behind their first dropout layer.
        """
        self._rows, self._apart = rows, False
        hooks = [
            layer.register_forward_hook(partial(self._drop, index)) for index, layer in enumerate(self.layers)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _drop(self, index: int, layer: nn.Module, _: Any, x: Tensor) -> Tensor:
        k = len(self._rows)
        mask = self._mask(index, layer, x)[self._rows.start : self._rows.stop]
        apart = x.reshape(k, len(x) // k, *x.shape[1:]) if self._apart else x[None]
        self._apart = True
        return (apart * mask[:, None]).flatten(0, 1)

    def _mask(self, index: int, layer: nn.Module, x: Tensor) -> Tensor:
        key = (index, x.shape[1:])
        if key not in self._masks:
            shape = (x.shape[1], *[1] * (x.ndim - 2)) if isinstance(layer, _WHOLE) else tuple(x.shape[1:])
            keep = 1 - float(layer.p)  # type: ignore[arg-type]
            rows = [torch.ones(shape)]
            for draw in range(self.draws):
                place = torch.Generator().manual_seed(derived_seed(self.seed, "draw", draw, "layer", index))
                rows.append((torch.rand(shape, generator=place) < keep).float() / keep)
            self._masks[key] = torch.stack(rows).to(x.device)
        return self._masks[key]
