"""Constants of `functional.forecast`, made by benchmarks/forecast.py from the committed curves; not written by hand."""

from __future__ import annotations

from typing import Any

# fmt: off
CONSTANTS: dict[str, Any] = {
    "levels": (0.5, 0.8, 0.9, 0.95),
    "ahead": (0.1, 0.5, 1.0, 3.0),
    "shift": (0.0652, 0.2624, 0.3041, 0.7472),
    "half": ((0.5538, 1.2547, 1.8478, 2.5046), (0.6531, 1.4695, 2.2233, 3.1982), (0.6531, 1.5374, 2.3167, 3.3082), (0.6531, 1.5374, 2.5493, 4.7563)),
    "step_shift": (0.0691, 0.0691, 0.0683, 0.3366),
    "step_half": ((0.4663, 1.097, 1.6475, 2.5176), (0.4663, 1.097, 1.6475, 2.5176), (0.4663, 1.097, 1.6475, 2.5176), (0.4663, 1.1301, 2.2276, 3.6734)),
    "curves": 5193,
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
    "covered": (0.8928, 0.8148, 0.9945),
}
