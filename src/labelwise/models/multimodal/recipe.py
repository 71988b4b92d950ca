"""The recipe of networks for several modalities: trained together, each with an opinion of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from labelwise.checks import as_labels, check_count, check_name, check_number
from labelwise.data.base import Dataset, Labelled
from labelwise.errors import InputError
from labelwise.functional.evidential_loss import annealing
from labelwise.models import networks
from labelwise.models.answering import as_tensor, channels_last
from labelwise.models.base import Ids, Progress
from labelwise.models.device import pick_device, seeded, threads
from labelwise.models.diary import Diary
from labelwise.models.draws import dropout_layers
from labelwise.models.loop import train as run_training  # `fit` has an argument named train
from labelwise.models.losses import mean_of
from labelwise.models.multimodal.calibration import evidence_temperature
from labelwise.models.multimodal.fusion import RULES
from labelwise.models.multimodal.network import Branch, MultimodalNetwork, Read, Told
from labelwise.models.multimodal.predictor import GIVES, MultimodalPredictor
from labelwise.models.multimodal.reading import Reading
from labelwise.models.networked import Networked
from labelwise.models.networks import encoders
from labelwise.models.networks.encoders import EncoderMaker
from labelwise.models.objective import begun
from labelwise.models.setting import Setting
from labelwise.objectives.evidential import LOSSES, evidential_loss
from labelwise.objectives.robust import Adversary, Known
from labelwise.seeds import derived_seed

HEAD = "head"
Preparation = Callable[[Tensor], Read]
_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class MultimodalRecipe(Networked):
    """Trains one network on samples with two or more modalities: images, spectrograms, tables and text.

    Each modality has an encoder, a learned linear map to a common width, and a head whose softplus is evidence e >= 0
    for the classes (α = e + 1). What is lowered is, for each sample, (fused + λ Σ_m L_m) / (1 + λ M): L_m is the
    evidential loss of each modality that it has, and `fused` the cross-entropy of the fused head, or the evidential
    loss of the fused opinion. A modality that a sample lacks is no evidence and is not read: no value is made up for it.
    One that no labelled sample has counts as missing everywhere; the notes say so.

    With a validation part the scores of every modality are divided by a temperature fitted on it before the softplus:
    see `labelwise.models.multimodal.calibration`. The fused head is left as it was trained.

    Attributes:
        encoders: modality -> a row of `labelwise.models.networks.TABLE`, or your own `(shape) -> nn.Module` that
            answers (b, D); the shape is (channels, height, width), (channels, frames, height, width) or (features,).
            Left out: "strided-cnn" for images, spectrograms and the frames of videos, "mlp" for tables and text
            (hashed words: see `labelwise.models.texts`). A callable of yours with a function `tokenise` reads what that
            makes of a text, (n texts) -> (n, L) whole numbers, and its module is handed those as floats.
        projection: the common width, of `modal_embeddings` and of what the fused head reads.
        fusion: "head": a head of its own reads the fused embedding and answers. Or the rule by which the evidence of
            the modalities becomes the answer: "weighted", "dempster-shafer", "mean" or "product"; see
            `labelwise.models.multimodal.fusion`.
        weights: modality -> weight above 0, of the fused embedding and of the rule "weighted"; scaled to sum to 1.
            None: equal.
        unimodal: λ >= 0, of the modalities' own losses. 1 with "head" is the mean of all M + 1 losses, and with
            "dempster-shafer" the loss of Trusted Multi-View Classification over M + 1.
        evidential: "digamma", "log_likelihood" or "squared_error".
        kl: largest weight of the KL term that holds down evidence of wrong classes.
        annealing: epochs until the KL term has that weight, rising from 0.
        modality_dropout: probability that a modality is kept out of the fusion while training, for data where some are
            missing; never all of a sample, and its own head still learns.
        calibrate: whether to fit temperatures where there is a validation part.

    Source:
        RL-MBA, "Label What Matters: Modality-Balanced and Difficulty-Aware Multimodal Active Learning" (evidence,
        temperature, weighted fusion); Han, Zhang, Fu, Zhou 2021, "Trusted Multi-View Classification" (fused loss);
        Shen et al. 2023, "Towards Balanced Active Learning for Multimodal Classification" (joint and unimodal heads).

    Deviations:
        - RL-MBA does not say which evidential loss it takes, how the KL term is annealed, or what trains the fused head:
          the defaults are digamma, Sensoy's ten epochs and cross-entropy.
    """

    encoders: Mapping[str, str | EncoderMaker] | None = None
    projection: int = 128
    fusion: str = HEAD
    weights: Mapping[str, float] | None = None
    unimodal: float = 1.0
    evidential: str = "digamma"
    kl: float = 1.0
    annealing: int = 10
    modality_dropout: float = 0.0
    calibrate: bool = True

    several: ClassVar[bool] = True
    answers: ClassVar[frozenset[str]] = GIVES

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.fusion, (HEAD, *RULES), "fusion")
        check_name(self.evidential, LOSSES, "evidential loss")
        for name in ("projection", "annealing"):
            check_count(getattr(self, name), name, 1)
        for name in ("unimodal", "kl"):
            if not 0 <= check_number(getattr(self, name), name) < math.inf:
                raise InputError(f"{name} must lie in [0, inf); it is {getattr(self, name)!r}.")
        if not 0 <= check_number(self.modality_dropout, "modality_dropout") < 1:
            raise InputError(f"modality_dropout must lie in [0, 1); it is {self.modality_dropout!r}.")
        for name in ("encoders", "weights"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Mapping):
                raise InputError(f"{name} must be a table with a row for each modality; it is {value!r}.")
        for modality, maker in (self.encoders or {}).items():
            if isinstance(maker, str):
                check_name(maker, tuple(networks.TABLE), f"encoder of modality {modality!r}")
            elif not callable(maker):
                raise InputError(
                    f"The encoder of modality {modality!r} must be a name or a callable (shape); it is {maker!r}."
                )
        for modality, weight in (self.weights or {}).items():
            if not 0 < check_number(weight, f"The weight of modality {modality!r}") < math.inf:
                raise InputError(
                    f"The weight of modality {modality!r} must be finite and above 0; it is {weight!r}. Make it "
                    "small, or leave the modality out of the data."
                )
        if self.shift or self.flip:
            raise InputError("multimodal neither moves nor mirrors images; leave shift and flip out.")
        if self.label_smoothing and self.fusion != HEAD:
            raise InputError(
                f"label_smoothing is for fusion='head'; evidence fused by {self.fusion!r} has the KL term. Leave it out."
            )

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
    ) -> MultimodalPredictor:
        if previous:
            raise InputError("multimodal trains afresh each time; there is no fit to go on from.")
        check_count(len(train), "the number of training samples", 1)
        labels = as_labels(train.y, n_classes, "train.y")
        device = pick_device(self.device)
        seed, order = (int(rng.integers(2**63 - 1)) for _ in range(2))
        with threads(self.threads), seeded(seed, device):
            reading = Reading.measure(data, train.ids, self.text_features, self.encoders)
            held = reading.read(data, train.ids)
            present = held.present(len(reading.scales))
            network = self._build(reading, n_classes, torch.from_numpy(present.any(axis=0)), seed).to(device)
            if self.channels_last:
                channels_last(network)
            prepare = reading.preparation(held, device, channels_last=self.channels_last)
            x, y = as_tensor(held.rows, device), torch.tensor(labels, device=device)
            setting = Setting(
                n_classes,
                tuple(reading.scales),
                present,
                lambda: [part.flatten(1).float().cpu().numpy() for part in prepare(x).parts],
                self.projection,
                device,
                seed,
            )
            with seeded(derived_seed(seed, "adversary"), _CPU):  # no draw of the network's may move
                adversary = begun(self.objective, setting)
            judged = None
            if validation is not None and len(validation) and (self.patience is not None or self.calibrate):
                judged = (
                    as_tensor(reading.read(data, validation.ids).rows, device),
                    torch.tensor(as_labels(validation.y, n_classes, "validation.y"), device=device),
                )
            done = run_training(
                network,
                x,
                y,
                self,
                torch.Generator().manual_seed(order),
                prepare,
                validation=judged if self.patience is not None else None,
                progress=progress,
                objective=partial(self._objective, adversary=adversary),
                diary=Diary(),
            )
            notes = {**done.notes, **self._modal_notes(network, tuple(reading.scales), x, y, prepare)}
            if self.calibrate and judged is not None:
                network.temperature.copy_(self._temperatures(network, *judged, prepare))
            for name, value in zip(reading.scales, network.temperature.tolist(), strict=True):
                notes[f"temperature/{name}"] = value
        return MultimodalPredictor(self, network, reading, n_classes, notes, derived_seed(seed, "draws"))

    def _build(self, reading: Reading, n_classes: int, learned: Tensor, seed: int) -> MultimodalNetwork:
        """Return a fresh network; a modality starts from the same weights wherever it stands among the others."""
        names = tuple(reading.scales)
        for name in (*(self.encoders or ()), *(self.weights or ())):
            check_name(name, names, "modality of this dataset")
        if self.weights is not None and len(self.weights) < len(names):
            lacks = [name for name in names if name not in self.weights]
            raise InputError(f"weights must name every modality; {', '.join(lacks)} has none.")
        weights = torch.tensor([float((self.weights or {}).get(name, 1.0)) for name in names])
        branches = []
        for name, reader in reading.readers.items():
            maker = (self.encoders or {}).get(name, "mlp" if reader.image is None else "strided-cnn")
            with seeded(derived_seed(seed, "modality", name), _CPU):
                encoder, into = encoders.build(
                    name, maker, reader.shape, width=self.width, dropout=self.dropout
                )
                branches.append(Branch(encoder, into, self.projection, n_classes))
        trunk: nn.Module | None = None
        head: nn.Module | None = None
        if self.fusion == HEAD:
            with seeded(derived_seed(seed, "fused"), _CPU):
                trunk = nn.Sequential(
                    nn.Linear(self.projection, self.projection),
                    nn.ReLU(inplace=True),
                    nn.Dropout(self.dropout),
                )
                head = nn.Linear(self.projection, n_classes)
        network = MultimodalNetwork(
            branches,
            trunk,
            head,
            weights=weights / weights.sum(),
            learned=learned,
            fusion=self.fusion,
            modality_dropout=self.modality_dropout,
        )
        if self.draws and not dropout_layers(network):
            raise InputError(
                f"draws={self.draws} needs dropout above 0, or an nn.Dropout in an encoder of your own: without it all "
                "draws are equal. Set dropout, e.g. 0.5."
            )
        return network

    def _objective(
        self, told: Told, y: Tensor, epoch: int, adversary: Adversary | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what a step lowers, and the mean loss to report."""
        kl = self.kl * annealing(epoch, self.annealing)
        b, m, c = told.evidence.shape
        each = evidential_loss(
            told.evidence.flatten(0, 1), y.repeat_interleave(m), self.evidential, kl_weight=kl
        ).view(b, m)
        if told.opinion is None:
            fused = cross_entropy(
                told.logits.float(), y, reduction="none", label_smoothing=self.label_smoothing
            )
        else:
            fused = evidential_loss(told.opinion, y, self.evidential, kl_weight=kl)
        losses = (fused + self.unimodal * (each * told.there).sum(1)) / (1 + self.unimodal * m)
        known = None if adversary is None else Known(y, told.modal.unbind(1), told.there)
        return mean_of(losses, c, self, adversary, known).float(), losses.detach().mean().float()

    def _scores(self, network: MultimodalNetwork, x: Tensor, prepare: Preparation) -> tuple[Tensor, Tensor]:
        """Return the heads' scores (n, M, C) in eval mode, and which modalities were read (n, M)."""
        network.eval()
        with torch.inference_mode():
            blocks = torch.split(x, self.batch_size)
            found = [network(prepare(rows)) for rows in blocks]
        return torch.cat([told.scores for told in found]), torch.cat([told.there for told in found])

    def _modal_notes(
        self, network: MultimodalNetwork, names: tuple[str, ...], x: Tensor, y: Tensor, prepare: Preparation
    ) -> dict[str, float]:
        scores, there = self._scores(network, x, prepare)
        notes: dict[str, float] = {}
        for m, name in enumerate(names):
            rows = there[:, m]
            notes[f"present/{name}"] = int(rows.sum()) / len(rows)
            if rows.any():
                z, labels = scores[rows, m], y[rows]
                notes[f"loss/{name}"] = float(evidential_loss(softplus(z), labels, self.evidential).mean())
                notes[f"accuracy/{name}"] = int((z.argmax(1) == labels).sum()) / len(labels)
        return notes

    def _temperatures(self, network: MultimodalNetwork, x: Tensor, y: Tensor, prepare: Preparation) -> Tensor:
        """Return T (M,); 1 where no validation sample has the modality."""
        scores, there = self._scores(network, x, prepare)
        found = torch.ones(there.shape[1])
        for m in range(len(found)):
            rows = there[:, m]
            if rows.any():
                found[m] = evidence_temperature(scores[rows, m].cpu().numpy(), y[rows].cpu().numpy())
        return found
