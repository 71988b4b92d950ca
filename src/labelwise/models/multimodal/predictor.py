"""The predictor of a multimodal network: the joint answer and every modality's own, in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelwise.checks import as_ids
from labelwise.data.base import Dataset
from labelwise.errors import InputError
from labelwise.functional.contribution import MOST_EXACT
from labelwise.models.answering import (
    BLOCK,
    as_tensor,
    check_finite,
    check_given,
    in_blocks,
    probed,
    probes_of,
)
from labelwise.models.base import Ids, Progress
from labelwise.models.device import threads
from labelwise.models.draws import Masks
from labelwise.models.multimodal.network import Joint, MultimodalNetwork, Read, Told
from labelwise.models.multimodal.reading import Reading
from labelwise.models.networked import Networked
from labelwise.signals import Signals

GIVES = frozenset({"probs", "logits", "embeddings", "modal_probs", "modal_embeddings", "evidence", "coalitions",
                   "present"})  # fmt: skip


@dataclass(frozen=True, eq=False)
class MultimodalPredictor:
    """A trained multimodal network.

    It answers probs, logits and embeddings of the fusion; of each modality, in the dataset's order, evidence (0 where
    it is missing), probs (the Dirichlet mean; even where it is missing) and embeddings (the projections; 0 where it is
    missing); which modalities are present; and draws where the recipe has any. The sum of α = evidence + 1 tells how
    sure a modality is. Coalitions are what the fusion answers where only some modalities are read, as if a sample had no
    others: the fused head reads the weighted mean of those, and zeros where there are none; a rule fuses their evidence.

    Probes (`labelwise.models.probes`) move all modalities that a sample has together, in the numbers that the encoders
    read: standard deviations of the training samples, of text its hashed words. A missing modality does not move.

    Attributes:
        recipe: how it was fitted.
        network: in eval mode; not to be trained further.
        reading: how it reads samples.
        n_classes: C.
        notes: of the training: loss and accuracy of the fusion; "loss average" and "gradient norm", moving averages
            over its steps, and "loss slope", of the last epoch, in nats a step; for each modality "loss/<name>" and "accuracy/<name>"
            of its head on the training samples that have it, "present/<name>", their share (0: the modality is treated
            as missing everywhere), and "temperature/<name>".
        seed: of the dropout masks of its draws.
    """

    recipe: Networked
    network: MultimodalNetwork = field(repr=False)
    reading: Reading = field(repr=False)
    n_classes: int
    notes: Mapping[str, float]
    seed: int = 0

    def __post_init__(self) -> None:
        self.network.eval()

    def infer(
        self, data: Dataset, ids: Ids, names: frozenset[str], progress: Progress | None = None
    ) -> Signals:
        check_given(names, self.recipe.gives.pool, "multimodal")
        modalities = len(self.reading.scales)
        if "coalitions" in names and modalities > MOST_EXACT:
            raise InputError(
                f"coalitions of {modalities} modalities would be 2^{modalities} answers a sample; at most {MOST_EXACT} "
                "modalities are told apart so. Leave coalitions out, or join modalities."
            )
        ids = as_ids(ids)
        device = self.network.weights.device
        block = self.recipe.infer_batch or BLOCK[device.type]
        masks = Masks(self.network, self.seed, self.recipe.draws if "draws" in names else 0)
        probes, joint = probes_of(names), Joint(self.network)

        def told(some: Ids) -> dict[str, Tensor]:
            held = self.reading.read(data, some) if some.size else self.reading.nobody()
            prepare = self.reading.preparation(held, device, channels_last=self.recipe.channels_last)
            read = prepare(as_tensor(held.rows, device))
            answer = self._answer(read, names, masks)
            if probes:
                answer |= probed(joint, joint.rows(read), probes, self.seed)
            return answer

        with threads(self.recipe.threads):
            parts: dict[str, Any] = in_blocks(ids, block, told, progress)
        for name, values in parts.items():
            check_finite(name, values, ids)
        if "modal_embeddings" in parts:
            side_by_side = parts["modal_embeddings"]
            parts["modal_embeddings"] = tuple(
                np.ascontiguousarray(side_by_side[:, m]) for m in range(side_by_side.shape[1])
            )
        scalars = {name[8:]: parts.pop(name) for name in probes}
        return Signals(ids, **parts, scalars=scalars)

    @torch.inference_mode()
    def _answer(self, read: Read, names: frozenset[str], masks: Masks) -> dict[str, Tensor]:
        """Return signals of a block; each draw is a pass of its own."""
        if all(name.startswith("scalars.") for name in names):
            return {}
        passes: list[Told] = []
        for row in range(masks.draws + 1):
            with masks.on(range(row, row + 1)):
                passes.append(self.network(read))
        told, *drawn = passes
        parts = {
            "probs": told.logits.float().softmax(dim=1),
            "logits": told.logits.float(),
            "embeddings": told.embedding.float(),
            "modal_probs": torch.log1p(told.evidence).softmax(dim=2),
            "modal_embeddings": told.modal,
            "evidence": told.evidence,
            "present": read.present,
        }
        parts = {name: values for name, values in parts.items() if name in names}
        if "coalitions" in names:
            parts["coalitions"] = self.network.coalitions(told)
        if "draws" in names:
            parts["draws"] = torch.stack([each.logits for each in drawn], dim=1).float().softmax(dim=2)
        return parts

    def state_dict(self) -> dict[str, Any]:
        return {}
