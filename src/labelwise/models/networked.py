"""What recipes of a network share beside its training: its size, and how its predictors answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from labelwise.checks import check_count, check_number
from labelwise.errors import InputError
from labelwise.models.inputs import TEXT_FEATURES
from labelwise.models.probes import PROBES
from labelwise.models.training import Training
from labelwise.signals import Needs


@dataclass(frozen=True, kw_only=True)
class Networked(Training):
    """A network that is trained, and answers.

    Attributes:
        width: channels or units of the first block of networks with a name; None: their own default.
        dropout: before the last layer, and in the encoders of several modalities, while training.
        draws: S, how many draws its predictors answer, each a pass with other dropout masks; they need dropout, or
            a dropout layer in a network of your own, for without it all draws would be equal. A draw has one mask for
            all samples: see `labelwise.models.draws`. The layers before the first dropout of a network with a name that
            reads one modality run once (else everything runs S times).
        infer_batch: samples answered at once; None: what suits the device.
        text_features: columns that the words of a text are hashed into; a warm recipe keeps those of its first fit.
        answers: the signals that its predictors give, beside draws and probes.
    """

    width: int | None = None
    dropout: float = 0.0
    draws: int = 0
    infer_batch: int | None = None
    text_features: int = TEXT_FEATURES

    answers: ClassVar[frozenset[str]]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "infer_batch"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name, 1)
        check_count(self.text_features, "text_features", 1)
        check_count(self.draws, "draws")
        if not 0 <= check_number(self.dropout, "dropout") < 1:
            raise InputError(f"dropout must lie in [0, 1); it is {self.dropout!r}.")

    @property
    def warm(self) -> bool:
        return False

    @property
    def own(self) -> bool:
        """Whether the network is the user's: a callable, of which only the weights can be stored."""
        return False

    @property
    def gives(self) -> Needs:
        names = self.answers | ({"draws"} if self.draws else set())
        probes = {f"scalars.{name}" for name in PROBES}
        return Needs(pool=names | probes, labelled=names, validation=names)
