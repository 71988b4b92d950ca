"""What `labelwise recommend` knows of its own advice, made by benchmarks/recommend.py from the committed results."""

from __future__ import annotations

from typing import Any

# Regret: points of AUBC below the best strategy of a set that had no part in the advice; mean, low, high (95 %).
# fmt: off
CONSTANTS: dict[str, Any] = {
    "rule": "overall",
    "sets": 33,
    "groups": 10,
    "regret": {
        "cautious": (1.071, 0.476, 1.667),
        "overall": (0.817, 0.514, 1.12),
        "similar": (0.804, 0.474, 1.135),
        "margin": (1.071, 0.476, 1.667),
        "random": (2.261, 1.284, 3.239),
    },
    "covered": 0.924,
}
