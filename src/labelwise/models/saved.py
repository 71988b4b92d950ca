"""Networks and optimisers as nested dicts of arrays and numbers, and back; networks made faster to answer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from labelwise.errors import InputError


def to_plain(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors as NumPy arrays of their own, those without axes as numbers; None is left out."""
    plain: dict[str, Any] = {}
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            plain[name] = value.item() if value.ndim == 0 else value.detach().cpu().numpy().copy()
        elif value is not None:
            plain[name] = value
    return plain


def load_network(network: nn.Module, plain: Mapping[str, Any]) -> None:
    """Put weights from `to_plain` into a network of the same build.

    Raises:
        InputError: they belong to another build: a name or a shape differs.
    """
    here = network.state_dict()
    if set(here) != set(plain):
        odd = sorted(set(here) ^ set(plain))[0]
        raise InputError(f"The stored state belongs to another network: {odd!r} stands in one of them only.")
    for name, tensor in here.items():
        stored = torch.from_numpy(np.array(plain[name]))
        if stored.shape != tensor.shape:
            raise InputError(
                f"The stored state belongs to another network: {name!r} has shape {tuple(stored.shape)}, "
                f"here {tuple(tensor.shape)}."
            )
        tensor.copy_(stored)  # the state dict shares the network's memory


def optimiser_to_plain(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return what the optimiser remembers of each parameter; its settings are the recipe's business."""
    return {str(key): to_plain(value) for key, value in optimiser.state_dict()["state"].items()}


def optimiser_from_plain(plain: Mapping[str, Any], network: nn.Module) -> dict[int, dict[str, Tensor]]:
    """Return what `optimiser_to_plain` wrote as tensors, in the memory layout of the parameters."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    state: dict[int, dict[str, Tensor]] = {}
    for key, values in plain.items():
        like = parameters[int(key)]
        state[int(key)] = {}
        for name, value in values.items():
            if not isinstance(value, np.ndarray):
                state[int(key)][name] = torch.tensor(float(value))  # a count of steps
                continue
            if value.shape != tuple(like.shape):
                raise InputError(
                    f"The stored state belongs to another network: its optimiser holds {name} of shape "
                    f"{value.shape} where the parameter has {tuple(like.shape)}."
                )
            state[int(key)][name] = torch.empty_like(like, requires_grad=False).copy_(
                torch.from_numpy(value.copy())
            )
    return state


def folded(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode with each batch norm folded into the layer right before it.

    The same function up to rounding, a fifth faster on CPUs. Only for networks that call their
    `nn.Sequential`s whole, as those of `labelwise.models.networks` do.
    """
    network = copy.deepcopy(network).eval()
    for parent in network.modules():
        if not isinstance(parent, nn.Sequential):
            continue
        layers: list[nn.Module] = []
        for layer in parent:
            last = layers[-1] if layers else None
            if isinstance(layer, nn.BatchNorm2d) and isinstance(last, nn.Conv2d):
                layers[-1] = fuse_conv_bn_eval(last, layer)
            elif isinstance(layer, nn.BatchNorm1d) and isinstance(last, nn.Linear):
                layers[-1] = fuse_linear_bn_eval(last, layer)
            else:
                layers.append(layer)
        del parent[:]
        parent.extend(layers)
    return network
