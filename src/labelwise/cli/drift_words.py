"""What `labelwise drift` found, in sentences: the terminal, its JSON and its page say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelwise.bench.words import listed, percent
from labelwise.functional.drift import as_steps

if TYPE_CHECKING:
    from labelwise.project.drift import Drift

READINGS = {
    "first_order": "first order",
    "product_exact": "independent",
    "precision": "copula",
    "perfect": "all as one",
}


def headline(found: Drift) -> str:
    """Return the answer in one or two sentences."""
    if not found.moved:
        names = listed([one.name for one in found.modalities])
        return f"No drift found: {names} of {found.n_new:,} new samples differ from the old data no more than chance would."
    names = listed(list(found.moved))
    verb = "has" if len(found.moved) == 1 else "have"
    now = found.known.error
    if not any(one.counted for one in found.modalities):
        return f"Drift: {names} {verb} moved, by how many samples have {'it' if verb == 'has' else 'them'}."
    if not found.known.variance:  # a bound of 0 % would say that nothing can happen
        return (
            f"Drift: {names} {verb} moved. {len(found.known):,} known samples, {'all' if now else 'none'} of them wrong, do not "
            f"tell what that may cost; with chance the error could be up to {percent(found.costs.most_certified)}, if labels "
            "given inputs stay as they were."
        )
    return (
        f"Drift: {names} {verb} moved. The error, {percent(now)} on {len(found.known):,} known samples, could rise to at most "
        f"{percent(found.costs.most)}, if labels given inputs stay as they were."
    )


def sentences(found: Drift) -> list[str]:
    """Return what else a person should know, a sentence or two each."""
    lines = []
    for one in found.modalities:
        if one.by in ("means", "spread"):
            how = (
                f"like a shift of a Gaussian's mean by {as_steps(one.rho):.2g} standard deviations"
                if one.by == "means"
                else "seen by the spread of its numbers, not by their means"
            )
            lines.append(
                f"{one.name}: ρ = {one.rho:.2g} beyond chance, {how} (p = {short(one.p)} after Holm's correction)."
            )
        elif one.by == "absence":
            lines.append(
                f"{one.name}: {one.share_new:.0%} of the new samples have it, {one.share_old:.0%} of the old "
                f"(p = {short(one.p)} after Holm's correction). What that costs is not counted below."
            )
    known = found.known
    lines.append(
        f"Known error: {percent(known.error)} on {len(known):,} samples ({known.part})."
        + (
            f" {'All' if known.error else 'None'} of them are wrong, so that nothing tells what a shift may cost: read the line "
            "with chance."
            if not known.variance
            else ""
        )
    )
    if found.weighted is not None:
        w = found.weighted
        few = " That is few: take it as a hint." if w.effective < 30 else ""
        lines.append(
            f"By density ratios the error on the new data is {percent(w.risk)} (95 % interval {percent(w.low)} to "
            f"{percent(w.high)}), told by as much as {w.effective:.0f} samples.{few}"
        )
    lines.append(f"The model itself expects {percent(found.believed)} errors on the new data.")
    still = [one.name for one in found.modalities if not one.counted]
    if still:
        lines.append(
            f"Shifts of {listed(still)} too small to be seen with so few samples could make it {percent(found.unseen.most)}."
        )
    lines.append(
        f"To know the new error to ± {percent(found.width)} with {percent(1 - found.delta)} certainty, label "
        f"{found.labels:,} random new samples; {found.whom.budget:,} tell it to ± {percent(found.told)}."
    )
    if found.left_out:
        key, why = found.left_out[0]
        lines.append(f"{len(found.left_out):,} new samples cannot be read and are left out ({key}: {why}).")
    return lines


def short(value: float) -> str:
    """Return a probability in two digits."""
    return f"{value:.2g}"
