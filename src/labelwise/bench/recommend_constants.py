"""What `labelwise recommend` knows of its own advice, made by benchmarks/recommend.py from the committed results."""

from __future__ import annotations

from typing import Any

# Regret: points of AUBC below the best strategy of a set that had no part in the advice; mean, low, high (95 %).
# fmt: off
CONSTANTS: dict[str, Any] = {
    "rule": "overall",
    "sets": 32,
    "groups": 10,
    "regret": {
        "cautious": (1.056, 0.459, 1.652),
        "overall": (0.807, 0.5, 1.115),
        "similar": (0.791, 0.466, 1.116),
        "margin": (1.056, 0.459, 1.652),
        "random": (2.244, 1.277, 3.212),
    },
    "covered": 0.925,
}
