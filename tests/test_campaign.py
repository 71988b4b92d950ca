"""Ask and tell: what is refused and in which words, passes, corrections, two processes at once, other arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

import fake
from labelwise import make
from labelwise.campaign import Campaign, Plan
from labelwise.data.base import NOBODY, ArrayDataset, Labelled
from labelwise.data.task import Shifted, Task
from labelwise.describing import describe, differences
from labelwise.errors import BadAnswer, Conflict, EmptyPool, InputError, MissingSignal
from labelwise.events import Answered, to_dict
from labelwise.oracle import Answer, SimulatedOracle
from labelwise.seeds import generator
from labelwise.signals import Needs
from labelwise.store.memory import MemoryStore
from labelwise.strategies.base import Proposal, Strategy

PLAN = Plan(seed=1, start=6, batch=4, budget=20)


def opened(store=None, plan=PLAN, strategy="margin", task=None, recipe=None):
    return Campaign(
        task or fake.task(), recipe or fake.FakeRecipe(), make(strategy), store or MemoryStore(), plan
    )


def test_asking_again_returns_the_same_open_ids_and_records_nothing():
    campaign = opened()
    ids = campaign.ask()
    before = len(campaign.store.read())
    assert campaign.ask() == ids
    assert len(campaign.store.read()) == before
    campaign.tell([(ids[2], 0)])
    assert campaign.ask() == ids[:2] + ids[3:]


def test_n_overrides_the_plans_batch_but_not_the_budget():
    campaign = opened()
    campaign.tell([(i, 0) for i in campaign.ask(3)])
    assert len(campaign.state.asks[0].ids) == 3
    campaign.tell([(i, i % 3) for i in campaign.ask(9)])
    assert len(campaign.ask(100)) == 8  # 20 - 3 - 9
    with pytest.raises(InputError, match="n must be a whole number of at least 1; it is 0"):
        campaign.ask(0)


@pytest.mark.parametrize(
    "answer, why",
    [
        ((9999, 0), "Sample 9999 does not exist; ids run from 0 to 241."),
        ((-1, 0), "Sample -1 does not exist"),
        (("7", 0), "Sample '7' does not exist"),
        ((True, 0), "Sample True does not exist"),
        ((None, 0), "Sample None does not exist"),
    ],
)
def test_an_unknown_id_is_refused(answer, why):
    campaign = opened()
    campaign.ask()
    with pytest.raises(BadAnswer) as error:
        campaign.tell([answer])
    assert why in str(error.value)


def test_wrong_labels_and_unasked_samples_are_refused_row_by_row_and_the_good_rows_are_kept():
    campaign = opened()
    ids = campaign.ask()
    never = next(i for i in range(200) if i not in ids)
    told = [
        (ids[0], 0),
        (ids[1], 3),
        (ids[2], "cat"),
        (never, 1),
        (ids[0], 1),
        (ids[0], 0),
        (ids[3], None),
        (ids[4], 1.0),
    ]
    good, refused = campaign.tell_some(told)
    assert [(a.id, a.label) for a in good] == [(ids[0], 0), (ids[3], None)]
    assert [r.why for r in refused] == [
        f"Sample {ids[1]}: 3 is no class; classes run from 0 to 2, None is a pass.",
        f"Sample {ids[2]}: 'cat' is no class; classes run from 0 to 2, None is a pass.",
        f"Sample {never} was never asked for.",
        f"Sample {ids[0]} was already told as 0; say that it is a correction to change it.",
        f"Sample {ids[0]} was already told with this answer; nothing to do.",
        f"Sample {ids[4]}: 1.0 is no class; classes run from 0 to 2, None is a pass.",
    ]
    assert set(campaign.ask()) == set(ids) - {ids[0], ids[3]}


def test_tell_is_all_or_nothing():
    campaign = opened()
    ids = campaign.ask()
    with pytest.raises(BadAnswer, match="1 more are refused"):
        campaign.tell([(ids[0], 0), (ids[1], 7), (ids[2], 8)])
    assert campaign.state.answers == {}


def test_a_correction_keeps_both_answers_and_the_newer_counts():
    campaign = opened()
    ids = campaign.ask()
    campaign.tell([(ids[0], 0)])
    campaign.tell([(ids[0], 2)], correct=True)
    assert campaign.state.labels == {ids[0]: 2}
    told = [e for e in campaign.store.read() if isinstance(e, Answered)]
    assert [(e.label, e.correction) for e in told] == [(0, False), (2, True)]


def test_passes_cost_nothing_and_are_not_asked_again():
    campaign = opened()
    who = SimulatedOracle(fake.truth(), 3, passes=0.5, seed=2)
    while ids := campaign.ask():
        campaign.tell(who.answer(ids))
    state = campaign.state
    assert len(state.labels) == 20  # 200 samples and half of them answered: the budget is reached
    assert state.passes and not state.passes & state.labels.keys()
    every = [i for a in state.asks for i in a.ids]
    assert len(every) == len(set(every))


def test_a_pool_of_passes_ends():
    campaign = opened(task=fake.task(n=30), plan=Plan(start=4, batch=4, budget=10))
    for _ in range(100):
        if not (ids := campaign.ask()):
            break
        campaign.tell([(i, None) for i in ids])
    assert campaign.over
    assert len(campaign.state.passes) == 30
    assert campaign.state.fits == ()


def test_given_labels_are_learned_from_and_round_0_is_the_strategys():
    base = fake.task()
    y = fake.truth()
    task = Task(
        base.name,
        base.data,
        base.classes,
        base.pool[20:],
        base.validation,
        base.test,
        Labelled(base.pool[:20], y[:20]),
    )
    campaign = opened(task=task)
    ids = campaign.ask()
    assert len(ids) == PLAN.batch
    assert campaign.state.fits[0].n_labelled == 20
    assert min(ids) >= 20


def test_two_askers_get_the_same_batch():
    store = MemoryStore()
    one, two = opened(store), opened(store)
    ids = one.ask()
    assert two.ask() == ids
    one.tell([(i, 0) for i in ids])
    assert one.ask() == two.ask()


def test_an_asker_overtaken_during_its_fit_takes_the_other_ones_batch():
    class Racing(MemoryStore):
        rival = None

        def append(self, events, *, after, state=None):
            if Racing.rival is not None and any(type(e).__name__ == "Asked" for e in events):
                rival, Racing.rival = Racing.rival, None
                self.theirs = rival.ask()
            return super().append(events, after=after, state=state)

    store = Racing()
    campaign = opened(store)
    campaign.tell([(i, i % 3) for i in campaign.ask()])
    Racing.rival = opened(store)
    mine = campaign.ask()
    assert mine == store.theirs
    assert len(campaign.state.asks) == 2
    with pytest.raises(Conflict):
        store.append([Answered(mine[0], 0)], after=0)


def test_a_learned_policy_that_loses_the_race_learns_once():
    """State is reloaded before each attempt: losing and trying again must not learn twice."""

    class Policy(Strategy):
        needs = Needs()

        def __init__(self):
            self.heard = 0

        def propose(self, view, n, rng):
            return Proposal(np.arange(min(n, len(view.pool))))

        def learn(self, outcome):
            self.heard += 1

        def state_dict(self):
            return {"heard": self.heard}

        def load_state_dict(self, state):
            self.heard = state["heard"]

    class Late(MemoryStore):
        fail = 0

        def append(self, events, *, after, state=None):
            if self.fail and state is not None:
                self.fail -= 1
                raise Conflict("lost")
            return super().append(events, after=after, state=state)

    store = Late()
    campaign = Campaign(fake.task(), fake.FakeRecipe(), Policy(), store, PLAN)
    for _ in range(2):
        campaign.tell([(i, i % 3) for i in campaign.ask()])
    store.fail = 2
    campaign.ask()
    assert store.state()["strategy"] == {"heard": 1}


def test_a_store_opened_with_something_else_is_refused_in_words():
    store = MemoryStore()
    opened(store).ask()
    with pytest.raises(InputError, match="another strategy"):
        opened(store, strategy="entropy")
    with pytest.raises(InputError, match="another plan"):
        opened(store, plan=Plan(seed=2, start=6, batch=4, budget=20))
    with pytest.raises(InputError, match="another recipe"):
        opened(store, recipe=fake.FakeRecipe(warm=True))
    with pytest.raises(InputError, match="another task"):
        opened(store, task=fake.task(n=201))
    assert Campaign(fake.task(), fake.FakeRecipe(), make("margin"), store).plan == PLAN


def test_a_field_that_a_newer_version_added_is_no_difference_while_it_has_its_default():
    @dataclass(frozen=True)
    class Grown(fake.FakeRecipe):
        added: int = 5

    stored = describe(fake.FakeRecipe())
    now = describe(Grown())
    now["class"] = stored["class"]
    assert differences(stored, now, Grown()) == []
    assert differences(stored, {**now, "added": 6}, Grown(added=6)) == ["added was 'not there' and is 6"]
    assert differences({**stored, "gone": 1}, stored, fake.FakeRecipe()) == ["gone was 1 and is 'not there'"]


def test_a_correction_after_the_end_does_not_let_a_policy_hear_an_outcome_twice():
    heard = []

    class Policy(Strategy):
        def propose(self, view, n, rng):
            return Proposal(np.arange(min(n, len(view.pool))))

        def learn(self, outcome):
            heard.append(outcome.round)

    campaign = Campaign(fake.task(), fake.FakeRecipe(), Policy(), MemoryStore(), PLAN)
    while ids := campaign.ask():
        campaign.tell([(i, i % 3) for i in ids])
    assert heard == [
        1,
        2,
        3,
        4,
    ]  # 6 + 4 + 4 + 4 + 2 labels: rounds 0 to 4; the first fit has nothing before it
    first = campaign.state.asks[0].ids[0]
    campaign.tell([(first, (first + 1) % 3)], correct=True)
    assert campaign.ask() == ()
    assert heard == [1, 2, 3, 4]


def test_a_new_campaign_needs_a_plan():
    with pytest.raises(InputError, match="needs a plan"):
        Campaign(fake.task(), fake.FakeRecipe(), make("random"), MemoryStore())


def test_a_wrong_pairing_is_refused_at_construction():
    class Greedy(Strategy):
        needs = Needs(pool=frozenset({"el2n"}))

        def propose(self, view, n, rng):
            raise AssertionError

    with pytest.raises(
        MissingSignal, match="Greedy needs el2n of the pool samples; FakeRecipe gives coalitions, draws"
    ):
        Campaign(fake.task(), fake.FakeRecipe(), Greedy(), MemoryStore(), PLAN)


def test_candidates_bound_what_is_scored():
    seen = []

    class Counting(Strategy):
        def propose(self, view, n, rng):
            seen.append(len(view.pool))
            return Proposal(np.arange(n))

    campaign = Campaign(
        fake.task(),
        fake.FakeRecipe(),
        Counting(),
        MemoryStore(),
        Plan(seed=0, start=5, batch=5, budget=30, candidates=50),
    )
    while ids := campaign.ask():
        campaign.tell([(i, i % 3) for i in ids])
    assert seen == [50] * 5


def test_a_cold_start_is_the_strategys_only_if_it_needs_no_labels():
    class First(Strategy):
        needs = Needs(pool=frozenset({"features"}))

        def propose(self, view, n, rng):
            return Proposal(np.argsort(view.pool.features[:, 0])[:n])

    plan = Plan(seed=0, start=5, batch=5, budget=10, cold=True)
    task = fake.task()
    ids = Campaign(task, fake.FakeRecipe(), First(), MemoryStore(), plan).ask()
    assert ids == tuple(np.argsort(task.features[:200, 0])[:5].tolist())
    warm = Plan(seed=0, start=5, batch=5, budget=10)
    assert opened(plan=plan).ask() == opened(plan=warm).ask()  # margin needs probs: random start either way


@pytest.mark.parametrize(
    "change, words",
    [
        ({"start": 0}, "plan.start must be a whole number of at least 1; it is 0"),
        ({"batch": 2.5}, "plan.batch must be a whole number of at least 1; it is 2.5"),
        ({"budget": 3}, "plan.start is 6, more than plan.budget, 3"),
        ({"candidates": 3}, "plan.candidates is 3, less than plan.batch, 4"),
        ({"seed": "x"}, "plan.seed must be a whole number; it is 'x'"),
    ],
)
def test_a_wrong_plan_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        Plan(**({"seed": 1, "start": 6, "batch": 4, "budget": 20} | change))


def test_a_task_checks_its_parts():
    data = ArrayDataset({"table": np.zeros((10, 2))})
    ids = np.arange(10)
    with pytest.raises(EmptyPool, match="empty pool"):
        Task("t", data, ("a", "b"), ids[:0])
    with pytest.raises(InputError, match="Sample 3 stands in both the pool and the validation"):
        Task("t", data, ("a", "b"), ids[:5], Labelled(ids[3:4], np.array([0])))
    with pytest.raises(InputError, match=r"task.pool holds ids outside \[0, 10\)"):
        Task("t", data, ("a", "b"), np.array([11]))
    with pytest.raises(InputError, match="task.test.y: row 0 is label 2"):
        Task("t", data, ("a", "b"), ids[:5], NOBODY, Labelled(ids[5:6], np.array([2])))
    with pytest.raises(InputError, match="two distinct classes"):
        Task("t", data, ("a", "a"), ids)
    with pytest.raises(InputError, match="5 stands there more than once"):
        Task("t", data, ("a", "b"), np.array([5, 5]))


def test_labels_that_are_no_whole_numbers_are_refused_not_cut():
    with pytest.raises(InputError, match="y must be whole numbers; they are float64"):
        Labelled(np.arange(2), np.array([0.0, 1.9]))


def test_describe_names_class_and_fields():
    assert describe(fake.FakeRecipe(True)) == {"class": "fake:FakeRecipe", "warm": True}


def test_noise_replaces_the_label_at_the_given_rate_and_never_by_itself():
    truth = np.zeros(4000, np.int64)
    said = np.array([a.label for a in SimulatedOracle(truth, 4, noise=0.2, seed=5).answer(range(4000))])
    assert 0.18 < (said != 0).mean() < 0.22  # binomial(4000, 0.2): three standard deviations are 0.019
    wrong = np.bincount(said, minlength=4)[1:] / (said != 0).sum()
    assert np.all(np.abs(wrong - 1 / 3) < 0.06)  # uniform among the other three


def test_a_confusion_matrix_says_how_each_class_is_answered():
    truth = np.repeat([0, 1], 2000)
    matrix = np.array([[1.0, 0.0], [0.3, 0.7]])
    said = np.array(
        [a.label for a in SimulatedOracle(truth, 2, confusion=matrix, seed=1).answer(range(4000))]
    )
    assert (said[:2000] == 0).all()
    assert 0.26 < (said[2000:] == 0).mean() < 0.34


@pytest.mark.parametrize(
    "kwargs, words",
    [
        ({"noise": 1.5}, r"oracle.noise must lie in \[0, 1\]; it is 1.5"),
        ({"noise": 0.1, "confusion": np.eye(3)}, "both"),
        ({"confusion": np.eye(2)}, r"shape \(C=3, C=3\)"),
        ({"confusion": np.ones((3, 3))}, "must be a distribution"),
    ],
)
def test_a_wrong_oracle_is_refused(kwargs, words):
    with pytest.raises(InputError, match=words):
        SimulatedOracle(np.array([0, 1, 2]), 3, **kwargs)


def test_an_oracle_passes_what_it_does_not_know():
    assert SimulatedOracle(np.array([-1, 1]), 2).answer([0, 1]) == (
        Answer(0, None, "simulated"),
        Answer(1, 1, "simulated"),
    )
    with pytest.raises(InputError, match="it was asked for 2"):
        SimulatedOracle(np.array([-1, 1]), 2).answer([2])


@pytest.mark.parametrize("row", [7, "ab", (7,), (7, 0, "ada"), None, {7: 0}])
def test_what_is_no_answer_is_refused_and_never_taken_for_a_pass(row):
    campaign = opened()
    ids = campaign.ask()
    good, refused = campaign.tell_some([row, (ids[0], 1)])
    assert [a.id for a in good] == [ids[0]]
    assert "pair (id, label)" in refused[0].why or "does not exist" in refused[0].why
    assert campaign.state.passes == set()


@pytest.mark.parametrize(
    "odd, why",
    [
        ({"annotator": 7}, "annotator must be a text; it is 7."),
        ({"seconds": float("nan")}, "seconds must be a number from 0 to 1e+09, or None; it is nan."),
        ({"seconds": "3"}, "it is '3'."),
    ],
)
def test_an_answer_that_no_store_holds_costs_the_others_nothing(odd, why):
    campaign = opened()
    ids = campaign.ask()
    good, refused = campaign.tell_some([Answer(ids[0], 0, **odd), Answer(ids[1], 1, seconds=np.float32(2))])
    assert [a.id for a in good] == [ids[1]]
    assert why in refused[0].why
    assert campaign.state.answers[ids[1]].seconds == 2.0


def test_a_policy_that_forgets_stays_forgetful_and_one_that_starts_cold_is_kept():
    class Policy(Strategy):
        needs = Needs(pool=frozenset({"features"}))

        def __init__(self):
            self.memory = {}

        def propose(self, view, n, rng):
            self.memory = {"pending": view.round} if view.round != 1 else {}
            return Proposal(np.arange(n))

        def state_dict(self):
            return self.memory

        def load_state_dict(self, state):
            self.memory = dict(state)

    store, plan = MemoryStore(), Plan(seed=0, start=5, batch=5, budget=20, cold=True)
    kept = []
    for _ in range(3):
        campaign = Campaign(fake.task(), fake.FakeRecipe(), Policy(), store, plan)
        campaign.tell([(i, i % 3) for i in campaign.ask()])
        kept.append(store.state()["strategy"])
    assert kept == [{"pending": 0}, {}, {"pending": 2}]


@pytest.mark.parametrize("seed", [1.7, "3", True, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(InputError, match="seed must be a whole number"):
        generator(seed, "x")


# ------------------------------------------------------------------------------------------------- shifts


class Spied(ArrayDataset):
    """A dataset that keeps who read it, and fails while `closed`."""

    closed = False

    def batch(self, ids):
        assert not self.closed, "only measuring may read a shift"
        return super().batch(ids)


def with_shifts(task=None, by=(0.0, 3.0)):
    clean = task or fake.task()
    ids = clean.test.ids[::2]
    x = clean.data.batch(ids)["table"]
    return replace(
        clean,
        shifts=tuple(
            Shifted(
                f"table mean {amount:g}",
                Spied({"table": x + amount}),
                Labelled(np.arange(len(ids)), clean.test.y[::2]),
                "table",
                "mean",
                rho={"table": amount},
                before=ids,
            )
            for amount in by
        ),
    )


def run(task, strategy="margin"):
    campaign = opened(task=task, strategy=strategy)
    oracle = SimulatedOracle(fake.truth(), 3)
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))
    return campaign


def body(event):
    """An event without the clock."""
    return {k: v for k, v in to_dict(event).items() if k not in ("at", "seconds")}


def test_every_fit_is_measured_on_every_shift_and_on_the_same_samples_before_it():
    campaign = run(with_shifts())
    task, predictor = campaign.task, campaign.predictor
    assert len(campaign.state.fits) > 2
    assert all(len(fit.analysis["shifts"]["moved"]) == 2 for fit in campaign.state.fits)
    found = campaign.state.fits[-1].analysis["shifts"]
    still, moved = found["moved"]
    assert {k: still[k] for k in ("name", "modality", "kind", "severity", "rho")} == {
        "name": "table mean 0",
        "modality": "table",
        "kind": "mean",
        "severity": None,
        "rho": {"table": 0.0},
    }
    assert {k: still[k] for k in found["clean"]} == found["clean"]  # a shift by nothing
    assert found["clean"]["n"] == 15  # every second one of 30 test samples
    told = predictor.infer(task.shifts[1].data, np.arange(15), frozenset({"probs"})).probs
    assert moved["accuracy"] == np.mean(told.argmax(axis=1) == task.test.y[::2])
    assert moved["risk"] != found["clean"]["risk"]


@pytest.mark.parametrize("strategy", ["margin", "badge", "random"])
def test_shifts_change_nothing_but_what_is_said_of_them(strategy):
    bare, shifted = run(fake.task(), strategy), run(with_shifts(), strategy)
    one, two = ([body(event) for event in campaign.store.read()] for campaign in (bare, shifted))
    assert two[0]["task"].pop("shifts") == ["table mean 0", "table mean 3"]
    for event in two[1:]:
        if "analysis" in event:
            event["analysis"].pop("shifts")
    assert one == two


def test_nothing_but_the_measuring_reads_a_shift(monkeypatch):
    campaign = opened(task=with_shifts())
    campaign.tell([(i, i % 3) for i in campaign.ask()])
    monkeypatch.setattr(Spied, "closed", True)
    campaign.fit()
    with pytest.raises(AssertionError, match="only measuring"):
        campaign.ask()
    monkeypatch.setattr("labelwise.campaign.campaign.stressed", lambda *_: {})
    assert len(campaign.ask()) == 4  # fits, measures the test part, scores and proposes
    assert campaign.state.fits[-1].test


def test_a_task_with_other_shifts_is_another_task():
    store = MemoryStore()
    opened(store, task=with_shifts())
    with pytest.raises(InputError, match="another task"):
        opened(store, task=fake.task())
    opened(store, task=with_shifts())


def moved(**change):
    task = fake.task()
    values = {
        "name": "table noise 1",
        "data": ArrayDataset({"table": np.zeros((4, 2))}),
        "part": Labelled([0, 1], [0, 1]),
        "modality": "table",
        "kind": "noise",
        "severity": 1,
    }
    return replace(task, shifts=(Shifted(**{**values, **change}),))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"name": ""}, "must have a name"),
        ({"part": NOBODY}, "at least one test sample"),
        ({"part": Labelled([4], [0])}, r"outside \[0, 4\)"),
        ({"part": Labelled([3], [7])}, "labels of shift table noise 1"),
        ({"severity": 6}, "must be 1 to 5; it is 6"),
        ({"severity": 0}, "at least 1"),
        ({"rho": {"table": -0.1}}, "rho of table"),
        ({"before": np.array([212])}, r"shape \(n=2\)"),
        ({"before": np.array([212, 3])}, "samples of the test part only; sample 3 is none"),
        ({"data": ArrayDataset({"image": np.zeros((4, 2))})}, "must have the modalities"),
    ],
)
def test_a_wrong_shift_is_refused(change, words):
    moved()
    with pytest.raises(ValueError, match=words):
        moved(**change)


def test_shifts_need_names_of_their_own_and_a_test_part():
    one = moved().shifts[0]
    with pytest.raises(InputError, match="two are called 'table noise 1'"):
        replace(fake.task(), shifts=(one, one))
    with pytest.raises(InputError, match="no test part"):
        replace(fake.task(), test=None, shifts=(one,))


def test_what_shifts_move_is_all_of_the_test_part_unless_they_say_which():
    assert moved().unmoved() is moved().test or len(moved().unmoved()) == 30
    two = with_shifts()
    assert np.array_equal(two.unmoved().ids, two.test.ids[::2])
    assert np.array_equal(two.unmoved().y, two.test.y[::2])
