"""Descriptions: configuration in full, learned state never, and no addresses."""

from dataclasses import dataclass, field

import numpy as np

from labelwise import make
from labelwise.describing import describe, differences, plain


@dataclass(frozen=True)
class Leaf:
    size: int = 3


class Learner:
    """Keeps what it was made with, and something that it learns."""

    def __init__(self, rate=0.1, *, decay=0.5, forgotten=None):
        self.rate, self._decay, self.seen = rate, decay, 0


@dataclass
class Tree:
    left: object = Leaf()
    leaves: tuple = ()
    weights: dict = field(default_factory=dict)
    heard: int = field(default=0, init=False)


LEAF, LEARNER, TREE = (f"{__name__}:{c.__qualname__}" for c in (Leaf, Learner, Tree))


def test_inner_dataclasses_are_described_in_full():
    found = describe(Tree(Leaf(4), (Leaf(5), Learner(0.2)), {"a": np.float32(1.5)}))
    assert found == {
        "class": TREE,
        "left": {"class": LEAF, "size": 4},
        "leaves": [{"class": LEAF, "size": 5}, {"class": LEARNER, "rate": 0.2, "decay": 0.5}],
        "weights": {"a": 1.5},
    }


def test_what_is_learned_is_no_part_of_a_description():
    learner, tree = Learner(), Tree()
    before = describe(learner), describe(tree)
    learner.seen, tree.heard = 7, 7
    assert (describe(learner), describe(tree)) == before


def test_a_changed_inner_parameter_is_named_with_its_place():
    stored = describe(Tree(Leaf(4), (Leaf(5), Learner())))
    now = Tree(Leaf(6), (Leaf(5), Learner(0.2)))
    assert differences(stored, describe(now), now) == [
        "leaves.1.rate was 0.1 and is 0.2",
        "left.size was 4 and is 6",
    ]
    other = Tree(Learner(), (Leaf(5),))
    told = differences(stored, describe(other), other)
    assert len(told) == 2
    assert told[1].startswith(f"left was {{'class': '{LEAF}'")


def test_parameters_that_older_versions_did_not_store_may_have_their_defaults():
    stored = {"class": TREE, "left": {"class": LEAF}, "leaves": [{"class": LEARNER}], "weights": {}}
    same = Tree(Leaf(), (Learner(),))
    assert differences(stored, describe(same), same) == []
    other = Tree(Leaf(4), (Learner(decay=0.1),))
    assert differences(stored, describe(other), other) == [
        "leaves.0.decay was 'not there' and is 0.1",
        "left.size was 'not there' and is 4",
    ]


def test_plain_values_are_alike_in_every_process():
    assert plain({"b", "a", "c"}) == ["a", "b", "c"]
    assert plain(Learner) == "Learner"
    assert plain(Learner()) == {"class": LEARNER, "rate": 0.1, "decay": 0.5}


def test_a_field_that_the_repr_hides_is_no_configuration():
    """The truth that a strategy which cheats is told must not reach a store or a report."""
    strategy = make("grand-oracle", truth=[7, 7, 7])
    assert "truth" not in describe(strategy)
    assert "7" not in repr(strategy)
