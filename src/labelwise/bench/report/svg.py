"""Matplotlib figures as SVG that lives in a page: its fonts, its light and dark colours, its own ids, no address."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any
from zlib import crc32

from labelwise.bench.names import REFERENCES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe-Ito, in the order in which strategies take a colour; random is always grey.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
GREY = "#7A7A7A"
# Matplotlib wants colours; the page wants variables that change with the scheme. These never occur otherwise.
INK, MUTED, GRID, PAPER, ACCENT = "#010203", "#010204", "#010205", "#010206", "#010207"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAPER: "var(--paper)",
              ACCENT: "var(--accent)"}  # fmt: skip
# Strategies that most reports hold keep the same colour in all of them.
_HOME = {"least-confidence": 0, "margin": 1, "entropy": 2, "largest-margin": 3}
# Coloured wherever they stand: what a report is about.
_ALWAYS = {"mmdro": 0, "variational": 5, "earlyfusion_dro": 2}
_HOME |= _ALWAYS


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each strategy, best first: the same name has the same colour wherever it is free.

    Random and plain training are grey; beyond six others, the rest are grey as well and drawn thin.
    """
    given: dict[str, str] = {}
    loud = [name for name in names if name not in REFERENCES]
    coloured = sorted(loud, key=lambda name: name not in _ALWAYS)[: len(PALETTE)]
    free = list(PALETTE)
    for settled in (True, False):
        for name in sorted(coloured):
            home = _HOME.get(name)
            if name in given or (settled and home is None):
                continue
            wanted = PALETTE[crc32(name.encode()) % len(PALETTE) if home is None else home]
            given[name] = wanted if wanted in free else free[0]
            free.remove(given[name])
    return {name: given.get(name, GREY) for name in names}


@contextmanager
def figure(name: str, width: float, height: float) -> Iterator[tuple[Figure, dict[str, str]]]:
    """Yield an empty figure of a size in CSS pixels, under the house's settings, and a dict gid -> hover title."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rc: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,  # a class may be called "$x$"
        "font.size": 13,
        "font.family": "DejaVu Sans",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.spines.bottom": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "grid.color": GRID,
        "grid.linewidth": 1,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.titlecolor": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "xtick.labelsize": 12,
        "ytick.labelsize": 12,
        "lines.solid_capstyle": "round",
        "axes.unicode_minus": True,
    }
    with rc_context(rc), warnings.catch_warnings():
        # Text is drawn by the browser's fonts; matplotlib only measures it, and says so of letters it cannot draw.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        yield Figure(figsize=(width / 72, height / 72), dpi=72), {}


def render(fig: Figure, name: str, label: str, titles: Mapping[str, str] | None = None) -> str:
    """Return a figure as an inline SVG element.

    Args:
        fig: drawn with the colours of this module.
        name: prefix of every id, unique in the page; letters, digits and dashes.
        label: what a screen reader says.
        titles: gid -> text shown when the pointer rests on that artist.
    """
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(
        r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*|<style.*?</style>\s*|<g ?/>\s*", "", text, flags=re.DOTALL
    )
    # Only tags are rewritten: what a class is called stays as it is.
    pieces = re.split(r"(<[^>]*>)", text)
    pieces[1::2] = [_tag(tag, name) for tag in pieces[1::2]]
    text = "".join(pieces)
    for gid, title in (titles or {}).items():
        opening = f'<g id="{name}-{gid}">'
        text = text.replace(opening, f'{opening[:-1]} class="named"><title>{escape(title)}</title>')
    head = re.match(r"<svg[^>]*>", text)
    assert head is not None
    box = re.search(r'viewBox="([^"]*)"', head.group())
    assert box is not None
    width = box.group(1).split()[2]
    opening = (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="{box.group(1)}" style="max-width:{width}px">'
    )
    return re.sub(r"\s*\n\s*", "\n", opening + text[head.end() :])


def _tag(tag: str, name: str) -> str:
    """Return a tag with the page's colours, fonts and ids, and numbers cut to two decimals."""
    # Ids of matplotlib repeat from figure to figure; those that nothing refers to are dropped.
    tag = re.sub(r' id="(?:patch|line2d|text|xtick|ytick|axes|figure|matplotlib\.axis)_\d+"', "", tag)
    tag = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', tag)
    tag = tag.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, variable)
    # The page's font; size and weight stay.
    tag = re.sub(r"font-family: [^;\"]*;?\s*", "", tag)
    tag = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;\"]*", _font, tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", tag)
    return re.sub(r"(-?\d+\.\d\d)\d+", r"\1", tag)


def _font(found: re.Match[str]) -> str:
    weight, size = found.groups()
    return f"font-weight: {weight}; font-size: {size}" if weight else f"font-size: {size}"
