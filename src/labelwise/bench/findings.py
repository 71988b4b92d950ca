"""What a comparison found, as values: curves, areas, labels needed, paired differences, settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from labelwise.bench.settings import Group, RunCurve, of_people
from labelwise.functional.curves import Difference, Interval
from labelwise.functional.ranking import Friedman


@dataclass(frozen=True)
class Point:
    """One point of a mean learning curve: labels bought, mean accuracy, its 95 % interval (None with one seed)."""

    labels: int
    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Reach:
    """How many labels a strategy needed to reach an accuracy.

    Attributes:
        target: the accuracy, in [0, 1].
        reached: runs that reached it.
        of: runs in all.
        labels: mean over the runs that did, with its interval; None where not all of them did, because a mean over
            the fast ones would flatter.
    """

    target: float
    reached: int
    of: int
    labels: Interval | None


@dataclass(frozen=True)
class Summary:
    """One strategy in one setting.

    Attributes:
        name: name and parameters of the strategy.
        seeds: seeds of the runs that enter the means.
        runs: the curve of every run, unfinished ones included.
        curve: mean learning curve over the compared runs.
        aubc: area under accuracy against labels over the setting's span, divided by the span: a mean accuracy.
        aubc_quota: the papers' form (divided by the budget beyond the start, last step cut); None where it is not
            defined.
        final: accuracy after the last label of the span.
        aubc_std, final_std: standard deviations over seeds (n - 1); None with one seed.
        reach: labels needed for each target of the setting.
        seconds: mean seconds a round by phase.
        scoring_ratio: (infer + propose) / fit over all rounds that asked; None where nothing was timed.
        areas: the area of each compared run, in the order of `seeds`.
    """

    name: str
    seeds: tuple[int, ...]
    runs: tuple[RunCurve, ...]
    curve: tuple[Point, ...]
    aubc: Interval
    aubc_std: float | None
    aubc_quota: Interval | None
    final: Interval
    final_std: float | None
    reach: tuple[Reach, ...]
    seconds: Mapping[str, float]
    scoring_ratio: float | None
    areas: tuple[float, ...]

    @property
    def choosing(self) -> float | None:
        """Mean seconds a round of all but fitting and measuring: infer, propose, learn; None where none was timed."""
        if "propose" not in self.seconds:
            return None
        return sum(seconds for phase, seconds in self.seconds.items() if phase not in ("fit", "measure"))

    def mean_area(self, seeds: Collection[int]) -> float:
        """Return the mean area over some of its seeds, one at least."""
        found = [area for seed, area in zip(self.seeds, self.areas, strict=True) if seed in seeds]
        return sum(found) / len(found)


def common_seeds(summaries: Sequence[Summary], least: int) -> frozenset[int]:
    """Return the seeds that all of some strategies have; where these are fewer than `least`, those that any has.

    Seeds differ from one another more than strategies do: means over unlike seeds would rank the seeds.
    """
    sets = [frozenset(one.seeds) for one in summaries]
    both = frozenset.intersection(*sets)
    return both if len(both) >= least else frozenset.union(*sets)


@dataclass(frozen=True)
class Pair:
    """A strategy against another one, seed by seed.

    Attributes:
        strategy: the one whose advantage is counted.
        against: the other.
        measure: "aubc", "final" (accuracies) or "labels" (labels needed for the setting's target; positive: fewer; only
            where every run of both reached it).
        seeds: seeds that both have.
        values: the difference of each seed, positive where `strategy` is better.
        interval: mean of `values` with its 95 % interval by Student's t.
        bootstrap: mean with its 95 % bootstrap interval and the paired t-test's p; on few seeds too narrow.
        p_holm: that p after Holm's correction over the strategies compared in this measure; None with one seed.
        clear: True if there are three seeds or more, both intervals exclude 0, and `p_holm` < 0.05.
    """

    strategy: str
    against: str
    measure: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    interval: Interval
    bootstrap: Difference
    p_holm: float | None
    clear: bool

    @property
    def mean(self) -> float:
        """The mean difference, positive where `strategy` is better."""
        return self.interval.mean

    @property
    def half(self) -> float | None:
        """Half the width of the t interval: differences below it cannot be told from 0. None with one seed."""
        return None if self.interval.high is None else self.interval.high - self.interval.mean


@dataclass(frozen=True)
class Crossing:
    """Where a strategy that led falls behind the reference for good; `labels` is None if it never does."""

    strategy: str
    against: str
    labels: float | None


@dataclass(frozen=True)
class Full:
    """The accuracy with every label of the pool.

    Attributes:
        accuracy: in [0, 1].
        runs: how many runs with every label measured it; 0: none did, and it is the setting's best mean final accuracy.
    """

    accuracy: float
    runs: int


@dataclass(frozen=True)
class Share:
    """How many labels a strategy needed for a share of the full accuracy.

    Attributes:
        share: of the full accuracy, e.g. 0.95.
        target: the accuracy that this is.
        strategy: its name.
        reached, of: runs that reached it, and runs in all.
        labels: mean with its interval; None where not all runs reached it.
        ratio: labels over those of the reference, geometric mean over paired seeds with its interval; None where a
            run of either did not get there, and of the reference itself.
        at_most: what that ratio is at most, where only runs of the reference did not get there.
    """

    share: float
    target: float
    strategy: str
    reached: int
    of: int
    labels: Interval | None
    ratio: Interval | None
    at_most: float | None


@dataclass(frozen=True)
class Cost:
    """What a strategy's choosing costs, against the reference's.

    Attributes:
        strategy: its name.
        extra: more seconds a round of choosing (all but fitting and measuring); may be negative.
        gain: mean paired difference of AUBC, as a share.
        per_point: extra seconds a round for each percentage point of AUBC; None unless the strategy is clearly better.
    """

    strategy: str
    extra: float
    gain: float
    per_point: float | None


@dataclass(frozen=True)
class Power:
    """The smallest true difference of AUBC, as a share, that a paired t-test with so many seeds finds 4 times in 5.

    The test is at 5 % over all strategies compared. That of the median strategy, by how far its differences from the
    reference spread.
    """

    difference: float
    seeds: int
    strategy: str


@dataclass(frozen=True)
class Setting:
    """One task, recipe, plan and oracle, and every strategy that was run on it.

    Attributes:
        key, title, shared, part, span, preliminary, caveats: see `settings.Group`.
        strategies: best area first.
        reference: what the others are compared with: random, or plain training (erm), or the weakest where there is
            neither.
        target: accuracy for labels-to-reach comparisons; None where not every run of best and reference reaches one.
        pairs: every strategy against the reference, and the best against the second, in every measure.
        bold: measure -> the best strategy if it is clearly better than the second, else None.
        crossings: where the reference overtakes each strategy.
        full: the accuracy with every label; None where the setting is one fit.
        shares: labels needed for 90, 95 and 99 % of it, and their ratio to the reference's.
        costs: of choosing, for each strategy that was timed and compared with the reference.
        power: how small a difference these seeds can show; None with fewer than three, or where none differ.
        verdict: "better", "none", "worse", "untested" (one seed) or "alone" (one strategy).
        headline: the finding in one sentence.
        detail: what must be said beside it.
    """

    key: str
    title: str
    shared: Mapping[str, Any]
    part: str
    span: tuple[int, int]
    preliminary: bool
    caveats: tuple[str, ...]
    strategies: tuple[Summary, ...]
    reference: str
    target: float | None
    pairs: tuple[Pair, ...]
    bold: Mapping[str, str | None]
    crossings: tuple[Crossing, ...]
    full: Full | None = None
    shares: tuple[Share, ...] = ()
    costs: tuple[Cost, ...] = ()
    power: Power | None = None
    verdict: str = ""
    headline: str = ""
    detail: tuple[str, ...] = ()

    @property
    def one_fit(self) -> bool:
        """Whether every run is one fit: then areas are accuracies, and what is compared is ways of training."""
        return self.span[0] == self.span[1]

    @property
    def by_people(self) -> bool:
        """Whether people answered, so that there is one campaign and nothing to compare it with."""
        return of_people(self.shared)

    @property
    def noun(self) -> str:
        """What the runs differ in."""
        return "method" if self.one_fit else "strategy"

    @property
    def area(self) -> str:
        """What `aubc` is called in sentences and heads."""
        return "accuracy" if self.one_fit else "AUBC"

    def pair(self, strategy: str, measure: str, against: str | None = None) -> Pair | None:
        """Return the comparison of a strategy with the reference (or `against`); None if it was not made."""
        wanted = (strategy, against or self.reference, measure)
        return next((p for p in self.pairs if (p.strategy, p.against, p.measure) == wanted), None)

    def summary(self, name: str) -> Summary:
        """Return what is known of the strategy with this name."""
        return next(s for s in self.strategies if s.name == name)


@dataclass(frozen=True)
class Penalty:
    """Who beats whom, summed over settings; row beats column.

    Attributes:
        names: A strategies, that which lost least first.
        tested: (A, A) share of the checkpoints at which the row's mean is higher and p < 0.05; a setting adds at most 1.
        wins: (A, A) budgets at which the row's mean is higher, however little.
        met: (A, A) whether two strategies were in one setting at all.
        settings: how many were counted.
        budgets: how many were looked at for `wins`, over all settings.
        reference: the strategy whose curve says when a setting has settled.
    """

    names: tuple[str, ...]
    tested: tuple[tuple[float, ...], ...]
    wins: tuple[tuple[int, ...], ...]
    met: tuple[tuple[bool, ...], ...]
    settings: int
    budgets: int
    reference: str


@dataclass(frozen=True)
class Standing:
    """Where strategies stand over settings: ranks of their mean areas, and at how many settings one beats another.

    Attributes:
        names: A strategies, best mean rank first.
        ranks: (A,) mean rank, 1 being the best.
        settings: titles of the N settings that were counted, all of which have all the strategies.
        left_out: strategies that have three seeds in some setting, but not in each of these.
        friedman: the test that all rank alike.
        difference: how far apart two mean ranks must be to differ (Nemenyi, 5 %).
        alike: groups in which no two do, as places in `names`.
        wins: (A, A) settings at which the row is clearly better than the column; the transpose counts losses.
        ties: (A, A) settings at which they were compared and neither is.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    settings: tuple[str, ...]
    left_out: tuple[str, ...]
    friedman: Friedman
    difference: float
    alike: tuple[tuple[int, ...], ...]
    wins: tuple[tuple[int, ...], ...]
    ties: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """What the runs of a report show: one sentence, every setting, and who beats whom (None with too few runs).

    `standing`, too, is None with too few runs: it needs three settings that share three strategies.
    """

    headline: str
    settings: tuple[Setting, ...]
    groups: tuple[Group, ...] = field(repr=False, compare=False)
    penalty: Penalty | None = None
    standing: Standing | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "headline": self.headline,
            "settings": [asdict(setting) for setting in self.settings],
            "penalty": None if self.penalty is None else asdict(self.penalty),
            "standing": None if self.standing is None else asdict(self.standing),
        }
