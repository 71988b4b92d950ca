"""Tables, heat maps and figures of the leaderboard as HTML inside a page of the docs: no blank line, no script, no address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from re import sub

from labelwise.bench.report.heats import Heat
from labelwise.bench.report.tables import Cell, Table

WIDE, NARROW = 992, 358  # pixels of a figure on a wide and on a narrow page
_LEFT = ' class="words"'
FIGURE = "<!-- figure -->"  # what stands for a figure where none is drawn


def table(shown: Table, label: str, links: Mapping[str, str] | None = None, *, tall: bool = False) -> str:
    """Return a table that docs/tables.js makes sortable, with its sentence below.

    Args:
        shown: as the reports have it.
        label: what a screen reader says.
        links: name of a row -> where it leads.
        tall: whether it scrolls by itself under its head.
    """
    lines = [
        f'<div class="scroll{" tall" * tall}" tabindex="0" role="region" aria-label="{escape(label)}">',
        '<table class="sortable"><thead><tr>',
    ]
    words = [_is_words([row.cells[k - 1] for row in shown.rows]) for k in range(1, len(shown.columns))]
    for column, left in zip(shown.columns, (False, *words), strict=True):
        order = f' aria-sort="{column.sort}"' if column.sort else ""
        lines.append(f'<th scope="col"{order}{_LEFT * left}>{escape(column.name)}</th>')
    lines.append("</tr></thead><tbody>")
    for row in shown.rows:
        name = escape(row.name)
        if links and row.name in links:
            name = f'<a href="{links[row.name]}">{name}</a>'
        dot = f'<span class="dot" style="--c:{row.colour}"></span>' if row.colour else ""
        cells = "".join(_cell(cell, left=left) for cell, left in zip(row.cells, words, strict=True))
        lines.append(f'<tr><th scope="row" data-value="{escape(row.name)}">{dot}{name}</th>{cells}</tr>')
    lines.append("</tbody></table></div>")
    if shown.caption:
        lines.append(f'<p class="note">{escape(shown.caption)}</p>')
    return "\n".join(lines)


def _is_words(cells: list[Cell | None]) -> bool:
    """Return True if a column holds words: these stand to the left."""
    return any(cell is not None and cell.value and not _number(cell.value) for cell in cells)


def _number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def _cell(cell: Cell | None, *, left: bool) -> str:
    if cell is None:
        return "<td>–</td>"
    text = f"<b>{escape(cell.text)}</b>" if cell.bold else escape(cell.text)
    small = f' <span class="pm">{escape(cell.small)}</span>' if cell.small else ""
    value = f' data-value="{escape(cell.value)}"' if cell.value else ""
    return f"<td{value}{_LEFT * left}>{text}{small}</td>"


def heat(shown: Heat) -> str:
    """Return a heat map with the number in each cell; names of columns stand upright."""
    lines = [
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(shown.title)}: {escape(shown.corner)}">',
        f'<table class="heat"><thead><tr><td>{escape(shown.corner)}</td>',
        *(f'<th scope="col"><span>{escape(name)}</span></th>' for name in shown.columns),
        "</tr></thead><tbody>",
    ]
    for row in shown.rows:
        cells = "".join(
            f"<td>{c.text}</td>" if row.foot or c.diagonal else f'<td style="--v:{c.shade}">{c.text}</td>'
            for c in row.cells
        )
        foot = ' class="foot"' if row.foot else ""
        lines.append(f'<tr{foot}><th scope="row">{escape(row.name)}</th>{cells}</tr>')
    lines += ["</tbody></table></div>", f'<p class="note">{escape(shown.caption)}</p>']
    return "\n".join(lines)


def figure(draw: Callable[[str, int], str], name: str, caption: str, *, drawn: bool = True) -> str:
    """Return a figure in two sizes, of which the page shows the one that fits.

    Args:
        draw: (prefix of ids, width) -> SVG.
        name: prefix of ids, unique in the page.
        caption: below it.
        drawn: False leaves a mark in the place of both, so that pages can be compared without drawing.
    """
    if not drawn:
        return f'{FIGURE}\n<p class="note">{escape(caption)}</p>'
    sizes = "\n".join(
        f'<div class="{kind}">{slim(draw(f"{name}-{kind[0]}", width))}</div>'
        for kind, width in (("wide", WIDE), ("narrow", NARROW))
    )
    return f'<figure>\n{sizes}\n</figure>\n<p class="note">{escape(caption)}</p>'


def undrawn(page: str) -> str:
    """Return a page with a mark in the place of its figures."""
    return sub(r"<figure>.*?</figure>", FIGURE, page, flags=16)  # re.DOTALL


def slim(svg: str) -> str:
    """Return an SVG with one decimal and without what the defaults say."""
    svg = sub(r"(\d\.\d)\d\b", r"\1", svg)
    return sub(r"stroke-dasharray: none; ?|; stroke-linejoin: miter|stroke-linejoin: miter;? ?", "", svg)


def details(summary: str, inside: str) -> str:
    """Return a part that is folded away."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{inside}\n</details>"
