"""Constants of `functional.forecast`, made by benchmarks/forecast.py from the committed curves; not written by hand."""

from __future__ import annotations

from typing import Any

# fmt: off
CONSTANTS: dict[str, Any] = {
    "levels": (0.5, 0.8, 0.9, 0.95),
    "ahead": (0.1, 0.5, 1.0, 3.0),
    "shift": (0.0663, 0.2656, 0.3138, 0.7472),
    "half": ((0.5537, 1.2549, 1.848, 2.4978), (0.6484, 1.4706, 2.22, 3.191), (0.6484, 1.5166, 2.2936, 3.2659), (0.6484, 1.5166, 2.5513, 4.7543)),
    "step_shift": (0.0725, 0.0725, 0.0691, 0.3366),
    "step_half": ((0.4671, 1.1003, 1.656, 2.5122), (0.4671, 1.1003, 1.656, 2.5122), (0.4671, 1.1003, 1.656, 2.5122), (0.4671, 1.1301, 2.2276, 3.6575)),
    "curves": 4967,
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
