"""From a comparison to what the page's template shows: figures drawn, tables filled, words chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from labelwise.bench.findings import Comparison, Setting
from labelwise.bench.report import figures, tables
from labelwise.bench.report.samples import samples
from labelwise.bench.report.svg import GREY, colours
from labelwise.bench.report.why import why
from labelwise.bench.results import Run
from labelwise.bench.settings import Group, strategy_label
from labelwise.bench.words import count, listed, percent

WIDE, NARROW = 992, 358


def _safe(svg: str | None) -> Markup | None:
    # Matplotlib escapes every text it draws, and `svg.render` every title it adds.
    return None if svg is None else Markup(svg)  # noqa: S704


def both_sizes(draw: Any, name: str) -> tuple[Markup, Markup] | None:
    """Return a figure drawn for wide and for narrow pages, or None if there is nothing to draw."""
    wide, narrow = _safe(draw(f"{name}w", WIDE)), _safe(draw(f"{name}n", NARROW))
    return None if wide is None or narrow is None else (wide, narrow)
