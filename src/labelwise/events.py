"""What happened, in order: the only thing a campaign stores. The state of a campaign is a pure fold over its events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from labelwise.errors import BadAnswer, CorruptStore, InputError, did_you_mean


@dataclass(frozen=True)
class Plan:
    """How a campaign spends its labels.

    Attributes:
        seed: everything random is derived from it.
        start: labels bought at random in round 0 (the same for every strategy).
        batch: labels bought in each later round.
        budget: labels bought in all, the start included; capped by the pool. A pass costs nothing.
        candidates: score only a seeded random subset of the pool of this size each round; None: the whole pool.
        cold: let the strategy choose round 0 itself, if it needs nothing but label-free features.
        audit: share of each batch after the start that is drawn at random from all that is left, in [0, 0.5]; these
            picks tell, without a label more, how accurate the model is and what chance would have bought.
    """

    seed: int = 0
    start: int = 20
    batch: int = 20
    budget: int = 500
    candidates: int | None = None
    cold: bool = False
    audit: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("start", 1), ("batch", 1), ("budget", 1), ("candidates", 1)):
            value = getattr(self, name)
            if value is None and name == "candidates":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"plan.{name} must be a whole number of at least {least}; it is {value!r}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InputError(f"plan.seed must be a whole number; it is {self.seed!r}.")
        if not isinstance(self.cold, bool):
            raise InputError(f"plan.cold must be true or false; it is {self.cold!r}.")
        if isinstance(self.audit, bool) or not isinstance(self.audit, int | float):
            raise InputError(f"plan.audit must be a number from 0 to 0.5; it is {self.audit!r}.")
        if not 0 <= self.audit <= 0.5:
            raise InputError(f"plan.audit must lie in [0, 0.5]; it is {self.audit}.")
        if self.start > self.budget:
            raise InputError(f"plan.start is {self.start}, more than plan.budget, {self.budget}.")
        if self.candidates is not None and self.candidates < self.batch:
            raise InputError(f"plan.candidates is {self.candidates}, less than plan.batch, {self.batch}.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Plan:
        """Return the plan of a table that a person wrote.

        Raises:
            InputError: a key that no plan has, or a value outside its range.
        """
        known = [each.name for each in fields(cls)]
        for key in values:
            if key not in known:
                raise InputError(f"plan.{key} is unknown. {did_you_mean(key, known)}")
        return cls(**values)

    def values(self) -> dict[str, Any]:
        """Return the plan as JSON values; without an audit they are what they were before there were audits."""
        values = asdict(self)
        if not self.audit:
            del values["audit"]
        return values


@dataclass(frozen=True)
class Opened:
    """A campaign began: with what plan, strategy, recipe and data."""

    plan: Plan
    strategy: Mapping[str, Any]
    recipe: Mapping[str, Any]
    task: Mapping[str, Any]
    versions: Mapping[str, str]
    notes: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""

    @property
    def protocol(self) -> str:
        """Return twelve digits that name recipe, data and plan, whatever the strategy and the seed."""
        plan = {name: value for name, value in self.plan.values().items() if name != "seed"}
        told = json.dumps([plan, self.recipe, self.task], sort_keys=True, default=dict)
        return hashlib.sha256(told.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Fitted:
    """A predictor was fitted and measured.

    Attributes:
        round: the round about to be asked.
        n_labelled: labels it was fitted on.
        seen: events in the store when it was fitted (provenance).
        validation: metrics on validation data ({} where there are none).
        test: metrics on test data ({} where there are none); no strategy ever sees them.
        fit: training diagnostics.
        seconds: wall seconds by phase: fit, measure, infer, learn, propose.
        analysis: what each modality contributes, measured on test data, or on validation data where there are none
            ({} with one modality); like `test`, no strategy ever sees it. Where the task has shifts, "shifts" holds
            "clean", how the predictor stands on the test samples that they move, as they were, and "moved", the same
            for each shift in the order of the task, beside its name, modality, kind, severity and rho. To stand is
            n, accuracy, risk and variance (mean and variance of the loss min(-ln p_y, 13.8)) and worst class (the
            lowest accuracy of a class). "watched" is what the predictor says of a fixed random part of the pool (see
            `labelwise.campaign.measuring.watched`), and "audit" what it says of the audit picks of the round (see
            `labelwise.campaign.auditing.Picks`), both without any label.
    """

    round: int
    n_labelled: int
    seen: int
    validation: Mapping[str, Any]
    test: Mapping[str, Any]
    fit: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    at: str = ""
    analysis: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """Ids were proposed and wait for answers.

    Attributes:
        round: counted from 0.
        ids: in the order of asking.
        scores: of the ids that the strategy proposed, in this order, higher = asked sooner; None where it gave none.
        notes: of the strategy.
        at: when.
        audit: those of the ids that were drawn at random and not proposed, in the order of the draw.
    """

    round: int
    ids: tuple[int, ...]
    scores: tuple[float, ...] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    audit: tuple[int, ...] = ()


@dataclass(frozen=True)
class Answered:
    """One answer for one id; label None is a pass ("I cannot say"). A later one for the same id is a correction."""

    id: int
    label: int | None
    annotator: str = ""
    seconds: float | None = None
    correction: bool = False
    at: str = ""


Event = Opened | Fitted | Asked | Answered
KINDS: dict[str, type[Event]] = {
    "opened": Opened,
    "fitted": Fitted,
    "asked": Asked,
    "answered": Answered,
}


def kind_of(event: Event) -> str:
    """Return the name under which an event is stored."""
    return type(event).__name__.lower()


def to_dict(event: Event) -> dict[str, Any]:
    """Return the event's fields; the store makes JSON of them."""
    body = dict(
        vars(event)
    )  # dataclasses.asdict copies deeply, ten times slower with a thousand answers a round
    if isinstance(event, Opened):
        body["plan"] = event.plan.values()
    if isinstance(event, Asked) and not event.audit:
        del body["audit"]
    return body


