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
        "cautious": (1.074, 0.481, 1.666),
        "overall": (0.784, 0.46, 1.107),
        "similar": (0.764, 0.419, 1.11),
        "margin": (1.074, 0.481, 1.666),
        "random": (2.264, 1.28, 3.248),
    },
    "covered": 0.933,
}
