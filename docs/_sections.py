"""Reads our docstrings for the reference: Formula, Cost, When, Source and Deviations each begin a section, blank line or not."""

from __future__ import annotations

import re
from typing import Any

import griffe

BEGINNING = re.compile(r"\n+(?=(?:Formula|Cost|When|Source|Deviations):\n)")


class Sections(griffe.Extension):
    """Puts a blank line before each of these titles, which is what tells the parser that a section begins."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = BEGINNING.sub("\n\n", obj.docstring.value)
