"""Networks as recipes: how to fit one on labelled samples, afresh or onwards from the fit before."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from labelwise.checks import as_labels, check_count, check_name
from labelwise.data.base import Dataset, Labelled
from labelwise.errors import InputError
from labelwise.models import networks
from labelwise.models.answering import GIVES, VERSION, TorchPredictor, as_tensor, channels_last, preparation
from labelwise.models.base import Ids, Progress
from labelwise.models.device import pick_device, seeded, threads
from labelwise.models.draws import dropout_layers
from labelwise.models.inputs import IMAGE, Reader, kinds_of
from labelwise.models.loop import Prepare, Trained
from labelwise.models.loop import train as run_training  # `fit` has an argument named train
from labelwise.models.losses import logits_of
from labelwise.models.networked import Networked
from labelwise.models.saved import load_network, optimiser_from_plain, optimiser_to_plain
from labelwise.seeds import derived_seed

__all__ = ["TorchPredictor", "TorchRecipe", "load"]

NetworkMaker = Callable[[tuple[int, ...], int], nn.Module]


@dataclass(frozen=True)
class TorchRecipe(Networked):
    """Trains a network on the labelled samples; images, spectrograms, tables, precomputed features, and text.

    Inputs are standardised with the mean and standard deviation of the training samples (channel by channel
    for images, column by column for tables); a missing value becomes the mean. A warm recipe keeps those of
    its first fit. Text is read by the mlp and by networks of your own, as hashed words and pairs of words: see
    `labelwise.models.texts`.

    Attributes:
        network: a row of `labelwise.models.networks.TABLE`, or your own `(shape, n_classes) -> nn.Module`
            that returns logits (b, C) or (logits, embedding); from logits alone, the embedding is the input
            of the last `nn.Linear`. The shape is that of a sample: (channels, height, width) or (features,).
        modalities: which ones to read; None: the only one there is, or all of them for the mlp.
        mean: of images, one number or one a channel, where values run from 0 to 1; None: measured.
        std: likewise; given together with mean.
        warm: each fit continues from the one before, weights and optimiser, for `epochs` more epochs.
        options: what else the class of a named network takes, e.g. {"depth": 6, "patch": 4} for "vit".
    """

    network: str | NetworkMaker = "cnn"
    modalities: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    warm: bool = False
    options: Mapping[str, Any] | None = None

    answers: ClassVar[frozenset[str]] = GIVES

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.network, str):
            check_name(self.network, tuple(networks.TABLE), "network")
        elif not callable(self.network):
            raise InputError(
                f"network must be a name or a callable (shape, n_classes); it is {self.network!r}."
            )
        if self.options and not isinstance(self.network, str):
            raise InputError("options are for networks with a name; build them into your callable.")
        for name in ("modalities", "mean", "std"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.draws and isinstance(self.network, str) and self.dropout == 0:
            raise InputError(
                f"draws={self.draws} needs dropout above 0: without dropout all draws are equal, and nothing that "
                "compares them says anything. Set dropout, e.g. 0.5, or take recipe 'ensemble'."
            )
        if (self.mean is None) != (self.std is None) or any(value <= 0 for value in self.std or ()):
            raise InputError(
                f"mean and std are given together, std above 0; they are {self.mean} and {self.std}."
            )

    @property
    def own(self) -> bool:
        return not isinstance(self.network, str)

    def fit(
        self,
        data: Dataset,
        train: Labelled,
        unlabelled: Ids,
        validation: Labelled | None,
        n_classes: int,
        rng: np.random.Generator,
        *,
        previous: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> TorchPredictor:
        check_count(len(train), "the number of training samples", 1)
        labels = as_labels(train.y, n_classes, "train.y")
        device = pick_device(self.device)
        seed, order = (int(rng.integers(2**63 - 1)) for _ in range(2))
        with threads(self.threads), seeded(seed, device):
            if previous:
                names = self._readable(data, train.ids)
                self._check_previous(previous, n_classes, names)
                reader = Reader.from_state(previous["inputs"], names)
            else:
                reader = self._measured(data, train.ids)
            network = self.build(reader.shape, n_classes).to(device)
            if self.channels_last:
                network = channels_last(network)
            optimiser_state: Mapping[int, Any] | None = None
            if previous:
                load_network(network, previous["network"])
                optimiser_state = optimiser_from_plain(previous["optimiser"], network)
            prepare = preparation(reader, device, channels_last=self.channels_last)
            held = None
            if validation is not None and len(validation) and self.patience is not None:
                held = (
                    as_tensor(reader.read(data, validation.ids), device),
                    torch.tensor(as_labels(validation.y, n_classes, "validation.y"), device=device),
                )
            done = self._train(
                network,
                as_tensor(reader.read(data, train.ids), device),
                torch.tensor(labels, device=device),
                torch.Generator().manual_seed(order),
                prepare,
                validation=held,
                optimiser_state=optimiser_state,
                progress=progress,
            )
        past = float(previous["epochs"]) if previous else 0.0
        notes = {**done.notes, **({"epochs_in_all": past + done.notes["epochs"]} if self.warm else {})}
        kept = optimiser_to_plain(done.optimiser) if self.warm else {}
        return TorchPredictor(self, network, reader, n_classes, notes, kept, derived_seed(seed, "draws"))

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
        """Train the network in place; recipes that train otherwise override this."""
        return run_training(
            network,
            x,
            y,
            self,
            generator,
            prepare,
            validation=validation,
            optimiser_state=optimiser_state,
            progress=progress,
        )

    def build(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Return a fresh network for samples of this shape; weights come from torch's current generator.

        Raises:
            InputError: your own callable returned no module, one whose logits are not (b, C), or one without
                dropout that is to give draws.
        """
        if isinstance(self.network, str):
            return networks.build(self.network, shape, n_classes, self.width, self.dropout, self.options)
        network = self.network(shape, n_classes)
        if not isinstance(network, nn.Module):
            raise InputError(f"network{shape, n_classes} must return an nn.Module; it returned {network!r}.")
        network.eval()
        with torch.inference_mode():
            logits = logits_of(network(torch.zeros(2, *shape)))
        if not isinstance(logits, Tensor) or logits.shape != (2, n_classes):
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(
                f"The network must answer 2 samples with logits of shape (2, {n_classes}); got {got}."
            )
        if self.draws and not dropout_layers(network):
            raise InputError(
                f"draws={self.draws} needs a network with an nn.Dropout of p above 0; this one has none, so all draws "
                "would be equal."
            )
        return network

    def _readable(self, data: Dataset, ids: Ids) -> tuple[str, ...]:
        kinds = kinds_of(data, ids, self.modalities)
        images_only = isinstance(self.network, str) and networks.only_images(self.network)
        several = self.network == "mlp" or (not images_only and self.modalities is not None)
        if (not images_only or set(kinds.values()) == {IMAGE}) and (len(kinds) == 1 or several):
            return tuple(kinds)
        raise InputError(
            f"Network {self.network!r} reads one modality{' of images' if images_only else ''}; the data hold "
            f"{', '.join(f'{name!r} ({kind})' for name, kind in kinds.items())}. Choose with "
            "modalities=(...), or take 'mlp', 'logistic' or 'forest' (images, tables and text together)."
        )

    def _measured(self, data: Dataset, ids: Ids) -> Reader:
        """Return the reader of a first fit, measured on these samples."""
        names = self._readable(data, ids)
        return self._constants(Reader.measure(data, ids, names, self.text_features))

    def _constants(self, reader: Reader) -> Reader:
        if self.mean is None or self.std is None:
            return reader
        name, scale = next(iter(reader.scales)), reader.image
        if scale is None:
            raise InputError("mean and std are for recipes that read one modality of images; leave them out.")
        if any(len(given) not in (1, scale.fill.size) for given in (self.mean, self.std)):
            raise InputError(
                f"mean and std must hold 1 or {scale.fill.size} numbers; they are {self.mean}, {self.std}."
            )
        return reader.with_constants(name, self.mean, self.std)

    def _check_previous(self, previous: Mapping[str, Any], n_classes: int, names: tuple[str, ...]) -> None:
        lacks = {"network", "optimiser", "optimiser_name", "inputs", "n_classes", "epochs"} - set(previous)
        if lacks:
            raise InputError(
                f"The stored state is none of a warm TorchRecipe: it lacks {', '.join(sorted(lacks))}."
            )
        for name, wanted in (("n_classes", n_classes), ("optimiser_name", self.optimiser)):
            if previous[name] != wanted:
                raise InputError(f"The stored state has {name} {previous[name]!r}; this fit has {wanted!r}.")
        if set(previous["inputs"]) != set(names):
            raise InputError(
                f"The stored state reads the modalities {sorted(previous['inputs'])}; this fit reads {sorted(names)}."
            )


