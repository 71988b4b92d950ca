"""The predictor of a multimodal network: the joint answer and every modality's own, in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelwise.checks import as_ids
from labelwise.data.base import Dataset
from labelwise.errors import InputError, MissingSignal, TrainingError
from labelwise.functional.contribution import MOST_EXACT
from labelwise.models.answering import BLOCK, as_tensor
from labelwise.models.base import Ids, Progress
from labelwise.models.device import threads
from labelwise.models.draws import Masks
from labelwise.models.multimodal.network import MultimodalNetwork, Read, Told
from labelwise.models.multimodal.reading import Reading
from labelwise.signals import Signals

if TYPE_CHECKING:
    from labelwise.models.multimodal.recipe import MultimodalRecipe

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

    recipe: MultimodalRecipe
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
        gives = self.recipe.gives.pool
        if unknown := set(names) - gives:
            hint = " Give the recipe dropout and draws." if "draws" in unknown else ""
            raise MissingSignal(
                f"multimodal gives {', '.join(sorted(gives))}; asked for {', '.join(sorted(unknown))}.{hint}"
            )
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
        parts: dict[str, Any] = {}
        start, first = 0, True
        with threads(self.recipe.threads):
            while first or start < ids.size:
                some = ids[start : start + block]
                held = self.reading.read(data, some) if some.size else self.reading.nobody()
                prepare = self.reading.preparation(held, device, channels_last=self.recipe.channels_last)
                try:
                    answer = self._answer(prepare(as_tensor(held.rows, device)), names, masks)
                except torch.cuda.OutOfMemoryError:
                    if block == 1:
                        raise
                    torch.cuda.empty_cache()
                    block = max(1, block // 2)
                    continue
                for name, values in answer.items():
                    told = values.cpu().numpy()
                    if first:
                        parts[name] = np.empty((ids.size, *told.shape[1:]), dtype=told.dtype)
                    parts[name][start : start + len(some)] = _finite(name, told, some)
                start, first = start + block, False
                if progress is not None:
                    progress(min(start, ids.size), ids.size)
        if "modal_embeddings" in parts:
            side_by_side = parts["modal_embeddings"]
            parts["modal_embeddings"] = tuple(
                np.ascontiguousarray(side_by_side[:, m]) for m in range(side_by_side.shape[1])
            )
        return Signals(ids, **parts)

    @torch.inference_mode()
    def _answer(self, read: Read, names: frozenset[str], masks: Masks) -> dict[str, Tensor]:
        """Return signals of a block; each draw is a pass of its own."""
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


def _finite(name: str, values: NDArray[Any], ids: Ids) -> NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise TrainingError(
            f"{name} must be numbers; the network gives sample {int(ids[row])} one that is not finite. Are its "
            "weights far too large? Try a smaller lr, or clip=1.0."
        )
    return values
