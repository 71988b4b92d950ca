"""Weights that somebody trained before: read from a local file without executing anything in it, and fitted to a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from labelwise.errors import InputError
from labelwise.models.networks.vit import Vit, resized_positions

NESTS = (
    "teacher",
    "state_dict",
    "model",
)  # where public files keep their weights; DINO's features are the teacher's
PREFIXES = ("module.", "backbone.", "network/")  # of parallel training, of DINO, of a saved predictor
OTHER = ("head.", "head_", "optimiser/", "fc_norm.")  # parts of a file that are not the encoder
_LISTED = 4


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a `.safetensors`, `.pth` or `.pt` file, without the prefixes of wrappers and heads.

    The file may come from a stranger: safetensors hold nothing but tensors, and of a pickle only tensors and plain
    containers are read (`torch.load(weights_only=True)`).

    Raises:
        InputError: no such file, another kind of file, a file that holds code, or one without tensors.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".safetensors", ".pth", ".pt"):
        raise InputError(f"weights must name a .safetensors, .pth or .pt file; they name {path}.")
    if not path.is_file():
        raise InputError(
            f"There is no file {path} to read weights from. Nothing is downloaded: put it there."
        )
    try:
        if kind == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's bytes: readers raise whatever their parsing runs into
        if type(error).__name__ == "UnpicklingError":
            raise InputError(
                f"{path} holds more than tensors, which could run code when it is read; it was not. Save the state "
                "dict alone, best as .safetensors."
            ) from error
        raise InputError(
            f"{path} cannot be read as weights: it is damaged ({type(error).__name__})."
        ) from error
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    found: dict[str, Tensor] = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        name = str(key)
        while prefix := next((p for p in PREFIXES if name.startswith(p)), ""):
            name = name.removeprefix(prefix)
        if isinstance(value, Tensor) and not name.startswith(OTHER):
            found[name] = value
    if not found:
        raise InputError(f"{path} holds no named tensors: it is no state dict of an encoder.")
    return found


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Put an encoder's weights into a network; its head stays as it is.

    Learned positions of another number of patches are interpolated. Weights for three channels are summed over them
    where the images are grey: the same as showing the grey image three times.

    Args:
        network: changed in place.
        weights: from `read_weights`.
        where: the file, for messages.

    Raises:
        InputError: a weight is missing, is not the network's, has another shape, or does not hold finite real numbers.
    """
    here = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("head.")}
    # a count of batches that only batch norm without momentum reads; older files have none
    missing = [name for name in here if name not in weights and not name.endswith("num_batches_tracked")]
    unknown = [name for name in weights if name not in here]
    if missing or unknown:
        parts = [f"lacks {_listed(missing)}"] * bool(missing) + [f"also holds {_listed(unknown)}"] * bool(
            unknown
        )
        raise InputError(
            f"{where} does not fit the network: it {' and '.join(parts)}. Choose network, width and options "
            "(depth, for a vit) as the weights were trained."
        )
    for name, stored in weights.items():
        tensor = here[name]
        plain = stored.layout == torch.strided and not stored.is_quantized and not stored.is_complex()
        if not plain or not stored.isfinite().all():
            raise InputError(
                f"{where}: {name} must hold finite real numbers, all of them; it does not. Is the file damaged, or "
                "of a training that went astray?"
            )
        if name == "pos_embed" and isinstance(network, Vit):
            whole = stored.ndim == 3 and len(stored) == 1 and stored.shape[1] > 1
            if whole and stored.shape[2] == tensor.shape[2]:
                stored = resized_positions(stored, network.grid)
        if stored.ndim == 4 and stored.shape[1] == 3 and tensor.shape[1] == 1:
            stored = stored.sum(dim=1, keepdim=True)
        if stored.shape != tensor.shape:
            raise InputError(
                f"{where} does not fit the network: {name} has shape {tuple(stored.shape)} there and "
                f"{tuple(tensor.shape)} here. Choose network, width and options (patch, size) as the weights were "
                "trained."
            )
        tensor.copy_(stored)  # the state dict shares the network's memory


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
