"""Constants of `functional.forecast`, made by benchmarks/forecast.py from the committed curves; not written by hand."""

from __future__ import annotations

from typing import Any

# fmt: off
CONSTANTS: dict[str, Any] = {
    "levels": (0.5, 0.8, 0.9, 0.95),
    "ahead": (0.1, 0.5, 1.0, 3.0),
    "shift": (0.0674, 0.2637, 0.3066, 0.7472),
    "half": ((0.5538, 1.2547, 1.8468, 2.4998), (0.6519, 1.4718, 2.2225, 3.2039), (0.6519, 1.5369, 2.3163, 3.2826), (0.6519, 1.5369, 2.5481, 4.7653)),
    "step_shift": (0.0758, 0.0758, 0.071, 0.3366),
    "step_half": ((0.4638, 1.0905, 1.6538, 2.5106), (0.4638, 1.0905, 1.6538, 2.5106), (0.4638, 1.0905, 1.6538, 2.5106), (0.4638, 1.1301, 2.2276, 3.6885)),
    "curves": 5904,
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
    "covered": (0.8929, 0.8148, 0.9945),
}
