"""Adding a strategy takes one class and one row of the table."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import fake
from labelwise import select
from labelwise.bench.spec import read_spec
from labelwise.campaign import Campaign, Plan
from labelwise.cli.strategies import described
from labelwise.functional.batches import top
from labelwise.signals import Needs, View
from labelwise.store.memory import MemoryStore
from labelwise.strategies import TABLE, make
from labelwise.strategies.base import Proposal, Strategy


@dataclass(frozen=True)
class Toy(Strategy):
    """Ask where the second class is most probable.

    Attributes:
        power: of the probability.
    """

    power: float = 1.0

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        scores = view.pool.need("probs")[:, 1] ** self.power
        return Proposal(top(scores, n, rng), scores)


def test_one_class_and_one_row_are_enough_everywhere(monkeypatch):
    monkeypatch.setitem(TABLE, "toy", f"{__name__}:Toy")
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert select("toy", {"probs": probs}, 2, power=2.0).tolist() == [1, 2]
    assert read_spec(
        {"task": {"name": "digits"}, "recipe": {"name": "mlp"}, "strategy": {"name": "toy", "power": 2.0}}
    ).id
    assert described("toy")["parameters"] == [
        {"name": "power", "default": "1.0", "about": "of the probability."}
    ]
    campaign = Campaign(
        fake.task(), fake.FakeRecipe(), make("toy"), MemoryStore(), Plan(start=5, batch=5, budget=15)
    )
    while ids := campaign.ask():
        campaign.tell([(i, 0) for i in ids])
    assert len(campaign.state.answers) == 15
    mixed = make("mixed", then={"name": "toy", "power": 3.0})
    assert mixed.then == Toy(3.0)
