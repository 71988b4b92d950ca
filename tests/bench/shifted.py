"""Made-up analyses of fits under shifts, in the form that campaigns keep: each method loses accuracy at its own rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RADII = (0.05, 0.1, 0.2, 0.5, 1.0)
VARIANCE = 0.36


def standing(accuracy: float, risk: float) -> dict[str, Any]:
    return {"n": 500, "accuracy": accuracy, "risk": risk, "variance": VARIANCE, "worst class": accuracy / 2}


def moved(
    name: str,
    modality: str | None,
    kind: str,
    accuracy: float,
    risk: float,
    *,
    severity: int | None = None,
    rho: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    about = {"name": name, "modality": modality, "kind": kind, "severity": severity, "rho": rho}
    return {**about, **standing(accuracy, risk)}


def corrupted(
    clean: float,
    loss: float,
    modalities: Sequence[str] = ("image", "speech"),
    kinds: Sequence[str] = ("noise", "blur"),
) -> dict[str, Any]:
    """Every severity of a kind costs `loss` of accuracy, of the second modality twice as much."""
    rows = [
        moved(f"{m} {kind} {s}", m, kind, clean - s * loss * (1 + k), 0.5 + s * loss, severity=s)
        for k, m in enumerate(modalities)
        for kind in kinds
        for s in range(1, 6)
    ]
    return {"shifts": {"clean": standing(clean, 0.5), "moved": rows}}


def simulated(clean: float, used: float, names: Sequence[str] = ("m1", "m2")) -> dict[str, Any]:
    """Risk is 0.5 + `used` √ρ 0.6 for one modality, 0.6 the deviation: a share `used` of what is promised."""
    rows = []
    for place in (*names, None):
        moves = names if place is None else (place,)
        for kind, share in (("mean up", 1.0), ("scale", 0.5)):
            for radius in RADII:
                cost = share * used * (radius * len(moves)) ** 0.5 * VARIANCE**0.5
                rows.append(
                    moved(
                        f"{place or 'all'} {kind} {radius:g}", place, kind, clean - 0.2 * cost, 0.5 + cost,
                        rho=dict.fromkeys(moves, radius),
                    )
                )  # fmt: skip
    rows.append(moved("reversed", None, "control", 0.1, 3.0))
    return {"shifts": {"clean": standing(clean, 0.5), "moved": rows}}
