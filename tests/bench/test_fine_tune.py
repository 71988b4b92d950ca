"""A benchmark run that starts cold from the features of its own encoder."""

import numpy as np
import pytest

from labelwise import data, models
from labelwise.bench.run import run
from labelwise.bench.spec import read_spec
from labelwise.models import encoders, finetune
from labelwise.models.finetune import FineTuneRecipe


def spec(strategy="active-ft", seed=0):
    params = {"space": "features", "rate": 0.01} if strategy == "active-ft" else {}
    return read_spec(
        {
            "task": {"name": "digits", "pool": 120, "test_size": 50},
            "recipe": {
                "name": "fine-tune", "network": "strided-cnn", "width": 4, "epochs": 2, "pretrain_epochs": 1,
                "device": "cpu",
            },
            "strategy": {"name": strategy, **params},
            "plan": {"seed": seed, "start": 6, "batch": 5, "budget": 16, "cold": True},
        }
    )  # fmt: skip


class Killed(Exception):
    pass


def test_a_killed_run_trains_no_second_encoder_and_asks_what_it_would_have_asked(tmp_path, monkeypatch):
    whole = run(spec(), tmp_path / "whole")

    def kill(bought, budget, phase):
        if bought == 6 and phase == "ask":
            raise Killed

    encoders._remembered.clear()
    with pytest.raises(Killed):
        run(spec(), tmp_path / "killed", tell=kill)
    encoders._remembered.clear()  # as in another process
    monkeypatch.setattr(finetune, "pretrain", None)
    finished = run(spec(), tmp_path / "killed")
    assert [a.ids for a in finished.state.asks] == [a.ids for a in whole.state.asks]
    assert [f.test for f in finished.fits] == [f.test for f in whole.fits]


def test_all_strategies_and_seeds_of_a_folder_share_one_encoder(tmp_path):
    phases = set()
    for one in (spec(), spec("random"), spec(seed=1)):
        encoders._remembered.clear()
        run(one, tmp_path, tell=lambda bought, budget, phase: phases.add(phase))
    assert len(list((tmp_path / "encoders").glob("*.safetensors"))) == 1


def test_the_features_of_the_encoder_replace_those_of_the_task(tmp_path, monkeypatch):
    """Digits bring their pixels as features; the first batch must not come from them."""
    first = run(spec(), tmp_path / "encoder").state.asks[0].ids
    monkeypatch.setattr(FineTuneRecipe, "prepared", lambda recipe, task, *rest: (recipe, task))
    pixels = run(spec(), tmp_path / "pixels").state.asks[0].ids
    assert first != pixels
    simulation = data.make("digits", pool=120, test_size=50)
    assert np.isin(first, simulation.task.pool).all()
    assert models.prepared(models.make("logistic"), simulation.task)[1] is simulation.task
