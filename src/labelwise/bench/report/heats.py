"""Heat maps with the number in each cell, and the pairwise penalty matrix as two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labelwise.bench.findings import Penalty


@dataclass(frozen=True)
class HeatCell:
    """A number and how dark it is, from 0 to 1."""

    text: str
    shade: str
    diagonal: bool = False


@dataclass(frozen=True)
class HeatRow:
    """A row of a heat map; the foot holds what the rows add up to."""

    name: str
    cells: tuple[HeatCell, ...]
    foot: bool = False


@dataclass(frozen=True)
class Heat:
    """A heat map with the number in each cell."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    caption: str = ""


def penalties(found: Penalty) -> tuple[Heat, Heat]:
    """Return the penalty matrix with and without a test, each with a sentence that explains it."""
    over = "this setting" if found.settings == 1 else f"{found.settings} settings"
    each = "" if found.settings == 1 else ", each setting adding at most 1"
    tested = (
        f"Of the looks at {over} (at the start and after 1, 2, 4, 8, … batches, until {found.reference} is within 1 % of "
        "its final accuracy), the share at which the row's mean accuracy is above the column's with p < 0.05 in a paired "
        f"t-test over up to five seeds{each}; the foot is the mean of a column, what that strategy lost, so lower is better."
    )
    wins = (
        f"Of the {found.budgets} budgets of {over} (the start and after every batch), at how many the row's mean accuracy "
        "is above the column's, however little: no test, so neighbours in here may well be alike."
    )
    apart = "" if all(map(all, found.met)) else " Empty: the two were never in one setting."
    return (
        _heat("With a test", found, found.tested, float(found.settings), 2, tested + apart),
        _heat("Without a test", found, found.wins, float(found.budgets), 0, wins + apart),
    )


def _heat(
    title: str, found: Penalty, matrix: Sequence[Sequence[float]], most: float, places: int, caption: str
) -> Heat:
    names, rows = found.names, []
    for a, (name, values) in enumerate(zip(names, matrix, strict=True)):
        cells = [
            HeatCell(f"{v:.{places}f}" if met else "", f"{v / most:.3f}")
            for v, met in zip(values, found.met[a], strict=True)
        ]
        cells[a] = HeatCell("–", "0", diagonal=True)
        rows.append(HeatRow(name, tuple(cells)))
    means = [sum(row[b] for row in matrix) / len(names) for b in range(len(names))]
    foot = tuple(HeatCell(f"{mean:.{max(places, 1)}f}", "0") for mean in means)
    rows.append(HeatRow("mean lost", foot, foot=True))
    return Heat(title, "row beats column", names, tuple(rows), caption)
