"""The stored state of RL-MBA: how it begins, how a policy of other campaigns goes on, and what the next view adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import InputError
from labelwise.functional.policy import Moments, moving_average
from labelwise.strategies.balance.policy import PolicyNetwork
from labelwise.strategies.balance.state import width_of

# Nothing of this outlives a campaign: its actions, its average of rewards, its last update.
_OF_A_CAMPAIGN: Mapping[str, Any] = {"smoothed": None, "actions": [], "last": None}


def fresh(network: PolicyNetwork, modalities: int, reward: str) -> dict[str, Any]:
    """Return the state of a policy that has learned nothing yet.

    Args:
        network: its weights.
        modalities: M.
        reward: the kind of its rewards.
    """
    return {
        **_OF_A_CAMPAIGN,
        "modalities": modalities,
        "moments": Moments.none(width_of(modalities)).to_dict(),
        "baseline": None,
        "modality baseline": None,
        "reward kind": reward,
        "updates": 0,
        "network": network.state_dict(),
    }


def carried(held: Mapping[str, Any], reward: str) -> dict[str, Any]:
    """Return the state with which a policy from a file begins a campaign.

    Its baseline stays where the rewards are of the same kind; one of other rewards would say nothing.
    """
    kept = {name: value for name, value in held.items() if name != "about"}
    baseline = held["baseline"] if held["reward kind"] == reward else None
    return {**_OF_A_CAMPAIGN, **kept, "baseline": baseline, "reward kind": reward}


def followed(agent: Mapping[str, Any], gaps: NDArray[np.float64], rate: float) -> dict[str, Any]:
    """Return the state after it saw which gaps (M,) its newest rewarded batch led to.

    Args:
        agent: the state.
        gaps: of the predictor that learned from that batch.
        rate: of the moving average that the variance of the gaps is compared with.
    """
    actions = list(agent["actions"])
    if not actions or actions[-1]["reward"] is None or actions[-1]["imbalance"] is not None:
        return dict(agent)
    found, before = float(np.var(gaps)), agent["modality baseline"]
    surplus = 0.0 if before is None else found - before
    actions[-1] = {**actions[-1], "imbalance": found, "surplus": surplus}
    return {**agent, "actions": actions, "modality baseline": moving_average(before, found, rate)}


def check_fits(held: Mapping[str, Any], modalities: int, hidden: int, path: str | None) -> None:
    """Raise InputError unless a policy reads so many modalities and has so many hidden units."""
    where = "The stored policy" if path is None else f"The policy {path}"
    if held["modalities"] != modalities:
        raise InputError(
            f"{where} was trained with {held['modalities']} modalities; these samples have {modalities}. It carries over "
            "to other classes, not to another number of modalities: start without it."
        )
    units = len(held["network"]["weight 1"])
    if units != hidden:
        raise InputError(f"{where} has {units} hidden units; this strategy has {hidden}. Set hidden={units}.")
