"""Constants of `functional.forecast`, made by benchmarks/forecast.py from the committed curves; not written by hand."""

from __future__ import annotations

from typing import Any

# fmt: off
CONSTANTS: dict[str, Any] = {
    "levels": (0.5, 0.8, 0.9, 0.95),
    "ahead": (0.1, 0.5, 1.0, 3.0),
    "shift": (0.0471, 0.2664, 0.3043, 0.7472),
    "half": ((0.5466, 1.2369, 1.851, 2.5528), (0.651, 1.4657, 2.2402, 3.2221), (0.651, 1.501, 2.3202, 3.3653), (0.651, 1.501, 2.5523, 4.7733)),
    "step_shift": (0.0687, 0.0687, 0.0588, 0.3366),
    "step_half": ((0.4684, 1.0977, 1.659, 2.4947), (0.4684, 1.0977, 1.659, 2.4947), (0.4684, 1.0977, 1.659, 2.4947), (0.4684, 1.1301, 2.2276, 3.6425)),
    "curves": 4405,
    "sources": (
        "banking77",
        "copula",
        "digits",
        "fashion-mnist",
        "fsdd",
        "mfeat",
        "mnist",
        "mulberry",
        "phone-watch-har",
        "pneumonia-mnist",
        "sign-digits",
        "trashnet",
        "womens-reviews",
    ),
    "covered": (0.8932, 0.8188, 0.9945),
}
