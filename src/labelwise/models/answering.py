"""The predictor of a network: every signal asked for block by block; saved as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from labelwise.checks import Array, as_ids
from labelwise.data.base import Dataset
from labelwise.errors import MissingSignal, TrainingError
from labelwise.models.base import Ids, Progress
from labelwise.models.device import seeded, threads
from labelwise.models.draws import Masks
from labelwise.models.inputs import Reader
from labelwise.models.loop import Prepare
from labelwise.models.networked import Networked
from labelwise.models.probes import PROBES, Probe
from labelwise.models.saved import folded, to_plain
from labelwise.signals import Signals

VERSION = 1  # of the file that `save` writes
GIVES = frozenset({"probs", "logits", "embeddings"})
BLOCK = {"cpu": 128, "mps": 512, "cuda": 2048}  # on CPUs the maps of a block should stay in the cache


def as_tensor(values: Array, device: torch.device) -> Tensor:
    """Return values on the device; torch wants memory it may write to, so a read-only array is copied."""
    plain = np.ascontiguousarray(values)
    return torch.from_numpy(plain if plain.flags.writeable else plain.copy()).to(device)


def channels_last(network: nn.Module) -> nn.Module:
    """Return the network, its convolutions over images laid out channels last; those over videos stay as they are."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def preparation(reader: Reader, device: torch.device, *, channels_last: bool) -> Prepare:
    """Return what makes a batch as held in memory (bytes, channels last) into what a network reads."""
    if reader.image is None:
        return lambda x: x
    factor, offset = (torch.from_numpy(part).to(device) for part in reader.image.factors())
    picture = len(reader.image.shape) == 3  # networks of videos stay as they are
    layout = torch.channels_last if channels_last and picture else torch.contiguous_format

    def prepare(x: Tensor) -> Tensor:
        if x.dtype == torch.uint8:
            x = (x * factor).add_(offset)
        return x.movedim(-1, 1).contiguous(memory_format=layout)

    return prepare


