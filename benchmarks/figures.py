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
  svg { --ink: #e8eaed; --muted: #a5adb8; --line: #343a42; --paper: #14171a; --accent: #56B4E9; background: #14171a; }
}
</style>"""


def curves_svg(setting: Setting, width: int = 860, height: int = 400) -> str:
    """Return the learning curves of a setting as an SVG file's text."""
    palette = colours([s.name for s in setting.strategies])
    svg = learning_curves(setting, palette, "curves", width=width, height=height)
    head, rest = re.match(r"<svg[^>]*>", svg).group(), svg[re.match(r"<svg[^>]*>", svg).end() :]
    head = head.replace(
        "<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    )
    head = re.sub(r' style="max-width:[^"]*"', "", head)
    return head + STYLE + rest + "\n"


def main(folder: str, out: str) -> None:
    """Draw the first setting of the runs in a folder."""
    comparison = compare(read_runs([Path(folder)])[0])
    Path(out).write_text(curves_svg(comparison.settings[0]))
    print(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
