"""A learning-curve picture that stands alone: for README and docs, light and dark."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from labelwise.bench.compare import compare
from labelwise.bench.findings import Setting
from labelwise.bench.report.figures import learning_curves
from labelwise.bench.report.svg import colours
from labelwise.bench.results import read_runs

STYLE = """<style>
svg { --ink: #1a1a1a; --muted: #5b6470; --line: #dfe3e8; --paper: #ffffff; --accent: #0072B2;
      background: #ffffff; font-family: system-ui, -apple-system, "Segoe UI", sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e8eaed; --muted: #a5adb8; --line: #343a42; --paper: #1e2129; --accent: #56B4E9; background: #1e2129; }
}
</style>"""


WIDE, NARROW = 860, 358  # pixels; docs/_pictures.py shows NAME-narrow.svg instead of NAME.svg on a phone


def alone(svg: str, width: int, height: int) -> str:
    """Return an SVG of the reports as the text of a file that stands alone."""
    end = svg.index(">") + 1
    head = re.sub(r' style="max-width:[^"]*"', "", svg[:end])
    size = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    return head.replace("<svg ", f"<svg {size}") + STYLE + svg[end:] + "\n"


def curves_svg(setting: Setting, width: int = WIDE, height: int = 400) -> str:
    """Return the learning curves of a setting as an SVG file's text."""
    palette = colours([s.name for s in setting.strategies])
    return alone(learning_curves(setting, palette, "curves", width=width, height=height), width, height)


def write_curves(setting: Setting, path: Path) -> None:
    """Write the learning curves of a setting twice: for a page, and beside it, "-narrow", for a phone."""
    path.write_text(curves_svg(setting))
    path.with_stem(f"{path.stem}-narrow").write_text(curves_svg(setting, NARROW, 340))


def main(folder: str, out: str) -> None:
    """Draw the first setting of the runs in a folder."""
    comparison = compare(read_runs([Path(folder)])[0])
    write_curves(comparison.settings[0], Path(out))
    print(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
