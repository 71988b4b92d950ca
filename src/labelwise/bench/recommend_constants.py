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
        "cautious": (1.059, 0.459, 1.659),
        "overall": (0.81, 0.501, 1.12),
        "similar": (0.794, 0.467, 1.121),
        "margin": (1.059, 0.459, 1.659),
        "random": (2.248, 1.28, 3.216),
    },
    "covered": 0.922,
}
