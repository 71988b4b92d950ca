"""The stored state of RL-MBA: how it begins, how a policy of other campaigns goes on, and what the next view adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import InputError
from labelwise.events import Opened
from labelwise.functional.policy import Moments, moving_average
from labelwise.strategies.balance.bank import Baseline
from labelwise.strategies.balance.policy import PolicyNetwork
from labelwise.strategies.balance.state import width_of

# Nothing of this outlives a campaign: the round that waits for its outcome, all actions, the average of rewards, the
# last update.
_OF_A_CAMPAIGN: Mapping[str, Any] = {"asked": None, "smoothed": None, "actions": [], "last": None}


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


def followed(agent: Mapping[str, Any], t: int, gaps: NDArray[np.float64], rate: float) -> dict[str, Any]:
    """Return the state after it saw which gaps (M,) its batch of the round before led to, if it asked and was rewarded.

    Args:
        agent: the state.
        t: the round.
        gaps: of the round's predictor.
        rate: of the moving average that the variance of the gaps is compared with.
    """
    actions = list(agent["actions"])
    if not actions or actions[-1]["reward"] is None or actions[-1]["round"] != t - 1:
        return dict(agent)
    found, before = float(np.var(gaps)), agent["modality baseline"]
    surplus = 0.0 if before is None else found - before
    actions[-1] = {**actions[-1], "imbalance": found, "surplus": surplus}
    return {**agent, "actions": actions, "modality baseline": moving_average(before, found, rate)}


def check_campaign(before: Opened | None, now: Opened) -> None:
    """Raise InputError where a strategy that served one campaign is given to another."""
    if before is None or _names(before) == _names(now):
        return
    raise InputError(
        "This rl-mba has served another campaign, whose batches and rewards it holds. Make one for each campaign; to go "
        "on with what it has learned, `save_policy` to a file and name that as policy."
    )


def _names(opened: Opened) -> tuple[str, int, str]:
    """Return what tells a campaign from all others."""
    return opened.protocol, opened.plan.seed, opened.at


def check_bank(held: Mapping[str, Any], baseline: Baseline | None, path: str | None) -> None:
    """Raise InputError where the bank is not that of the rounds before."""
    if baseline is not None and held.get("bank") not in (None, baseline.digest):
        raise InputError(
            f"The bank {path} has changed since the last round was asked; rewards would compare with other numbers. Put "
            "the former file back, or open a new campaign."
        )


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