def load(path: Path, network: NetworkMaker | None = None, *, device: str = "auto") -> TorchPredictor:
    """Return the predictor that `TorchPredictor.save` wrote.

    Args:
        path: of the safetensors file. It may come from a stranger: nothing in it is executed.
        network: the callable of the recipe, where the network is not one of the house's.
        device: where it is to answer; the one it was trained on may not be here.

    Raises:
        InputError: no such file, a file of another kind or of a newer labelwise, or a network that does not
            fit it.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as a predictor: {error}.") from error
    if metadata.get("labelwise-predictor") != str(VERSION):
        found = metadata.get("labelwise-predictor")
        raise InputError(
            f"{path} must be a predictor of version {VERSION}; it is {found or 'something else'}."
        )
    try:
        about = json.loads(metadata["about"])
        fields, reader = about["recipe"], Reader.from_state(about["inputs"], tuple(about["inputs"]))
        maker = fields.pop("network") or network
        n_classes, notes = int(about["n_classes"]), dict(about["notes"])
        seed = int(about.get("seed", 0))  # files from before there were draws have none, and need none
        recipe = TorchRecipe(**{**fields, "network": maker or "mlp", "device": device})
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is damaged: its description cannot be read ({error!r}).") from error
    if maker is None:
        raise InputError(
            f"{path} holds the weights of a network of your own: pass its callable as network=...."
        )
    place = pick_device(device)
    with seeded(0, place):  # every weight is replaced
        built = recipe.build(reader.shape, n_classes).to(place)
    weights: dict[str, Any] = {}
    optimiser: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        kind, _, rest = name.partition("/")
        value = array if array.ndim else array.item()
        if kind == "network":
            weights[rest] = value
        else:
            key, _, part = rest.partition("/")
            optimiser.setdefault(key, {})[part] = value
    load_network(built, weights)
    return TorchPredictor(recipe, built, reader, n_classes, notes, optimiser, seed)
