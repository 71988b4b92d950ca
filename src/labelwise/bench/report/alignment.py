"""Whether gains in accuracy went along with more even contributions of the modalities: a diagnostic, not a guarantee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelwise.bench.report.contributions import Contributions
from labelwise.bench.report.tables import Cell, Column, Row, Table

LEAST = 4  # steps from which a correlation is said


@dataclass(frozen=True)
class Alignment:
    """How the change of validation accuracy went with the change of -D(φ), from each fit to the next, over all seeds.

    Attributes:
        strategy: its label.
        steps: pairs of neighbouring fits that tell both.
        together: of them, at how many both rose or both fell.
        moved: of them, at how many neither stood still.
        correlation: Spearman's, in [-1, 1]; None with fewer than four steps, or where one side never moves.
        chance: below this size, 95 % of the correlations of as many unrelated steps lie; None without a correlation.
    """

    strategy: str
    steps: int
    together: int
    moved: int
    correlation: float | None
    chance: float | None

    @property
    def verdict(self) -> str:
        """What the correlation says, in words."""
        if self.correlation is None or self.chance is None:
            return "too few steps to say" if self.steps < LEAST else "one side never moved"
        if abs(self.correlation) <= self.chance:
            return "no more than chance"
        return f"accuracy {'rises' if self.correlation > 0 else 'falls'} with evenness"


def alignment(c: Contributions) -> Alignment:
    """Return the alignment of one strategy's runs.

    Source:
        RL-MBA, supplement, assumption 2; that it holds is assumed there, and looked for here.

    Deviations:
        The inner product of gradients cannot be seen; the correlation of changes from round to round stands for it.
    """
    from scipy.stats import spearmanr

    reward, even = np.diff(c.validation, axis=1).ravel(), -np.diff(c.dispersion, axis=1).ravel()
    known = np.isfinite(reward) & np.isfinite(even)
    # 0.9 - 0.8 and 0.8 - 0.7 are ties, whatever their last bit
    reward, even = reward[known].round(12), even[known].round(12)
    steps, signs = int(known.sum()), np.sign(reward) * np.sign(even)
    correlation = chance = None
    if steps >= LEAST and np.ptp(reward) > 0 and np.ptp(even) > 0:
        correlation = float(spearmanr(reward, even).statistic)
        chance = min(1.0, 1.96 / float(np.sqrt(steps - 1)))
    return Alignment(c.strategy, steps, int((signs > 0).sum()), int((signs != 0).sum()), correlation, chance)


def table(found: Sequence[Alignment], palette: Mapping[str, str] | None = None) -> Table | None:
    """Return one row a strategy; None where no run tells both accuracies on validation data and contributions."""
    told = [a for a in found if a.steps]
    if not told:
        return None
    rows = []
    for a in told:
        size = "–" if a.correlation is None else f"{a.correlation:+.2f}".replace("-", "−")
        chance = "" if a.chance is None else f"chance ±{a.chance:.2f}"
        rows.append(
            Row(
                a.strategy,
                (palette or {}).get(a.strategy, ""),
                (
                    Cell(size, chance),
                    Cell(str(a.steps)),
                    Cell(f"{a.together} of {a.moved}"),
                    Cell(a.verdict),
                ),
            )
        )
    caption = (
        "From each fit to the next: did validation accuracy, the reward, rise where D(φ) fell? Spearman's correlation of the "
        "two changes over all rounds and seeds; beside it, how large it gets by chance in 95 of 100 cases if the steps were "
        "unrelated. Both tend to change most in the first rounds, which alone can make a correlation. This is a diagnostic "
        "of an assumption, not a guarantee that evening out contributions pays."
    )
    heads = ("correlation", "steps", "both the same way", "reading")
    return Table(tuple(map(Column, heads)), tuple(rows), caption)
