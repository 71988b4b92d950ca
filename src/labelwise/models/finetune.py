"""Fine-tuning: fits start from an encoder, from a file or trained on the unlabelled images; its features start campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labelwise.checks import as_ids, check_count
from labelwise.data.base import Dataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError, did_you_mean
from labelwise.models import networks
from labelwise.models.answering import TorchPredictor, as_tensor, preparation
from labelwise.models.base import Ids, Progress
from labelwise.models.checkpoints import put_weights, read_weights
from labelwise.models.device import pick_device, seeded, threads
from labelwise.models.encoders import Encoder, fingerprint, kept
from labelwise.models.inputs import Reader
from labelwise.models.pretraining import Pretraining, pretrain
from labelwise.models.saved import load_network, to_plain
from labelwise.models.torch import TorchRecipe
from labelwise.seeds import derived_seed, generator

SELF_SUPERVISED = "self-supervised"
# of the photographs that public encoders were trained on, channel by channel; grey images get the averages
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CPU = torch.device("cpu")
_SOME = 256  # images that tell the shape and the filling of what a file's encoder reads


@dataclass(frozen=True)
class FineTuneRecipe(TorchRecipe):
    """Trains a network on the labelled images from an encoder on, all layers at one rate, with a fresh head.

    The encoder comes from a local file or is trained, without labels, on all images that may be learned from: the
    pool and what is labelled. It depends on these images, the settings and `pretrain_seed`, and neither on strategy,
    round nor the plan's seed: all runs of a comparison start from the same weights. It is trained once a process.
    Images are read (mean, spread) as the encoder read them. With `warm` only the first fit starts from it.

    A campaign that is to choose its first batch by the encoder's features is made so:

    ```python
    recipe, task = models.prepared(models.make("fine-tune"), task, folder=Path("runs"))
    strategy = make("warm-up", first={"name": "active-ft", "space": "features"}, then="margin", labels=1)
    campaign = Campaign(task, recipe, strategy, store, Plan(start=50, batch=50, budget=150, cold=True))
    ```

    `prepared` trains (or reads) the encoder, puts it into the recipe and its features into the task. Do it again when
    a campaign is reopened: the same encoder comes back, from `folder`, or trained again to the same weights. A recipe
    that was not prepared makes its encoder at each fit from the samples it is handed, which lack those that were
    passed on.

    The defaults are the settings of Xie et al. but for the epochs (1000 there) and the batch (512).

    Attributes:
        weights: "self-supervised", or the path of a `.safetensors`, `.pth` or `.pt` file whose names are those of the
            network: for "vit" those of the public DeiT and DINO files. Nothing is downloaded, nothing executed.
        pretrain_epochs: passes of the self-supervised training.
        pretrain_images: it learns from at most so many images, drawn by lot; None: all.
        pretrain_seed: of the self-supervised training.
        pretraining: its other settings, see `labelwise.models.pretraining.Pretraining`; `flip` is the recipe's own
            where nothing else is said.
        mean: of images; None: ImageNet's with a file, else measured on the images of the self-supervised training.
        std: likewise.
        encoder: put there by `prepared`; not part of what a campaign remembers of its recipe.

    Source:
        Xie, Lu, Yan, Yang, Tomizuka, Zhan 2023, "Active Finetuning: Exploiting Annotation Budget in the
        Pretraining-Finetuning Paradigm": settings of the training.

    Deviations:
        The rate falls to 0 and rises from a first part of itself, where the public code ends at 1e-5 and starts at
        1e-6. Drop-path is an option of the network: `options={"drop_path": 0.1}`.
    """

    epochs: int = 100
    lr: float = 0.01
    optimiser: str = "sgd"
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warm_up: float = 5
    label_smoothing: float = 0.1
    clip: float | None = 2.0
    weights: str = SELF_SUPERVISED
    pretrain_epochs: int = 20
    pretrain_images: int | None = None
    pretrain_seed: int = 0
    pretraining: Mapping[str, Any] | None = None
    encoder: Encoder | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.network, str) or not networks.only_images(self.network):
            names = ", ".join(name for name in networks.TABLE if networks.only_images(name))
            raise InputError(
                f"Fine-tuning needs a named network of images ({names}); it is {self.network!r}."
            )
        if not isinstance(self.weights, str | Path):
            raise InputError(
                f'weights must be "{SELF_SUPERVISED}" or the path of a file; they are {self.weights!r}.'
            )
        object.__setattr__(self, "weights", str(self.weights))
        if self.encoder is not None and not isinstance(self.encoder, Encoder):
            raise InputError("encoder is what `models.prepared` puts there; name a file by weights instead.")
        if self.pretrain_images is not None:
            check_count(self.pretrain_images, "pretrain_images", 2)
        self._pretraining()

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
        plain = self._plain()
        if not previous:
            encoder = self.encoder or self.encode(data, np.union1d(train.ids, unlabelled))
            previous = {
                "network": self._start(encoder, n_classes, int(rng.integers(2**63 - 1))),
                "optimiser": {},
                "optimiser_name": self.optimiser,
                "inputs": encoder.reader.state_dict(),
                "n_classes": n_classes,
                "epochs": 0,
            }
        # a plain recipe, so that its predictors are saved and loaded like those of any network
        return plain.fit(
            data, train, unlabelled, validation, n_classes, rng, previous=previous, progress=progress
        )

    def prepared(
        self, task: Task, folder: Path | None = None, progress: Progress | None = None
    ) -> tuple[FineTuneRecipe, Task]:
        """Return this recipe with its encoder, and the task with the encoder's features.

        They replace features that the task may have had. Samples of the test part have none (NaN): nothing that
        proposes may see them.

        Args:
            task: its pool and given samples teach the encoder; neither validation nor test samples do.
            folder: a self-supervised encoder is kept in `folder/encoders`; None: in this process only.
            progress: told (batches done, batches in all) of the self-supervised training.
        """
        ids = np.union1d(task.pool, task.given.ids)
        encoder = self.encoder or self.encode(task.data, ids, folder, progress)
        reached = np.concatenate([ids, task.validation.ids])
        found = self.features(encoder, task.data, reached)
        features = np.full((len(task.data), found.shape[1]), np.nan, np.float32)
        features[reached] = found
        return replace(self, encoder=encoder), replace(task, features=features)

    def features(self, encoder: Encoder, data: Dataset, ids: Ids) -> NDArray[np.float32]:
        """Return an encoder's embeddings of some samples, (len(ids), D)."""
        device = pick_device(self.device)
        with seeded(0, device):  # every weight that counts is replaced
            network = self.build(encoder.reader.shape, 2).to(device)
        head = {k: v for k, v in to_plain(network.state_dict()).items() if k.startswith("head.")}
        load_network(network, {**encoder.weights, **head})
        predictor = TorchPredictor(self._plain(), network, encoder.reader, 2, {}, {})
        return np.asarray(predictor.infer(data, ids, frozenset({"embeddings"})).need("embeddings"))

    def encode(
        self, data: Dataset, ids: Ids, folder: Path | None = None, progress: Progress | None = None
    ) -> Encoder:
        """Return the encoder from the file, or the one that these images teach; their order does not matter.

        Args:
            data: the samples.
            ids: of images that may be learned from, labelled or not.
            folder: where a trained encoder is kept, see `prepared`.
            progress: told (batches done, batches in all).

        Raises:
            InputError: the data are no images, or the file does not fit the network.
        """
        ids = np.unique(as_ids(ids))
        names = self._readable(data, ids)
        if self.weights != SELF_SUPERVISED:
            return self._from_file(data, ids, names)
        if self.pretrain_images is not None and self.pretrain_images < ids.size:
            rng = generator(self.pretrain_seed, "encoder", "images")
            ids = np.sort(rng.choice(ids, self.pretrain_images, replace=False))
        shaping = ("network", "width", "dropout", "mean", "std", "pretrain_seed", "threads", "channels_last")
        settings = {name: getattr(self, name) for name in shaping}
        settings |= {"options": dict(self.options or {}), "device": pick_device(self.device).type}
        key = fingerprint(data, ids, names, {**settings, **vars(self._pretraining())})
        return kept(key, lambda: self._taught(data, ids, names, progress), folder)

    def _taught(self, data: Dataset, ids: Ids, names: tuple[str, ...], progress: Progress | None) -> Encoder:
        device, seed = pick_device(self.device), derived_seed(self.pretrain_seed, "encoder")
        with threads(self.threads), seeded(seed, device):
            reader = self._constants(Reader.measure(data, ids, names))
            network = self.build(reader.shape, 2).to(device)
            if self.channels_last:
                network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = as_tensor(reader.read(data, ids), device)
            if len(x) == 1:
                x = x.expand(2, *x.shape[1:])
            loss = pretrain(
                network,
                x,
                self._pretraining(),
                torch.Generator().manual_seed(seed),
                preparation(reader, device, channels_last=self.channels_last),
                progress=progress,
            )
        weights = {k: v for k, v in to_plain(network.state_dict()).items() if not k.startswith("head.")}
        return Encoder(weights, reader, loss)

    def _from_file(self, data: Dataset, ids: Ids, names: tuple[str, ...]) -> Encoder:
        weights = read_weights(Path(self.weights).expanduser())
        reader = Reader.measure(data, ids[:_SOME], names)
        (name,) = names
        colour = reader.shape[0] == len(MEAN)
        mean, std = self.mean or MEAN, self.std or STD
        if not colour and self.mean is None:
            mean, std = (sum(MEAN) / len(MEAN),), (sum(STD) / len(STD),)
        reader = self._constants(reader.with_constants(name, mean, std))
        with seeded(0, _CPU):  # every weight that counts is replaced
            network = self.build(reader.shape, 2)
        put_weights(network, weights, self.weights)
        plain = to_plain(network.state_dict())
        return Encoder({k: v for k, v in plain.items() if not k.startswith("head.")}, reader)

    def _start(self, encoder: Encoder, n_classes: int, seed: int) -> dict[str, Any]:
        with seeded(seed, _CPU):
            fresh = to_plain(self.build(encoder.reader.shape, n_classes).state_dict())
        return {**fresh, **encoder.weights}

    def _plain(self) -> TorchRecipe:
        return TorchRecipe(**{f.name: getattr(self, f.name) for f in fields(TorchRecipe)})

    def _pretraining(self) -> Pretraining:
        given = {"epochs": self.pretrain_epochs, "flip": self.flip, **(self.pretraining or {})}
        known = {f.name for f in fields(Pretraining)}
        for key in given:
            if key not in known:
                raise InputError(f"pretraining has no setting {key!r}. {did_you_mean(key, known)}")
        return Pretraining(**given)
