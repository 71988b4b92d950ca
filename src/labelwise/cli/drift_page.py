"""The page and the picture of `labelwise drift --report`: each modality's radius beside what chance shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise.errors import InputError

if TYPE_CHECKING:
    from labelwise.project.drift import Drift

ENDINGS = (".html", ".svg")
_ROW = 44  # pixels
_SHOWN = 30  # samples on the page
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_LONE = """<style>
:root { --ink: #16191d; --muted: #59616b; --line: #e3e6ea; --paper: #ffffff; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9ecef; --muted: #a3acb6; --line: #2a3037; --paper: #121518; --accent: #3d9bd1; } }
svg { background: var(--paper); font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }
</style>"""


def check_report(path: Path) -> None:
    """Raise InputError unless a report can be written under this name."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"--report must end in .html or .svg; it is {path.name!r}.")


def picture(found: Drift, name: str, width: int) -> str:
    """Return a row for each modality: its radius, over the band from 5 % to 95 % of what chance alone shows."""
    from matplotlib.ticker import MaxNLocator

    from labelwise.bench.report.figures import axes, clip
    from labelwise.bench.report.svg import GREY, INK, MUTED, figure, render

    rows = found.modalities
    narrow = width < 500
    left = min(12 + 8 * max(len(clip(one.name, narrow=narrow)) for one in rows), width * 0.35)
    with figure(name, width, _ROW * len(rows) + 58) as (fig, titles):
        ax = axes(fig, left, 120 if not narrow else 88, 6, 48)
        for k, one in enumerate(rows):
            ax.barh(
                k,
                one.chance_high - one.chance_low,
                left=one.chance_low,
                height=0.62,
                color=GREY,
                alpha=0.28,
                gid=f"chance-{k}",
            )
            titles[f"chance-{k}"] = (
                f"{one.name}: 90 of 100 radii by chance lie from {one.chance_low:.3f} to {one.chance_high:.3f}"
            )
            ax.barh(k, one.measured, height=0.26, color=_ORANGE if one.moved else _BLUE, gid=f"bar-{k}")
            titles[f"bar-{k}"] = f"{one.name}: radius {one.measured:.3f}"
            end = max(one.measured, one.chance_high)
            words = f"{one.measured:.2f}" + (" moved" if one.moved else "")
            ax.annotate(
                words, (end, k), (8, 0), textcoords="offset points", va="center", color=INK, fontsize=13,
                weight="bold" if one.moved else "normal",
            )  # fmt: skip
        ax.set_yticks(range(len(rows)), [clip(one.name, narrow=narrow) for one in rows])
        ax.tick_params(axis="y", labelsize=13, labelcolor=INK)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.set_xlim(0, 1.04 * max(max(one.measured, one.chance_high) for one in rows) or 1)
        ax.xaxis.set_major_locator(MaxNLocator(3 if narrow else 5))
        ax.set_xlabel("radius ρ of new from old data; grey: by chance", fontsize=12, color=MUTED)
        ax.grid(visible=False, axis="y")
        label = "; ".join(
            f"{one.name} {one.measured:.2f}, by chance up to {one.chance_high:.2f}" for one in rows
        )
        return render(fig, name, f"Radius of each modality: {label}", titles)


def write_report(
    found: Drift,
    path: Path,
    project: str,
    new: Path,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
) -> None:
    """Write a page, or the picture alone where the name ends in .svg.

    Args:
        found: what was found.
        path: ends in .html or .svg.
        project: its name.
        new: where the new data lie.
        rows, columns: the samples worth a label.
    """
    from labelwise.project.disk import whole_file

    if path.suffix.lower() == ".svg":
        drawn = picture(found, "drift", 720)
        head, rest = drawn.split(">", 1)
        text = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + ">" + _LONE + rest
    else:
        text = _page(found, project, new, rows, columns)
    with whole_file(path) as file:
        file.write(text)


def _page(
    found: Drift, project: str, new: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from labelwise.bench.words import percent
    from labelwise.cli.drift_words import READINGS, headline, sentences
    from labelwise.project.drift.seeing import WORDS

    folder = resources("labelwise.bench") / "templates"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    template = environment.from_string((folder / "drift.html.j2").read_text(encoding="utf-8"))
    costs = [
        (words, [getattr(told, name) for name in READINGS])
        for words, told in (("known samples", found.costs.at_most), ("with chance", found.costs.certified))
    ]
    return template.render(
        css=Markup((folder / "report.css").read_text(encoding="utf-8")),  # noqa: S704  # our own file
        found=found,
        reads=WORDS[found.reads],
        headline=headline(found),
        lines=sentences(found),
        wide=Markup(picture(found, "drift-w", 992)),  # noqa: S704  # every text in it is escaped
        narrow=Markup(picture(found, "drift-n", 358)),  # noqa: S704
        readings=list(READINGS.values()),
        costs=costs if any(one.counted for one in found.modalities) else [],
        project=project,
        new=str(new),
        columns=[column for column in columns if column != "label"],
        rows=rows[:_SHOWN],
        samples=len(rows),
    )
