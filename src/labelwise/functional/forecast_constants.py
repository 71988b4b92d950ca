"""Constants of `functional.forecast`, made by benchmarks/forecast.py from the committed curves; not written by hand."""

from __future__ import annotations

from typing import Any

# fmt: off
CONSTANTS: dict[str, Any] = {
    "levels": (0.5, 0.8, 0.9, 0.95),
    "ahead": (0.1, 0.5, 1.0, 3.0),
    "shift": (0.0488, 0.1998, 0.345, 0.7472),
    "half": ((0.5671, 1.2719, 1.8901, 2.5507), (0.6666, 1.454, 2.1885, 3.1694), (0.7087, 1.6704, 2.5991, 3.6466), (0.7087, 1.6704, 2.5991, 4.769)),
    "step_shift": (0.0583, 0.0583, 0.0952, 0.3368),
    "step_half": ((0.4789, 1.0712, 1.6272, 2.4065), (0.4789, 1.0712, 1.6272, 2.4065), (0.4789, 1.098, 1.6669, 2.6543), (0.4789, 1.127, 2.2273, 3.8174)),
    "curves": 2176,
    "sources": (
        "banking77",
        "digits",
        "fashion-mnist",
        "fsdd",
        "mnist",
        "pneumonia-mnist",
        "sign-digits",
        "trashnet",
    ),
    "covered": (0.8989, 0.825, 1.0),
}
