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
        "cautious": (1.077, 0.484, 1.67),
        "overall": (0.814, 0.508, 1.12),
        "similar": (0.806, 0.474, 1.139),
        "margin": (1.077, 0.484, 1.67),
        "random": (2.267, 1.281, 3.253),
    },
    "covered": 0.924,
}
