"""What `labelwise recommend` knows of its own advice, made by benchmarks/recommend.py from the committed results."""

from __future__ import annotations

from typing import Any

# Regret: points of AUBC below the best strategy of a set that had no part in the advice; mean, low, high (95 %).
# fmt: off
CONSTANTS: dict[str, Any] = {
    "rule": "cautious",
    "sets": 20,
    "groups": 9,
    "regret": {
        "cautious": (0.592, -0.009, 1.194),
        "overall": (0.846, 0.324, 1.368),
        "similar": (0.635, 0.366, 0.904),
        "margin": (0.592, -0.009, 1.194),
        "random": (2.336, 1.318, 3.354),
    },
    "covered": 0.928,
}
