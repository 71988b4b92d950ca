"""Makes what projects are made of: a table of text and numbers, and pictures in two brightnesses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from labelwise.seeds import generator

WORDS = {"spam": ("win", "money", "now", "free"), "ham": ("meeting", "notes", "lunch", "report")}


def truth(i: int) -> str:
    """Return the class of row i of the table, and of picture i."""
    return "spam" if i % 2 else "ham"


def write_table(path: Path, rows: int, labelled: int) -> None:
    """Write a table whose text and price tell the class; the first rows have a label."""
    rng = generator(0, "test", "project", "table")
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["title", "price", "weight", "kind"])
        for i in range(rows):
            title = " ".join(rng.choice(WORDS[truth(i)], 4))
            price = rng.normal(1 if i % 2 else -1)
            out.writerow([title, f"{price:.3f}", f"{rng.normal():.3f}", truth(i) if i < labelled else ""])


def write_pictures(folder: Path, n: int) -> None:
    """Write n noisy 8 x 8 pictures: even ones dark, odd ones bright; some in a sub-folder."""
    rng = generator(0, "test", "project", "pictures")
    for i in range(n):
        place = folder / "more" if i % 5 == 0 else folder
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 80, (8, 8, 3)) + (150 if i % 2 else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"photo-{i:03d}.png")