def in_blocks(
    ids: Ids, block: int, told: Callable[[Ids], Mapping[str, Tensor]], progress: Progress | None
) -> dict[str, Array]:
    """Return what `told` answers to all ids, (n, ...) each, asked block by block, and once if there are none.

    A block that a GPU has no memory for is asked again by halves.
    """
    parts: dict[str, Array] = {}
    start, first = 0, True
    while first or start < ids.size:
        some = ids[start : start + block]
        try:
            answer = {name: values.cpu().numpy() for name, values in told(some).items()}
        except torch.cuda.OutOfMemoryError:
            if block == 1:
                raise
            torch.cuda.empty_cache()
            block = max(1, block // 2)
            continue
        for name, values in answer.items():
            if first:
                parts[name] = np.empty((ids.size, *values.shape[1:]), dtype=values.dtype)
            parts[name][start : start + len(some)] = values
        start, first = start + block, False
        if progress is not None:
            progress(min(start, ids.size), ids.size)
    return parts


def check_given(names: frozenset[str], gives: frozenset[str], who: str) -> None:
    """Raise MissingSignal if a signal is asked for that `who` does not give."""
    if unknown := set(names) - gives:
        hint = " Give the recipe dropout and draws." if "draws" in unknown else ""
        raise MissingSignal(
            f"{who} gives {', '.join(sorted(gives))}; asked for {', '.join(sorted(unknown))}.{hint}"
        )


def check_finite(name: str, values: Array, ids: Ids) -> Array:
    """Return (n, ...) values; raise TrainingError if one is NaN or infinite."""
    if values.dtype.kind == "f" and not (good := np.isfinite(values)).all():
        at = tuple(np.argwhere(~good)[0])
        raise TrainingError(
            f"{name} must be numbers; the network gives sample {int(ids[at[0]])} {values[at]}. Are its "
            "weights far too large? Try a smaller lr, or clip=1.0."
        )
    return values


def probes_of(names: frozenset[str]) -> dict[str, Probe]:
    """Return the probes among signals, by their names there."""
    return {name: PROBES[name[8:]] for name in sorted(names) if name.startswith("scalars.")}


def probed(network: nn.Module, x: Tensor, probes: Mapping[str, Probe], seed: int) -> dict[str, Tensor]:
    """Return what probes tell of a block, (b,) each."""
    # gradients, whatever the caller has switched off; by deterministic algorithms on CUDA, where they would
    # differ from one call to the next
    with torch.inference_mode(False), seeded(seed, x.device):
        return {name: probe(network, x) for name, probe in probes.items()}


@dataclass(frozen=True, eq=False)
class TorchPredictor:
    """A trained network; it answers probs, logits and embeddings, draws where the recipe has any, and probes.

    Attributes:
        recipe: how it was fitted.
        network: in eval mode; not to be trained further.
        reader: how it reads samples.
        n_classes: C.
        notes: loss, accuracy and epochs of the training.
        optimiser: what a warm recipe's optimiser remembers.
        seed: of the dropout masks of its draws.
    """

    recipe: Networked
    network: nn.Module = field(repr=False)
    reader: Reader = field(repr=False)
    n_classes: int
    notes: Mapping[str, float]
    optimiser: Mapping[str, Any] = field(repr=False)
    seed: int = 0
    _fast: nn.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.network.eval()
        fast = self.network if self.recipe.own else folded(self.network)
        if self.recipe.channels_last:
            fast = channels_last(fast)
        object.__setattr__(self, "_fast", fast)

    def infer(
        self, data: Dataset, ids: Ids, names: frozenset[str], progress: Progress | None = None
    ) -> Signals:
        check_given(names, self.recipe.gives.pool, "A network")
        ids = as_ids(ids)
        device = next(self.network.parameters()).device
        block = self.recipe.infer_batch or BLOCK[device.type]
        prepare = preparation(self.reader, device, channels_last=self.recipe.channels_last)
        masks = Masks(self._fast, self.seed, self.recipe.draws if "draws" in names else 0)
        probes = probes_of(names)

        def told(some: Ids) -> dict[str, Tensor]:
            x = prepare(as_tensor(self.reader.read(data, some) if some.size else self._nothing(), device))
            answer = self._answer(x, names, tap, masks)
            if probes:
                answer |= probed(self.network, x, probes, self.seed)
            return {name: values.float() for name, values in answer.items()}

        with threads(self.recipe.threads), _Tap(self._fast) as tap:
            parts: dict[str, Any] = in_blocks(ids, block, told, progress)
        scalars = {name[8:]: check_finite(name, parts.pop(name), ids) for name in probes}
        return Signals(ids, **parts, scalars=scalars)

    def _nothing(self) -> Array:
        shape = self.reader.shape if self.reader.image is None else self.reader.image.shape
        return np.zeros((0, *shape), dtype=np.float32)

    @torch.inference_mode()
    def _answer(self, x: Tensor, names: frozenset[str], tap: _Tap, masks: Masks) -> dict[str, Tensor]:
        """Return signals of a block; the draws of a house network share the layers before its first dropout."""
        if names <= {f"scalars.{name}" for name in PROBES}:
            return {}
        rows, together = range(masks.draws + 1), not self.recipe.own
        passes = [rows] if together else [range(row, row + 1) for row in rows]
        found: list[Tensor] = []
        parts: dict[str, Tensor] = {}
        for some in passes:
            with masks.on(some):
                out = self._fast(x)
            logits, embedding = out if isinstance(out, tuple) else (out, tap.seen)
            found += logits.split(len(x)) if len(x) else [logits] * len(some)
            if "embeddings" in names and some.start == 0:
                if embedding is None:
                    raise MissingSignal(
                        "The network has no nn.Linear: return (logits, embedding) to give embeddings."
                    )
                parts["embeddings"] = embedding[: len(x)].flatten(1)
        plain, *drawn = found
        if "logits" in names:
            parts["logits"] = plain
        if "probs" in names:
            parts["probs"] = plain.float().softmax(dim=1)
        if "draws" in names:
            parts["draws"] = torch.stack(drawn, dim=1).float().softmax(dim=2)
        return parts

    def state_dict(self) -> dict[str, Any]:
        if not self.recipe.warm:
            return {}
        return {
            "network": to_plain(self.network.state_dict()),
            "optimiser": dict(self.optimiser),
            "optimiser_name": self.recipe.optimiser,
            "inputs": self.reader.state_dict(),
            "n_classes": self.n_classes,
            "epochs": self.notes["epochs_in_all"],
        }

    def save(self, path: Path) -> None:
        """Write the predictor to a safetensors file, which `labelwise.models.torch.load` reads.

        A network of your own is stored by its weights only: loading asks for the callable.
        """
        arrays = {f"network/{k}": np.asarray(v) for k, v in to_plain(self.network.state_dict()).items()}
        for key, values in self.optimiser.items():
            arrays |= {f"optimiser/{key}/{name}": np.asarray(value) for name, value in values.items()}
        recipe = {f.name: getattr(self.recipe, f.name) for f in fields(self.recipe)}
        if self.recipe.own:
            recipe["network"] = None
        inputs = {
            name: {part: np.asarray(value).tolist() for part, value in scale.items()}
            for name, scale in self.reader.state_dict().items()
        }
        about = {"recipe": recipe, "inputs": inputs, "n_classes": self.n_classes, "notes": dict(self.notes)}
        about["seed"] = self.seed
        # safetensors would write the memory of a strided array as it lies, without a word
        plain = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
        save_file(plain, path, metadata={"labelwise-predictor": str(VERSION), "about": json.dumps(about)})


class _Tap:
    """Keeps the input of a network's last linear layer while the block runs."""

    def __init__(self, network: nn.Module) -> None:
        linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        self.layer = linear[-1] if linear else None
        self.seen: Tensor | None = None

    def __enter__(self) -> _Tap:
        if self.layer is not None:
            self.hook = self.layer.register_forward_pre_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        if self.layer is not None:
            self.hook.remove()

    def _keep(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.seen = inputs[0]
