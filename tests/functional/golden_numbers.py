"""Reads tests/golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "golden"


def cases(name: str) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Return {case: {"in": {...}, "out": {...}}} of one file."""
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as archive:
        for key in archive.files:
            if key != "meta":
                case, side, array = key.split("/", 2)
                found.setdefault(case, {"in": {}, "out": {}})[side][array] = archive[key]
    return found
