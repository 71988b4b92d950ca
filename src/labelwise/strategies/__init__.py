"""The table of strategies: name -> where its class lives. A new strategy is one row here, one class, one test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from typing import Any

from labelwise.checks import check_name
from labelwise.errors import InputError, did_you_mean
from labelwise.strategies.base import Strategy

TABLE: dict[str, str] = {
    "random": "labelwise.strategies.uncertainty:Random",
    "least-confidence": "labelwise.strategies.uncertainty:LeastConfidence",
    "margin": "labelwise.strategies.uncertainty:Margin",
    "largest-margin": "labelwise.strategies.uncertainty:LargestMargin",
    "entropy": "labelwise.strategies.uncertainty:Entropy",
    "variation-ratio": "labelwise.strategies.bayesian:VariationRatio",
    "mean-std": "labelwise.strategies.bayesian:MeanStd",
    "bald": "labelwise.strategies.bayesian:Bald",
    "batch-bald": "labelwise.strategies.bayesian:BatchBald",
    "power-bald": "labelwise.strategies.bayesian:PowerBald",
    "epig": "labelwise.strategies.bayesian:Epig",
    "query-by-committee": "labelwise.strategies.bayesian:QueryByCommittee",
    "mc-least-confidence": "labelwise.strategies.bayesian:McLeastConfidence",
    "mc-margin": "labelwise.strategies.bayesian:McMargin",
    "mc-largest-margin": "labelwise.strategies.bayesian:McLargestMargin",
    "mc-entropy": "labelwise.strategies.bayesian:McEntropy",
    "bral-t": "labelwise.strategies.trustset.strategy:BralT",
    "bral-t-plus": "labelwise.strategies.trustset.plus:BralTPlus",
    "rl-mba": "labelwise.strategies.balance.strategy:RlMba",
    "rl-mba-plus": "labelwise.strategies.balance.plus:RlMbaPlus",
    "pseudo-score": "labelwise.strategies.importance:PseudoScore",
    "grand-oracle": "labelwise.strategies.importance:GrandOracle",
    "coreset": "labelwise.strategies.diversity:CoreSet",
    "badge": "labelwise.strategies.gradient:Badge",
    "mixed": "labelwise.strategies.mixed:Mixed",
    "warm-up": "labelwise.strategies.mixed:WarmUp",
    "regime": "labelwise.strategies.mixed:Regime",
    "uncertain-gcn": "labelwise.strategies.graph:UncertainGcn",
    "core-gcn": "labelwise.strategies.graph:CoreGcn",
    "cdal-cs": "labelwise.strategies.contextual:CdalCs",
    "cdal-rl": "labelwise.strategies.contextual:CdalRl",
    "cal": "labelwise.strategies.disagreement:Cal",
    "falcun": "labelwise.strategies.disagreement:Falcun",
    "discriminative": "labelwise.strategies.disagreement:Discriminative",
    "deepfool": "labelwise.strategies.adversarial:DeepFool",
    "bim": "labelwise.strategies.adversarial:Bim",
    "saal": "labelwise.strategies.adversarial:Saal",
    "loss-prediction": "labelwise.strategies.companions:LossPrediction",
    "vaal": "labelwise.strategies.companions:Vaal",
    "waal": "labelwise.strategies.companions:Waal",
    "bait": "labelwise.strategies.fisher:Bait",
    "galaxy": "labelwise.strategies.imbalance:Galaxy",
    "base": "labelwise.strategies.imbalance:Base",
    "tailor": "labelwise.strategies.imbalance:Tailor",
    "kmeans": "labelwise.strategies.clusters:KMeans",
    "clue": "labelwise.strategies.clusters:Clue",
    "cluster-margin": "labelwise.strategies.clusters:ClusterMargin",
    "typiclust": "labelwise.strategies.clusters:TypiClust",
    "prob-cover": "labelwise.strategies.coverage:ProbCover",
    "max-herding": "labelwise.strategies.coverage:MaxHerding",
    "u-herding": "labelwise.strategies.coverage:UHerding",
    "active-ft": "labelwise.strategies.coldstart:ActiveFT",
    "facility-location": "labelwise.strategies.submodular:FacilityLocation",
    "graph-cut": "labelwise.strategies.submodular:GraphCut",
    "log-determinant": "labelwise.strategies.submodular:LogDeterminant",
    "fass": "labelwise.strategies.submodular:Fass",
    "similar": "labelwise.strategies.information:Similar",
    "fl1mi": "labelwise.strategies.information:FL1MI",
    "fl2mi": "labelwise.strategies.information:FL2MI",
    "gcmi": "labelwise.strategies.information:GCMI",
    "logdetmi": "labelwise.strategies.information:LogDetMI",
    "com": "labelwise.strategies.information:COM",
    "flcg": "labelwise.strategies.information:FLCG",
    "gccg": "labelwise.strategies.information:GCCG",
    "logdetcg": "labelwise.strategies.information:LogDetCG",
    "flcmi": "labelwise.strategies.information:FLCMI",
    "logdetcmi": "labelwise.strategies.information:LogDetCMI",
    "glister": "labelwise.strategies.glister:Glister",
    "alfa-mix": "labelwise.strategies.feature_space:AlfaMix",
    "drop-query": "labelwise.strategies.feature_space:DropQuery",
    "bmmal": "labelwise.strategies.multimodal:Bmmal",
    "evidential-uncertainty": "labelwise.strategies.multimodal:EvidentialUncertainty",
    "robust-gain": "labelwise.strategies.robust:RobustGain",
}


def make(name: str, **params: Any) -> Strategy:
    """Return the strategy with this name.

    Args:
        name: a row of `TABLE`, e.g. "margin".
        params: the fields of its class, e.g. blocks or weights; most have none. A strategy made of strategies takes
            for each of them a name, a table such as {"name": "margin"} with parameters, or a Strategy.

    Raises:
        UnknownName: no strategy has this name; the message proposes the nearest.
        InputError: the strategy has no such parameter.
    """
    check_name(name, tuple(TABLE), "strategy")
    module, _, attribute = TABLE[name].partition(":")
    cls = getattr(import_module(module), attribute)
    for part in fields(cls) if cls.inner else ():
        if part.name in cls.inner and (part.name in params or part.default is not MISSING):
            params[part.name] = _inner(params.get(part.name, part.default), f"{part.name} of {name!r}")
    known = [part.name for part in fields(cls) if part.init] if is_dataclass(cls) else []
    for given in params:
        if given not in known:
            raise InputError(
                f"Strategy {name!r} cannot be made: it has no parameter {given!r}. {did_you_mean(given, known)}"
            )
    try:
        made = cls(**params)
    except TypeError as error:
        raise InputError(f"Strategy {name!r} cannot be made: {error}.") from error
    assert isinstance(made, Strategy)
    return made


def _inner(value: Any, where: str) -> Any:
    """Return the strategy that a field within another one stands for; a tuple of them for a list."""
    if isinstance(value, Strategy):
        return value
    if isinstance(value, list | tuple):
        return tuple(_inner(one, f"{where}, number {i}") for i, one in enumerate(value, start=1))
    params = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = params.pop("name", None)
    if not isinstance(name, str) or not all(isinstance(key, str) for key in params):
        raise InputError(
            f'{where} must be a strategy\'s name, a table like {{"name": "margin"}}, a Strategy, or a list of these; '
            f"it is {value!r}."
        )
    try:
        return make(name, **params)
    except InputError as error:
        raise type(error)(f"{where}: {error}") from error