def from_dict(kind: str, body: Mapping[str, Any]) -> Event:
    """Return the event that `to_dict` wrote.

    Raises:
        CorruptStore: the kind or a field is unknown or missing.
    """
    cls = KINDS.get(kind)
    if cls is None:
        raise CorruptStore(f"The store holds an event of the unknown kind {kind!r}.")
    known = {f.name for f in fields(cls)}
    if not set(body) <= known:
        raise CorruptStore(f"An event of kind {kind!r} holds the unknown fields {sorted(set(body) - known)}.")
    values = dict(body)
    try:
        if cls is Opened:
            values["plan"] = Plan(**values["plan"])
        if cls is Asked:
            values["ids"] = tuple(values["ids"])
            values["scores"] = None if values.get("scores") is None else tuple(values["scores"])
            values["audit"] = tuple(values.get("audit", ()))
        return cls(**values)
    except (TypeError, KeyError) as error:
        raise CorruptStore(f"An event of kind {kind!r} cannot be read: {error}.") from error


@dataclass(frozen=True)
class State:
    """Where a campaign stands after some events.

    Attributes:
        seen: how many events were folded in.
        opened: the opening, None before it.
        asks: every ask, in order.
        fits: every fit, in order.
        answers: id -> its newest answer.
        open_ids: asked and not yet answered, in the order of asking.
        fresh: True if an answer came since the last fit.
    """

    seen: int = 0
    opened: Opened | None = None
    asks: tuple[Asked, ...] = ()
    fits: tuple[Fitted, ...] = ()
    answers: Mapping[int, Answered] = field(default_factory=dict)
    open_ids: tuple[int, ...] = ()
    fresh: bool = False

    @cached_property
    def labels(self) -> Mapping[int, int]:
        """id -> label of everything labelled so far, in the order of ids, passes left out."""
        return MappingProxyType({i: a.label for i, a in sorted(self.answers.items()) if a.label is not None})

    @cached_property
    def room(self) -> int:
        """How many more labels may be bought: budget left, and no more than the pool still holds."""
        if self.opened is None:
            return 0
        left = int(self.opened.task["pool"]) - len(self.answers) - len(self.open_ids)
        return max(0, min(self.opened.plan.budget - len(self.labels), left))

    @cached_property
    def over(self) -> bool:
        """True when nothing is open, nothing may be asked any more, and the last labels were fitted and measured."""
        done = not self.fresh or (not self.labels and not (self.opened and self.opened.task.get("given")))
        return bool(self.asks) and not self.open_ids and self.room == 0 and done

    @cached_property
    def passes(self) -> frozenset[int]:
        """Ids whose newest answer is a pass."""
        return frozenset(i for i, a in self.answers.items() if a.label is None)


def replay(events: Iterable[Event], state: State | None = None) -> State:
    """Return the state after `events`, starting from `state` (or from nothing). Pure: `state` is not changed.

    Raises:
        BadAnswer: an answer for an id that was never asked.
        CorruptStore: events in an order that no campaign writes.
    """
    start = state or State()
    seen, opened, fresh = start.seen, start.opened, start.fresh
    asks, fits = list(start.asks), list(start.fits)
    answers, open_ids = dict(start.answers), dict.fromkeys(start.open_ids)
    for event in events:
        seen += 1
        match event:
            case Opened():
                if opened is not None or seen != 1:
                    raise CorruptStore("The store holds a second opening; a campaign is opened once.")
                opened = event
            case Fitted():
                fits.append(event)
                fresh = False
            case Asked():
                if open_ids or event.round != len(asks):
                    raise CorruptStore(f"The store asks round {event.round} out of turn.")
                if not set(event.audit) <= set(event.ids):
                    raise CorruptStore(
                        f"The store audits samples in round {event.round} that it did not ask."
                    )
                asks.append(event)
                open_ids.update(dict.fromkeys(event.ids))
            case Answered():
                if event.id not in open_ids and event.id not in answers:
                    raise BadAnswer(f"Sample {event.id} was never asked for.")
                open_ids.pop(event.id, None)
                answers[event.id] = event
                fresh = True
    return replace(
        start,
        seen=seen,
        opened=opened,
        asks=tuple(asks),
        fits=tuple(fits),
        answers=answers,
        open_ids=tuple(open_ids),
        fresh=fresh,
    )
